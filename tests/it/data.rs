//! Data are scattered, worked on where they lie, put together again, counted and let go of.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use heist::{CancelReason, Executor, Partition, Scattered, Shutdown, TaskFuture};

use crate::support::{Count, Drops, busy, executor, guard, never, until};

fn numbers(len: usize) -> Vec<u64> {
    (0..len as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect()
}

/// Every partition worth a look.
fn partitions() -> Vec<Partition> {
    let counted = [1, 2, 3, 7, 64, 1000].into_iter().flat_map(|n| [Partition::blocks(n), Partition::cyclic(n)]);
    [Partition::per_domain(), Partition::per_worker()].into_iter().chain(counted).collect()
}

fn bytes(ex: &Executor) -> usize {
    ex.has_what().iter().map(|domain| domain.bytes).sum()
}

fn entries(ex: &Executor) -> usize {
    ex.has_what().iter().map(|domain| domain.entries).sum()
}

#[test]
fn what_is_scattered_is_gathered_in_its_order() {
    let ex = executor(3);
    for len in [0, 1, 2, 63, 1000, 300_000] {
        let values = numbers(len);
        for partition in partitions() {
            let copied = ex.scatter_slice(&values, partition).unwrap();
            assert_eq!(copied.len(), len);
            assert_eq!(copied.gather().unwrap(), values, "{partition:?} of {len}");
            let moved = ex.scatter_slice(values.clone(), partition).unwrap();
            assert_eq!(moved.gather().unwrap(), values, "{partition:?} of {len}, moved in");
        }
    }
}

#[test]
fn a_chunk_has_the_values_that_its_range_says() {
    let ex = executor(2);
    let values = numbers(10_007);
    for partition in partitions() {
        let parts = ex.scatter_slice(&values, partition).unwrap();
        let mut seen = HashSet::new();
        for chunk in &parts {
            let chunk = chunk.value().unwrap();
            assert_eq!(chunk.len(), chunk.range().step_by(chunk.step()).len());
            for (at, value) in chunk.range().step_by(chunk.step()).zip(&chunk[..]) {
                assert_eq!(*value, values[at], "{partition:?} at {at}");
                assert!(seen.insert(at));
            }
        }
        assert_eq!(seen.len(), values.len());
    }
}

#[test]
fn values_of_any_size_and_alignment_are_scattered() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(64))]
    struct Wide(u8, [u16; 40]);
    fn round<T: Copy + Send + Sync + PartialEq + std::fmt::Debug + 'static>(ex: &Executor, values: &[T]) {
        for partition in [Partition::per_worker(), Partition::blocks(5), Partition::cyclic(4)] {
            let parts = ex.scatter_slice(values, partition).unwrap();
            assert!(parts.iter().all(|chunk| chunk.value().unwrap().as_ptr().is_aligned()));
            assert_eq!(parts.gather().unwrap(), values);
        }
    }
    let ex = executor(2);
    round(&ex, &[(); 17]);
    round(&ex, &[true, false, true]);
    round(&ex, &[(1_u8, 2_u64), (3, 4), (5, 6)]);
    round(&ex, &(0..999).map(|i| Wide(i as u8, [i; 40])).collect::<Vec<_>>());
    round(&ex, &["borrowed", "for", "ever"]);
}

#[test]
fn a_vector_that_is_given_away_is_not_copied_where_memory_is_not_placed() {
    let ex = executor(2);
    let is_placed = ex.has_what().len() > 1 && ex.has_what()[0].id.is_some();
    let values = numbers(100_000);
    let memory = values.as_ptr_range();
    let parts = ex.scatter_slice(values, Partition::blocks(3)).unwrap();
    for chunk in &parts {
        let chunk = chunk.value().unwrap();
        assert_eq!(chunk.as_ptr() != memory.start.wrapping_add(chunk.range().start), is_placed);
    }
}

#[test]
fn memory_that_nobody_reads_any_more_is_filled_anew() {
    let ex = executor(2);
    let (old, new) = (numbers(300_000), numbers(300_001)[1..].to_vec());
    let addresses = |parts: &Scattered<u64>| -> Vec<_> {
        parts.iter().map(|chunk| chunk.value().unwrap().as_ptr().addr()).collect()
    };
    for partition in partitions() {
        let parts = ex.scatter_slice(&old, partition).unwrap();
        let before = addresses(&parts);
        let parts = parts.refill(&new).unwrap();
        assert_eq!(addresses(&parts), before, "{partition:?}");
        assert_eq!(parts.gather().unwrap(), new);

        let kept = parts.iter().next().unwrap().clone();
        let first = kept.value().unwrap().to_vec();
        let parts = parts.refill(&old).unwrap();
        assert_eq!(kept.value().unwrap()[..], first, "{partition:?}: what somebody has stays");
        assert_eq!(parts.gather().unwrap(), old);
        assert!(parts.refill(&old[1..]).unwrap_err().is_shape());
    }
    let given = ex.scatter_slice(old.clone(), Partition::blocks(2)).unwrap();
    assert_eq!(given.refill(&new).unwrap().gather().unwrap(), new);
    let made = ex.scatter_slice(&old, Partition::blocks(2)).unwrap().map_chunks(<[u64]>::to_vec);
    assert_eq!(made.refill(&new).unwrap().gather().unwrap(), new);
    assert_eq!(entries(&ex), 0);
}

#[test]
fn slices_are_scattered_while_every_worker_is_busy() {
    guard(|| {
        let ex = executor(2);
        let values = numbers(2_000_000);
        let busy = busy(&ex);
        let parts = ex.scatter_slice(&values, Partition::per_worker()).unwrap();
        assert_eq!(parts.gather().unwrap(), values);
        let copies = ex.replicate_slice(&values).unwrap();
        assert_eq!(copies.value().unwrap()[..], values);
        drop(busy);
    });
}

#[test]
fn a_task_scatters_and_gathers() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let inner = ex.clone();
            let total = ex.submit(move || {
                let values = numbers(1_000_000);
                let parts = inner.scatter_slice(&values, Partition::blocks(8)).unwrap();
                let sums = parts.map(|chunk| chunk.iter().fold(0, |a, b| a ^ b));
                assert_eq!(parts.gather().unwrap(), values);
                inner.gather(sums).unwrap().into_iter().fold(0, |a, b| a ^ b)
            });
            assert_eq!(total.result().unwrap(), numbers(1_000_000).into_iter().fold(0, |a, b| a ^ b));
        }
    });
}

#[test]
fn many_threads_scatter_at_once() {
    guard(|| {
        let ex = executor(2);
        let values = numbers(500_000);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for partition in [Partition::per_worker(), Partition::cyclic(3), Partition::blocks(9)] {
                        assert_eq!(ex.scatter_slice(&values, partition).unwrap().gather().unwrap(), values);
                    }
                });
            }
        });
    });
}

#[test]
fn a_closed_executor_takes_no_slices() {
    let ex = executor(1);
    let parts = ex.scatter_slice(&[1, 2, 3], Partition::blocks(2)).unwrap();
    ex.shutdown(Shutdown::Wait);
    assert!(ex.scatter_slice(&[1], Partition::blocks(1)).unwrap_err().is_closed());
    assert!(ex.replicate_slice(&[1]).unwrap_err().is_closed());
    assert!(ex.scatter_file::<u8>("/proc/self/exe", Partition::blocks(1)).unwrap_err().is_closed());
    assert!(ex.replicate(vec![1]).done());
    assert!(parts.map(<[i32]>::len).iter().all(TaskFuture::cancelled));
    let reason = parts.reduce(<[i32]>::len, |a, b| a + b).error().unwrap();
    assert!(reason.cancel_reason().is_some_and(CancelReason::is_executor_closed));
    assert_eq!(parts.gather().unwrap(), [1, 2, 3], "what is there stays");
}

#[test]
fn an_executor_that_closes_meanwhile_leaves_whole_chunks_or_none() {
    guard(|| {
        let values = numbers(200_000);
        for _ in 0..50 {
            let ex = executor(2);
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    until("something was scattered", || ex.stats().submitted > 0);
                    ex.close();
                    stop.store(true, Ordering::SeqCst);
                });
                while !stop.load(Ordering::SeqCst) {
                    match ex.scatter_slice(&values, Partition::blocks(4)) {
                        Ok(parts) => assert_eq!(parts.gather().unwrap(), values),
                        Err(error) => assert!(error.is_closed(), "{error}"),
                    }
                }
            });
        }
    });
}

#[test]
fn chunks_outlive_their_executor() {
    let ex = executor(1);
    let parts = ex.scatter_slice(numbers(10_000), Partition::blocks(2)).unwrap();
    let kept = ex.replicate_slice(&[1, 2]).unwrap();
    drop(ex);
    assert_eq!(parts.gather().unwrap(), numbers(10_000));
    assert_eq!(kept.value().unwrap()[..], [1, 2]);
}

#[test]
fn partitions_into_no_chunks_are_refused() {
    let ex = executor(1);
    for partition in [Partition::blocks(0), Partition::cyclic(0), Partition::blocks(usize::MAX)] {
        assert!(ex.scatter_slice(&[1], partition).unwrap_err().is_setting());
    }
}

#[test]
fn chunks_of_results_have_the_shape_of_their_origin() {
    let ex = executor(2);
    let values = numbers(5000);
    for partition in partitions() {
        let parts = ex.scatter_slice(&values, partition).unwrap();
        let halves = parts.map_chunks(|chunk| chunk.iter().map(|x| x / 2).collect());
        let rest = parts.zip(&halves, |a, b| a.iter().zip(b).all(|(a, b)| a / 2 == *b)).unwrap();
        assert!(ex.gather(rest).unwrap().into_iter().all(|fits| fits));
        assert!(halves.gather().unwrap().iter().zip(&values).all(|(half, x)| *half == x / 2));
        let odd = parts.map_into(|chunk, odd: &mut [u8]| {
            assert!(odd.iter().all(|&zero| zero == 0));
            odd.iter_mut().zip(chunk).for_each(|(odd, x)| *odd = (x % 2) as u8);
        });
        assert!(odd.gather().unwrap().iter().zip(&values).all(|(odd, x)| u64::from(*odd) == x % 2));
    }
}

#[test]
fn a_chunk_of_another_length_is_an_error_of_its_task() {
    let ex = executor(1);
    let parts = ex.scatter_slice(&[1, 2, 3, 4], Partition::blocks(2)).unwrap();
    let wrong = parts.map_chunks(|chunk| vec![0; chunk.len() + chunk.iter().filter(|x| **x == 4).count()]);
    let results: Vec<_> = wrong.iter().map(|chunk| chunk.value().map(|chunk| chunk.len())).collect();
    assert_eq!(*results[0].as_ref().unwrap(), 2);
    let error = results[1].as_ref().unwrap_err();
    assert!(error.is_failed() && error.to_string().contains("3 values"), "{error}");
    assert!(wrong.gather().unwrap_err().is_failed());
    assert!(wrong.reduce(<[i32]>::len, |a, b| a + b).result().unwrap_err().is_dependency());
}

#[test]
fn data_of_other_shapes_are_not_zipped() {
    let ex = executor(2);
    let parts = |len, partition| ex.scatter_slice(numbers(len), partition).unwrap();
    let a = parts(6, Partition::blocks(2));
    for other in [parts(7, Partition::blocks(2)), parts(6, Partition::blocks(3)), parts(6, Partition::cyclic(2))] {
        assert!(a.zip(&other, |_, _| ()).unwrap_err().is_shape());
    }
    assert!(a.zip(&a, |a, b| assert_eq!(a, b)).is_ok());
    let elsewhere = executor(1).scatter_slice(numbers(6), Partition::blocks(2)).unwrap();
    let foreign = a.zip(&elsewhere, |_, _| ()).unwrap();
    assert!(foreign.iter().all(|task| task.error().unwrap().is_foreign_future()));
}

#[test]
fn joins_keep_the_order_of_the_values() {
    let ex = executor(3);
    let letters: Vec<char> = ('a'..='z').collect();
    for chunks in [1, 2, 3, 5, 26, 40] {
        let parts = ex.scatter_slice(&letters, Partition::blocks(chunks)).unwrap();
        let text = parts.reduce(|chunk| chunk.iter().collect::<String>(), |a, b| a + &b);
        assert_eq!(text.into_result().unwrap().unwrap(), "abcdefghijklmnopqrstuvwxyz", "{chunks}");
    }
}

#[test]
fn values_that_are_joined_are_dropped_once_and_panics_travel() {
    let ex = executor(2);
    let drops = Drops::default();
    let parts = ex.scatter_slice(numbers(100), Partition::blocks(10)).unwrap();
    let pieces = drops.clone();
    let joined = parts.reduce(move |_| vec![pieces.piece()], |a, b| a.into_iter().chain(b).collect());
    joined.wait().unwrap();
    drop(joined);
    until("all pieces are dropped", || drops.count() == 10);
    let failed = parts.reduce(|chunk| assert!(chunk[0] != 0), |(), ()| ());
    assert!(failed.result().unwrap_err().is_panic());
}

#[test]
fn halos_are_the_edges_of_the_neighbours() {
    let ex = executor(2);
    let values = numbers(1003);
    for (chunks, width) in [(1, 5), (2, 0), (2, 1), (7, 3), (100, 10)] {
        let parts = ex.scatter_slice(&values, Partition::blocks(chunks)).unwrap();
        let seen = parts.halo(width).unwrap().map(|halo| [halo.left, halo.chunk, halo.right].map(<[u64]>::to_vec));
        for (chunk, [left, own, right]) in parts.iter().zip(ex.gather(seen).unwrap()) {
            let range = chunk.value().unwrap().range();
            assert_eq!(own, values[range.clone()]);
            assert_eq!(left, values[range.start.saturating_sub(width)..range.start]);
            assert_eq!(right, values[range.end..(range.end + width).min(values.len())]);
        }
    }
    let parts = ex.scatter_slice(&values, Partition::blocks(100)).unwrap();
    assert!(parts.halo(11).unwrap_err().is_shape());
    assert!(ex.scatter_slice(&values, Partition::cyclic(2)).unwrap().halo(1).unwrap_err().is_shape());
}

#[test]
fn tasks_on_chunks_that_are_not_there_yet_wait_for_them() {
    let ex = executor(1);
    let (promise, gate) = never::<()>(&ex);
    let parts = ex.scatter_slice(numbers(100), Partition::blocks(4)).unwrap();
    let blocked = ex.map_after(parts.iter().map(|chunk| (&gate, chunk)), |((), chunk)| chunk.len());
    let later = parts.map_chunks(<[u64]>::to_vec);
    let sum = later.halo(1).unwrap().map(|halo| halo.left.len() + halo.right.len());
    assert_eq!(ex.gather(sum).unwrap(), [1, 2, 2, 1]);
    assert!(blocked.iter().all(|task| !task.done()));
    promise.fulfil(());
    assert_eq!(ex.gather(blocked).unwrap(), [25; 4]);
}

#[test]
fn values_are_accounted_until_nobody_has_them() {
    let ex = executor(2);
    let value = ex.scatter([0_u8; 1000]);
    let second = value.clone();
    assert_eq!((bytes(&ex), entries(&ex)), (1000, 1));
    drop(value);
    assert_eq!(entries(&ex), 1);
    assert_eq!(second.into_result().unwrap().unwrap(), [0; 1000]);
    assert_eq!((bytes(&ex), entries(&ex)), (0, 0), "moved out");

    let items = ex.scatter_vec(vec![1_u64; 10]);
    assert_eq!((bytes(&ex), entries(&ex)), (80, 10));
    assert_eq!(ex.gather(items).unwrap(), [1; 10]);
    assert_eq!((bytes(&ex), entries(&ex)), (0, 0), "gathered");
}

#[test]
fn chunks_are_accounted_until_the_last_task_has_read_them() {
    let ex = executor(2);
    let (promise, gate) = never::<()>(&ex);
    let parts = ex.scatter_slice(numbers(1000), Partition::blocks(4)).unwrap();
    let doubles = parts.map_chunks(<[u64]>::to_vec);
    heist::wait_all(&doubles.iter().cloned().collect::<Vec<_>>());
    assert_eq!((bytes(&ex), entries(&ex)), (16_000, 8));
    let reader = ex.submit_after((&gate, &parts.iter().next().unwrap().clone()), |((), chunk)| chunk.len());
    drop((parts, doubles));
    until("all but one are gone", || entries(&ex) == 1);
    assert_eq!(bytes(&ex), 2000);
    promise.fulfil(());
    assert_eq!(reader.result().unwrap(), 250);
    until("none is left", || entries(&ex) == 0);
}

#[test]
fn a_value_scattered_from_a_task_is_the_same_one() {
    let ex = executor(2);
    let inner = ex.clone();
    let (at, future) = ex
        .submit(move || {
            let value = Box::new(7_u64);
            (std::ptr::from_ref(&*value).addr(), inner.scatter(value))
        })
        .into_result()
        .unwrap()
        .unwrap();
    assert_eq!(std::ptr::from_ref(&**future.value().unwrap()).addr(), at);
}

#[test]
fn scattered_values_are_dropped_once() {
    let ex = executor(1);
    let drops = Drops::default();
    drop(ex.scatter(drops.piece()));
    assert_eq!(drops.count(), 1);
    let moved = ex.scatter(drops.piece()).into_result().unwrap().unwrap();
    assert_eq!(drops.count(), 1);
    drop(moved);
    drop(ex.scatter_vec((0..5).map(|_| drops.piece()).collect()));
    assert_eq!(drops.count(), 7);
}

#[test]
fn what_is_scattered_elsewhere_is_not_ours() {
    let (ex, other) = (executor(1), executor(1));
    let foreign = other.scatter(1);
    assert!(ex.who_has([&foreign])[0].is_empty());
    assert_eq!(other.who_has([&foreign])[0].len(), 1);
    assert_eq!((entries(&ex), entries(&other)), (0, 1));
}

#[test]
fn a_domain_that_is_not_there_is_named() {
    let ex = executor(1);
    let error = ex.scatter_on(17, ()).unwrap_err();
    assert!(error.is_no_domain() && error.to_string().contains("domain 17"), "{error}");
    assert_eq!(ex.scatter_on(0, 5).unwrap().result().unwrap(), 5);
}

struct Cloned(Count);

impl Clone for Cloned {
    fn clone(&self) -> Self {
        self.0.add();
        Self(self.0.clone())
    }
}

#[test]
fn there_is_a_copy_for_each_worker() {
    let ex = executor(3);
    let copies = Count::default();
    let all = ex.broadcast(Cloned(copies.clone()));
    assert_eq!(all.value().unwrap().copies().len(), 3);
    assert_eq!(copies.get(), 3);
    let read = ex.map_after([&all; 20], |all| {
        let near = std::ptr::from_ref::<Cloned>(all);
        let worker = heist::current().unwrap().worker();
        all.copies().position(|copy| std::ptr::eq(copy, near)) == Some(worker)
    });
    assert!(ex.gather(read).unwrap().into_iter().all(|near| near));
    let alone = executor(1).broadcast(Cloned(copies.clone()));
    assert_eq!((alone.value().unwrap().copies().len(), copies.get()), (1, 3), "the one copy is the value itself");
}

#[test]
fn a_clone_that_panics_is_an_error() {
    struct Bad;
    impl Clone for Bad {
        fn clone(&self) -> Self {
            panic!("no copies")
        }
    }
    let ex = executor(2);
    let copies = ex.broadcast(Bad);
    copies.wait().unwrap();
    assert!(copies.error().unwrap().is_panic());
    until("the copies are no longer accounted", || entries(&ex) == 0);
}

#[test]
fn replicas_are_near_from_everywhere() {
    let ex = executor(2);
    let table = ex.replicate(numbers(100));
    assert_eq!(**table.value().unwrap(), numbers(100));
    let task = ex.submit_after(&table, |table| table.len());
    assert_eq!(task.result().unwrap(), 100);
    let other = executor(1);
    let shared = table.clone();
    assert_eq!(other.submit(move || shared.value().unwrap().len()).result().unwrap(), 100);
    let held = ex.who_has([&table]);
    assert_eq!(held[0].len(), ex.has_what().len());
}

/// A file that goes when this does.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("heist-it-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_is_read_into_chunks() {
    let ex = executor(2);
    for len in [0, 1, 1000, 1_000_000] {
        let values = numbers(len);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let file = Temporary::new(&format!("read-{len}"), &bytes);
        for partition in [Partition::per_worker(), Partition::per_domain(), Partition::blocks(13)] {
            let parts: Scattered<u64> = ex.scatter_file(&file.0, partition).unwrap();
            assert_eq!(parts.gather().unwrap(), values);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let ex = executor(1);
    let odd = Temporary::new("odd", &[0; 9]);
    let folder = std::env::temp_dir();
    let pipe = Temporary::new("pipe", &[]);
    std::fs::remove_file(&pipe.0).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe.0).status().unwrap().success());
    let others = ["/nonexistent", "/proc/cpuinfo", "/dev/null"].map(PathBuf::from);
    for path in [&odd.0, &folder, &pipe.0].into_iter().chain(&others) {
        let error = ex.scatter_file::<u64>(path, Partition::per_worker()).unwrap_err();
        assert!(error.is_file() && error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert!(ex.scatter_file::<u8>(&odd.0, Partition::cyclic(2)).unwrap_err().is_shape());
}

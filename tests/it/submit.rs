//! Tasks take values and futures, run once, and give what they return.

use std::sync::mpsc;
use std::thread;

use heist::{Executor, Status, TaskFuture};

use crate::support::{Count, Drops, busy, executor, guard, never, running};

#[test]
fn a_result_is_not_there_before_the_task_ends_and_is_after() {
    guard(|| {
        let ex = executor(2);
        let (end, slow) = running(&ex, 11);
        assert!(!slow.done());
        assert!(slow.try_result().is_none());
        assert!(slow.error().is_none());
        assert_eq!(slow.status(), Status::Running);
        end.send(()).unwrap();
        assert_eq!(slow.result().unwrap(), 11);
        assert!(slow.done() && !slow.cancelled());
        assert_eq!(slow.status(), Status::Finished);
        assert_eq!(slow.try_result().unwrap().unwrap(), 11);
        assert!(slow.error().is_none());
    });
}

#[test]
fn a_result_may_be_asked_for_many_times() {
    guard(|| {
        let ex = executor(1);
        let text = ex.submit(|| "a".repeat(1000));
        for _ in 0..10 {
            assert_eq!(text.result().unwrap().len(), 1000);
        }
        assert!(std::ptr::eq(text.value().unwrap(), text.clone().value().unwrap()), "one value, not copies");
    });
}

#[test]
fn submitting_never_waits_for_a_worker() {
    guard(|| {
        let ex = executor(2);
        let busy = busy(&ex);
        let first = ex.submit(|| 1);
        let second = ex.submit_after(&first, |n| n + 1);
        let many = ex.map(0..100, |n| n);
        assert_eq!((first.status(), second.status()), (Status::Ready, Status::Waiting));
        assert!(many.iter().all(|future| future.status() == Status::Ready));
        drop(busy);
        assert_eq!(second.result().unwrap(), 2);
        assert_eq!(ex.gather(many).unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn a_task_takes_values_and_then_futures() {
    guard(|| {
        let ex = executor(2);
        let x = ex.submit(|| 10 + 1);
        let y = ex.submit_after(&x, |x| x + 100);
        let z = ex.submit_after((&x, &y), |(x, y)| x * y);
        assert_eq!(z.result().unwrap(), 11 * 111);
    });
}

#[test]
fn inputs_come_in_every_shape() {
    guard(|| {
        let ex = executor(2);
        let f = |n: u64| ex.submit(move || n);
        let twelve = (f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11));
        let sum = ex.submit_after(twelve, |(a, b, c, d, e, f, g, h, i, j, k, l)| {
            a + b + c + d + e + f + g + h + i + j + k + l
        });
        assert_eq!(sum.result().unwrap(), 66);

        let list: Vec<TaskFuture<u64>> = (0..10).map(f).collect();
        let total = |list: Vec<&u64>| list.into_iter().sum::<u64>();
        assert_eq!(ex.submit_after(&list, total).result().unwrap(), 45);
        assert_eq!(ex.submit_after(&list[..3], total).result().unwrap(), 3);
        assert_eq!(ex.submit_after(list.clone(), total).result().unwrap(), 45);
        let array = [f(1), f(2)];
        assert_eq!(ex.submit_after(&array, |[a, b]| a + b).result().unwrap(), 3);
        assert_eq!(ex.submit_after(array, |[a, b]| a + b).result().unwrap(), 3);
        let (one, text) = (f(1), ex.submit(|| "x".to_owned()));
        let mixed = ex.submit_after(((&one, [&one, &one]), (&list, text)), move |((a, [b, c]), (list, text))| {
            format!("{}{text}", a + b + c + total(list))
        });
        assert_eq!(mixed.result().unwrap(), "48x");
        let nested = vec![vec![f(1), f(2)], vec![], vec![f(3)]];
        let lengths = ex.submit_after(nested, |lists| lists.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(lengths.result().unwrap(), [2, 0, 1]);
    });
}

#[test]
fn no_inputs_at_all_are_inputs_too() {
    guard(|| {
        let ex = executor(1);
        let none: Vec<TaskFuture<i32>> = Vec::new();
        assert_eq!(ex.submit_after(&none, |values| values.len()).result().unwrap(), 0);
        assert!(ex.submit_after_results(none, |results| results.is_empty()).result().unwrap());
        assert_eq!(ex.submit_after([] as [TaskFuture<i32>; 0], |[]| 7).result().unwrap(), 7);
    });
}

#[test]
fn the_same_future_may_be_an_input_many_times() {
    guard(|| {
        let ex = executor(2);
        let (promise, input) = never::<u64>(&ex);
        let twice = ex.submit_after((&input, &input), |(a, b)| (a + b, std::ptr::eq(a, b)));
        let often = ex.submit_after(vec![&input; 1000], |values| values.into_iter().sum::<u64>());
        promise.fulfil(3);
        assert_eq!(twice.result().unwrap(), (6, true));
        assert_eq!(often.result().unwrap(), 3000);
        assert_eq!(ex.submit_after([&input, &input], |[a, b]| a * b).result().unwrap(), 9, "done inputs as well");
    });
}

#[test]
fn inputs_may_be_done_or_not_in_any_mixture() {
    guard(|| {
        let ex = executor(2);
        for mask in 0..16_u32 {
            let (mut promises, mut inputs) = (Vec::new(), Vec::new());
            for bit in 0..4 {
                let (promise, input) = ex.promise();
                if mask & (1 << bit) == 0 {
                    promises.push((promise, bit));
                } else {
                    promise.fulfil(bit);
                }
                inputs.push(input);
            }
            let all = ex.submit_after(&inputs, |values| values.into_iter().copied().collect::<Vec<_>>());
            for (promise, bit) in promises.into_iter().rev() {
                assert!(!all.done());
                promise.fulfil(bit);
            }
            assert_eq!(all.result().unwrap(), [0, 1, 2, 3]);
        }
    });
}

#[test]
fn a_value_is_lent_to_its_dependents_not_copied() {
    guard(|| {
        let ex = executor(2);
        let table = ex.submit(|| vec![1_u8; 1 << 20]);
        let addresses = ex.map_after((0..8).map(|_| &table), |table| table.as_ptr().addr());
        let own = table.value().unwrap().as_ptr().addr();
        assert!(ex.gather(addresses).unwrap().iter().all(|&address| address == own));
    });
}

#[test]
fn map_takes_items_and_then_futures() {
    guard(|| {
        let ex = executor(2);
        let first = ex.map(0..5, |n| n + 1);
        let second = ex.map_after(&first, |n| n * 10);
        let total = ex.submit_after(&second, |values| values.into_iter().sum::<i32>());
        assert_eq!(total.result().unwrap(), 150);
        assert_eq!(ex.gather(&first).unwrap(), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn map_takes_generators_and_owned_items() {
    guard(|| {
        let ex = executor(2);
        let mut next = 0;
        let generator = std::iter::from_fn(|| {
            next += 1;
            (next <= 4).then_some(next)
        });
        assert_eq!(ex.gather(ex.map(generator, |n| n * n)).unwrap(), [1, 4, 9, 16]);
        let texts = vec!["a".to_owned(), "bc".to_owned()];
        assert_eq!(ex.gather(ex.map(texts, |text| text.len())).unwrap(), [1, 2]);
    });
}

#[test]
fn map_over_nothing_gives_nothing() {
    guard(|| {
        let ex = executor(1);
        assert!(ex.map(Vec::<i32>::new(), |n| n).is_empty());
        assert!(ex.map_after(Vec::<TaskFuture<i32>>::new(), |n| *n).is_empty());
        assert!(ex.gather(ex.map(0..0, |n: i32| n)).unwrap().is_empty());
    });
}

#[test]
fn map_zips_to_the_shortest() {
    guard(|| {
        let ex = executor(2);
        let sums = ex.map((0..3).zip(10..).zip([100, 200, 300, 400]), |((a, b), c)| a + b + c);
        assert_eq!(ex.gather(sums).unwrap(), [110, 212, 314]);
    });
}

#[test]
fn map_after_takes_futures_as_elements_and_as_constants() {
    guard(|| {
        let ex = executor(2);
        let offset = ex.submit(|| 100);
        let items = ex.map(0..3, |n| n);
        let factor = 2;
        let moved = ex.map_after(items.iter().map(|item| (item, &offset)), move |(item, offset)| item * factor + offset);
        assert_eq!(ex.gather(moved).unwrap(), [100, 102, 104]);
    });
}

#[test]
fn map_in_pieces_equals_map_at_once() {
    guard(|| {
        let ex = executor(2);
        let at_once = ex.gather(ex.map(0..1000_u64, |n| n * n)).unwrap();
        for size in [1, 7, 999, 1000, 2000] {
            let pieces = (0..1000_u64).collect::<Vec<_>>();
            let pieces: Vec<_> = pieces.chunks(size).flat_map(|piece| ex.map(piece.to_vec(), |n| n * n)).collect();
            assert_eq!(ex.gather(pieces).unwrap(), at_once);
        }
    });
}

#[test]
fn a_closure_and_its_value_are_dropped_once() {
    guard(|| {
        let ex = executor(2);
        let (closures, values) = (Drops::default(), Drops::default());
        let futures: Vec<_> = (0..100)
            .map(|_| {
                let (closure, value) = (closures.piece(), values.piece());
                ex.submit(move || {
                    let _closure = closure;
                    value
                })
            })
            .collect();
        heist::wait_all(&futures);
        assert_eq!((closures.count(), values.count()), (100, 0));
        drop(futures);
        assert_eq!((closures.count(), values.count()), (100, 100));
    });
}

#[test]
fn values_of_every_size_and_alignment_come_through() {
    #[derive(Clone, Debug, PartialEq)]
    #[repr(align(256))]
    struct Aligned(u8);
    guard(|| {
        let ex = executor(2);
        ex.submit(|| ()).result().unwrap();
        let aligned = ex.submit(|| Aligned(9));
        assert_eq!(std::ptr::from_ref(aligned.value().unwrap()).addr() % 256, 0);
        assert_eq!(ex.submit_after(&aligned, Aligned::clone).result().unwrap(), Aligned(9));
        let big = [7_u64; 4096];
        let same = ex.submit(move || big);
        assert_eq!(same.value().unwrap(), &big);
        assert_eq!(ex.submit(move || big.len()).result().unwrap(), 4096, "a closure larger than its value");
        let captured = Aligned(3);
        assert_eq!(ex.submit(move || captured.0).result().unwrap(), 3);
    });
}

#[test]
fn many_threads_may_submit_at_once() {
    guard(|| {
        let ex = executor(2);
        let ran = Count::default();
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (ex, ran) = (&ex, &ran);
                scope.spawn(move || {
                    let tasks: Vec<_> = (0..2000_u64)
                        .map(|n| {
                            let ran = ran.clone();
                            ex.submit(move || {
                                ran.add();
                                thread * 10_000 + n
                            })
                        })
                        .collect();
                    let values = ex.gather(tasks).unwrap();
                    assert!(values.into_iter().eq((0..2000).map(|n| thread * 10_000 + n)));
                });
            }
        });
        assert_eq!(ran.get(), 16_000, "each task ran once");
        assert_eq!(ex.stats().executed, 16_000);
    });
}

#[test]
fn a_scattered_value_is_done_from_the_start_and_keeps_its_type() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let one = ex.scatter(Some("none lost"));
        assert!(one.done() && one.status() == Status::Finished);
        let none = ex.scatter(None::<i32>);
        let list = ex.scatter(vec![1, 2, 3]);
        let array = ex.scatter([1, 2, 3]);
        assert_eq!(ex.gather((one, none, &list, array)).unwrap(), (Some("none lost"), None, vec![1, 2, 3], [1, 2, 3]));
        drop(busy);
        let used = ex.map_after((0..10).map(|_| &list), |list| list.as_ptr().addr());
        let own = list.value().unwrap().as_ptr().addr();
        assert!(ex.gather(used).unwrap().into_iter().all(|address| address == own));
    });
}

#[test]
fn a_promise_is_kept_failed_or_dropped() {
    guard(|| {
        let ex = executor(1);
        let (promise, kept) = ex.promise();
        assert!(promise.is_wanted() && !kept.done());
        promise.fulfil("kept");
        assert_eq!(kept.result().unwrap(), "kept");
        let (promise, failed) = ex.promise::<i32>();
        promise.fail("no answer");
        let error = failed.result().unwrap_err();
        assert!(error.is_failed() && error.to_string().contains("no answer"));
        let (promise, dropped) = ex.promise::<i32>();
        let dependent = ex.submit_after(&dropped, |n| *n);
        drop(promise);
        assert!(dropped.result().unwrap_err().is_promise_dropped());
        assert!(dependent.result().unwrap_err().is_promise_dropped());
        let (promise, unwanted) = ex.promise::<i32>();
        drop(unwanted);
        assert!(!promise.is_wanted());
        promise.fulfil(1);
    });
}

#[test]
fn a_fulfilled_promise_that_nobody_wants_drops_its_value_once() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (promise, future) = ex.promise();
        drop(future);
        promise.fulfil(drops.piece());
        assert_eq!(drops.count(), 1);
        let (promise, future) = ex.promise();
        future.cancel("late");
        promise.fulfil(drops.piece());
        assert_eq!(drops.count(), 2);
        assert!(future.cancelled());
    });
}

#[test]
fn ids_are_unique_and_debug_tells_state_and_type() {
    guard(|| {
        let ex = executor(2);
        let futures = ex.map(0..20_000, |n| n);
        let ids: std::collections::HashSet<_> = futures.iter().map(TaskFuture::id).collect();
        assert_eq!(ids.len(), futures.len());
        assert_eq!(futures[0].id(), futures[0].clone().id());
        heist::wait_all(&futures);
        let debug = format!("{:?}", futures[0]);
        for part in ["Finished", "i32", "submit.rs", &futures[0].id().to_string()] {
            assert!(debug.contains(part), "{part} is not in {debug}");
        }
    });
}

#[test]
fn handles_may_be_used_from_other_threads() {
    guard(|| {
        let ex = executor(1);
        let future = ex.submit(|| 5);
        let (sender, receiver) = mpsc::channel::<(Executor, TaskFuture<i32>)>();
        let other = thread::spawn(move || {
            let (ex, future) = receiver.recv().unwrap();
            ex.submit_after(future, |n| n + 1).result().unwrap()
        });
        sender.send((ex.clone(), future.clone())).unwrap();
        assert_eq!(other.join().unwrap(), 6);
        assert_eq!(future.result().unwrap(), 5);
    });
}

#[test]
fn a_value_moves_out_only_of_the_sole_handle() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = never::<()>(&ex);
        let text = ex.submit(|| "mine".to_owned());
        let dependent = ex.submit_after((&text, &gate), |(text, ())| text.len());
        let text = text.into_result().expect_err("an unfinished dependent needs the value");
        promise.fulfil(());
        assert_eq!(dependent.result().unwrap(), 4);
        let second = text.clone();
        let text = text.into_result().expect_err("another handle is there");
        drop(second);
        assert_eq!(text.into_result().unwrap().unwrap(), "mine");
        let failed = ex.submit(|| -> String { panic!("no") });
        let _second = failed.clone();
        assert!(failed.into_result().unwrap().unwrap_err().is_panic(), "an error is given to every handle");
    });
}

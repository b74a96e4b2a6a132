//! Where things go on hosts of several domains. These are made up, so that the tests run anywhere; nothing is pinned.

use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant};

use heist::{Executor, Partition, Place, Scattered};

use crate::again::{again, part};

/// Plays `body` on a made-up host.
#[track_caller]
fn on(host: &str, name: &str, body: impl FnOnce(Executor)) {
    if part().is_some() {
        body(Executor::new().unwrap());
    } else {
        again(&format!("made_up::{name}"), "on a made-up host", &[("HEIST_TOPOLOGY", host)]);
    }
}

const FOUR: &str = "4 domains × 2 cores";

fn bytes(ex: &Executor) -> Vec<usize> {
    ex.has_what().iter().map(|domain| domain.bytes).collect()
}

#[test]
fn values_from_outside_go_where_least_is_held() {
    on(FOUR, "values_from_outside_go_where_least_is_held", |ex| {
        assert!(ex.has_what().iter().all(|domain| domain.workers == 2 && domain.id.is_none()));
        let large = ex.scatter_on(2, [0_u8; 4000]).unwrap();
        let small: Vec<_> = (0..30).map(|_| ex.scatter([0_u8; 100])).collect();
        assert_eq!(bytes(&ex), [1000, 1000, 4000, 1000]);
        drop(large);
        let next = ex.scatter([0_u8; 1000]);
        assert_eq!(ex.who_has([&next])[0][0].domain, 2);
        drop((small, next));
        assert_eq!(bytes(&ex), [0; 4]);
    });
}

#[test]
fn items_are_dealt_in_turn() {
    on(FOUR, "items_are_dealt_in_turn", |ex| {
        let items = ex.scatter_vec((0..20_u32).collect());
        let domains: Vec<_> = ex.who_has(&items).iter().map(|held| held[0].domain).collect();
        assert_eq!(domains[..4].iter().sum::<usize>(), 6, "four in a row are on four domains: {domains:?}");
        assert_eq!(bytes(&ex), [20; 4]);
    });
}

#[test]
fn values_from_a_task_stay_on_its_domain() {
    on(FOUR, "values_from_a_task_stay_on_its_domain", |ex| {
        let inner = ex.clone();
        let tasks = ex.map(0..40, move |_| {
            let future = inner.scatter(1);
            let worker = heist::current().unwrap().worker();
            (inner.who_has([&future])[0][0].domain, inner.stats().per_worker[worker].domain)
        });
        for (found, own) in ex.gather(tasks).unwrap() {
            assert_eq!(found, own);
        }
    });
}

#[test]
fn chunks_are_spread_by_workers() {
    on("2 domains × 3 cores", "chunks_are_spread_by_workers", |ex| {
        let values: Vec<u32> = (0..6000).collect();
        for (partition, each) in
            [(Partition::per_domain(), 1), (Partition::per_worker(), 3), (Partition::blocks(10), 5)]
        {
            let parts = ex.scatter_slice(&values, partition).unwrap();
            let domains: Vec<_> = parts.iter().map(|chunk| chunk.value().unwrap().domain()).collect();
            assert!(
                domains.is_sorted() && domains.iter().filter(|&&domain| domain == 0).count() == each,
                "{domains:?}"
            );
            assert_eq!(bytes(&ex), [12_000; 2]);
            assert_eq!(parts.gather().unwrap(), values);
        }
    });
}

#[test]
fn a_vector_given_away_is_not_copied_where_nothing_is_placed() {
    on(FOUR, "a_vector_given_away_is_not_copied_where_nothing_is_placed", |ex| {
        let values = vec![1_u8; 1 << 20];
        let start = values.as_ptr();
        let parts = ex.scatter_slice(values, Partition::per_domain()).unwrap();
        assert_eq!(parts.iter().next().unwrap().value().unwrap().as_ptr(), start);
        assert_eq!(bytes(&ex), [1 << 18; 4]);
    });
}

#[test]
fn every_domain_has_its_copy() {
    on(FOUR, "every_domain_has_its_copy", |ex| {
        let copies = ex.replicate([7_u8; 5000]);
        assert_eq!(copies.value().unwrap().copies().len(), 4);
        assert_eq!(bytes(&ex), [5000; 4]);
        let held = &ex.who_has([&copies])[0];
        assert!(held.iter().enumerate().all(|(domain, held)| (held.domain, held.bytes) == (domain, 8192)), "{held:?}");
        let slices = ex.replicate_slice(&[1_u8; 1000]).unwrap();
        let domains: Vec<_> = slices.value().unwrap().copies().map(heist::Chunk::domain).collect();
        assert_eq!(domains, [0, 1, 2, 3]);
        assert_eq!(ex.broadcast(1_u8).value().unwrap().copies().len(), 8);
        let read = ex.map_after([&slices; 100], |slice| (slice.domain(), heist::current().unwrap().worker()));
        let owners: Vec<_> = ex.stats().per_worker.iter().map(|worker| worker.domain).collect();
        assert!(ex.gather(read).unwrap().into_iter().all(|(domain, worker)| domain == owners[worker]));
    });
}

#[test]
fn chunks_are_told_to_be_elsewhere() {
    on(FOUR, "chunks_are_told_to_be_elsewhere", |ex| {
        let parts = ex.scatter_slice(&[1_u8; 1600], Partition::blocks(16)).unwrap();
        let one: Vec<_> = parts.iter().take(4).cloned().collect();
        assert_eq!(bytes(&ex), [400; 4]);
        drop(parts);
        assert_eq!(bytes(&ex), [400, 0, 0, 0]);
        let done = ex.rebalance(&one).unwrap();
        assert_eq!((done.chunks, done.bytes, done.warnings.len()), (3, 300, 0));
        assert_eq!(bytes(&ex), [100; 4]);
        let mut domains: Vec<_> = ex.who_has(&one).iter().map(|held| held[0].domain).collect();
        domains.sort_unstable();
        assert_eq!(domains, [0, 1, 2, 3]);
        assert_eq!(ex.rebalance(&one).unwrap().chunks, 0);
    });
}

#[test]
fn chunks_of_another_executor_stay_with_it() {
    on(FOUR, "chunks_of_another_executor_stay_with_it", |a| {
        let b = Executor::builder().workers(1).build().unwrap();
        let parts = a.scatter_slice(&[1_u8; 1600], Partition::blocks(4)).unwrap();
        let there: Vec<_> = parts
            .iter()
            .map(|chunk| {
                let chunk = chunk.value().unwrap().clone();
                b.submit(move || chunk)
            })
            .collect();
        assert_eq!(b.rebalance(&there).unwrap().chunks, 0);
        let read = b.map_after(&there, |chunk| chunk.len());
        assert_eq!(b.gather(read).unwrap(), [400; 4]);
        let (promise, gate) = a.promise::<()>();
        let waiting = a.submit_after((&gate, &parts.iter().next().unwrap().clone()), |((), chunk)| chunk.clone());
        assert_eq!(b.rebalance([&waiting]).unwrap().chunks, 0, "what is foreign is not waited for");
        promise.fulfil(());
        waiting.wait().unwrap();
        let domains: Vec<_> = parts.iter().map(|chunk| chunk.value().unwrap().domain()).collect();
        assert_eq!((domains, bytes(&a)), (vec![0, 1, 2, 3], vec![400; 4]));

        let c = Executor::builder().workers(4).build().unwrap();
        let inner: Vec<_> = (0..2).map(|_| parts.iter().next().unwrap().value().unwrap().clone()).collect();
        let there = c.map(inner, |chunk| chunk);
        assert_eq!(c.rebalance(&there).unwrap().chunks, 0);
        assert_eq!(parts.iter().next().unwrap().value().unwrap().domain(), 0);
    });
}

#[test]
fn a_chunk_of_many_futures_counts_once() {
    on("2 domains × 1 core", "a_chunk_of_many_futures_counts_once", |ex| {
        let parts = ex.scatter_slice(&[1_u8; 400], Partition::blocks(4)).unwrap();
        let [one, two] = [0, 1].map(|at| parts.iter().nth(at).unwrap().clone());
        let chunk = one.value().unwrap().clone();
        let third = ex.submit(move || chunk);
        let done = ex.rebalance([&one, &one, &third, &two, &one]).unwrap();
        assert_eq!((done.chunks, done.bytes), (1, 100));
        assert_eq!(bytes(&ex), [100, 300]);
        assert_eq!(ex.who_has([&one, &third])[0][0].domain, 1);
    });
}

#[test]
fn memory_that_is_filled_anew_is_where_it_was() {
    on("2 domains × 1 core", "memory_that_is_filled_anew_is_where_it_was", |ex| {
        // The last two chunks lie together, the first of them empty. Both are made at once, so on two domains.
        let parts = ex.scatter_slice(&[1_u8], Partition::blocks(4)).unwrap();
        let start = parts.iter().nth(3).unwrap().value().unwrap().as_ptr().addr();
        let both = Barrier::new(2);
        let made = parts.map_into(move |chunk, _: &mut [u8]| {
            if chunk.as_ptr().addr() == start {
                both.wait();
            }
        });
        let last = |parts: &Scattered<u8>| {
            let [empty, last] = [2, 3].map(|at| parts.iter().nth(at).unwrap().value().unwrap());
            assert_eq!((empty.len(), last.len()), (0, 1));
            (last.as_ptr().addr(), last.domain(), empty.domain())
        };
        let (memory, domain, other) = last(&made);
        assert_ne!(domain, other);
        assert_eq!(last(&made.refill(&[3]).unwrap()), (memory, domain, domain));
    });
}

#[test]
fn results_of_chunks_are_accounted_where_they_are_made() {
    on(FOUR, "results_of_chunks_are_accounted_where_they_are_made", |ex| {
        let parts = ex.scatter_slice(&[1_u16; 4000], Partition::blocks(40)).unwrap();
        let wide = parts.map_chunks(|chunk| chunk.iter().map(|&x| u64::from(x)).collect());
        heist::wait_all(&wide.iter().cloned().collect::<Vec<_>>());
        drop(parts);
        let mut held = [0; 4];
        for (chunk, place) in wide.iter().zip(ex.who_has(&wide)) {
            let domain = chunk.value().unwrap().domain();
            assert_eq!(place[0].domain, domain);
            held[domain] += 800;
        }
        assert_eq!(bytes(&ex), held);
    });
}

/// The other worker of the domain is idle, and so are those of other domains, who are of no use.
#[test]
fn a_task_that_is_bound_to_a_domain_rejoins_at_once_on_an_idle_worker_there() {
    on(FOUR, "a_task_that_is_bound_to_a_domain_rejoins_at_once_on_an_idle_worker_there", |ex| {
        let limit = Duration::from_secs(30);
        let hold = |worker| {
            let (started, is_started) = mpsc::channel();
            let (end, ends) = mpsc::channel::<()>();
            let task = ex.task().place(Place::Worker(worker)).strict().submit(move || {
                let _ = started.send(());
                let _ = ends.recv();
            });
            is_started.recv_timeout(limit).unwrap();
            (end, task)
        };
        let first = hold(0);
        let (seceded, has_seceded) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let away = ex.task().place(Place::Domain(0)).strict().submit(move || {
            let away = heist::secede().unwrap();
            let _ = seceded.send(());
            let _ = may_go.recv();
            away.rejoin().unwrap();
            heist::current().unwrap().worker()
        });
        has_seceded.recv_timeout(limit).unwrap();
        let second = hold(1);
        let parked = || ex.stats().per_worker[0].parked;
        let (before, since) = (parked(), Instant::now());
        drop(first.0);
        while parked() == before {
            assert!(since.elapsed() < limit, "it does not sleep");
            std::thread::yield_now();
        }
        drop(go);
        assert_eq!(away.result_timeout(limit).unwrap(), 0);
        drop(second);
    });
}

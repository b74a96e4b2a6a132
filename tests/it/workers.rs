//! The threads: hooks, names, stacks; and that one worker repeats itself.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread;

use heist::{Executor, Shutdown};

use crate::support::{Count, executor, guard};

#[test]
fn hooks_run_once_for_each_thread_at_start_and_stop() {
    guard(|| {
        let (started, stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (starts, stops) = (started.clone(), stopped.clone());
        let ex = Executor::builder()
            .workers(3)
            .on_worker_start(move |worker| starts.lock().unwrap().push((worker, thread::current().id())))
            .on_worker_stop(move |worker| stops.lock().unwrap().push((worker, thread::current().id())))
            .build()
            .unwrap();
        ex.gather(ex.map(0..100, |n| n)).unwrap();
        assert!(stopped.lock().unwrap().is_empty());
        ex.shutdown(Shutdown::Wait);
        let (mut started, mut stopped) = (started.lock().unwrap(), stopped.lock().unwrap());
        started.sort_by_key(|(worker, _)| *worker);
        stopped.sort_by_key(|(worker, _)| *worker);
        assert_eq!(started.iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(*started, *stopped, "each on its own thread");
    });
}

#[test]
fn hooks_run_for_spare_threads_too() {
    guard(|| {
        let (started, stopped) = (Count::default(), Count::default());
        let (starts, stops) = (started.clone(), stopped.clone());
        let ex = Executor::builder()
            .workers(1)
            .on_worker_start(move |_| {
                starts.add();
            })
            .on_worker_stop(move |_| {
                stops.add();
            })
            .build()
            .unwrap();
        let inner = ex.clone();
        ex.submit(move || {
            let (promise, gate) = inner.promise::<()>();
            inner.submit(move || promise.fulfil(())).detach();
            gate.result().unwrap();
        })
        .result()
        .unwrap();
        let spares = ex.stats().spare_threads;
        assert!(spares >= 1);
        ex.shutdown(Shutdown::Wait);
        assert_eq!((started.get(), stopped.get()), (1 + spares, 1 + spares));
    });
}

#[test]
fn the_start_hook_runs_before_the_first_task_of_its_thread() {
    thread_local! { static READY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) }; }
    guard(|| {
        for _ in 0..50 {
            let ex = Executor::builder().workers(2).on_worker_start(|_| READY.set(true)).build().unwrap();
            let ready = ex.map(0..50, |_| READY.get());
            assert!(ex.gather(ready).unwrap().into_iter().all(|ready| ready));
        }
    });
}

#[test]
fn a_panic_in_a_hook_harms_nobody() {
    guard(|| {
        let ex = Executor::builder()
            .workers(2)
            .on_worker_start(|_| panic!("in start"))
            .on_worker_stop(|_| panic!("in stop"))
            .build()
            .unwrap();
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn threads_have_names() {
    guard(|| {
        let name = || thread::current().name().unwrap().to_owned();
        assert_eq!(executor(1).submit(name).result().unwrap(), "heist-0");
        let ex = Executor::builder().workers(2).thread_name(|worker| format!("solver {worker}")).build().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let names = ex.map(0..2, move |_| {
            barrier.wait();
            (name(), heist::current().unwrap().worker())
        });
        let names: HashSet<_> = ex.gather(names).unwrap().into_iter().collect();
        assert_eq!(names, HashSet::from([("solver 0".to_owned(), 0), ("solver 1".to_owned(), 1)]));
    });
}

#[test]
fn stacks_are_as_large_as_asked_for() {
    #[inline(never)]
    fn use_stack(bytes: usize) -> u8 {
        let page = std::hint::black_box([1_u8; 4096]);
        if bytes <= page.len() { page[bytes % 4096] } else { use_stack(bytes - page.len()) + page[0] - 1 }
    }
    guard(|| {
        let ex = Executor::builder().workers(1).stack_size(32 << 20).build().unwrap();
        assert_eq!(ex.submit(|| use_stack(24 << 20)).result().unwrap(), 1);
        let inner = ex.clone();
        let spare = ex.submit(move || {
            let (promise, gate) = inner.promise::<u8>();
            inner.submit(move || promise.fulfil(use_stack(24 << 20))).detach();
            gate.result().unwrap()
        });
        assert_eq!(spare.result().unwrap(), 1, "those of spare threads too");
    });
}

/// The order in which a mixture of tasks runs on one worker.
fn order(seed: u64) -> Vec<usize> {
    let ex = Executor::builder().workers(1).seed(seed).build().unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (inner, seen) = (ex.clone(), log.clone());
    let all = ex.submit(move || {
        let note = |n: usize| {
            let seen = seen.clone();
            move || seen.lock().unwrap().push(n)
        };
        let mut tasks: Vec<_> = (0..200).map(|n| inner.submit(note(n))).collect();
        for n in 200..400 {
            let note = note(n);
            tasks.push(inner.submit_after((&tasks[n - 200], &tasks[(n * 7) % 200]), move |_| note()));
        }
        tasks
    });
    ex.gather(all.result().unwrap()).unwrap();
    log.lock().unwrap().clone()
}

#[test]
fn with_one_worker_a_run_repeats_itself() {
    guard(|| {
        let first = order(7);
        assert_eq!(first.len(), 400);
        for _ in 0..10 {
            assert_eq!(order(7), first);
        }
    });
}

#[test]
fn counts_add_up() {
    guard(|| {
        let ex = executor(2);
        let futures = ex.map(0..1000, |n| n);
        let (_p, promised) = ex.promise::<i32>();
        promised.cancel("no");
        heist::wait_all(&futures);
        ex.shutdown(Shutdown::Wait);
        let stats = ex.stats();
        assert_eq!((stats.submitted, stats.finished, stats.executed), (1001, 1001, 1000));
        assert_eq!(stats.per_worker.iter().map(|worker| worker.executed).sum::<u64>(), 1000);
        assert_eq!(stats.per_worker.len(), ex.workers());
        assert_eq!(stats.stolen, stats.per_worker.iter().map(|worker| worker.stolen).sum::<u64>());
    });
}

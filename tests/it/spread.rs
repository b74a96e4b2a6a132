//! No worker is idle while tasks are ready. Each round ends only if every worker runs one of its tasks at once.

use std::sync::{Arc, Barrier};

use heist::{Executor, TaskFuture};

use crate::support::{executor, guard, until};

const WORKERS: usize = 4;
const ROUNDS: usize = 200;

/// A task that ends when as many as there are workers run.
fn meet(barrier: &Arc<Barrier>) -> impl FnOnce() + Send + use<> {
    let barrier = barrier.clone();
    move || {
        barrier.wait();
    }
}

fn rounds(start: impl Fn(&Executor, &Arc<Barrier>) -> Vec<TaskFuture<()>>) -> Executor {
    let ex = executor(WORKERS);
    for _ in 0..ROUNDS {
        let barrier = Arc::new(Barrier::new(WORKERS));
        ex.gather(start(&ex, &barrier)).unwrap();
    }
    ex
}

#[test]
fn single_submits_from_outside_reach_every_worker() {
    guard(|| {
        let ex = rounds(|ex, barrier| (0..WORKERS).map(|_| ex.submit(meet(barrier))).collect());
        let executed: Vec<_> = ex.stats().per_worker.iter().map(|worker| worker.executed).collect();
        assert_eq!(executed, [ROUNDS as u64; WORKERS], "spread evenly");
    });
}

#[test]
fn a_batch_from_outside_reaches_every_worker() {
    guard(|| {
        rounds(|ex, barrier| {
            let barrier = barrier.clone();
            ex.map(0..WORKERS, move |_| {
                barrier.wait();
            })
        });
    });
}

#[test]
fn submits_from_within_a_task_reach_every_worker() {
    guard(|| {
        rounds(|ex, barrier| {
            let (inner, barrier) = (ex.clone(), barrier.clone());
            let children = ex.submit(move || (0..WORKERS).map(|_| inner.submit(meet(&barrier))).collect::<Vec<_>>());
            children.result().unwrap()
        });
    });
}

#[test]
fn a_batch_from_within_a_task_reaches_every_worker() {
    guard(|| {
        rounds(|ex, barrier| {
            let (inner, barrier) = (ex.clone(), barrier.clone());
            let children = ex.submit(move || {
                inner.map(0..WORKERS, move |_| {
                    barrier.wait();
                })
            });
            children.result().unwrap()
        });
    });
}

#[test]
fn dependents_that_become_ready_together_reach_every_worker() {
    guard(|| {
        rounds(|ex, barrier| {
            let (promise, gate) = ex.promise::<()>();
            let barrier = barrier.clone();
            let tasks = ex.map_after((0..WORKERS).map(|_| &gate), move |()| {
                barrier.wait();
            });
            ex.submit(move || promise.fulfil(())).detach();
            tasks
        });
    });
}

#[test]
fn dependents_of_a_task_reach_every_worker() {
    guard(|| {
        rounds(|ex, barrier| {
            let (promise, gate) = ex.promise::<()>();
            let root = ex.submit_after(&gate, |()| ());
            let barrier = barrier.clone();
            let tasks = ex.map_after((0..WORKERS).map(|_| &root), move |()| {
                barrier.wait();
            });
            promise.fulfil(());
            tasks
        });
    });
}

#[test]
fn async_tasks_reach_every_worker() {
    guard(|| {
        rounds(|ex, barrier| {
            let spawn = |barrier: Arc<Barrier>| {
                ex.spawn(async move {
                    barrier.wait();
                })
            };
            (0..WORKERS).map(|_| spawn(barrier.clone())).collect()
        });
    });
}

#[test]
fn tasks_of_a_worker_that_blocks_are_taken_by_others() {
    guard(|| {
        let ex = executor(2);
        let inner = ex.clone();
        let task = ex.submit(move || {
            let child = inner.submit(|| heist::current().unwrap().worker());
            while !child.done() {
                std::thread::yield_now();
            }
            (heist::current().unwrap().worker(), child)
        });
        let (here, child) = task.result().unwrap();
        assert_ne!(child.result().unwrap(), here);
        assert!(ex.stats().stolen >= 1);
    });
}

#[test]
fn a_core_whose_task_waits_is_used_by_another() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = ex.promise::<()>();
        let waiting = ex.map_after((0..20).map(|_| [] as [TaskFuture<()>; 0]), move |[]| gate.result().unwrap());
        for _ in 0..100 {
            ex.submit(|| ()).result().unwrap();
        }
        promise.fulfil(());
        ex.gather(waiting).unwrap();
    });
}

#[test]
fn workers_sleep_when_there_is_nothing_to_do() {
    guard(|| {
        let ex = executor(WORKERS);
        ex.gather(ex.map(0..1000, |n| n)).unwrap();
        until("each has gone to sleep", || ex.stats().per_worker.iter().all(|worker| worker.parked > 0));
        for _ in 0..500 {
            ex.submit(|| ()).result().unwrap();
        }
    });
}

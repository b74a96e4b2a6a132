//! Where tasks run: strictly there, or there if possible.

use std::sync::mpsc;

use heist::{Executor, Place, Priority, Shutdown, TaskFuture};

use crate::support::{SOON, busy, executor, guard, until};

const WORKERS: usize = 4;

fn here() -> usize {
    heist::current().unwrap().worker()
}

fn at(ex: &Executor, worker: usize) -> TaskFuture<usize> {
    ex.task().place(Place::Worker(worker)).strict().submit(here)
}

/// Keeps one worker in a task that blocks its core until the sender goes.
fn hold(ex: &Executor, worker: usize) -> (mpsc::Sender<()>, TaskFuture<()>) {
    let (started, is_started) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let task = ex.task().place(Place::Worker(worker)).strict().submit(move || {
        started.send(()).unwrap();
        let _ = ends.recv();
    });
    is_started.recv_timeout(SOON).unwrap();
    (end, task)
}

#[test]
fn strict_tasks_run_on_their_worker() {
    guard(|| {
        let ex = executor(WORKERS);
        let inner = ex.clone();
        let from_outside: Vec<_> = (0..1_000).map(|task| at(&ex, task % WORKERS)).collect();
        let from_within = ex.submit(move || (0..1_000).map(|task| at(&inner, task % WORKERS)).collect::<Vec<_>>());
        let input = ex.submit(|| ());
        let after: Vec<_> = (0..1_000)
            .map(|task| {
                let place = Place::Worker(task % WORKERS);
                let class = [Priority::LOW, Priority::NORMAL, Priority::HIGH][task % 3];
                ex.task().place(place).strict().priority(class).after(&input).submit(|()| here())
            })
            .collect();
        for tasks in [from_outside, from_within.into_result().unwrap().unwrap(), after] {
            for (task, at) in tasks.into_iter().enumerate() {
                assert_eq!(at.result().unwrap(), task % WORKERS);
            }
        }
    });
}

#[test]
fn nobody_steals_a_strict_task_nor_stays_awake_for_it() {
    guard(|| {
        let ex = executor(WORKERS);
        let (end, held) = hold(&ex, 1);
        let strict: Vec<_> = (0..100).map(|_| at(&ex, 1)).collect();
        let parked = |worker: usize| ex.stats().per_worker[worker].parked;
        for worker in [0, 2, 3] {
            let before = parked(worker);
            assert_eq!(at(&ex, worker).result().unwrap(), worker);
            until("it sleeps again", || parked(worker) > before);
        }
        assert!(!strict.iter().any(TaskFuture::done));
        drop(end);
        held.wait().unwrap();
        assert!(ex.gather(strict).unwrap().iter().all(|&at| at == 1));
    });
}

#[test]
fn who_waits_runs_no_strict_task_of_another_worker() {
    guard(|| {
        let ex = executor(2);
        for _ in 0..200 {
            let inner = ex.clone();
            let waiter = ex.task().place(Place::Worker(0)).strict().submit(move || {
                let other = at(&inner, 1);
                (other.result().unwrap(), here())
            });
            assert_eq!(waiter.result().unwrap(), (1, 0));
        }
    });
}

#[test]
fn a_strict_task_awaited_on_its_own_worker_runs_there_meanwhile() {
    fn nest(ex: &Executor, depth: usize) -> usize {
        if depth == 0 {
            return here();
        }
        let inner = ex.clone();
        let place = Place::Worker(1);
        let task = ex.task().place(place).strict().submit(move || nest(&inner, depth - 1));
        task.result().unwrap()
    }
    guard(|| {
        for workers in [2, 3] {
            let ex = executor(workers);
            let inner = ex.clone();
            assert_eq!(ex.submit(move || nest(&inner, 50)).result().unwrap(), 1);
        }
    });
}

#[test]
fn workers_may_wait_for_strict_tasks_of_each_other() {
    guard(|| {
        let ex = executor(2);
        let rounds: Vec<_> = (0..200)
            .map(|task| {
                let inner = ex.clone();
                let place = Place::Worker(task % 2);
                ex.task().place(place).strict().submit(move || at(&inner, 1 - task % 2).result().unwrap())
            })
            .collect();
        for (task, other) in rounds.into_iter().enumerate() {
            assert_eq!(other.result().unwrap(), 1 - task % 2);
        }
    });
}

#[test]
fn a_strict_task_that_nothing_can_run_is_given_up() {
    guard(|| {
        let ex = Executor::builder().workers(2).max_spare_threads(0).build().unwrap();
        let meet = std::sync::Arc::new(std::sync::Barrier::new(2));
        let tasks = [0, 1].map(|worker| {
            let (inner, meet) = (ex.clone(), meet.clone());
            ex.task().place(Place::Worker(worker)).strict().submit(move || {
                meet.wait();
                at(&inner, 1 - worker).wait().is_err_and(|error| error.is_stalled())
            })
        });
        assert!(tasks.iter().any(|task| task.result().unwrap()));
    });
}

#[test]
fn a_strict_task_wakes_its_worker_and_nobody_else() {
    guard(|| {
        let ex = executor(WORKERS);
        let parked = |worker: usize| ex.stats().per_worker[worker].parked;
        until("all sleep", || (0..WORKERS).all(|worker| parked(worker) > 0));
        let before: Vec<_> = (0..WORKERS).map(parked).collect();
        for round in 1..=100 {
            assert_eq!(at(&ex, 2).result().unwrap(), 2);
            until("it sleeps again", || parked(2) >= before[2] + round);
        }
        for worker in [0, 1, 3] {
            assert_eq!(parked(worker), before[worker]);
        }
    });
}

#[test]
fn no_strict_task_is_slept_through() {
    guard(|| {
        let ex = executor(WORKERS);
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let ex = ex.clone();
                std::thread::spawn(move || {
                    for round in 0..2_000 {
                        let worker = (round * 7 + thread) % WORKERS;
                        assert_eq!(at(&ex, worker).result().unwrap(), worker);
                        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn domains_keep_their_strict_tasks() {
    guard(|| {
        let ex = executor(8);
        // Every worker is of one domain, and knows which: the domains' tasks tell.
        let domains = (0..8).take_while(|&domain| ex.task().place(Place::Domain(domain)).submit(here).result().is_ok());
        let mut seen: Vec<Vec<usize>> = Vec::new();
        for domain in domains {
            let tasks = (0..500).map(|task| {
                let class = [Priority::NORMAL, Priority::HIGH, Priority::LOW][task % 3];
                ex.task().place(Place::Domain(domain)).strict().priority(class).submit(here)
            });
            let tasks: Vec<_> = tasks.collect();
            let mut workers = ex.gather(tasks).unwrap();
            workers.sort_unstable();
            workers.dedup();
            seen.push(workers);
        }
        for (domain, workers) in seen.iter().enumerate() {
            let others = seen.iter().enumerate().filter(|&(other, _)| other != domain).flat_map(|(_, workers)| workers);
            assert!(!workers.is_empty() && others.into_iter().all(|worker| !workers.contains(worker)), "{seen:?}");
        }
    });
}

#[test]
fn soft_places_are_wishes() {
    guard(|| {
        let ex = executor(WORKERS);
        let (end, held) = hold(&ex, 1);
        let soft: Vec<_> = (0..100).map(|_| ex.task().place(Place::Worker(1)).submit(here)).collect();
        let near: Vec<_> = (0..100).map(|_| ex.task().place(Place::Domain(0)).submit(here)).collect();
        assert!(ex.gather((soft, near)).unwrap().0.iter().all(|&at| at != 1));
        drop(end);
        held.wait().unwrap();
    });
}

#[test]
fn strict_tasks_end_with_the_executor() {
    guard(|| {
        for how in [Shutdown::Wait, Shutdown::Cancel] {
            let ex = executor(2);
            let busy = busy(&ex);
            let strict: Vec<_> = (0..100).map(|task| at(&ex, task % 2)).collect();
            let closer = std::thread::spawn({
                let ex = ex.clone();
                move || ex.shutdown(how)
            });
            until("no task is taken", || ex.submit(|| ()).cancelled());
            drop(busy);
            closer.join().unwrap();
            let is_cancelled = how == Shutdown::Cancel;
            assert!(strict.iter().all(|task| task.done() && task.cancelled() == is_cancelled));
        }
    });
}

#[test]
fn strict_tasks_are_released_and_cancelled_like_anything_else() {
    guard(|| {
        let ex = executor(2);
        let (end, held) = hold(&ex, 0);
        let cancelled = at(&ex, 0);
        drop(at(&ex, 0));
        cancelled.cancel("not any more");
        assert!(cancelled.cancelled());
        drop(end);
        held.wait().unwrap();
        assert_eq!(at(&ex, 0).result().unwrap(), 0);
        assert_eq!(ex.stats().per_worker[0].executed, 2);
    });
}

/// The other worker, which is idle, may not run it, and no further thread may be made.
#[test]
fn without_further_threads_a_task_can_wait_for_a_strict_one_of_its_own_worker() {
    guard(|| {
        let ex = Executor::builder().workers(2).max_spare_threads(0).build().unwrap();
        let inner = ex.clone();
        let outer = ex.task().place(Place::Worker(1)).strict().submit(move || {
            let first = at(&inner, 1);
            let next = inner.task().place(Place::Worker(1)).strict().after(&first).submit(|first| (*first, here()));
            next.result().unwrap()
        });
        assert_eq!(outer.result().unwrap(), (1, 1));
    });
}

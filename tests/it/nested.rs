//! Tasks that submit tasks and wait for them, to any depth, on any number of workers.

use std::collections::HashSet;
use std::sync::Mutex;

use heist::{Executor, TaskFuture, as_completed, current};

use crate::support::{Count, executor, guard, until};

#[test]
fn inside_a_task_the_current_executor_is_found() {
    guard(|| {
        let ex = executor(2);
        assert!(current().is_none(), "not outside");
        let task = ex.submit(|| {
            let current = current().unwrap();
            let inner = current.executor().submit(|| 10);
            (current.task_id(), current.worker(), inner)
        });
        let (id, worker, inner) = task.result().unwrap();
        assert_eq!(id, task.id());
        assert!(worker < 2);
        assert_eq!(ex.gather(inner).unwrap(), 10, "it is the same executor");
        assert!(current().is_none());
    });
}

#[test]
fn nested_tasks_are_current_one_within_the_other() {
    guard(|| {
        let ex = executor(1);
        let id = || current().unwrap().task_id();
        let task = ex.submit(move || {
            let outer = id();
            let child = current().unwrap().executor().submit(id);
            assert_eq!(child.result().unwrap(), child.id());
            assert_eq!(id(), outer, "and the outer one again afterwards");
            outer
        });
        assert_eq!(task.result().unwrap(), task.id());
    });
}

#[test]
fn a_task_may_submit_and_gather_on_one_worker() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let sum = ex.submit(move || {
            let parts = inner.map(0..100_u64, |n| n);
            let sum = inner.submit_after(&parts, |parts| parts.into_iter().sum::<u64>());
            inner.gather(parts).unwrap().into_iter().sum::<u64>() + sum.result().unwrap()
        });
        assert_eq!(sum.result().unwrap(), 9900);
    });
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let current = current().unwrap();
    let left = current.executor().submit(move || fib(n - 1));
    let right = current.executor().submit(move || fib(n - 2));
    left.result().unwrap() + right.result().unwrap()
}

#[test]
fn a_recursive_tree_with_waits_inside_ends() {
    guard(|| {
        for workers in [1, 2, 4] {
            assert_eq!(executor(workers).submit(|| fib(16)).result().unwrap(), 987);
        }
    });
}

fn tree_with_gather(depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let current = current().unwrap();
    let ex = current.executor();
    ex.gather(ex.map(0..3, move |_| tree_with_gather(depth - 1))).unwrap().into_iter().sum()
}

fn tree_with_as_completed(depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let current = current().unwrap();
    let children = current.executor().map(0..3, move |_| tree_with_as_completed(depth - 1));
    as_completed(children).map(|(_, value)| value.unwrap()).sum()
}

#[test]
fn trees_may_gather_or_take_children_as_they_complete() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            assert_eq!(ex.submit(|| tree_with_gather(6)).result().unwrap(), 729);
            assert_eq!(ex.submit(|| tree_with_as_completed(6)).result().unwrap(), 729);
        }
    });
}

fn deep(level: u32) -> u32 {
    if level == 0 {
        return 0;
    }
    let current = current().unwrap();
    current.executor().submit(move || deep(level - 1)).result().unwrap() + 1
}

#[test]
fn ten_thousand_levels_of_waits_end_on_one_worker() {
    guard(|| assert_eq!(executor(1).submit(|| deep(10_000)).result().unwrap(), 10_000));
}

#[test]
fn ten_thousand_levels_of_waits_end_on_two_workers() {
    guard(|| assert_eq!(executor(2).submit(|| deep(10_000)).result().unwrap(), 10_000));
}

#[test]
fn a_wait_for_the_end_of_a_long_chain_ends() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let task = ex.submit(move || {
            let mut last: TaskFuture<u32> = inner.submit(|| 0);
            for _ in 0..20_000 {
                last = inner.submit_after(&last, |n| n + 1);
            }
            last.result().unwrap()
        });
        assert_eq!(task.result().unwrap(), 20_000);
    });
}

#[test]
fn a_waiting_stack_runs_nothing_but_what_it_waits_for() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let log = std::sync::Arc::new(Mutex::new(Vec::new()));
        let seen = log.clone();
        ex.submit(move || {
            let stack = std::thread::current().id();
            let unrelated: Vec<_> = (0..10)
                .map(|_| {
                    let log = seen.clone();
                    inner.submit(move || log.lock().unwrap().push(std::thread::current().id()))
                })
                .collect();
            let (promise, gate) = inner.promise::<()>();
            let awaited = inner.submit(|| std::thread::current().id());
            assert_eq!(awaited.result().unwrap(), stack, "the awaited task itself runs right here");
            assert!(seen.lock().unwrap().is_empty(), "and no other does");
            std::thread::spawn(move || {
                heist::wait_all(&unrelated);
                promise.fulfil(());
            });
            gate.result().unwrap();
            assert!(seen.lock().unwrap().iter().all(|&thread| thread != stack), "others run on another thread");
        })
        .result()
        .unwrap();
        assert_eq!(log.lock().unwrap().len(), 10);
    });
}

#[test]
fn after_a_wait_the_same_thread_goes_on_in_the_pool() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        ex.submit(move || {
            let (before, worker) = (std::thread::current().id(), current().unwrap().worker());
            let (promise, gate) = inner.promise::<()>();
            inner.submit(move || promise.fulfil(())).detach();
            gate.result().unwrap();
            assert_eq!(std::thread::current().id(), before);
            assert_eq!(current().unwrap().worker(), worker);
            assert_eq!(inner.submit(|| 1).result().unwrap(), 1);
        })
        .result()
        .unwrap();
    });
}

#[test]
fn values_scattered_in_a_task_are_not_copied() {
    guard(|| {
        let ex = executor(2);
        let inner = ex.clone();
        let same = ex.submit(move || {
            let data = vec![1, 2, 3];
            let address = data.as_ptr().addr();
            let placed = inner.scatter(data);
            let seen = inner.submit_after(&placed, |data| data.as_ptr().addr()).result().unwrap();
            (address == seen, placed)
        });
        let (same, placed) = same.result().unwrap();
        assert!(same);
        assert_eq!(placed.result().unwrap(), [1, 2, 3], "and outlive the task");
    });
}

#[test]
fn no_more_tasks_run_at_once_than_there_are_workers() {
    guard(|| {
        let ex = executor(3);
        let (now, most) = (Count::default(), Count::default());
        let (at_once, highest) = (now.clone(), most.clone());
        heist::wait_all(&ex.map(0..3000, move |_| {
            highest.max(at_once.add());
            std::thread::yield_now();
            at_once.sub();
        }));
        assert!((1..=3).contains(&most.get()), "{} at once", most.get());
    });
}

#[test]
fn futures_may_be_made_in_one_task_and_awaited_in_another() {
    guard(|| {
        let ex = executor(2);
        let inner = ex.clone();
        let made = ex.submit(move || inner.map(0..10, |n| n));
        let inner = ex.clone();
        let sum = ex.submit_after(&made, move |futures| inner.gather(futures).unwrap().iter().sum::<i32>());
        assert_eq!(sum.result().unwrap(), 45);
    });
}

fn collatz(ex: &Executor, n: u64, seen: &'static Mutex<HashSet<u64>>) {
    if n > 1 && seen.lock().unwrap().insert(n) {
        let next = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        let inner = ex.clone();
        ex.submit(move || collatz(&inner, next, seen)).detach();
    }
}

#[test]
fn work_that_grows_while_it_runs_comes_to_its_end() {
    static SEEN: Mutex<Option<&'static Mutex<HashSet<u64>>>> = Mutex::new(None);
    guard(|| {
        let seen = &*Box::leak(Box::default());
        *SEEN.lock().unwrap() = Some(seen);
        let ex = executor(2);
        for n in 1..2000 {
            let inner = ex.clone();
            ex.submit(move || collatz(&inner, n, seen)).detach();
        }
        ex.shutdown(heist::Shutdown::Wait);
        let seen = seen.lock().unwrap();
        assert!((2..2000).all(|n| seen.contains(&n)));
    });
}

#[test]
fn spare_threads_made_for_waits_are_used_again() {
    guard(|| {
        let ex = executor(1);
        for _ in 0..200 {
            let inner = ex.clone();
            ex.submit(move || {
                let (promise, gate) = inner.promise::<()>();
                inner.submit(move || promise.fulfil(())).detach();
                gate.result().unwrap();
            })
            .result()
            .unwrap();
        }
        until("only a few were made", || ex.stats().spare_threads <= 8);
    });
}

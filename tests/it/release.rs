//! Dropping the last handle lets go: what has not started and nobody wants never runs, values are freed at once.

use std::sync::{Arc, Weak};

use heist::{Executor, Shutdown, TaskFuture};

use crate::support::{Count, Drops, busy, executor, guard, never, running, until};

#[test]
fn an_unstarted_task_without_handles_never_runs() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let (ran, drops) = (Count::default(), Drops::default());
        for _ in 0..100 {
            let (ran, piece) = (ran.clone(), drops.piece());
            drop(ex.submit(move || {
                let _piece = piece;
                ran.add();
            }));
        }
        assert_eq!(drops.count(), 100, "their closures are dropped at once");
        drop(busy);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 0);
        assert_eq!(ex.stats().submitted, ex.stats().finished);
    });
}

#[test]
fn one_of_several_handles_is_enough_to_keep_a_task() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let task = ex.submit(|| 3);
        let last = task.clone();
        drop((task.clone(), task));
        drop(busy);
        assert_eq!(last.result().unwrap(), 3);
    });
}

#[test]
fn a_started_task_runs_to_its_end_without_handles() {
    guard(|| {
        let ex = executor(1);
        let ran = Count::default();
        let count = ran.clone();
        let (started, is_started) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let task = ex.submit(move || {
            started.send(()).unwrap();
            let _ = ends.recv();
            assert!(!heist::cancelled(), "nobody stops it");
            count.add();
        });
        is_started.recv().unwrap();
        drop(task);
        drop(end);
        until("it ran to its end", || ran.get() == 1);
    });
}

#[test]
fn a_value_is_freed_with_the_last_handle() {
    guard(|| {
        let ex = executor(2);
        let future = ex.submit(|| Arc::new(1));
        let weak = Arc::downgrade(future.value().unwrap());
        let second = future.clone();
        drop(future);
        assert_eq!(weak.strong_count(), 1);
        drop(second);
        assert_eq!(weak.strong_count(), 0);
    });
}

#[test]
fn finished_pending_and_failed_futures_all_let_go() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (value, pending, failed) = (drops.piece(), drops.piece(), drops.piece());
        let finished = ex.submit(move || value);
        finished.wait().unwrap();
        let (_p, never) = never::<()>(&ex);
        let pending = ex.submit_after(&never, move |()| drop(pending));
        let failed =
            ex.submit_result(move || Err::<(), _>(Box::<dyn std::error::Error + Send + Sync>::from(Text(failed))));
        failed.wait().unwrap();
        assert_eq!(drops.count(), 0);
        drop(finished);
        assert_eq!(drops.count(), 1);
        drop(pending);
        assert_eq!(drops.count(), 2);
        drop(failed);
        until("the error goes with its last holder, which may be the worker that ended the task", || {
            drops.count() == 3
        });
    });
}

struct Text(#[expect(dead_code, reason = "held for its drop")] crate::support::Piece);
impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text")
    }
}
impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("text")
    }
}
impl std::error::Error for Text {}

#[test]
fn a_wanted_dependent_keeps_its_inputs() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let a = ex.submit(|| 1);
        let b = ex.submit_after(&a, |a| a + 1);
        let c = ex.submit_after(b, |b| b + 1);
        drop(a);
        drop(busy);
        assert_eq!(c.result().unwrap(), 3);
    });
}

#[test]
fn inputs_are_released_in_turn_with_an_unwanted_dependent() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let (ran, drops) = (Count::default(), Drops::default());
        let step = || {
            let (ran, piece) = (ran.clone(), drops.piece());
            move || {
                let _piece = &piece;
                ran.add();
            }
        };
        let (first, second, third) = (step(), step(), step());
        let a = ex.submit(first);
        let b = ex.submit_after(&a, move |()| second());
        let c = ex.submit_after((&a, &b), move |((), ())| third());
        drop((a, b));
        assert_eq!(drops.count(), 0, "still wanted by the last");
        drop(c);
        assert_eq!(drops.count(), 3);
        drop(busy);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn an_input_is_freed_once_its_last_dependent_has_run() {
    guard(|| {
        let ex = executor(2);
        let (promise, gate) = ex.promise::<()>();
        let input = ex.submit(|| Arc::new(5));
        let weak: Weak<i32> = Arc::downgrade(input.value().unwrap());
        let first = ex.submit_after(&input, |n| **n + 1);
        let second = ex.submit_after((&input, &gate), |(n, ())| **n + 2);
        drop(input);
        assert_eq!(first.result().unwrap(), 6);
        assert_eq!(weak.strong_count(), 1, "the second dependent needs it");
        promise.fulfil(());
        assert_eq!(second.result().unwrap(), 7);
        until("the input is freed", || weak.strong_count() == 0);
    });
}

#[test]
fn an_unwanted_sibling_goes_and_a_wanted_one_stays() {
    guard(|| {
        let ex = executor(1);
        let (promise, input) = ex.promise::<i32>();
        let (ran, drops) = (Count::default(), Drops::default());
        let (count, piece) = (ran.clone(), drops.piece());
        let unwanted = ex.submit_after(&input, move |_| {
            let _piece = piece;
            count.add();
        });
        let wanted = ex.submit_after(&input, |n| n + 1);
        drop(unwanted);
        assert_eq!(drops.count(), 1);
        promise.fulfil(1);
        assert_eq!(wanted.result().unwrap(), 2);
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn long_chains_and_deep_values_are_let_go_of_without_recursion() {
    struct Link(#[expect(dead_code, reason = "held for its drop")] Option<TaskFuture<Link>>);
    fn values(ex: &Executor) -> TaskFuture<Link> {
        let mut link = ex.scatter(Link(None));
        for _ in 0..100_000 {
            link = ex.scatter(Link(Some(link)));
        }
        link
    }
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (_p, first) = never::<u64>(&ex);
        let mut last = first;
        for _ in 0..100_000 {
            let piece = drops.piece();
            last = ex.submit_after(last, move |n| {
                let _piece = &piece;
                n + 1
            });
        }
        drop(last);
        assert_eq!(drops.count(), 100_000);
        drop(values(&ex));
        let chain = values(&ex);
        ex.submit(move || drop(chain)).result().unwrap();
    });
}

#[test]
fn a_long_chain_runs_and_is_freed_as_it_goes() {
    guard(|| {
        let ex = executor(2);
        let (promise, first) = ex.promise::<u64>();
        let drops = Drops::default();
        let mut last = ex.submit_after(first, |n| *n);
        for _ in 0..100_000 {
            let piece = drops.piece();
            last = ex.submit_after(last, move |n| {
                drop(piece);
                n + 1
            });
        }
        promise.fulfil(0);
        assert_eq!(last.result().unwrap(), 100_000);
        assert_eq!(drops.count(), 100_000);
    });
}

#[test]
fn futures_may_be_let_go_of_by_the_tasks_they_belong_to() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (promise, own) = ex.promise::<TaskFuture<crate::support::Piece>>();
        let piece = drops.piece();
        let task = ex.submit(move || {
            drop(own.into_result().ok().unwrap().unwrap());
            piece
        });
        promise.fulfil(task);
        until("its value is dropped, since nobody wants it", || drops.count() == 1);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn a_value_that_holds_a_handle_of_the_executor_may_be_the_last_of_it() {
    guard(|| {
        let ex = executor(2);
        let future = ex.submit({
            let ex = ex.clone();
            move || ex
        });
        future.wait().unwrap();
        drop(ex);
        let value = future.value().unwrap();
        assert_eq!(value.submit(|| 1).result().unwrap(), 1, "still open: the value is a handle");
        drop(future);
    });
}

#[test]
fn racing_drops_free_everything_once() {
    guard(|| {
        let ex = executor(2);
        let drops = Drops::default();
        let total = 5_000;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..total {
                        let (closure, value) = (drops.piece(), drops.piece());
                        let future = ex.submit(move || {
                            drop(closure);
                            value
                        });
                        let dependent = ex.submit_after(&future, |_| ());
                        drop(future);
                        drop(dependent);
                    }
                });
            }
        });
        ex.shutdown(Shutdown::Wait);
        assert_eq!(drops.count(), 4 * total * 2);
    });
}

#[test]
fn a_running_tasks_inputs_stay_until_it_ends() {
    guard(|| {
        let ex = executor(1);
        let (end, slow) = running(&ex, Arc::new(1));
        let dependent = ex.submit_after(&slow, Arc::strong_count);
        drop(slow);
        end.send(()).unwrap();
        assert_eq!(dependent.result().unwrap(), 1);
    });
}

/// Dask's executor face: who stops going through what `map` gave lets the rest go.
#[test]
fn the_rest_of_a_map_is_released_when_it_is_dropped_half_way() {
    guard(|| {
        let ex = executor(1);
        let (ran, busy) = (Count::default(), busy(&ex));
        let mut futures = ex.map(0..100, {
            let ran = ran.clone();
            move |n| {
                ran.add();
                n
            }
        });
        drop(futures.split_off(10));
        let completed = heist::as_completed(futures.split_off(5));
        drop(completed);
        drop(busy);
        assert_eq!(ex.gather(futures).unwrap(), [0, 1, 2, 3, 4]);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 5);
    });
}

//! Cancelling ends a future at once, with a reason, for all handles and dependents; the inputs stay valid.

use std::sync::mpsc;
use std::thread;

use heist::{CancelReason, Shutdown, Status, TaskFuture, wait_all};

use crate::support::{Count, Drops, SOON, busy, executor, guard, never, running, until};

#[test]
fn a_task_cancelled_before_it_starts_never_runs() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let (ran, drops) = (Count::default(), Drops::default());
        let (count, piece) = (ran.clone(), drops.piece());
        let task = ex.submit(move || {
            let _piece = piece;
            count.add();
        });
        assert!(task.cancel("not needed"));
        assert_eq!(drops.count(), 1, "the closure is dropped at once");
        assert!(task.done() && task.cancelled() && task.status() == Status::Cancelled);
        let error = task.result().unwrap_err();
        assert!(error.is_cancelled() && error.to_string().contains("not needed"));
        drop(busy);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 0);
        assert_eq!((ex.stats().submitted, ex.stats().finished), (2, 2));
    });
}

#[test]
fn a_running_task_ends_for_its_holders_at_once_and_can_see_it() {
    guard(|| {
        let ex = executor(1);
        let (started, is_started) = mpsc::channel();
        let (saw, seen) = mpsc::channel();
        let task = ex.submit(move || {
            assert!(!heist::cancelled());
            started.send(()).unwrap();
            while !heist::cancelled() {
                thread::yield_now();
            }
            saw.send(()).unwrap();
        });
        is_started.recv_timeout(SOON).unwrap();
        assert!(task.cancel("stop"));
        assert!(task.result().unwrap_err().is_cancelled());
        seen.recv_timeout(SOON).unwrap();
        assert!(!ex.submit(heist::cancelled).result().unwrap(), "the next task is not concerned");
        assert!(!heist::cancelled(), "nor is this thread");
    });
}

#[test]
fn the_slot_of_a_cancelled_running_task_returns_only_at_its_end() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (end, task) = running(&ex, drops.piece());
        task.cancel("stop");
        let next = ex.submit(|| 1);
        let other = ex.clone();
        assert!(next.wait_timeout(std::time::Duration::from_millis(20)).unwrap_err().is_timeout());
        assert_eq!(other.stats().discarded, 0);
        end.send(()).unwrap();
        assert_eq!(next.result().unwrap(), 1);
        assert_eq!(ex.stats().discarded, 1, "its result came too late and is counted");
        assert_eq!(drops.count(), 1, "and dropped");
        assert!(task.cancelled());
    });
}

#[test]
fn the_error_of_a_cancelled_running_task_is_not_reported() {
    guard(|| {
        let ex = executor(1);
        let (started, is_started) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let task = ex.submit(move || {
            started.send(()).unwrap();
            let _ = ends.recv();
            panic!("nobody hears this")
        });
        let dependent = ex.submit_after(&task, |(): &()| ());
        is_started.recv_timeout(SOON).unwrap();
        task.cancel("stop");
        drop(end);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1, "the slot is free");
        for future in [&task, &dependent] {
            let error = future.result().unwrap_err();
            assert!(error.is_cancelled() && !error.is_panic());
        }
        assert_eq!(ex.stats().discarded, 1);
    });
}

#[test]
fn the_end_of_a_released_running_task_changes_nothing() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (end, task) = running(&ex, drops.piece());
        drop(task);
        assert_eq!(drops.count(), 0);
        end.send(()).unwrap();
        until("its value is dropped", || drops.count() == 1);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        assert_eq!(ex.stats().discarded, 0, "it was not cancelled");
    });
}

#[test]
fn a_finished_task_cannot_be_cancelled() {
    guard(|| {
        let ex = executor(1);
        let good = ex.submit(|| 5);
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        wait_all(&[good.clone(), bad.clone()]);
        assert!(!good.cancel("late") && !bad.cancel("late"));
        assert_eq!(good.result().unwrap(), 5);
        assert!(bad.result().unwrap_err().is_panic());
        let (_p, future) = never::<i32>(&ex);
        assert!(future.cancel("first") && !future.cancel("second"));
        assert!(future.result().unwrap_err().to_string().contains("first"), "the first reason stays");
        assert!(!ex.scatter(1).cancel("never began"));
    });
}

#[test]
fn any_handle_cancels_for_all() {
    guard(|| {
        let ex = executor(1);
        let (_p, future) = never::<i32>(&ex);
        let clones = vec![future.clone(); 5];
        clones[2].cancel("by one");
        assert!(future.cancelled() && clones.iter().all(TaskFuture::cancelled));
    });
}

#[test]
fn dependents_are_cancelled_in_turn_with_the_reason() {
    guard(|| {
        let ex = executor(1);
        let (_p, root) = never::<u64>(&ex);
        let mut chain = vec![root];
        for index in 0..100_000 {
            chain.push(ex.submit_after(&chain[index], |n| n + 1));
        }
        let fan = ex.map_after((0..100).map(|_| (&chain[1], &chain[2])), |(a, b)| a + b);
        assert!(chain[1].cancel(format!("superseded by {}", 7)));
        assert!(!chain[0].done(), "the input of a cancelled task is left alone");
        for future in chain[1..].iter().chain(&fan) {
            assert!(future.cancelled() && future.status() == Status::Cancelled);
            assert_eq!(future.error().unwrap().cancel_reason().map(CancelReason::text), Some("superseded by 7"));
        }
    });
}

#[test]
fn inputs_of_a_cancelled_task_stay_valid() {
    guard(|| {
        let ex = executor(1);
        let (promise, input) = ex.promise();
        let task = ex.submit_after(&input, |n: &i32| n + 1);
        let sibling = ex.submit_after(&input, |n| n + 2);
        task.cancel("no");
        promise.fulfil(10);
        assert_eq!(input.result().unwrap(), 10);
        assert_eq!(sibling.result().unwrap(), 12);
        let done = ex.scatter(vec![1, 2]);
        ex.submit_after((&done, &never::<()>(&ex).1), |_| ()).cancel("no");
        assert_eq!(done.into_result().unwrap().unwrap(), [1, 2], "and are let go of");
    });
}

#[test]
fn inputs_that_nobody_else_wants_go_with_a_cancelled_task() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let (ran, drops) = (Count::default(), Drops::default());
        let (count, piece) = (ran.clone(), drops.piece());
        let input = ex.submit(move || {
            let _piece = piece;
            count.add()
        });
        let task = ex.submit_after(input, |n| *n);
        task.cancel("no");
        assert_eq!(drops.count(), 1);
        drop(busy);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn a_task_on_a_cancelled_future_is_cancelled_from_the_start() {
    guard(|| {
        let ex = executor(1);
        let (_p, input) = never::<i32>(&ex);
        input.cancel("gone");
        let busy = busy(&ex);
        let child = ex.submit_after(&input, |n| n + 1);
        let two = ex.submit_after((&ex.scatter(1), &input), |(a, b)| a + b);
        let mapped = ex.map_after([&input, &input], |n| *n);
        assert!([&child, &two].into_iter().chain(&mapped).all(TaskFuture::cancelled));
        assert!(child.result().unwrap_err().to_string().contains("gone"));
        drop(busy);
    });
}

#[test]
fn the_reason_is_in_every_error() {
    guard(|| {
        let ex = executor(1);
        let (_p, future) = never::<i32>(&ex);
        future.cancel("the sky fell".to_owned());
        let errors = [
            future.result().unwrap_err(),
            future.value().unwrap_err(),
            future.clone().into_result().unwrap().unwrap_err(),
            ex.gather(&future).unwrap_err(),
            ex.submit_after(&future, |n| *n).result().unwrap_err(),
            future.try_result().unwrap().unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.cancel_reason().unwrap().text(), "the sky fell");
            assert!(!error.cancel_reason().unwrap().is_executor_closed());
            assert!(error.to_string().contains("the sky fell"));
            assert_eq!(error.task(), Some(future.id()));
        }
    });
}

#[test]
fn a_task_may_cancel_itself_and_what_it_waits_for() {
    guard(|| {
        let ex = executor(1);
        let (promise, own) = ex.promise::<TaskFuture<i32>>();
        let task = ex.submit_after(&own, |own: &TaskFuture<i32>| {
            assert!(own.cancel("myself"));
            assert!(heist::cancelled());
            1
        });
        promise.fulfil(task.clone());
        assert!(task.result().unwrap_err().is_cancelled());
        let inner = ex.clone();
        let waiter = ex.submit(move || {
            let (_p, child) = inner.promise::<i32>();
            let victim = child.clone();
            let outside = thread::spawn(move || victim.cancel("from outside"));
            let error = child.result().unwrap_err();
            outside.join().unwrap();
            error.is_cancelled()
        });
        assert!(waiter.result().unwrap());
    });
}

#[test]
fn a_token_tells_threads_that_work_for_the_task() {
    guard(|| {
        let ex = executor(1);
        let (sender, tokens) = mpsc::channel();
        let task = ex.submit(move || {
            let token = heist::current().unwrap().cancel_token();
            sender.send(token.clone()).unwrap();
            let helper = thread::spawn(move || {
                while !token.is_cancelled() {
                    thread::yield_now();
                }
            });
            helper.join().unwrap();
        });
        let token = tokens.recv_timeout(SOON).unwrap();
        assert!(!token.is_cancelled());
        task.cancel("stop");
        assert!(token.is_cancelled());
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn whoever_wins_between_cancel_and_run_each_closure_goes_once() {
    guard(|| {
        let ex = executor(2);
        let (ran, drops) = (Count::default(), Drops::default());
        let total = 20_000;
        let tasks: Vec<_> = (0..total)
            .map(|_| {
                let (ran, piece) = (ran.clone(), drops.piece());
                ex.submit(move || {
                    let _piece = piece;
                    ran.add();
                })
            })
            .collect();
        let dependents: Vec<_> = tasks.iter().map(|task| ex.submit_after(task, |()| ())).collect();
        let cancelled = tasks.iter().rev().step_by(2).filter(|task| task.cancel("race")).count();
        wait_all(&tasks);
        wait_all(&dependents);
        let seen = tasks.iter().filter(|task| task.cancelled()).count();
        assert_eq!(seen, cancelled, "who was told true is cancelled, nobody else");
        for (task, dependent) in tasks.iter().zip(&dependents) {
            if task.cancelled() {
                assert!(dependent.cancelled());
            } else {
                dependent.result().unwrap();
            }
        }
        ex.shutdown(Shutdown::Wait);
        let discarded = usize::try_from(ex.stats().discarded).unwrap();
        assert_eq!(ran.get(), total - cancelled + discarded);
        assert_eq!(drops.count(), total);
    });
}

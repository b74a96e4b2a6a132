//! Waits for one, all, any or some; with time limits; telling apart what is done.

use std::time::{Duration, Instant};

use heist::{TaskFuture, wait_all, wait_all_timeout, wait_any, wait_any_timeout, wait_n, wait_n_timeout};

use crate::support::{busy, executor, guard, never, running, until};

const SHORT: Duration = Duration::from_millis(20);

fn ids<T>(futures: &[TaskFuture<T>]) -> Vec<heist::TaskId> {
    futures.iter().map(TaskFuture::id).collect()
}

#[test]
fn after_waiting_for_all_every_one_is_done() {
    guard(|| {
        let ex = executor(2);
        let futures = ex.map(0..100, |n| n);
        let sets = wait_all(&futures);
        assert_eq!(ids(&sets.done), ids(&futures));
        assert!(sets.not_done.is_empty() && sets.ended_early.is_none());
        assert!(futures.iter().all(TaskFuture::done));
    });
}

#[test]
fn one_finished_of_three_suffices_and_the_sets_are_right() {
    guard(|| {
        let ex = executor(2);
        let (_p, x) = never::<i32>(&ex);
        let y = ex.submit(|| 1);
        let (_q, z) = never::<i32>(&ex);
        let sets = wait_any(&[x.clone(), y.clone(), z.clone()]);
        assert_eq!(ids(&sets.done), ids(&[y]));
        assert_eq!(ids(&sets.not_done), ids(&[x, z]));
        assert!(sets.ended_early.is_none());
    });
}

#[test]
fn some_of_many_suffice() {
    guard(|| {
        let ex = executor(2);
        let (_p, first) = never::<i32>(&ex);
        let mut futures = vec![first];
        futures.extend(ex.map(0..3, |n| n));
        let sets = wait_n(&futures, 3);
        assert_eq!(ids(&sets.done), ids(&futures[1..]), "in the order of the input");
        assert_eq!(ids(&sets.not_done), ids(&futures[..1]));
        assert_eq!(wait_n(&futures, 0).ended_early.map(|e| e.to_string()), None);
        assert_eq!(wait_n(&futures[1..], 100).done.len(), 3, "all, if there are fewer");
    });
}

#[test]
fn failed_and_cancelled_futures_are_done() {
    guard(|| {
        let ex = executor(2);
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        let (_p, cancelled) = never::<i32>(&ex);
        cancelled.cancel("no");
        let futures = [ex.submit(|| 1), cancelled.clone(), bad.clone()];
        assert_eq!(ids(&wait_all(&futures).done), ids(&futures));
        assert_eq!(wait_any(&[bad]).done.len(), 1);
        assert_eq!(wait_any(&[cancelled]).done.len(), 1);
    });
}

#[test]
fn a_cancel_ends_the_waits_for_it() {
    guard(|| {
        let ex = executor(1);
        let (_p, future) = never::<i32>(&ex);
        std::thread::scope(|scope| {
            let single = scope.spawn(|| future.result().unwrap_err());
            let group = scope.spawn(|| wait_all(std::slice::from_ref(&future)).done.len());
            future.cancel("enough");
            assert!(single.join().unwrap().is_cancelled());
            assert_eq!(group.join().unwrap(), 1);
        });
    });
}

#[test]
fn waiting_for_none_returns_at_once() {
    guard(|| {
        let none: [TaskFuture<i32>; 0] = [];
        assert!(wait_all(&none).done.is_empty());
        assert!(wait_any(&none).done.is_empty());
        assert!(wait_n(&none, 5).done.is_empty());
        assert!(wait_any_timeout(&none, Duration::from_secs(3600)).ended_early.is_none());
    });
}

#[test]
fn a_timeout_gives_the_partial_sets_and_the_tasks_go_on() {
    guard(|| {
        let ex = executor(2);
        let done = ex.map(0..3, |n| n);
        wait_all(&done);
        let (end, slow) = running(&ex, 7);
        let futures = [done[2].clone(), slow.clone(), done[0].clone()];
        let sets = wait_all_timeout(&futures, SHORT);
        assert!(sets.ended_early.unwrap().is_timeout());
        assert_eq!(ids(&sets.done), ids(&[done[2].clone(), done[0].clone()]));
        assert_eq!(ids(&sets.not_done), ids(std::slice::from_ref(&slow)));
        let sets = wait_n_timeout(&futures, 3, Duration::ZERO);
        assert!(sets.ended_early.unwrap().is_timeout() && sets.done.len() == 2);
        assert!(wait_n_timeout(&futures, 2, Duration::ZERO).ended_early.is_none(), "two are done already");
        assert!(wait_any_timeout(std::slice::from_ref(&slow), SHORT).ended_early.unwrap().is_timeout());
        end.send(()).unwrap();
        assert_eq!(slow.result().unwrap(), 7);
        assert!(wait_all_timeout(&futures, Duration::ZERO).ended_early.is_none());
    });
}

#[test]
fn a_timeout_is_an_error_that_leaves_the_task_alone() {
    guard(|| {
        let ex = executor(1);
        let (end, slow) = running(&ex, 3);
        let before = Instant::now();
        let error = slow.result_timeout(SHORT).unwrap_err();
        assert!(before.elapsed() >= SHORT, "not before its time");
        assert!(error.is_timeout() && !error.is_cancelled());
        assert!(slow.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
        assert!(!slow.done() && slow.error().is_none());
        end.send(()).unwrap();
        assert_eq!(slow.result_timeout(Duration::MAX).unwrap(), 3);
        slow.wait_timeout(Duration::ZERO).unwrap();
    });
}

#[test]
fn duplicates_count_as_often_as_they_come() {
    guard(|| {
        let ex = executor(1);
        let (_p, never) = never::<i32>(&ex);
        let one = ex.submit(|| 1);
        let sets = wait_n(&[one.clone(), one.clone(), never.clone()], 2);
        assert_eq!((sets.done.len(), sets.not_done.len()), (2, 1));
        assert_eq!(wait_any_timeout(&[never.clone(), never], SHORT).not_done.len(), 2);
    });
}

#[test]
fn many_threads_may_wait_for_one_future() {
    guard(|| {
        let ex = executor(1);
        let (promise, future) = ex.promise();
        std::thread::scope(|scope| {
            let waits: Vec<_> = (0..32).map(|_| scope.spawn(|| future.result().unwrap())).collect();
            promise.fulfil(9);
            assert!(waits.into_iter().all(|wait| wait.join().unwrap() == 9));
        });
    });
}

#[test]
fn every_wait_works_within_a_task_on_one_worker() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let task = ex.submit(move || {
            let ex = inner;
            let futures = ex.map(0..10, |n| n);
            assert_eq!(wait_all(&futures).done.len(), 10);
            let (_p, never) = ex.promise::<i32>();
            assert_eq!(wait_any(&[never.clone(), ex.submit(|| 1)]).done.len(), 1);
            assert_eq!(wait_n(&[never.clone(), ex.submit(|| 1), ex.submit(|| 2)], 2).done.len(), 2);
            assert!(wait_all_timeout(std::slice::from_ref(&never), SHORT).ended_early.unwrap().is_timeout());
            assert_eq!(wait_all_timeout(&ex.map(0..10, |n| n), Duration::from_secs(3600)).done.len(), 10);
            assert!(never.result_timeout(SHORT).unwrap_err().is_timeout());
            assert_eq!(ex.submit(|| 5).result_timeout(Duration::from_secs(3600)).unwrap(), 5);
            let late = ex.submit_after(ex.submit(|| 6), |n| n + 1);
            assert_eq!(late.result().unwrap(), 7);
        });
        task.result().unwrap();
    });
}

#[test]
fn abandoned_waits_leave_later_ones_unharmed() {
    guard(|| {
        let ex = executor(2);
        let (promise, future) = ex.promise();
        let dependent = ex.submit_after(&future, |n| n + 1);
        for _ in 0..500 {
            assert!(future.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
            assert!(wait_any_timeout(&[future.clone(), dependent.clone()], Duration::ZERO).ended_early.is_some());
            drop(ex.submit_after(&future, |n| n + 2));
        }
        promise.fulfil(1);
        assert_eq!(dependent.result().unwrap(), 2);
    });
}

#[test]
fn a_wait_from_outside_does_not_run_the_task_itself() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let task = ex.submit(|| std::thread::current().id());
        std::thread::scope(|scope| {
            let wait = scope.spawn(|| (task.result().unwrap(), std::thread::current().id()));
            drop(busy);
            let (ran, waited) = wait.join().unwrap();
            assert_ne!(ran, waited);
        });
        until("the worker ran both", || ex.stats().executed == 2);
    });
}

//! Handles on one executor, and several executors side by side.

use std::thread;

use heist::{Executor, TaskFuture, as_completed, wait_all, wait_any};

use crate::support::{executor, guard};

#[test]
fn clones_are_handles_on_one_executor() {
    guard(|| {
        let ex = executor(1);
        let clone = ex.clone();
        let a = ex.submit(|| 1);
        let b = clone.submit_after(&a, |n| n + 1);
        assert_eq!(ex.gather((a, b)).unwrap(), (1, 2));
        assert_eq!(clone.stats().executed, 2);
        assert_eq!(format!("{ex:?}"), format!("{clone:?}"));
    });
}

#[test]
fn a_future_of_another_executor_is_an_error_not_a_mixture() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let (own, foreign) = (ex.submit(|| 1), other.submit(|| 2));
        let futures = [
            ex.submit_after(&foreign, |n| *n),
            ex.submit_after((&own, &foreign), |(a, b)| a + b),
            ex.submit_after(vec![&own, &own, &foreign], |all| all.len() as i32),
            ex.submit_after_results(&foreign, |n| n.copied().unwrap_or(-1)),
            ex.submit_result_after(&foreign, |n| Ok::<_, &str>(*n)),
        ];
        for future in futures {
            let error = future.result().unwrap_err();
            assert!(error.is_foreign_future(), "{error}");
        }
        let dependent = ex.submit_after(ex.submit_after(&foreign, |n| *n), |n| n + 1);
        assert!(dependent.result().unwrap_err().is_foreign_future());
        assert_eq!(other.submit_after(&foreign, |n| *n).result().unwrap(), 2);
    });
}

#[test]
fn waits_take_futures_of_any_executor() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let futures = [ex.submit(|| 1), other.submit(|| 2)];
        assert_eq!(wait_all(&futures).done.len(), 2);
        assert_eq!(wait_any(&futures).done.len(), 2);
        assert_eq!(as_completed(futures).map(|(_, n)| n.unwrap()).sum::<i32>(), 3);
    });
}

#[test]
fn a_task_may_wait_for_a_task_of_another_executor() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let (inner, outer) = (other.clone(), ex.clone());
        let task = ex.submit(move || {
            let there = inner.submit(move || outer.submit(|| 1).result().unwrap() + 1);
            there.result().unwrap() + 1
        });
        assert_eq!(task.result().unwrap(), 3);
    });
}

#[test]
fn executors_may_be_made_and_dropped_within_tasks() {
    guard(|| {
        let ex = executor(1);
        let task = ex.submit(|| {
            let inner = executor(2);
            inner.gather(inner.map(0..10, |n| n)).unwrap().into_iter().sum::<i32>()
        });
        assert_eq!(task.result().unwrap(), 45);
    });
}

#[test]
fn the_current_executor_is_that_of_the_task() {
    guard(|| {
        let (ex, other) = (executor(1), executor(2));
        let workers = || heist::current().unwrap().executor().workers();
        let inner = other.clone();
        let both = ex.submit(move || (inner.submit(workers).result().unwrap(), workers()));
        assert_eq!(both.result().unwrap(), (2, 1));
    });
}

#[test]
fn executors_do_not_share_threads_or_counts() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let id = || thread::current().id();
        assert_ne!(ex.submit(id).result().unwrap(), other.submit(id).result().unwrap());
        assert_eq!((ex.stats().executed, other.stats().executed), (1, 1));
    });
}

#[test]
fn many_executors_at_once_all_work() {
    guard(|| {
        let executors: Vec<Executor> = (0..16).map(|_| executor(2)).collect();
        let futures: Vec<TaskFuture<usize>> =
            executors.iter().enumerate().flat_map(|(n, ex)| ex.map(0..100, move |_| n)).collect();
        assert_eq!(wait_all(&futures).done.len(), 1600);
        drop(executors);
        assert!(futures.iter().enumerate().all(|(n, future)| future.result().unwrap() == n / 100));
    });
}

#[test]
fn a_setting_that_cannot_be_met_is_an_error_that_names_it() {
    let error = Executor::builder().workers(0).build().unwrap_err();
    assert!(error.is_setting() && error.to_string().contains("workers is 0"));
    let error = Executor::builder().workers(usize::MAX).build().unwrap_err();
    assert!(error.is_setting() && !error.is_host() && !error.is_thread());
    let error = Executor::builder().workers(1).stack_size(1).build().unwrap_err();
    assert!(error.is_setting() && error.to_string().contains("stack_size"));
}

#[test]
fn the_process_has_one_executor_of_its_own_that_is_set_once() {
    guard(|| {
        Executor::builder().workers(1).build_global().unwrap();
        assert!(Executor::builder().build_global().unwrap_err().is_already_set());
        let ex = Executor::global().unwrap();
        assert_eq!(ex.workers(), 1);
        let task = ex.submit(|| heist::current().unwrap().executor().submit(|| 1));
        assert_eq!(Executor::global().unwrap().gather(task.result().unwrap()).unwrap(), 1);
    });
}

//! Tasks that may run again: after failures, when they ask for it, and anew by `retry`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use heist::{Executor, Reschedule, TaskFuture};

use crate::support::{Drops, busy, executor, guard, until};

/// Fails with each of `errors` in turn, then gives the number of its runs.
fn failing(errors: &'static [&'static str]) -> impl Fn() -> Result<u32, &'static str> + Send + Sync + Clone {
    let runs = Arc::new(AtomicU32::new(0));
    move || {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        errors.get(run as usize).map_or(Ok(run + 1), |error| Err(*error))
    }
}

fn text<T: Clone + Sync>(future: &TaskFuture<T>) -> String {
    future.result().err().unwrap().to_string()
}

#[test]
fn as_many_failures_as_retries_are_forgiven() {
    guard(|| {
        let ex = executor(2);
        let submit = |retries| ex.task().retries(retries).submit_result(failing(&["one", "two"]));
        assert!(text(&submit(0)).contains("one"));
        assert!(text(&submit(1)).contains("two"));
        assert_eq!(submit(2).result().unwrap(), 3);
        assert_eq!(submit(100).result().unwrap(), 3);
    });
}

#[test]
fn panics_are_retried_too() {
    guard(|| {
        let ex = executor(1);
        let fails = failing(&["one", "two"]);
        let panics = move || fails().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ex.task().retries(2).submit(panics.clone()).result().unwrap(), 3);
        let fails = failing(&["one", "two"]);
        let error = ex.task().retries(1).submit(move || fails().unwrap()).result().unwrap_err();
        assert!(error.is_panic() && error.panic_message().unwrap().contains("two"));
    });
}

#[test]
fn each_of_a_map_has_its_retries() {
    guard(|| {
        let ex = executor(2);
        let runs: Arc<Vec<AtomicU32>> = Arc::new((0..20).map(|_| AtomicU32::new(0)).collect());
        let task = move |index: usize| {
            let run = runs[index].fetch_add(1, Ordering::Relaxed);
            if run < 2 { Err(format!("run {run} of {index}")) } else { Ok(index) }
        };
        let futures = ex.task().retries(2).map_result(0..10, task.clone());
        assert_eq!(ex.gather(futures).unwrap(), (0..10).collect::<Vec<_>>());
        let futures = ex.task().retries(1).map_result(10..20, task);
        for (index, future) in futures.iter().enumerate() {
            assert!(text(future).contains(&format!("run 1 of {}", index + 10)));
        }
    });
}

#[test]
fn what_is_retried_borrows_its_inputs_again() {
    guard(|| {
        let ex = executor(2);
        let (a, b) = (ex.submit(|| 1), ex.submit(|| 2));
        let fails = failing(&["one"]);
        let sum = ex.task().retries(1).after((&a, &b)).submit_result(move |(a, b)| fails().map(|runs| a + b + runs));
        assert_eq!(sum.result().unwrap(), 5);
    });
}

#[test]
fn a_failed_attempt_goes_behind_what_waits() {
    guard(|| {
        let ex = executor(1);
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(what)
        };
        let (first, fails) = (note("flaky"), failing(&["one"]));
        let hold = busy(&ex);
        let flaky = ex.task().retries(1).submit_result(move || {
            first();
            fails()
        });
        let other = ex.submit(note("other"));
        drop(hold);
        other.result().unwrap();
        flaky.result().unwrap();
        assert_eq!(*order.lock().unwrap(), ["flaky", "other", "flaky"]);
    });
}

#[test]
fn a_task_that_asks_for_it_is_queued_again_and_uses_up_no_retry() {
    guard(|| {
        let ex = executor(1);
        let is_there = Arc::new(AtomicBool::new(false));
        let look = is_there.clone();
        let (waits, looks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = looks.clone();
        let asks = ex.task().retries(0).submit_result(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            if look.load(Ordering::Acquire) { Ok(7) } else { Err(Reschedule) }
        });
        until("it has asked", || looks.load(Ordering::Relaxed) > 10);
        // The one worker gets to this one although the other is always there.
        let sets = ex.submit(move || {
            waits.fetch_add(1, Ordering::Relaxed);
            is_there.store(true, Ordering::Release);
        });
        sets.result().unwrap();
        assert_eq!(asks.result().unwrap(), 7);
    });
}

#[test]
fn whoever_waits_for_a_task_that_asks_again_lets_others_go_first() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let outer = ex.submit(move || {
            let is_there = Arc::new(AtomicBool::new(false));
            let look = is_there.clone();
            let ready = move || if look.load(Ordering::Acquire) { Ok(7) } else { Err(Reschedule) };
            let sets = inner.submit(move || is_there.store(true, Ordering::Release));
            let asks = inner.task().retries(0).submit_result(ready);
            let value = asks.result();
            drop(sets);
            value
        });
        assert_eq!(outer.result().unwrap().unwrap(), 7);
    });
}

#[test]
fn a_task_is_retried_on_the_only_worker_by_whoever_waits_for_it() {
    guard(|| {
        let ex = Executor::builder().workers(1).max_spare_threads(0).build().unwrap();
        let inner = ex.clone();
        let outer = ex.submit(move || inner.task().retries(2).submit_result(failing(&["one", "two"])).result());
        assert_eq!(outer.result().unwrap().unwrap(), 3);
    });
}

#[test]
fn rescheduling_is_an_error_of_a_task_that_runs_once() {
    let ex = executor(1);
    let error = ex.task().submit_result(|| Err::<(), _>(Reschedule)).result().unwrap_err();
    assert!(error.downcast_ref::<Reschedule>().is_some());
}

#[test]
fn a_cancelled_task_is_not_retried() {
    guard(|| {
        let ex = executor(1);
        let (started, is_started) = std::sync::mpsc::channel();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let task = ex.task().retries(100).submit(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = started.send(());
            while !heist::cancelled() {
                std::hint::spin_loop();
            }
            panic!("fails once it is cancelled");
        });
        is_started.recv().unwrap();
        assert!(task.cancel("enough"));
        ex.submit(|| ()).result().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert!(task.cancelled());
        assert!(task.retry().cancelled());
    });
}

#[test]
fn a_failed_task_is_made_anew_once_its_cause_is_mended() {
    guard(|| {
        let ex = executor(2);
        let is_mended = Arc::new(AtomicBool::new(false));
        let look = is_mended.clone();
        let task = ex
            .task()
            .name("reader")
            .retries(0)
            .submit_result(move || if look.load(Ordering::Acquire) { Ok(1) } else { Err("broken") });
        assert!(text(&task).contains("broken") && text(&task).contains("reader"));
        let still = task.retry();
        assert!(text(&still).contains("broken"));
        is_mended.store(true, Ordering::Release);
        let anew = task.retry();
        assert_ne!(anew, task);
        assert_eq!(anew.result().unwrap(), 1);
        // Done is final.
        assert!(text(&task).contains("broken"));
        assert_eq!(anew.retry(), anew);
    });
}

#[test]
fn failed_inputs_are_retried_once_also_when_shared() {
    guard(|| {
        let ex = executor(2);
        let is_mended = Arc::new(AtomicBool::new(false));
        let runs = Arc::new(AtomicUsize::new(0));
        let good_runs = Arc::new(AtomicUsize::new(0));
        let (look, counted) = (is_mended.clone(), runs.clone());
        let top = ex.task().retries(0).submit_result(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            if look.load(Ordering::Acquire) { Ok(1) } else { Err("broken") }
        });
        let counted = good_runs.clone();
        let good = ex.task().retries(0).submit(move || counted.fetch_add(1, Ordering::Relaxed));
        let left = ex.task().retries(0).after((&top, &good)).submit(|(n, _)| n + 1);
        let right = ex.task().retries(3).after(&top).submit(|n| n + 2);
        let bottom = ex.task().retries(0).after((&left, &[right])).submit(|(left, right)| left * right[0]);
        assert!(bottom.result().unwrap_err().is_dependency());
        good.wait().unwrap();
        is_mended.store(true, Ordering::Release);
        assert_eq!(bottom.retry().result().unwrap(), 6);
        assert_eq!((runs.load(Ordering::Relaxed), good_runs.load(Ordering::Relaxed)), (2, 1));
        assert!(top.error().is_some());
    });
}

#[test]
fn long_chains_of_failed_tasks_are_retried_without_recursion() {
    guard(|| {
        let ex = executor(2);
        let is_mended = Arc::new(AtomicBool::new(false));
        let look = is_mended.clone();
        let first =
            ex.task().retries(0).submit_result(move || if look.load(Ordering::Acquire) { Ok(0) } else { Err("no") });
        let last = (0..50_000).fold(first, |before, _| ex.task().retries(0).after(before).submit(|n| n + 1));
        assert!(last.result().is_err());
        is_mended.store(true, Ordering::Release);
        assert_eq!(last.retry().result().unwrap(), 50_000);
    });
}

#[test]
fn what_cannot_be_retried_says_so() {
    let ex = executor(1);
    let task = ex.submit_result(|| Err::<u32, _>("no"));
    task.wait().unwrap();
    let error = task.retry().error().unwrap();
    assert!(error.is_not_repeatable() && error.to_string().contains("retries(0)"), "{error}");
    let (_promise, unfinished) = ex.promise::<u32>();
    assert_eq!(unfinished.retry(), unfinished);
}

#[test]
fn closure_and_inputs_are_let_go_of_on_success_and_kept_after_failure() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let piece = drops.piece();
        let good = ex.task().retries(3).submit(move || size_of_val(&piece));
        good.wait().unwrap();
        assert_eq!(drops.count(), 1, "of a task that has a value");
        let piece = drops.piece();
        let input = ex.submit(|| 1);
        let fails = move |_: &i32| Err::<(), _>(format!("no {}", size_of_val(&piece)));
        let bad = ex.task().retries(1).after(&input).submit_result(fails);
        bad.wait().unwrap();
        assert_eq!(drops.count(), 1, "of a task that may be retried");
        let input = input.into_result().expect_err("the failed task has its input");
        drop(bad);
        until("the closure goes with the last handle", || drops.count() == 2);
        assert_eq!(input.into_result().expect("and so do the inputs").unwrap(), 1);
        let piece = drops.piece();
        let (_promise, never) = ex.promise::<u32>();
        let cancelled = ex.task().retries(1).after(&never).submit(move |_| size_of_val(&piece));
        cancelled.cancel("no");
        assert_eq!(drops.count(), 3, "of a task that was cancelled");
    });
}

#[test]
fn retrying_after_the_end_gives_a_cancelled_future() {
    let ex = Executor::builder().workers(1).build().unwrap();
    let task = ex.task().retries(0).submit_result(|| Err::<u32, _>("no"));
    task.wait().unwrap();
    ex.close();
    assert!(task.retry().cancelled());
}

/// An error whose drop panics.
#[derive(Debug)]
struct Bad;

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bad")
    }
}

impl std::error::Error for Bad {}

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("in the drop of an error");
    }
}

#[test]
fn an_error_that_panics_when_it_is_dropped_before_another_run_does_no_harm() {
    guard(|| {
        let ex = executor(1);
        let task = ex.task().retries(2).submit_result(|| Err::<(), _>(Bad));
        task.wait().unwrap();
        assert!(text(&task).contains("bad"));
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
    });
}

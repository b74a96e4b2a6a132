//! Waits block no progress: thousands at once, held locks, circles. What can never end is an error.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use heist::{Executor, TaskError, TaskFuture, as_completed, wait_all, wait_any};

use crate::support::{Count, busy, executor, guard};

/// `total` tasks wait for one promise, which the last of them keeps. The results of the waits.
fn a_crowd(workers: usize, spares: usize, total: usize) -> Vec<Result<u64, TaskError>> {
    let ex = Executor::builder().workers(workers).max_spare_threads(spares).stack_size(128 << 10).build().unwrap();
    let (promise, gate) = ex.promise::<u64>();
    let promise = Arc::new(Mutex::new(Some(promise)));
    let arrived = Count::default();
    let tasks = ex.map(0..total, move |_| {
        if arrived.add() == total {
            promise.lock().unwrap().take().unwrap().fulfil(42);
        }
        gate.result()
    });
    tasks.iter().map(|task| task.result().unwrap()).collect()
}

#[test]
fn ten_thousand_tasks_may_wait_for_what_the_last_of_them_does() {
    guard(|| {
        let results = a_crowd(2, 16_384, 10_000);
        assert!(results.iter().all(|result| *result.as_ref().unwrap() == 42));
    });
}

#[test]
fn with_too_few_threads_the_surplus_waits_are_errors_and_nothing_hangs() {
    guard(|| {
        for workers in [1, 2] {
            let results = a_crowd(workers, 256, 10_000);
            let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert!(good.iter().all(|result| *result.as_ref().unwrap() == 42));
            assert!(good.len() >= 256, "those that had a thread got the value: {}", good.len());
            assert!(!bad.is_empty());
            for result in bad {
                let error = result.unwrap_err();
                assert!(error.is_stalled(), "{error}");
                assert!(error.to_string().contains("256"), "it names the cap: {error}");
            }
        }
    });
}

#[test]
fn without_spare_threads_a_wait_for_a_queued_task_still_ends() {
    guard(|| {
        let ex = Executor::builder().workers(1).max_spare_threads(0).build().unwrap();
        let inner = ex.clone();
        let sum = ex.submit(move || {
            let parts = inner.map(0..10, |n| n);
            let last = inner.submit_after(&parts, |parts| parts.into_iter().sum::<i32>());
            last.result().unwrap()
        });
        assert_eq!(sum.result().unwrap(), 45);
    });
}

#[test]
fn at_the_cap_a_wait_that_an_outsider_ends_is_no_stall() {
    guard(|| {
        let ex = Executor::builder().workers(1).max_spare_threads(0).build().unwrap();
        let (promise, gate) = ex.promise::<i32>();
        let (started, is_started) = std::sync::mpsc::channel();
        let waiting = ex.submit(move || {
            started.send(()).unwrap();
            gate.result()
        });
        is_started.recv().unwrap();
        assert!(waiting.wait_timeout(Duration::from_millis(500)).unwrap_err().is_timeout(), "well beyond the grace");
        promise.fulfil(1);
        assert_eq!(waiting.result().unwrap().unwrap(), 1);
    });
}

#[test]
fn a_task_that_waits_for_itself_is_told() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let (promise, own) = ex.promise::<TaskFuture<bool>>();
            let task = ex.submit(move || {
                let own = own.result().unwrap();
                assert!(own.wait_timeout(Duration::from_millis(1)).is_err());
                own.result().unwrap_err().is_deadlock()
            });
            promise.fulfil(task.clone());
            assert!(task.result().unwrap());
        }
    });
}

#[test]
fn a_task_that_waits_for_its_own_dependent_is_told() {
    guard(|| {
        let ex = executor(2);
        let (promise, above) = ex.promise::<TaskFuture<i32>>();
        let task = ex.submit(move || i32::from(above.result().unwrap().result().unwrap_err().is_deadlock()));
        let dependent = ex.submit_after(&task, |n| n + 1);
        promise.fulfil(dependent.clone());
        assert_eq!(dependent.result().unwrap(), 2);
    });
}

/// Two tasks that wait for each other, each by `wait`; how many of them were told of a deadlock.
fn face_to_face(first: &Executor, second: &Executor, wait: fn(&TaskFuture<bool>) -> bool) -> usize {
    let (promise_a, other_a) = first.promise::<TaskFuture<bool>>();
    let (promise_b, other_b) = second.promise::<TaskFuture<bool>>();
    let a = first.submit(move || wait(&other_a.result().unwrap()));
    let b = second.submit(move || wait(&other_b.result().unwrap()));
    promise_a.fulfil(b.clone());
    promise_b.fulfil(a.clone());
    [a, b].iter().filter(|task| task.result().unwrap()).count()
}

#[test]
fn two_tasks_that_wait_for_each_other_are_told() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            for _ in 0..100 {
                let told = face_to_face(&ex, &ex, |other| other.result().is_err_and(|error| error.is_deadlock()));
                assert!((1..=2).contains(&told));
            }
        }
    });
}

#[test]
fn a_long_circle_of_waits_is_told() {
    guard(|| {
        let ex = executor(2);
        let (promises, gates): (Vec<_>, Vec<_>) = (0..50).map(|_| ex.promise::<TaskFuture<usize>>()).unzip();
        let tasks: Vec<_> = gates
            .into_iter()
            .map(|gate| {
                ex.submit(move || match gate.result().unwrap().result() {
                    Ok(told) => told,
                    Err(error) => usize::from(error.is_deadlock()),
                })
            })
            .collect();
        for (index, promise) in promises.into_iter().enumerate() {
            promise.fulfil(tasks[(index + 1) % tasks.len()].clone());
        }
        assert!(tasks.iter().all(|task| task.result().unwrap() == 1), "all end once one was told");
    });
}

#[test]
fn a_group_wait_for_oneself_is_told() {
    guard(|| {
        let ex = executor(2);
        let (promise, own) = ex.promise::<TaskFuture<bool>>();
        let task = ex.submit(move || {
            let own = own.result().unwrap();
            wait_all(&[own]).ended_early.is_some_and(|error| error.is_deadlock())
        });
        promise.fulfil(task.clone());
        assert!(task.result_timeout(Duration::from_secs(10)).expect("the wait hangs"));
    });
}

#[test]
fn reading_oneself_as_completed_is_told() {
    guard(|| {
        let ex = executor(2);
        let (promise, own) = ex.promise::<TaskFuture<bool>>();
        let task = ex.submit(move || {
            let mut completed = as_completed([own.result().unwrap()]);
            completed.next().is_none() && completed.ended_early().is_some_and(TaskError::is_deadlock)
        });
        promise.fulfil(task.clone());
        assert!(task.result_timeout(Duration::from_secs(10)).expect("the wait hangs"));
    });
}

#[test]
fn two_tasks_of_two_executors_that_wait_for_each_other_are_told() {
    guard(|| {
        let (first, second) = (executor(1), executor(1));
        let (first_too, second_too) = (first.clone(), second.clone());
        let (sender, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let is_deadlock = |other: &TaskFuture<bool>| other.result().is_err_and(|error| error.is_deadlock());
            let _ = sender.send(face_to_face(&first_too, &second_too, is_deadlock));
        });
        let told = told.recv_timeout(Duration::from_secs(10)).expect("the waits hang");
        assert!((1..=2).contains(&told));
    });
}

#[test]
fn a_wait_for_any_may_have_oneself_among_others() {
    guard(|| {
        let ex = executor(1);
        let (promise, own) = ex.promise::<TaskFuture<usize>>();
        let inner = ex.clone();
        let task = ex.submit(move || wait_any(&[own.result().unwrap(), inner.submit(|| 1)]).done.len());
        promise.fulfil(task.clone());
        assert_eq!(task.result().unwrap(), 1);
    });
}

#[test]
fn a_lock_held_across_a_wait_does_no_harm() {
    guard(|| {
        for workers in [1, 2, 4] {
            let ex = executor(workers);
            let shared = Arc::new(Mutex::new(0_u64));
            let inner = ex.clone();
            let tasks = ex.map(0..500_u64, {
                let shared = shared.clone();
                move |n| {
                    let mut sum = shared.lock().unwrap();
                    let children = inner.map(0..4_u64, move |child| n + child);
                    *sum += inner.gather(children).unwrap().into_iter().sum::<u64>();
                }
            });
            ex.gather(tasks).unwrap();
            assert_eq!(*shared.lock().unwrap(), (0..500).map(|n| 4 * n + 6).sum::<u64>());
        }
    });
}

#[test]
fn a_lock_held_across_a_wait_that_lends_the_core_does_no_harm() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let shared = Arc::new(Mutex::new(0_u64));
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let (shared, inner) = (shared.clone(), ex.clone());
                    ex.submit(move || {
                        let mut sum = shared.lock().unwrap();
                        let (promise, gate) = inner.promise::<u64>();
                        thread::spawn(move || promise.fulfil(1));
                        *sum += gate.result().unwrap();
                    })
                })
                .collect();
            ex.gather(tasks).unwrap();
            assert_eq!(*shared.lock().unwrap(), 100);
        }
    });
}

#[test]
fn a_task_may_wait_for_what_is_queued_behind_it() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = ex.promise::<i32>();
        let waiting = ex.map_after((0..50).map(|_| [] as [TaskFuture<()>; 0]), {
            let gate = gate.clone();
            move |[]| gate.result().unwrap()
        });
        ex.submit(move || promise.fulfil(3)).detach();
        assert!(ex.gather(waiting).unwrap().into_iter().all(|value| value == 3));
    });
}

/// A task that submits itself anew until somebody sets the flag.
fn again(ex: &Executor, flag: &Count) {
    if flag.get() == 0 {
        let (inner, flag) = (ex.clone(), flag.clone());
        ex.submit(move || again(&inner, &flag)).detach();
    }
}

#[test]
fn a_ready_task_runs_though_others_keep_submitting() {
    guard(|| {
        let ex = executor(1);
        let (flag, inner) = (Count::default(), ex.clone());
        let older = ex
            .submit(move || {
                let set = flag.clone();
                let older = inner.submit(move || set.add());
                again(&inner, &flag);
                older
            })
            .result()
            .unwrap();
        let ran = older.wait_timeout(Duration::from_secs(10)).is_ok();
        ex.close();
        assert!(ran, "it was ready for ten seconds, and every running task returned");
    });
}

#[test]
fn a_ready_task_from_outside_runs_though_others_keep_submitting() {
    guard(|| {
        let ex = executor(1);
        let (flag, inner) = (Count::default(), ex.clone());
        let seen = flag.clone();
        let busy = busy(&ex);
        ex.submit(move || again(&inner, &seen)).detach();
        let task = ex.submit(move || flag.add());
        drop(busy);
        let ran = task.wait_timeout(Duration::from_secs(10)).is_ok();
        ex.close();
        assert!(ran, "it was ready for ten seconds, and every running task returned");
    });
}

#[test]
fn a_ready_task_runs_though_an_async_one_keeps_yielding() {
    guard(|| {
        let ex = executor(1);
        let (flag, inner) = (Count::default(), ex.clone());
        let older = ex
            .submit(move || {
                let (set, seen) = (flag.clone(), flag);
                let older = inner.submit(move || set.add());
                inner
                    .spawn(std::future::poll_fn(move |context| {
                        if seen.get() > 0 {
                            return std::task::Poll::Ready(());
                        }
                        context.waker().wake_by_ref();
                        std::task::Poll::Pending
                    }))
                    .detach();
                older
            })
            .result()
            .unwrap();
        let ran = older.wait_timeout(Duration::from_secs(10)).is_ok();
        ex.close();
        assert!(ran, "it was ready for ten seconds, and every running task returned");
    });
}

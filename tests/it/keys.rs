//! Keys: the same task for the same key, for as long as anybody holds it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use heist::{Executor, Key, TaskFuture};

use crate::support::{busy, executor, guard, until};

#[test]
fn the_same_key_is_the_same_task_while_somebody_holds_it() {
    guard(|| {
        let ex = executor(2);
        let runs = Arc::new(AtomicUsize::new(0));
        let submit = |ex: &Executor| {
            let runs = runs.clone();
            ex.task().key("square").submit(move || runs.fetch_add(1, Ordering::Relaxed))
        };
        let first = submit(&ex);
        // A second handle of the executor is a second client of the same keys.
        let second = submit(&ex.clone());
        assert_eq!(first, second);
        assert_eq!((first.result().unwrap(), second.result().unwrap()), (0, 0));
        drop(first);
        assert_eq!(submit(&ex), second);
        drop(second);
        assert_eq!(submit(&ex).result().unwrap(), 1);
        // Without a key nothing is shared.
        let plain = || ex.task().name("square").submit(|| 1);
        assert_ne!(plain(), plain());
    });
}

#[test]
fn a_dependent_that_has_yet_to_run_holds_its_inputs_key() {
    guard(|| {
        let ex = executor(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let submit = || {
            let runs = runs.clone();
            ex.task().key(7).submit(move || runs.fetch_add(1, Ordering::Relaxed))
        };
        let (promise, other) = ex.promise::<usize>();
        let sum = ex.submit_after((submit(), &other), |(a, b)| a + b);
        assert_eq!(submit().result().unwrap(), 0);
        assert_eq!(submit().result().unwrap(), 0);
        promise.fulfil(10);
        assert_eq!(sum.result().unwrap(), 10);
        until("the dependent has let go of it", || submit().result().unwrap() > 0);
    });
}

#[test]
fn another_type_under_a_key_is_an_error_that_names_both() {
    let ex = executor(1);
    let _held = ex.task().key(("tile", 1)).submit(|| 1_u64);
    let error = ex.task().key(("tile", 1)).submit(String::new).error().unwrap();
    assert!(error.is_key_taken());
    let text = error.to_string();
    assert!(["tile[1]", "u64", "String"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn what_else_is_said_about_a_key_that_is_held_is_ignored() {
    let ex = executor(1);
    let first = ex.task().key("k").name("first").submit(|| 1);
    let second = ex.task().key("k").name("second").retries(3).submit(|| 2);
    assert_eq!((&first, second.result().unwrap()), (&second, 1));
    assert!(format!("{second:?}").contains("first"));
}

#[test]
fn an_unstarted_task_with_a_key_is_released_with_its_last_handle() {
    guard(|| {
        let ex = executor(1);
        let hold = busy(&ex);
        let runs = Arc::new(AtomicUsize::new(0));
        let submit = || {
            let runs = runs.clone();
            ex.task().key("k").submit(move || runs.fetch_add(1, Ordering::Relaxed))
        };
        drop((submit(), submit()));
        let again = submit();
        drop(hold);
        assert_eq!(again.result().unwrap(), 0);
    });
}

#[test]
fn the_value_of_a_task_with_a_key_can_be_moved_out() {
    guard(|| {
        let ex = executor(1);
        let submit = || ex.task().key("k").submit(|| std::cell::Cell::new(1));
        let first = submit();
        let second = first.clone();
        let first = first.into_result().expect_err("there is a second handle");
        drop(second);
        assert_eq!(first.into_result().unwrap().unwrap().get(), 1);
        let awaited = submit();
        assert_eq!(futures_block_on(&ex, awaited), 1);
        let again = submit();
        again.wait().unwrap();
        assert_eq!(again.into_result().unwrap().unwrap().get(), 1);
    });
}

fn futures_block_on(ex: &Executor, future: TaskFuture<std::cell::Cell<i32>>) -> i32 {
    ex.spawn(async move { future.into_result().unwrap().unwrap().get() }).result().unwrap()
}

#[test]
fn a_cancelled_task_leaves_its_key_and_its_handles_free_no_newer_one() {
    guard(|| {
        let ex = executor(1);
        let hold = busy(&ex);
        let old = ex.task().key("k").submit(|| 1);
        let other = old.clone();
        old.cancel("no longer needed");
        let new = ex.task().key("k").submit(|| 2);
        assert_ne!(old, new);
        drop((old, other));
        assert_eq!(ex.task().key("k").submit(|| 3), new);
        drop(hold);
        assert_eq!(new.result().unwrap(), 2);
    });
}

#[test]
fn a_failed_task_keeps_its_key_until_it_is_let_go_or_retried() {
    guard(|| {
        let ex = executor(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let submit = || {
            let runs = runs.clone();
            ex.task().key("k").retries(0).submit_result(move || match runs.fetch_add(1, Ordering::Relaxed) {
                0 => Err("once"),
                run => Ok(run),
            })
        };
        let failed = submit();
        assert!(failed.result().is_err());
        assert_eq!(submit(), failed);
        let retried = failed.retry();
        assert_eq!(retried.result().unwrap(), 1);
        assert_eq!(submit(), retried);
        assert_eq!(failed.retry(), retried);
        drop(failed);
        assert_eq!(submit(), retried);
    });
}

#[test]
fn each_of_a_map_has_a_key_of_its_own() {
    let ex = executor(2);
    let first = ex.task().key("square").map(0..4, |i| i * i);
    let second = ex.task().key("square").map(0..5, |i| i * i);
    assert_eq!(first[..], second[..4]);
    assert_eq!(ex.gather(second).unwrap(), [0, 1, 4, 9, 16]);
}

#[test]
fn keys_tell_text_and_numbers_apart() {
    let keys = [Key::from("a"), Key::from("a1"), ("a", 1).into(), ("a", 1, 2).into(), 1.into(), ("a1", 2).into()];
    let different: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
    assert_eq!(Key::from("a".to_owned()), keys[0]);
    assert_eq!(keys[3].to_string(), "a[1, 2]");
    // The type of a number is no part of it.
    for (index, same) in [("a", 1_usize).into(), Key::from(("a", 1_u8)), ("a", 1_isize).into()].iter().enumerate() {
        assert_eq!(*same, keys[2], "{index}");
    }
    assert_eq!((Key::from(("a", 1_usize, 2_u64)), Key::from(1_usize)), (keys[3].clone(), keys[4].clone()));
}

#[test]
fn async_tasks_have_keys_and_names() {
    guard(|| {
        let ex = executor(1);
        let first = ex.task().key("k").name("poller").spawn(async { 1 });
        let second = ex.task().key("k").spawn(async { 2 });
        assert_eq!(second.result().unwrap(), 1);
        assert!(first == second && format!("{first:?}").contains("poller"));
    });
}

#[test]
fn a_closed_executor_has_no_keys() {
    let ex = executor(1);
    ex.close();
    assert!(ex.task().key("k").submit(|| 1).cancelled());
    assert!(ex.task().key("k").submit(|| 2).cancelled());
}

#[test]
fn threads_that_race_for_a_key_get_one_task_and_its_end_is_seen_by_all() {
    guard(|| {
        const THREADS: usize = 4;
        const ROUNDS: usize = 2_000;
        let ex = executor(2);
        let running = Arc::new(AtomicUsize::new(0));
        let barrier = Arc::new(Barrier::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (ex, running, barrier) = (ex.clone(), running.clone(), barrier.clone());
                thread::spawn(move || {
                    barrier.wait();
                    for round in 0..ROUNDS {
                        let running = running.clone();
                        let task = ex.task().key("one").submit(move || {
                            assert_eq!(running.fetch_add(1, Ordering::AcqRel), 0, "two tasks of one key");
                            running.fetch_sub(1, Ordering::AcqRel);
                            Box::new(7_u64)
                        });
                        match round % 4 {
                            0 => drop(task),
                            1 => assert_eq!(*task.result().unwrap(), 7),
                            2 => assert!(task.into_result().unwrap_or_else(|shared| shared.result()).is_ok()),
                            _ => assert_eq!(**task.clone().value().unwrap(), 7),
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*ex.task().key("one").submit(|| Box::new(8_u64)).result().unwrap(), 8);
    });
}

#[test]
fn after_a_restart_keys_are_free_and_old_handles_free_no_new_ones() {
    guard(|| {
        let ex = executor(1);
        let submit = |value| ex.task().key("k").retries(0).submit(move || value);
        let done = ex.task().key("done").submit(|| 1);
        done.wait().unwrap();
        let hold = busy(&ex);
        let (old, other) = (submit(1), submit(1));
        ex.restart().unwrap();
        assert!(old.cancelled() && !done.cancelled());
        drop(hold);
        let new = submit(2);
        let anew = ex.task().key("done").submit(|| 2);
        drop((old, other));
        assert!(done.into_result().is_ok_and(|value| value.unwrap() == 1));
        assert_eq!((submit(3), new.result().unwrap()), (new.clone(), 2));
        assert_eq!(ex.task().key("done").submit(|| 3), anew);
    });
}

//! What the threads of an executor are in the middle of can be looked at, at any time, and what is seen is true.

use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{hint, thread};

use heist::{Executor, TaskFuture};

use crate::support::{Count, executor, guard, running, until};

#[test]
fn nothing_runs_in_an_idle_executor() {
    guard(|| {
        let ex = executor(2);
        assert!(ex.running().unwrap().is_empty() && ex.call_stack().unwrap().is_empty());
        ex.gather(ex.map(0..100, |n| n)).unwrap();
        until("all have ended", || ex.running().unwrap().is_empty());
        ex.close();
        assert!(ex.running().unwrap().is_empty());
    });
}

#[test]
fn a_running_task_is_seen_with_what_is_known_of_it() {
    guard(|| {
        let ex = executor(2);
        let before = Instant::now();
        let (end, task) = running(&ex, ());
        let started = Instant::now();
        let waited = Instant::now() + Duration::from_millis(5);
        until("a while has passed", || Instant::now() > waited);
        let least = started.elapsed();
        let seen = ex.running().unwrap();
        let most = before.elapsed();
        assert_eq!(seen.len(), 1);
        let seen = &seen[0];
        assert_eq!(seen.id, task.id());
        assert!(seen.name.contains("running"), "{}", seen.name);
        assert!(seen.location.file().ends_with("support.rs"), "{}", seen.location);
        assert!(seen.worker < 2 && !seen.waiting && !seen.seceded);
        assert!((least..=most).contains(&seen.since), "{least:?} {:?} {most:?}", seen.since);
        drop(end);
        task.wait().unwrap();
    });
}

#[test]
fn a_task_that_waits_is_seen_below_what_it_runs_meanwhile() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let (outer_id, inner_id, stack) = ex
            .submit(move || {
                let within = inner.clone();
                let child = inner.submit(move || within.call_stack().unwrap());
                (heist::current().unwrap().task_id(), child.id(), child.result().unwrap())
            })
            .result()
            .unwrap();
        assert_eq!(stack.len(), 1);
        let tasks = &stack[0].tasks;
        assert_eq!((tasks.len(), tasks[0].id, tasks[1].id), (2, outer_id, inner_id));
        assert!(tasks[0].waiting && !tasks[1].waiting);
        assert!(tasks[0].since >= tasks[1].since);
    });
}

#[test]
fn blocked_and_seceded_tasks_are_told_apart() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = ex.promise::<()>();
        let blocked = ex.submit(move || gate.result().is_ok());
        until("it sleeps", || ex.running().unwrap().iter().any(|task| task.waiting));
        let (end, ends) = mpsc::channel::<()>();
        let away = ex.submit(move || {
            let _away = heist::secede().unwrap();
            let _ = ends.recv();
        });
        until("it is away", || ex.running().unwrap().iter().any(|task| task.seceded));
        let seen = ex.running().unwrap();
        let of = |task| seen.iter().find(|seen| seen.id == task).unwrap();
        assert!(of(blocked.id()).waiting && !of(blocked.id()).seceded);
        assert!(of(away.id()).seceded && !of(away.id()).waiting);
        assert_eq!(seen.len(), 2);
        promise.fulfil(());
        drop(end);
        assert!(blocked.result().unwrap());
        away.wait().unwrap();
    });
}

/// Keeps the core for a while.
fn work(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        hint::spin_loop();
    }
}

#[test]
fn the_time_of_long_tasks_is_exact_after_a_flood_of_short_ones() {
    guard(|| {
        let ex = executor(1);
        let last = ex.map(0..20_000, |n| n).pop().unwrap();
        let inner = ex.clone();
        let tasks = ex.map(0..100, move |_| {
            let begin = Instant::now();
            work(Duration::from_millis(1));
            let own = begin.elapsed();
            let seen = inner.running().unwrap()[0].since;
            assert!(seen >= own, "it began before: {seen:?} {own:?}");
            seen - own
        });
        last.wait().unwrap();
        let mut off = ex.gather(tasks).unwrap().split_off(70);
        off.sort();
        assert!(off[off.len() / 2] < Duration::from_micros(500), "{off:?}");
    });
}

/// Parents that wait for children, some of them away, some blocked.
fn churn(ex: &Executor, rounds: usize) -> usize {
    let tasks = ex.map(0..rounds, {
        let inner = ex.clone();
        move |round| {
            let _away = if round % 50 == 0 { heist::secede().ok() } else { None };
            let children = inner.map(0..4, |n| n);
            let (promise, gate) = inner.promise::<usize>();
            if round % 20 == 0 {
                inner.submit(move || promise.fulfil(1)).detach();
                gate.result().unwrap();
            }
            inner.gather(children).unwrap().len()
        }
    });
    ex.gather(tasks).unwrap().into_iter().sum()
}

#[test]
fn looking_on_disturbs_nobody_and_sees_only_what_is_there() {
    guard(|| {
        let ex = executor(2);
        let (looks, over) = (Count::default(), Count::default());
        let lookers: Vec<_> = (0..2)
            .map(|_| {
                let (ex, looks, over) = (ex.clone(), looks.clone(), over.clone());
                thread::spawn(move || {
                    while over.get() == 0 {
                        for stack in ex.call_stack().unwrap() {
                            assert!(stack.worker < 2 && !stack.tasks.is_empty());
                            for task in stack.tasks {
                                assert!(task.name.contains("running::churn"), "{}", task.name);
                                assert!(task.location.file().ends_with("running.rs"));
                            }
                        }
                        looks.add();
                    }
                })
            })
            .collect();
        assert_eq!(churn(&ex, 5_000), 20_000);
        over.add();
        lookers.into_iter().for_each(|looker| looker.join().unwrap());
        assert!(looks.get() > 10, "{}", looks.get());
    });
}

#[test]
fn executors_may_end_while_they_are_looked_at() {
    guard(|| {
        for _ in 0..30 {
            let ex = executor(2);
            let looker = thread::spawn({
                let ex = ex.clone();
                move || (0..50).filter(|_| ex.running().is_ok()).count()
            });
            churn(&ex, 40);
            ex.close();
            assert_eq!(looker.join().unwrap(), 50);
        }
    });
}

#[test]
fn a_task_sees_itself_and_a_polled_future_is_seen_by_its_own_id() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let task: TaskFuture<Vec<heist::TaskId>> =
            ex.spawn(async move { inner.running().unwrap().iter().map(|task| task.id).collect() });
        assert!(task.result().unwrap().contains(&task.id()));
    });
}

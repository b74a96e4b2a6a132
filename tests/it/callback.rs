//! Callbacks run once each, in the order they were registered, whatever becomes of the task; detached tasks run.

use std::sync::{Arc, Mutex, mpsc};

use heist::{Shutdown, Status};

use crate::support::{Count, Drops, SOON, busy, executor, guard, never, running, until};

#[test]
fn a_callback_runs_once_for_a_value_an_error_a_cancel_and_when_late() {
    guard(|| {
        let ex = executor(2);
        let (sender, seen) = mpsc::channel();
        let tell = |name: &'static str| {
            let sender = sender.clone();
            move |future: &heist::TaskFuture<i32>| sender.send((name, future.status())).unwrap()
        };
        let busy = busy(&ex);
        let good = ex.submit(|| 1);
        good.on_done(tell("good"));
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        bad.on_done(tell("bad"));
        let dependent = ex.submit_after(&bad, |n| *n);
        dependent.on_done(tell("dependent"));
        let cancelled = ex.submit(|| 1);
        cancelled.on_done(tell("cancelled"));
        cancelled.cancel("no");
        assert_eq!(seen.try_recv(), Ok(("cancelled", Status::Cancelled)), "a cancel is told at once");
        drop(busy);
        let mut told: Vec<_> = (0..3).map(|_| seen.recv_timeout(SOON).unwrap()).collect();
        told.sort_by_key(|(name, _)| *name);
        assert_eq!(told, [("bad", Status::Failed), ("dependent", Status::Failed), ("good", Status::Finished)]);
        for future in [&good, &bad, &cancelled, &dependent] {
            let status = future.status();
            future.on_done(tell("late"));
            assert_eq!(seen.try_recv(), Ok(("late", status)), "at once, since it is done");
        }
        ex.shutdown(Shutdown::Wait);
        assert!(seen.try_recv().is_err(), "none ran twice");
    });
}

#[test]
fn callbacks_keep_the_order_of_registration() {
    guard(|| {
        let ex = executor(2);
        let (promise, future) = ex.promise();
        let order = Arc::new(Mutex::new(Vec::new()));
        for n in 0..1000 {
            let order = order.clone();
            future.on_done(move |_| order.lock().unwrap().push(n));
        }
        promise.fulfil(());
        assert_eq!(*order.lock().unwrap(), (0..1000).collect::<Vec<_>>());
    });
}

#[test]
fn the_order_holds_when_waits_in_between_were_given_up() {
    guard(|| {
        let ex = executor(2);
        let (promise, future) = ex.promise();
        let order = Arc::new(Mutex::new(Vec::new()));
        for n in 0..200 {
            let order = order.clone();
            future.on_done(move |_| order.lock().unwrap().push(n));
            for _ in 0..5 {
                assert!(future.wait_timeout(std::time::Duration::ZERO).is_err());
            }
        }
        promise.fulfil(());
        assert_eq!(*order.lock().unwrap(), (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn a_panic_in_a_callback_is_caught_and_the_others_run() {
    guard(|| {
        let ex = executor(1);
        let before = heist::drop_panics();
        let ran = Count::default();
        let future = ex.submit(|| 1);
        for n in 0..10 {
            let ran = ran.clone();
            future.on_done(move |_| {
                ran.add();
                assert!(n % 2 == 0, "odd");
            });
        }
        assert_eq!(future.result().unwrap(), 1);
        until("all callbacks ran", || ran.get() == 10);
        until("the panics are counted", || heist::drop_panics() >= before + 5);
        assert_eq!(ex.submit(|| 2).result().unwrap(), 2, "the worker goes on");
        future.on_done(|_| panic!("late, on the caller's thread"));
    });
}

#[test]
fn a_callback_may_submit_register_and_cancel() {
    guard(|| {
        let ex = executor(1);
        let (sender, seen) = mpsc::channel();
        let (_p, other) = never::<i32>(&ex);
        let (inner, victim) = (ex.clone(), other.clone());
        ex.submit(|| 20).on_done(move |future| {
            victim.cancel("by a callback");
            let (late, value) = (sender.clone(), future.try_result().unwrap().unwrap());
            future.on_done(move |_| late.send(1).unwrap());
            inner.submit(move || sender.send(value).unwrap()).detach();
        });
        assert_eq!(seen.recv_timeout(SOON), Ok(1));
        assert_eq!(seen.recv_timeout(SOON), Ok(20));
        assert!(other.result().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_callback_keeps_the_task_wanted() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let (sender, seen) = mpsc::channel();
        let future = ex.submit(|| 5);
        future.on_done(move |future| sender.send(future.result().unwrap()).unwrap());
        drop(future);
        drop(busy);
        assert_eq!(seen.recv_timeout(SOON), Ok(5));
    });
}

#[test]
fn a_callback_and_what_it_holds_is_dropped_once_it_ran() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (promise, future) = ex.promise();
        for _ in 0..10 {
            let piece = drops.piece();
            future.on_done(move |_| drop(piece));
        }
        assert_eq!(drops.count(), 0);
        promise.fulfil(());
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn a_detached_task_has_its_effect_though_the_future_is_gone() {
    guard(|| {
        let ex = executor(2);
        let busy = busy(&ex);
        let ran = Count::default();
        for _ in 0..100 {
            let ran = ran.clone();
            ex.submit(move || ran.add()).detach();
        }
        assert_eq!(ran.get(), 0);
        drop(busy);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 100);
        let stats = ex.stats();
        assert_eq!(stats.submitted, stats.finished, "nothing is left");
    });
}

#[test]
fn a_detached_task_that_fails_leaves_nothing_behind() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (held, value) = (drops.piece(), drops.piece());
        ex.submit(move || {
            let _held = held;
            panic!("unseen")
        })
        .detach();
        ex.submit_result(|| Err::<(), _>("unseen")).detach();
        ex.submit(move || value).detach();
        until("closure and value are dropped", || drops.count() == 2);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ex.stats().submitted, ex.stats().finished);
    });
}

#[test]
fn a_detached_task_keeps_its_inputs_and_gives_its_id() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = ex.promise::<i32>();
        let (sender, seen) = mpsc::channel();
        let middle = ex.submit_after(&gate, |n| n + 1);
        let last = ex.submit_after(&middle, move |n| sender.send(*n).unwrap());
        let id = last.id();
        assert_eq!(last.detach(), id);
        drop((middle, gate));
        promise.fulfil(1);
        assert_eq!(seen.recv_timeout(SOON), Ok(2));
    });
}

#[test]
fn a_running_or_finished_task_may_be_detached_too() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (end, task) = running(&ex, drops.piece());
        task.detach();
        end.send(()).unwrap();
        until("its value is dropped", || drops.count() == 1);
        let done = ex.submit({
            let piece = drops.piece();
            move || piece
        });
        done.wait().unwrap();
        done.detach();
        assert_eq!(drops.count(), 2);
    });
}

//! Detached tasks: they run, are listed until they are done, can be cancelled by id, and their errors are told.

use std::sync::mpsc::{self, Receiver};

use heist::{Executor, Shutdown, Status, TaskError, TaskId};

use crate::support::{Count, Drops, SOON, busy, executor, guard, never, running, until};

/// An executor of one worker, and what its hook is told.
fn told() -> (Executor, Receiver<(TaskId, TaskError)>) {
    let (sender, receiver) = mpsc::channel();
    let hook = move |id, error: &TaskError| sender.send((id, error.clone())).unwrap();
    (Executor::builder().workers(1).on_detached_error(hook).build().unwrap(), receiver)
}

fn listed(ex: &Executor) -> Vec<(TaskId, Status)> {
    ex.detached().into_iter().map(|task| (task.id, task.status)).collect()
}

#[test]
fn they_are_listed_until_they_are_done() {
    guard(|| {
        let ex = executor(1);
        assert!(ex.detached().is_empty());
        let (end, first) = running(&ex, 1);
        let (promise, gate) = ex.promise::<i32>();
        let first = first.detach();
        let second = ex.submit(|| 2).detach();
        let third = ex.task().name("third").after(&gate).submit(|n| *n).detach();
        let kept = ex.submit(|| 4);
        assert_eq!(listed(&ex), [(first, Status::Running), (second, Status::Ready), (third, Status::Waiting)]);
        assert_eq!(ex.detached()[2].name, "third");
        assert!(ex.detached()[1].name.contains("they_are_listed"), "the type of its closure");
        end.send(()).unwrap();
        kept.wait().unwrap();
        until("what has run is gone", || listed(&ex) == [(third, Status::Waiting)]);
        promise.fulfil(1);
        until("all are gone", || ex.detached().is_empty());
    });
}

#[test]
fn a_cancelled_one_never_runs_and_a_running_one_is_told() {
    guard(|| {
        let (ex, told) = told();
        let (started, is_started) = mpsc::channel();
        let saw = Count::default();
        let running = ex.submit({
            let saw = saw.clone();
            move || {
                started.send(()).unwrap();
                while !heist::cancelled() {
                    std::hint::spin_loop();
                }
                saw.add();
            }
        });
        let queued = ex.submit({
            let saw = saw.clone();
            move || saw.add()
        });
        let held = ex.submit(|| 1);
        is_started.recv_timeout(SOON).unwrap();
        let (running, queued) = (running.detach(), queued.detach());
        assert!(!ex.cancel_detached(held.id(), "is not detached"));
        for id in [queued, running] {
            assert!(ex.cancel_detached(id, "superseded"));
            assert!(!ex.cancel_detached(id, "twice"));
            let (told_id, error) = told.recv_timeout(SOON).unwrap();
            assert_eq!((told_id, error.cancel_reason().unwrap().text()), (id, "superseded"));
        }
        assert_eq!(held.result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(saw.get(), 1, "only the one that ran");
        assert!(ex.detached().is_empty());
    });
}

#[test]
fn every_error_is_told_once_and_no_success() {
    guard(|| {
        let (ex, told) = told();
        let busy = busy(&ex);
        let panics = ex.submit(|| -> i32 { panic!("panics") });
        let inherits = ex.submit_after(&panics, |n| *n);
        let fails = ex.submit_result(|| "x".parse::<i32>());
        let async_fails = ex.spawn(async { panic!("panics too") });
        ex.submit(|| 1).detach();
        let ids = [panics.detach(), inherits.detach(), fails.detach(), async_fails.detach()];
        assert_eq!(ex.detached().len(), 5);
        drop(busy);
        ex.shutdown(Shutdown::Wait);
        let mut all: Vec<_> = told.try_iter().collect();
        all.sort_by_key(|(id, _)| *id);
        assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
        assert!(all[0].1.is_panic() && !all[0].1.is_dependency());
        assert!(all[1].1.is_panic() && all[1].1.is_dependency());
        assert!(all[2].1.is_failed() && all[3].1.is_panic());
    });
}

#[test]
fn one_that_is_done_is_not_listed_and_its_error_is_told_at_once() {
    guard(|| {
        let (ex, told) = told();
        let good = ex.submit(|| 1);
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        good.wait().unwrap();
        bad.wait().unwrap();
        good.detach();
        let bad = bad.detach();
        assert!(ex.detached().is_empty());
        assert_eq!(told.try_recv().unwrap().0, bad);
        assert!(told.try_recv().is_err());
    });
}

#[test]
fn a_hook_that_panics_does_no_harm() {
    guard(|| {
        let ex = Executor::builder().workers(1).on_detached_error(|_, _| panic!("in the hook")).build().unwrap();
        let before = heist::drop_panics();
        ex.submit(|| panic!("bad")).detach();
        until("it is counted", || heist::drop_panics() > before);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn an_orderly_end_waits_for_them_and_a_quick_one_cancels_them() {
    guard(|| {
        let (ex, told) = told();
        let ran = Count::default();
        for _ in 0..1000 {
            let ran = ran.clone();
            ex.submit(move || ran.add()).detach();
        }
        ex.shutdown(Shutdown::Wait);
        assert_eq!(ran.get(), 1000);
        assert!(told.try_recv().is_err());

        let (ex, told) = self::told();
        let (_promise, gate) = never::<i32>(&ex);
        let id = ex.submit_after(&gate, |n| *n).detach();
        ex.close();
        let (told_id, error) = told.recv_timeout(SOON).unwrap();
        assert!(told_id == id && error.cancel_reason().unwrap().is_executor_closed());
        assert!(ex.detached().is_empty());
    });
}

#[test]
fn nothing_is_left_of_many_from_everywhere() {
    guard(|| {
        let ex = executor(2);
        let other = executor(1);
        let drops = Drops::default();
        let hold = busy(&ex);
        let (promise, gate) = ex.promise::<()>();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2500 {
                        let piece = drops.piece();
                        ex.submit_after(&gate, move |()| piece).detach();
                    }
                });
            }
        });
        assert_eq!(ex.detached().len(), 10_000);
        drop(hold);
        // Of another executor, by a task; and a task's own.
        let inner = ex.clone();
        let (piece, own) = (drops.piece(), drops.piece());
        let waits = gate.clone();
        other.submit(move || inner.submit_after(&waits, move |()| piece).detach()).wait().unwrap();
        let (inner, waits) = (ex.clone(), gate.clone());
        ex.submit(move || inner.submit_after(&waits, move |()| own).detach()).wait().unwrap();
        assert_eq!((ex.detached().len(), other.detached().len()), (10_002, 0));
        drop(gate);
        promise.fulfil(());
        ex.shutdown(Shutdown::Wait);
        assert_eq!((drops.count(), ex.detached().len()), (10_002, 0));
    });
}

#[test]
fn of_a_task_that_runs_again_only_the_last_error_is_told() {
    guard(|| {
        let (ex, told) = told();
        let (runs, ran) = (Count::default(), Count::default());
        let (asked, counted) = (runs.clone(), ran.clone());
        let asks = ex.task().retries(0).submit_result(move || match asked.add() {
            1..4 => Err(heist::Reschedule),
            _ => Ok(()),
        });
        let fails = ex.task().retries(2).submit_result(move || Err::<(), _>(format!("failure {}", counted.add())));
        asks.detach();
        let id = fails.detach();
        ex.shutdown(Shutdown::Wait);
        assert_eq!((runs.get(), ran.get()), (4, 3));
        let all: Vec<_> = told.try_iter().map(|(id, error)| (id, error.to_string())).collect();
        assert!(all.len() == 1 && all[0].0 == id && all[0].1.contains("failure 3"), "{all:?}");
    });
}

#[test]
fn a_restart_is_told_too_and_what_is_detached_later_is_spared() {
    guard(|| {
        let (ex, told) = told();
        let hold = busy(&ex);
        let ran = Count::default();
        let counting = || {
            let ran = ran.clone();
            ex.submit(move || ran.add())
        };
        let old = counting().detach();
        ex.restart().unwrap();
        counting().detach();
        let (id, error) = told.recv_timeout(SOON).unwrap();
        assert!(id == old && error.cancel_reason().unwrap().is_restart());
        drop(hold);
        ex.shutdown(Shutdown::Wait);
        assert_eq!((ran.get(), ex.detached().len(), told.try_iter().count()), (1, 0, 0));
    });
}

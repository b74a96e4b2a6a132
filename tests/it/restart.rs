//! `restart` cancels what was submitted before, all of it, and nothing that is submitted after.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use heist::{Executor, Priority, Shutdown, TaskError, TaskFuture};

use crate::support::{Count, Drops, SOON, busy, executor, guard, never, running, until};

fn is_restart(error: &TaskError) -> bool {
    error.cancel_reason().is_some_and(heist::CancelReason::is_restart)
}

/// Whether a task has ended, by a restart.
fn was_restarted<T: Send + 'static>(task: &TaskFuture<T>) -> bool {
    task.done() && task.error().is_some_and(|error| is_restart(&error))
}

#[test]
fn whatever_was_submitted_before_is_cancelled_at_once() {
    guard(|| {
        for workers in [1, 2, 3] {
            let ex = executor(workers);
            let busy = busy(&ex);
            let (_promise, kept_waiting) = never::<i32>(&ex);
            let queued = ex.map(0..200, |n| n);
            let one = ex.submit(|| 1);
            let after = ex.submit_after(&one, |n| n + 1);
            let after_never = ex.submit_after(&kept_waiting, |n| n + 1);
            let tolerant = ex.submit_after_results(&kept_waiting, |result| result.is_err());
            let polled = ex.spawn(async { 1 });
            let urgent = ex.task().priority(Priority::HIGH).submit(|| 1);
            let idle_time = ex.task().priority(Priority::LOWEST).submit(|| 1);
            let bound = ex.task().place(heist::Place::Worker(0)).submit(|| 1);

            ex.restart().unwrap();
            assert!(queued.iter().all(was_restarted));
            for task in [&one, &after, &after_never, &kept_waiting, &polled, &urgent, &idle_time, &bound] {
                assert!(was_restarted(task), "{:?}", task.error());
            }
            assert!(tolerant.error().is_some_and(|error| is_restart(&error)));
            drop(busy);
            assert_eq!(ex.gather(ex.map(0..200, |n| n)).unwrap().len(), 200);
            ex.shutdown(Shutdown::Wait);
            let stats = ex.stats();
            assert_eq!(stats.submitted, stats.finished);
        }
    });
}

#[test]
fn a_running_task_learns_of_it_and_what_it_returns_is_discarded() {
    guard(|| {
        let ex = executor(2);
        let (started, is_started) = mpsc::channel();
        let drops = Drops::default();
        let piece = drops.piece();
        let task = ex.submit(move || {
            started.send(()).unwrap();
            until("it is told", heist::cancelled);
            piece
        });
        is_started.recv_timeout(SOON).unwrap();
        ex.restart().unwrap();
        assert!(was_restarted(&task));
        until("its value is dropped", || drops.count() == 1);
        assert_eq!(ex.stats().discarded, 1);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn waits_within_tasks_end_too() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = never::<()>(&ex);
        let (told, is_told) = mpsc::channel();
        let inner = ex.clone();
        let waiting = ex.submit(move || {
            let child = inner.submit_after(&gate, |()| 1);
            told.send(child.result().unwrap_err()).unwrap();
        });
        until("it waits", || ex.running().unwrap().iter().any(|task| task.waiting));
        ex.restart().unwrap();
        assert!(is_restart(&is_told.recv_timeout(SOON).unwrap()));
        assert!(was_restarted(&waiting));
        promise.fulfil(());
    });
}

#[test]
fn a_task_may_restart_its_own_executor() {
    guard(|| {
        let ex = executor(2);
        let (told, is_told) = mpsc::channel();
        let inner = ex.clone();
        let task = ex.submit(move || {
            let before = inner.submit(|| 1);
            inner.restart().unwrap();
            let after = inner.submit(|| 2);
            told.send((heist::cancelled(), before.done(), after.result().unwrap())).unwrap();
        });
        assert_eq!(is_told.recv_timeout(SOON).unwrap(), (true, true, 2));
        assert!(was_restarted(&task));
    });
}

#[test]
fn a_callback_may_restart_the_executor_again() {
    guard(|| {
        let ex = executor(2);
        let (_promise, gate) = never::<i32>(&ex);
        let (told, is_told) = mpsc::channel();
        let inner = ex.clone();
        gate.on_done(move |_| told.send(inner.restart().is_ok()).unwrap());
        ex.restart().unwrap();
        assert!(is_told.recv_timeout(SOON).unwrap());
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
    });
}

#[test]
fn what_is_closed_is_not_restarted() {
    guard(|| {
        let ex = executor(1);
        ex.close();
        assert!(ex.restart().unwrap_err().is_closed());
    });
}

#[test]
fn an_old_future_does_not_free_a_new_key() {
    guard(|| {
        let ex = executor(1);
        let (end, busy) = running(&ex, ());
        let old = ex.task().key("a").submit(|| 1);
        ex.restart().unwrap();
        let new = ex.task().key("a").submit(|| 2);
        assert!(was_restarted(&old));
        drop(old);
        let same = ex.task().key("a").submit(|| 3);
        drop(end);
        assert_eq!((new.result().unwrap(), same.result().unwrap()), (2, 2));
        assert_eq!(new.id(), same.id());
        assert!(was_restarted(&busy));
    });
}

#[test]
fn resources_come_back_when_a_closure_has_really_ended() {
    guard(|| {
        let ex = Executor::builder().workers(2).resource("gpu", 1).build().unwrap();
        let (started, is_started) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let first = ex.task().resource("gpu", 1).submit(move || {
            started.send(()).unwrap();
            let _ = ends.recv();
        });
        is_started.recv_timeout(SOON).unwrap();
        let waiting: Vec<_> = (0..100).map(|_| ex.task().resource("gpu", 1).submit(|| ())).collect();
        ex.restart().unwrap();
        assert!(waiting.iter().all(was_restarted) && was_restarted(&first));
        let next = ex.task().resource("gpu", 1).submit(|| 1);
        assert_eq!(ex.submit(|| 2).result().unwrap(), 2);
        assert!(!next.done(), "the old closure still has it");
        drop(end);
        assert_eq!(next.result().unwrap(), 1);
    });
}

/// Restarts again and again while others submit from inside and outside. Nothing old starts late; nothing new is harmed.
#[test]
fn restarts_among_submissions_cancel_the_old_and_spare_the_new() {
    guard(|| {
        let ex = executor(2);
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let (spared, cancelled) = (Count::default(), Count::default());
        let submitter = |inside: bool| {
            let (ex, begun, ended, over) = (ex.clone(), begun.clone(), ended.clone(), over.clone());
            let (spared, cancelled) = (spared.clone(), cancelled.clone());
            move || {
                while !over.load(Ordering::SeqCst) {
                    let (ended, before) = (ended.load(Ordering::SeqCst), begun.load(Ordering::SeqCst));
                    let inner = ex.clone();
                    let task = ex.submit(move || if inside { inner.submit(|| 1).result() } else { Ok(1) });
                    let after = ex.submit_after(&task, Clone::clone);
                    let value = after.result();
                    match value {
                        Ok(Ok(1)) => {
                            spared.add();
                        }
                        Ok(Ok(_)) => panic!("another's value"),
                        Ok(Err(error)) | Err(error) => {
                            assert!(is_restart(&error), "{error}");
                            let during = ended != before || begun.load(Ordering::SeqCst) != before;
                            assert!(during, "it was submitted when no restart was under way");
                            cancelled.add();
                        }
                    }
                }
            }
        };
        let threads = [false, true, false].map(|inside| thread::spawn(submitter(inside)));
        for round in 0..300 {
            let (late, returned) = (Count::default(), Arc::new(AtomicBool::new(false)));
            let old = ex.map(0..100, {
                let (late, returned) = (late.clone(), returned.clone());
                move |_| {
                    if returned.load(Ordering::SeqCst) {
                        late.add();
                    }
                }
            });
            begun.fetch_add(1, Ordering::SeqCst);
            ex.restart().unwrap();
            returned.store(true, Ordering::SeqCst);
            ended.fetch_add(1, Ordering::SeqCst);
            for task in old {
                assert!(task.result().is_ok() || task.error().is_some_and(|error| is_restart(&error)));
            }
            // One may have begun just before, and have looked just after.
            assert!(late.get() <= 2, "round {round}: {} began after the restart", late.get());
            let target = spared.get() + 10;
            until("the others go on", || spared.get() >= target);
        }
        over.store(true, Ordering::SeqCst);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(spared.get() > 0 && cancelled.get() > 0);
        ex.shutdown(Shutdown::Wait);
        let stats = ex.stats();
        assert_eq!(stats.submitted, stats.finished);
    });
}

/// What is submitted within a callback of the restart's own is new, and so is its key.
#[test]
fn a_key_taken_while_it_restarts_stays_taken() {
    guard(|| {
        let ex = executor(1);
        let (_promise, old) = never::<i32>(&ex);
        let (send, sent) = mpsc::channel();
        let inner = ex.clone();
        old.on_done(move |_| send.send(inner.task().key("key").submit(|| 1)).unwrap());
        ex.restart().unwrap();
        let new = sent.recv().unwrap();
        assert_eq!(ex.task().key("key").submit(|| 2), new);
        assert_eq!(new.result().unwrap(), 1);
    });
}

//! The end of an executor: what runs, what is cancelled, and that nobody is left waiting.

use std::sync::mpsc;
use std::thread;

use heist::{CancelReason, Executor, Shutdown, TaskFuture, wait_all};

use crate::support::{Count, Drops, SOON, busy, executor, guard, never, running, until};

#[test]
fn closing_twice_is_fine() {
    guard(|| {
        let ex = executor(2);
        ex.submit(|| 1).result().unwrap();
        ex.close();
        ex.close();
        ex.shutdown(Shutdown::Wait);
        ex.shutdown(Shutdown::Cancel);
    });
}

#[test]
fn what_is_submitted_after_close_is_born_cancelled_with_a_short_message() {
    guard(|| {
        let ex = executor(1);
        let before = ex.scatter(1);
        ex.close();
        let ran = Count::default();
        let count = ran.clone();
        let mut futures = vec![
            ex.submit(move || i32::try_from(count.add()).unwrap()),
            ex.submit_after(&before, |n| *n),
            ex.submit_result(|| Ok::<_, &str>(1)),
            ex.submit_after_results(&before, |_| 1),
            ex.spawn(async { 1 }),
            ex.promise().1,
        ];
        futures.extend(ex.map(0..3, |n| n));
        futures.extend(ex.map_after([&before], |n| *n));
        for future in &futures {
            assert!(future.done() && future.cancelled());
            let error = future.result().unwrap_err();
            let reason = error.cancel_reason().unwrap();
            assert!(reason.is_executor_closed());
            assert_eq!(reason.text(), "executor closed");
            assert!(error.to_string().len() < 100, "{error}");
        }
        assert_eq!(ran.get(), 0);
        assert_eq!(before.result().unwrap(), 1, "values stay");
        assert_eq!(ex.scatter(2).result().unwrap(), 2, "a value needs no worker");
    });
}

#[test]
fn a_promise_made_after_close_is_not_wanted() {
    guard(|| {
        let ex = executor(1);
        ex.close();
        let (promise, future) = ex.promise();
        assert!(!promise.is_wanted());
        promise.fulfil(1);
        assert!(future.result().unwrap_err().is_cancelled());
    });
}

#[test]
fn waiting_for_the_end_runs_everything_also_what_tasks_submit() {
    fn grow(ex: &Executor, depth: u32, ran: &Count) {
        ran.add();
        if depth > 0 {
            for _ in 0..2 {
                let (inner, ran) = (ex.clone(), ran.clone());
                ex.submit(move || grow(&inner, depth - 1, &ran)).detach();
            }
        }
    }
    guard(|| {
        let ex = executor(2);
        let ran = Count::default();
        let (inner, count) = (ex.clone(), ran.clone());
        let (end, slow) = running(&ex, ());
        ex.submit_after(&slow, move |()| grow(&inner, 10, &count)).detach();
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.shutdown(Shutdown::Wait)
        });
        until("it takes nothing new from outside", || ex.submit(|| ()).cancelled());
        end.send(()).unwrap();
        closing.join().unwrap();
        assert_eq!(ran.get(), (1 << 11) - 1);
        assert_eq!(ex.stats().submitted, ex.stats().finished);
    });
}

#[test]
fn waiting_for_the_end_waits_for_promises_too() {
    guard(|| {
        let ex = executor(1);
        let (promise, future) = ex.promise();
        let dependent = ex.submit_after(&future, |n: &i32| n + 1);
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.shutdown(Shutdown::Wait)
        });
        until("it is closing", || ex.submit(|| ()).cancelled());
        assert!(!dependent.done());
        promise.fulfil(1);
        closing.join().unwrap();
        assert_eq!(dependent.result().unwrap(), 2);
    });
}

#[test]
fn a_cancel_ends_a_wait_for_the_end() {
    guard(|| {
        let ex = executor(1);
        let (promise, future) = never::<i32>(&ex);
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.shutdown(Shutdown::Wait)
        });
        until("it is closing", || ex.submit(|| ()).cancelled());
        ex.close();
        closing.join().unwrap();
        assert!(future.result().unwrap_err().cancel_reason().unwrap().is_executor_closed());
        drop(promise);
    });
}

#[test]
fn closing_waits_for_running_tasks_and_cancels_the_rest() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let ran = Count::default();
        let (end, runs) = running(&ex, 5);
        let piece = drops.piece();
        let (_p, promised) = never::<i32>(&ex);
        let waiting = ex.submit_after(&promised, |n| n + 1);
        let count = ran.clone();
        let queued = ex.submit(move || {
            drop(piece);
            count.add()
        });
        let detached = ran.clone();
        ex.submit(move || detached.add()).detach();
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.close()
        });
        until("it is closing", || ex.submit(|| ()).cancelled());
        until("what waits is cancelled", || promised.cancelled() && waiting.cancelled());
        assert!(!runs.done());
        end.send(()).unwrap();
        closing.join().unwrap();
        assert_eq!(runs.result().unwrap(), 5, "what ran has its value");
        let error = queued.result().unwrap_err();
        assert_eq!(error.cancel_reason().map(CancelReason::text), Some("executor closed"));
        assert_eq!((ran.get(), drops.count()), (0, 1));
    });
}

#[test]
fn a_running_task_can_see_that_the_executor_closes() {
    guard(|| {
        let ex = executor(1);
        let (started, is_started) = mpsc::channel();
        let task = ex.submit(move || {
            started.send(()).unwrap();
            while !heist::cancelled() {
                thread::yield_now();
            }
        });
        is_started.recv_timeout(SOON).unwrap();
        ex.close();
        task.result().unwrap();
    });
}

#[test]
fn whoever_waits_is_told_at_the_close() {
    guard(|| {
        let ex = executor(2);
        let (_p, future) = never::<i32>(&ex);
        let queue = [future.clone(), ex.submit_after(&future, |n| n + 1)];
        thread::scope(|scope| {
            let single = scope.spawn(|| queue[1].result().unwrap_err());
            let group = scope.spawn(|| wait_all(&queue).done.len());
            let all = scope.spawn(|| heist::as_completed(queue.clone()).count());
            let inside = ex.submit({
                let future = future.clone();
                move || future.result().unwrap_err().is_cancelled()
            });
            until("it runs", || inside.status() == heist::Status::Running);
            ex.close();
            assert!(single.join().unwrap().is_cancelled());
            assert_eq!((group.join().unwrap(), all.join().unwrap()), (2, 2));
            assert!(inside.result().unwrap(), "a running task's wait ends too");
        });
    });
}

#[test]
fn a_task_may_close_its_own_executor() {
    guard(|| {
        for how in [Shutdown::Wait, Shutdown::Cancel] {
            let ex = executor(2);
            let inner = ex.clone();
            let task = ex.submit(move || {
                inner.shutdown(how);
                7
            });
            assert_eq!(task.result().unwrap(), 7);
            ex.shutdown(how);
        }
    });
}

#[test]
fn a_task_may_drop_the_last_handle() {
    guard(|| {
        for _ in 0..100 {
            let ex = executor(2);
            let (promise, own) = ex.promise::<Executor>();
            let (sender, ended) = mpsc::channel();
            ex.submit(move || {
                drop(own.into_result().ok().unwrap().unwrap());
                sender.send(heist::cancelled()).unwrap();
            })
            .detach();
            promise.fulfil(ex);
            assert!(ended.recv_timeout(SOON).unwrap(), "the executor is closing from then on");
        }
    });
}

#[test]
fn a_task_of_another_executor_may_drop_the_last_handle() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let slow = ex.submit(|| 1);
        let closed = other.submit(move || {
            drop(ex);
            2
        });
        assert_eq!(closed.result().unwrap(), 2);
        assert!(slow.done());
    });
}

#[test]
fn a_callback_may_drop_the_last_handle() {
    guard(|| {
        let ex = executor(1);
        let (sender, ended) = mpsc::channel();
        let future = ex.submit(|| 1);
        future.on_done(move |_| {
            drop(ex);
            sender.send(()).unwrap();
        });
        ended.recv_timeout(SOON).unwrap();
        assert_eq!(future.result().unwrap(), 1);
    });
}

#[test]
fn results_outlive_the_executor() {
    guard(|| {
        let ex = executor(2);
        let (good, bad) = (ex.submit(|| vec![1, 2]), ex.submit(|| -> i32 { panic!("bad") }));
        let (promise, promised) = never::<i32>(&ex);
        wait_all(std::slice::from_ref(&good));
        wait_all(std::slice::from_ref(&bad));
        drop(ex);
        assert_eq!(good.result().unwrap(), [1, 2]);
        assert!(bad.result().unwrap_err().is_panic());
        assert!(promised.cancelled());
        promise.fulfil(1);
        assert_eq!(good.into_result().unwrap().unwrap(), [1, 2]);
    });
}

#[test]
fn the_last_drop_closes_and_no_earlier_one() {
    guard(|| {
        let ex = executor(1);
        let clone = ex.clone();
        let (_p, future) = never::<i32>(&ex);
        drop(ex);
        assert!(!future.done());
        assert_eq!(clone.submit(|| 1).result().unwrap(), 1);
        drop(clone);
        assert!(future.cancelled());
    });
}

#[test]
fn submitting_while_it_closes_leaves_no_future_undone() {
    guard(|| {
        for how in [Shutdown::Wait, Shutdown::Cancel] {
            for _ in 0..100 {
                let ex = executor(2);
                let submitters: Vec<_> = (0..3)
                    .map(|_| {
                        let ex = ex.clone();
                        thread::spawn(move || {
                            let mut futures: Vec<TaskFuture<i32>> = Vec::new();
                            while !futures.last().is_some_and(TaskFuture::cancelled) {
                                futures.push(ex.submit(|| 1));
                                futures.push(ex.submit_after(&futures[futures.len() - 1], |n| n + 1));
                                futures.extend(ex.map(0..3, |n| n));
                                futures.push(ex.spawn(async { 1 }));
                            }
                            futures
                        })
                    })
                    .collect();
                until("tasks run", || ex.stats().executed > 10);
                ex.shutdown(how);
                for submitter in submitters {
                    let futures = submitter.join().unwrap();
                    let sets = heist::wait_all_timeout(&futures, SOON);
                    assert!(sets.not_done.is_empty(), "{} of {} are left", sets.not_done.len(), futures.len());
                }
                assert_eq!(ex.stats().submitted, ex.stats().finished);
            }
        }
    });
}

#[test]
fn an_executor_may_be_made_and_dropped_many_times() {
    guard(|| {
        for _ in 0..300 {
            let ex = executor(3);
            drop(ex.map(0..10, |n| n));
        }
    });
}

#[test]
fn a_queued_task_is_not_started_by_a_close() {
    guard(|| {
        let ex = executor(1);
        let ran = Count::default();
        let busy = busy(&ex);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let ran = ran.clone();
                ex.submit(move || ran.add())
            })
            .collect();
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.close()
        });
        until("it is closing", || ex.submit(|| ()).cancelled());
        drop(busy);
        closing.join().unwrap();
        assert_eq!(ran.get(), 0);
        assert!(tasks.iter().all(TaskFuture::cancelled));
    });
}

//! Every wait ends when the task that waits is cancelled, or its executor, and leaves no trace.

use std::sync::Arc;
use std::sync::mpsc;

use heist::{Barrier, Event, Executor, Lock, MultiLock, Queue, Semaphore, Shutdown, TaskError, Variable};

use crate::support::{SOON, executor, guard, until};
use crate::sync_support::{LONG, SHORT, blocked};

type Wait = Box<dyn FnOnce() -> Option<TaskError> + Send>;

/// A primitive that nobody can have: how to wait for it, and whether it is as before.
struct Case {
    what: &'static str,
    wait: Wait,
    is_untouched: Box<dyn FnOnce() -> bool>,
}

fn case(
    what: &'static str,
    wait: impl FnOnce() -> Option<TaskError> + Send + 'static,
    is_untouched: impl FnOnce() -> bool + 'static,
) -> Case {
    Case { what, wait: Box::new(wait), is_untouched: Box::new(is_untouched) }
}

fn cases(ex: &Executor) -> Vec<Case> {
    let mut cases = Vec::new();
    for timed in [false, true] {
        let (lock, other) = (Lock::new(), Lock::new());
        let held = lock.lock().unwrap();
        let (a, b) = (lock.clone(), lock.clone());
        let wait = move || if timed { a.lock_timeout(LONG).err() } else { a.lock().err() };
        cases.push(case("lock", wait, move || {
            drop(held);
            b.try_lock().is_some()
        }));

        let held = other.lock().unwrap();
        let free = Lock::new();
        let (set, free_too, other_too) = (MultiLock::new([&free, &other]), free.clone(), other.clone());
        let wait = move || if timed { set.lock_timeout(LONG).err() } else { set.lock().err() };
        cases.push(case("set of locks", wait, move || {
            let is_free = free_too.try_lock().is_some();
            drop(held);
            is_free && other_too.try_lock().is_some()
        }));

        let semaphore = Semaphore::new(3).unwrap();
        let held = semaphore.acquire_many(2).unwrap();
        let too = semaphore.clone();
        let wait =
            move || if timed { semaphore.acquire_many_timeout(2, LONG).err() } else { semaphore.acquire_many(2).err() };
        cases.push(case("semaphore", wait, move || {
            drop(held);
            too.try_acquire_many(3).unwrap().is_some()
        }));

        let event = Event::new();
        let too = event.clone();
        let wait = move || if timed { event.wait_timeout(LONG).err() } else { event.wait().err() };
        cases.push(case("event", wait, move || !too.is_set()));

        let barrier = Barrier::new(2);
        let too = barrier.clone();
        let wait = move || if timed { barrier.wait_timeout(LONG).err() } else { barrier.wait().err() };
        cases.push(case("barrier", wait, move || too.waiting() == 0));

        let full = Queue::bounded(1);
        full.put(1).unwrap();
        let too = full.clone();
        let wait = move || {
            let put = if timed { full.put_timeout(2, LONG) } else { full.put(2) };
            put.err().map(TaskError::from)
        };
        cases.push(case("put", wait, move || too.get_all() == [1]));

        let empty = Queue::unbounded();
        let too = empty.clone();
        let wait = move || if timed { empty.get_timeout(LONG).err() } else { empty.get().err() };
        cases.push(case("get", wait, move || {
            too.put(1).unwrap();
            too.get_all() == [1]
        }));

        let some = Queue::unbounded();
        some.put(1).unwrap();
        let too = some.clone();
        let wait = move || if timed { some.get_batch_timeout(2, LONG).err() } else { some.get_batch(2).err() };
        cases.push(case("batch", wait, move || too.get_all() == [1]));

        let variable = Variable::<u32>::new();
        let too = variable.clone();
        let wait = move || if timed { variable.get_timeout(LONG).err() } else { variable.get().err() };
        cases.push(case("variable", wait, move || !too.is_set()));

        let variable = Variable::<u32>::new();
        let mut watch = variable.watch();
        let wait = move || if timed { watch.next_timeout(LONG).err() } else { watch.next().err() };
        cases.push(case("watch", wait, move || !variable.is_set()));

        let mut heard = ex.subscribe::<u32>("x").unwrap();
        let wait = move || if timed { heard.recv_timeout(LONG).err() } else { heard.recv().err() };
        cases.push(case("topic", wait, || true));
    }
    cases
}

#[test]
fn a_cancelled_task_ends_its_wait_whatever_it_waits_for() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            for Case { what, wait, is_untouched } in cases(&ex) {
                let (ended, has_ended) = mpsc::channel();
                let task = blocked(&ex, move || ended.send(wait()).unwrap());
                assert!(task.cancel("enough"));
                let error = has_ended.recv_timeout(SOON).unwrap();
                assert!(error.as_ref().is_some_and(TaskError::is_cancelled), "{what}: {error:?}");
                assert!(is_untouched(), "{what}");
            }
        }
    });
}

#[test]
fn a_closing_executor_ends_the_waits_of_its_tasks_and_not_those_of_others() {
    guard(|| {
        let other = executor(1);
        let own = executor(1);
        let kept = Event::new();
        let waiting_on = blocked(&other, {
            let kept = kept.clone();
            move || kept.wait()
        });
        for Case { what, wait, is_untouched } in cases(&own) {
            let ex = executor(1);
            let (ended, has_ended) = mpsc::channel();
            let _task = blocked(&ex, move || ended.send(wait()).unwrap());
            ex.shutdown(Shutdown::Cancel);
            let error = has_ended.try_recv().unwrap();
            let reason = error.as_ref().and_then(TaskError::cancel_reason);
            assert!(reason.is_some_and(heist::CancelReason::is_executor_closed), "{what}: {error:?}");
            assert!(is_untouched(), "{what}");
        }
        assert!(!waiting_on.done());
        kept.set();
        waiting_on.result().unwrap().unwrap();
    });
}

#[test]
fn a_task_that_was_cancelled_before_does_not_wait_at_all() {
    guard(|| {
        let ex = executor(1);
        let event = Event::new();
        let (begun, has_begun) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel();
        let task = ex.submit(move || {
            begun.send(()).unwrap();
            until("it is cancelled", heist::cancelled);
            ended.send(event.wait()).unwrap();
        });
        has_begun.recv_timeout(SOON).unwrap();
        task.cancel("enough");
        assert!(has_ended.recv_timeout(SOON).unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cancelled_async_task_leaves_the_line() {
    guard(|| {
        let ex = executor(1);
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let alive = Arc::new(());
        let task = ex.spawn({
            let (lock, alive) = (lock.clone(), alive.clone());
            async move {
                let _guard = lock.lock_async().await.unwrap();
                drop(alive);
            }
        });
        ex.submit(|| ()).wait().unwrap();
        task.cancel("enough");
        until("its future is dropped", || Arc::strong_count(&alive) == 1);
        drop(held);
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn a_helped_task_that_is_cancelled_ends_its_wait_alone() {
    guard(|| {
        let ex = executor(1);
        let event = Event::new();
        let (shown, inner) = mpsc::channel();
        let outer = ex.submit({
            let (ex, event) = (ex.clone(), event.clone());
            move || {
                let inner = ex.submit(move || event.wait().map_err(|error| error.is_cancelled()));
                shown.send(inner.clone()).unwrap();
                // Runs it right here.
                inner.wait().unwrap();
                inner.cancelled()
            }
        });
        let inner = inner.recv_timeout(SOON).unwrap();
        until("it runs", || inner.status() == heist::Status::Running);
        inner.cancel("enough");
        assert!(outer.result().unwrap());
        event.set();
    });
}

#[test]
fn grants_and_cancels_that_race_lose_nothing() {
    guard(|| {
        let ex = executor(2);
        let semaphore = Semaphore::new(1).unwrap();
        let queue = Queue::unbounded();
        for round in 0..300 {
            let held = semaphore.acquire().unwrap();
            let tasks = ex.map(0..3, {
                let (semaphore, queue) = (semaphore.clone(), queue.clone());
                move |_| {
                    let got = queue.get();
                    semaphore.acquire().map(drop).and(got.map(|_: i32| ())).is_ok()
                }
            });
            queue.put(round).unwrap();
            tasks[round as usize % 3].cancel("now");
            drop(held);
            tasks.iter().for_each(|task| {
                task.cancel("and the rest");
            });
            until("all permits are back", || semaphore.available() == 1);
        }
        ex.shutdown(Shutdown::Cancel);
        assert!(semaphore.try_acquire().unwrap().is_some());
    });
}

/// Of those that wait some give up in time, some are cancelled, some get in; then everything is there again.
#[test]
fn timeouts_cancels_and_grants_at_once_leave_every_permit_and_lock_free() {
    guard(|| {
        let ex = executor(2);
        let (semaphore, locks) = (Semaphore::new(3).unwrap(), [Lock::new(), Lock::new()]);
        for round in 0..40 {
            let held = (semaphore.acquire_many(3).unwrap(), locks[round % 2].lock().unwrap());
            let tasks = ex.map(0..12_usize, {
                let (semaphore, locks) = (semaphore.clone(), locks.clone());
                move |task| {
                    let time = if task % 3 == 0 { SHORT / 20 } else { LONG };
                    let permit = semaphore.acquire_many_timeout(1 + task % 3, time);
                    let set = MultiLock::new(&locks);
                    let set = if task % 2 == 0 { set.lock_timeout(time) } else { set.lock_any_timeout(1, time) };
                    let is_known = |error: &TaskError| error.is_timeout() || error.is_cancelled();
                    assert!(permit.as_ref().err().is_none_or(is_known) && set.as_ref().err().is_none_or(is_known));
                }
            });
            tasks.iter().skip(round % 4).step_by(4).for_each(|task| {
                task.cancel("in the middle");
            });
            drop(held);
            for task in &tasks {
                assert!(task.result().err().is_none_or(|error| error.is_cancelled()));
            }
            until("all permits are back", || semaphore.available() == 3);
            until("all locks are free", || locks.iter().all(|lock| lock.try_lock().is_some()));
        }
    });
}

#[test]
fn a_cancelled_task_holds_its_permit_and_its_lock_until_it_really_ends() {
    guard(|| {
        let ex = executor(2);
        let (semaphore, lock) = (Semaphore::new(1).unwrap(), Lock::new());
        let (has, it_has) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let holder = ex.submit({
            let (semaphore, lock) = (semaphore.clone(), lock.clone());
            move || {
                let _held = (semaphore.acquire().unwrap(), lock.lock().unwrap());
                has.send(()).unwrap();
                let _ = ends.recv();
            }
        });
        it_has.recv_timeout(SOON).unwrap();
        assert!(holder.cancel("enough"));
        let waiting = ex.submit({
            let (semaphore, lock) = (semaphore.clone(), lock.clone());
            move || (semaphore.acquire().is_ok(), lock.lock().is_ok())
        });
        assert!(semaphore.try_acquire().unwrap().is_none() && lock.try_lock().is_none() && !waiting.done());
        drop(end);
        assert_eq!(waiting.result().unwrap(), (true, true));
    });
}

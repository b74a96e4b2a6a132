//! Futures under any async runtime, and std futures as tasks. The runtime here is the smallest there can be.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use heist::{Executor, TaskFuture, as_completed, wait_all_async, wait_any_async, wait_n_async};

use crate::support::{Count, Drops, SOON, busy, executor, guard, never, running, until};

struct Unpark(Thread);
impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A whole async runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Wakes(AtomicUsize);
impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    (wakes.clone(), wakes.into())
}

#[test]
fn a_future_is_awaited_under_a_foreign_runtime() {
    guard(|| {
        let ex = executor(2);
        let (promise, gate) = ex.promise();
        let sum = ex.submit_after(&gate, |n| n + 1);
        let other = thread::spawn({
            let sum = sum.clone();
            move || block_on(async move { (&sum).await.unwrap() + sum.await.unwrap() })
        });
        promise.fulfil(20);
        assert_eq!(other.join().unwrap(), 42);
        assert_eq!(block_on(sum.into_future()).unwrap(), 21, "done ones too");
    });
}

#[test]
fn errors_and_cancels_are_awaited_too() {
    guard(|| {
        let ex = executor(1);
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        assert!(block_on(bad.into_future()).unwrap_err().is_panic());
        let (_p, future) = never::<i32>(&ex);
        let waiting = thread::spawn({
            let future = future.clone();
            move || block_on(future.into_future())
        });
        future.cancel("no");
        assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn an_owned_await_moves_the_value_when_it_is_the_only_handle() {
    guard(|| {
        let ex = executor(1);
        let value = block_on(ex.submit(|| Arc::new(1)).into_future()).unwrap();
        assert_eq!(Arc::strong_count(&value), 1);
        let shared = ex.submit(|| Arc::new(1));
        let value = block_on(shared.clone().into_future()).unwrap();
        assert_eq!(Arc::strong_count(&value), 2);
        drop(shared);
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    guard(|| {
        let ex = executor(1);
        let (promise, future) = ex.promise::<i32>();
        let mut awaited = (&future).into_future();
        let (old_wakes, old) = counting();
        let (new_wakes, new) = counting();
        for _ in 0..1000 {
            assert!(Pin::new(&mut awaited).poll(&mut Context::from_waker(&old)).is_pending());
        }
        assert!(Pin::new(&mut awaited).poll(&mut Context::from_waker(&new)).is_pending());
        promise.fulfil(1);
        assert_eq!((old_wakes.0.load(Ordering::SeqCst), new_wakes.0.load(Ordering::SeqCst)), (0, 1));
        assert!(Pin::new(&mut awaited).poll(&mut Context::from_waker(&new)).is_ready());
    });
}

#[test]
fn an_abandoned_await_wakes_nobody_and_keeps_no_waker() {
    guard(|| {
        let ex = executor(1);
        let (promise, future) = ex.promise::<i32>();
        let (wakes, waker) = counting();
        for _ in 0..10_000 {
            let mut awaited = (&future).into_future();
            assert!(Pin::new(&mut awaited).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(Arc::strong_count(&wakes), 2, "the wakers of dropped awaits are gone");
        promise.fulfil(1);
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        assert_eq!(future.result().unwrap(), 1);
    });
}

#[test]
fn many_awaits_of_one_future_all_get_it() {
    guard(|| {
        let ex = executor(2);
        let (promise, future) = ex.promise::<i32>();
        let waits: Vec<_> = (0..100)
            .map(|_| {
                let future = future.clone();
                ex.spawn(async move { future.await.unwrap() })
            })
            .collect();
        promise.fulfil(3);
        assert!(ex.gather(waits).unwrap().into_iter().all(|value| value == 3));
    });
}

#[test]
fn a_spawned_future_is_polled_on_workers_and_gives_its_output() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let task = ex.spawn(async move {
            assert!(heist::current().is_some(), "it is a task");
            let a = inner.submit(|| 1);
            let b = inner.spawn(async { 2 });
            let many = inner.map(0..10, |n| n);
            let sets = wait_all_async(&many).await;
            assert_eq!(sets.done.len(), 10);
            a.await.unwrap() + b.await.unwrap()
        });
        assert_eq!(task.result().unwrap(), 3);
    });
}

#[test]
fn a_spawned_future_is_an_input_like_any_task() {
    guard(|| {
        let ex = executor(2);
        let (promise, gate) = ex.promise::<i32>();
        let task = ex.spawn(async move { gate.await.unwrap() + 1 });
        let after = ex.submit_after((&task, &ex.submit(|| 10)), |(a, b)| a + b);
        assert!(!task.done());
        promise.fulfil(1);
        assert_eq!(ex.gather((after, task)).unwrap(), (12, 2));
    });
}

#[test]
fn waiting_async_tasks_hold_no_worker() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = ex.promise::<u64>();
        let tasks: Vec<_> = (0..10_000)
            .map(|_| {
                let gate = gate.clone();
                ex.spawn(async move { gate.await.unwrap() })
            })
            .collect();
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        promise.fulfil(1);
        assert_eq!(ex.gather(tasks).unwrap().into_iter().sum::<u64>(), 10_000);
        assert_eq!(ex.stats().spare_threads, 0);
    });
}

#[test]
fn a_panic_in_a_spawned_future_is_its_error() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let piece = drops.piece();
        let (promise, gate) = ex.promise::<i32>();
        let task = ex.spawn(async move {
            let _piece = piece;
            let n = gate.await.unwrap();
            assert!(n == 0, "not zero");
        });
        promise.fulfil(1);
        let error = task.result().unwrap_err();
        assert_eq!((error.panic_message(), error.task()), (Some("not zero"), Some(task.id())));
        until("the body is dropped", || drops.count() == 1);
    });
}

#[test]
fn cancelling_a_spawned_task_drops_its_body() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (piece, (_p, gate)) = (drops.piece(), never::<i32>(&ex));
        let (started, is_started) = mpsc::channel();
        let task = ex.spawn(async move {
            let _piece = piece;
            started.send(()).unwrap();
            gate.await.unwrap()
        });
        is_started.recv_timeout(SOON).unwrap();
        assert_eq!(drops.count(), 0);
        task.cancel("no longer");
        assert!(task.result().unwrap_err().is_cancelled());
        until("the body is dropped at its await", || drops.count() == 1);
    });
}

#[test]
fn a_spawned_task_cancelled_before_its_first_poll_is_never_polled() {
    guard(|| {
        let ex = executor(1);
        let (drops, polls) = (Drops::default(), Count::default());
        let busy = busy(&ex);
        let (piece, count) = (drops.piece(), polls.clone());
        let body = async move {
            let _piece = piece;
            count.add();
        };
        let task = ex.spawn(body);
        task.cancel("no");
        drop(busy);
        until("the body is dropped", || drops.count() == 1);
        let (piece, count) = (drops.piece(), polls.clone());
        let busy = crate::support::busy(&ex);
        drop(ex.spawn(async move {
            let _piece = piece;
            count.add();
        }));
        drop(busy);
        until("released before its start: dropped", || drops.count() == 2);
        assert_eq!(polls.get(), 0);
    });
}

#[test]
fn a_spawned_task_that_has_begun_ends_without_handles() {
    guard(|| {
        let ex = executor(1);
        let (promise, gate) = ex.promise::<i32>();
        let (sender, seen) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let task = ex.spawn(async move {
            started.send(()).unwrap();
            sender.send(gate.await.unwrap()).unwrap();
        });
        is_started.recv_timeout(SOON).unwrap();
        drop(task);
        promise.fulfil(4);
        assert_eq!(seen.recv_timeout(SOON), Ok(4));
    });
}

#[test]
fn a_running_poll_sees_that_it_is_cancelled() {
    guard(|| {
        let ex = executor(1);
        let (started, is_started) = mpsc::channel();
        let (saw, seen) = mpsc::channel();
        let task = ex.spawn(async move {
            started.send(()).unwrap();
            while !heist::cancelled() {
                thread::yield_now();
            }
            saw.send(()).unwrap();
        });
        is_started.recv_timeout(SOON).unwrap();
        task.cancel("stop");
        seen.recv_timeout(SOON).unwrap();
    });
}

/// Gives way once.
fn yield_once() -> impl Future<Output = ()> {
    let mut first = true;
    poll_fn(move |context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
}

#[test]
fn a_wake_during_a_poll_is_not_lost() {
    guard(|| {
        let ex = executor(2);
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                ex.spawn(async move {
                    for _ in 0..100 {
                        yield_once().await;
                    }
                    n
                })
            })
            .collect();
        assert_eq!(ex.gather(tasks).unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn wakes_from_many_threads_poll_one_at_a_time() {
    guard(|| {
        let ex = executor(2);
        let (sender, wakers) = mpsc::channel::<Waker>();
        let (inside, polls) = (Count::default(), Count::default());
        let seen = polls.clone();
        let task = ex.spawn(poll_fn(move |context| {
            assert_eq!(inside.add(), 1, "never two polls at once");
            let _ = sender.send(context.waker().clone());
            thread::yield_now();
            inside.sub();
            if seen.add() > 1000 { Poll::Ready(()) } else { Poll::Pending }
        }));
        let waker = wakers.recv_timeout(SOON).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                let (waker, task) = (waker.clone(), &task);
                scope.spawn(move || {
                    while !task.done() {
                        waker.wake_by_ref();
                        thread::yield_now();
                    }
                });
            }
        });
        task.result().unwrap();
        waker.wake();
    });
}

#[test]
fn groups_are_awaited_with_the_same_sets() {
    guard(|| {
        let ex = executor(1);
        let (_p, never) = never::<i32>(&ex);
        let futures = [never, ex.submit(|| 1), ex.submit(|| -> i32 { panic!("bad") })];
        let sets = block_on(wait_n_async(&futures, 2));
        assert_eq!((sets.done.len(), sets.not_done.len()), (2, 1));
        assert_eq!(sets.done[0].id(), futures[1].id());
        assert_eq!(block_on(wait_any_async(&futures)).done.len(), 2);
        assert_eq!(block_on(wait_all_async(&futures[1..])).done.len(), 2);
        let none: [TaskFuture<i32>; 0] = [];
        assert!(block_on(wait_all_async(&none)).done.is_empty());
    });
}

#[test]
fn completions_are_awaited() {
    guard(|| {
        let ex = executor(2);
        let sum = block_on(async {
            let mut completed = as_completed(ex.map(0..100, |n| n));
            let mut sum = 0;
            while let Some((future, value)) = completed.next_async().await {
                assert!(future.done());
                sum += value.unwrap();
            }
            sum
        });
        assert_eq!(sum, 4950);
    });
}

#[test]
fn an_await_from_another_executors_task_works() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let there = other.submit(|| 1);
        let here = ex.spawn(async move { there.await.unwrap() + 1 });
        assert_eq!(here.result().unwrap(), 2);
    });
}

#[test]
fn closing_drops_the_bodies_of_waiting_async_tasks() {
    guard(|| {
        let ex = executor(1);
        let (outside, other) = (executor(1), Drops::default());
        let (_p, gate) = never::<i32>(&outside);
        let piece = other.piece();
        let (started, is_started) = mpsc::channel();
        let task = ex.spawn(async move {
            let _piece = piece;
            started.send(()).unwrap();
            gate.await.unwrap()
        });
        is_started.recv_timeout(SOON).unwrap();
        ex.close();
        assert!(task.cancelled());
        until("the body is dropped", || other.count() == 1);
    });
}

#[test]
fn blocking_waits_within_async_tasks_are_allowed() {
    fn block(ex: &Executor) -> i32 {
        ex.submit(|| 1).result().unwrap()
    }
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let (end, slow) = running(&executor(1), 5);
        let task = ex.spawn(async move { block(&inner) + slow.result().unwrap() });
        end.send(()).unwrap();
        assert_eq!(task.result().unwrap(), 6);
    });
}

//! Coordination where things meet that rarely do: two ways to wait at once, user code that panics on the way.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use heist::{Lock, Queue, Semaphore, Variable};

use crate::support::{executor, guard};
use crate::sync_support::{ByHand, blocked};

fn poll_next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    match Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item,
        Poll::Pending => None,
    }
}

#[test]
fn a_subscription_that_is_polled_and_then_asked_hears_each_event_once_and_in_order() {
    let ex = executor(1);
    let mut heard = ex.subscribe::<u32>("x").unwrap();
    assert_eq!(poll_next(&mut heard), None);
    ex.log_event("x", 1_u32).unwrap();
    ex.log_event("x", 2_u32).unwrap();
    assert_eq!(heard.try_recv().unwrap(), Some(1));
    assert_eq!(poll_next(&mut heard), Some(2));
    assert_eq!((poll_next(&mut heard), heard.missed()), (None, 0));
    ex.log_event("x", 3_u32).unwrap();
    assert_eq!(heard.recv().unwrap(), 3);
    assert_eq!(poll_next(&mut heard), None);
    ex.log_event("x", 4_u32).unwrap();
    assert_eq!(heard.recv_timeout(Duration::ZERO).unwrap(), 4);
    assert_eq!(poll_next(&mut heard), None);
    ex.log_event("x", 5_u32).unwrap();
    assert_eq!(
        pin!(heard.recv_async()).poll(&mut Context::from_waker(Waker::noop())).map(Result::ok),
        Poll::Ready(Some(5))
    );
    assert_eq!((poll_next(&mut heard), heard.missed()), (None, 0));
}

#[test]
fn a_watch_that_is_polled_and_then_asked_never_goes_back() {
    let variable = Variable::new();
    let mut watch = variable.watch();
    assert_eq!(poll_next(&mut watch), None);
    variable.set(1);
    variable.set(2);
    assert_eq!(watch.try_next(), Some(2));
    assert_eq!(poll_next(&mut watch), None);
    variable.set(3);
    variable.set(4);
    assert_eq!(watch.next().unwrap(), 4);
    assert_eq!(poll_next(&mut watch), None);
    variable.set(5);
    variable.set(6);
    assert_eq!(watch.next_timeout(Duration::ZERO).unwrap(), 6);
    assert_eq!(poll_next(&mut watch), None);
}

#[test]
fn what_was_replaced_before_it_was_looked_at_is_not_seen_by_those_who_were_waiting_for_it() {
    let variable = Variable::new();
    let mut watch = variable.watch();
    let mut getting = ByHand::waiting(variable.get_async());
    assert_eq!(poll_next(&mut watch), None);
    variable.set(1);
    variable.set(2);
    assert_eq!((poll_next(&mut watch), poll_next(&mut watch)), (Some(2), None));
    assert_eq!(getting.ready().unwrap(), 2);
}

/// Panics when it is dropped; its clones do not.
struct Bad {
    armed: bool,
}

impl Clone for Bad {
    fn clone(&self) -> Self {
        Self { armed: false }
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        assert!(!self.armed, "in the drop of a value");
    }
}

fn panics(call: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

#[test]
fn a_value_whose_drop_panics_keeps_nobody_waiting_for_the_next() {
    let variable = Variable::new();
    variable.set(Bad { armed: true });
    let mut watch = variable.watch();
    watch.next().unwrap();
    let mut waiting = ByHand::waiting(async move { watch.next_async().await.map(drop) });
    assert!(panics(|| variable.set(Bad { armed: false })));
    waiting.ready().unwrap();
}

#[test]
fn an_old_event_whose_drop_panics_keeps_nobody_waiting_for_the_next() {
    let ex = executor(1);
    ex.log_event("x", Bad { armed: true }).unwrap();
    (1..1_000).for_each(|_| ex.log_event("x", Bad { armed: false }).unwrap());
    let mut heard = ex.subscribe::<Bad>("x").unwrap();
    let mut waiting = ByHand::waiting(async move { heard.recv_async().await.map(drop) });
    assert!(panics(|| ex.log_event("x", Bad { armed: false }).unwrap()));
    waiting.ready().unwrap();
}

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        std::mem::forget(self);
    }
}

/// Polls a future for the first time, with a waker whose drop panics and that only the future has.
fn wait_badly<T>(future: impl Future<Output = T> + 'static) -> Pin<Box<dyn Future<Output = T>>> {
    let mut future: Pin<Box<dyn Future<Output = T>>> = Box::pin(future);
    let waker = Waker::from(Arc::new(Bad { armed: true }));
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    future
}

#[test]
fn a_waker_whose_drop_panics_keeps_nobody_behind_it_waiting() {
    let semaphore = Semaphore::new(2).unwrap();
    let _one = semaphore.acquire().unwrap();
    let many = wait_badly(semaphore.acquire_many_async(2));
    let mut one = ByHand::waiting(semaphore.acquire_async());
    let before = heist::drop_panics();
    drop(many);
    assert_eq!(one.ready().unwrap().count(), 1);

    let queue = Queue::unbounded();
    queue.put(1).unwrap();
    let batch = wait_badly(queue.get_batch_async(2));
    let mut one = ByHand::waiting(queue.get_async());
    drop(batch);
    assert_eq!(one.ready().unwrap(), 1);
    assert!(heist::drop_panics() >= before + 2);
}

#[test]
fn a_wait_that_is_polled_with_another_waker_lives_through_the_panic_of_the_first() {
    let lock = Lock::new();
    let held = lock.lock().unwrap();
    let mut waiting = wait_badly(lock.lock_async());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(held);
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(lock.try_lock().is_some());
}

#[test]
fn what_is_in_the_hands_of_those_who_put_is_there_for_all_ways_to_get() {
    let queue = Queue::bounded(0);
    let mut puts: Vec<_> = (0..3).map(|n| ByHand::waiting(queue.put_async(n))).collect();
    assert_eq!(queue.try_get().unwrap(), Some(0));
    assert_eq!(queue.get_all(), [1, 2]);
    assert!(puts.iter_mut().all(|put| put.ready().is_ok()));
    assert!(queue.get_all().is_empty());
}

#[test]
fn a_seceded_task_waits_as_any_other_and_is_cancelled_as_any_other() {
    guard(|| {
        let ex = executor(1);
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let waiting = || {
            let lock = lock.clone();
            blocked(&ex, move || {
                let _seceded = heist::secede().unwrap();
                lock.lock().is_ok()
            })
        };
        let (first, second) = (waiting(), waiting());
        first.cancel("enough");
        drop(held);
        assert!(second.result().unwrap());
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn timeouts_drops_and_grants_that_race_lose_no_permit() {
    guard(|| {
        let semaphore = Semaphore::new(3).unwrap();
        let threads: Vec<_> = (1..=4_u64)
            .map(|thread| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    let mut seed = thread;
                    for _ in 0..2_000 {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let (way, count) = ((seed >> 33) % 3, 1 + (seed >> 40) as usize % 3);
                        let held = match way {
                            0 => semaphore.acquire_many_timeout(count, Duration::from_micros(seed >> 59)).ok(),
                            1 => Some(semaphore.acquire_many(count).unwrap()),
                            _ => ByHand::new(semaphore.acquire_many_async(count)).poll().map(Result::unwrap),
                        };
                        assert!(held.is_none_or(|held| held.count() == count));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available(), 3);
        assert!(semaphore.try_acquire_many(3).unwrap().is_some());
    });
}

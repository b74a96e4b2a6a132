//! Habits that could pile up on one future that never ends: after ten times as many, no more memory is held.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use heist::{Event, Executor, Lock, MultiLock, Promise, Queue, TaskFuture, Variable, as_completed, wait_any_timeout};

use crate::Live;

/// What may be held beyond what was held after a tenth of the work.
const SLACK: usize = 64 << 10;

/// An executor with a future that never ends.
pub(crate) struct Scene {
    ex: Executor,
    never: TaskFuture<u64>,
    _promise: Promise<u64>,
}

/// Does something a number of times, of which the factor says how many.
pub(crate) type Habit = (usize, fn(&Scene));

/// Each habit with its part in ten million.
pub(crate) const HABITS: &[(&str, Habit)] = &[
    ("polls and drops", (1, poll_and_drop)),
    ("polls and drops of an owned future", (10, poll_and_drop_owned)),
    ("waits that time out", (10, time_out)),
    ("dependents that are dropped", (10, drop_dependent)),
    ("dependents of two that are dropped", (10, drop_dependent_of_two)),
    ("dependents that are cancelled", (10, cancel_dependent)),
    ("dependents of dependents that are dropped", (10, drop_chain)),
    ("groups that time out", (10, group)),
    ("iterators that are dropped", (10, iterate)),
    ("clones that are dropped", (1, clone)),
    ("detached tasks that are cancelled", (10, cancel_detached)),
    #[cfg(feature = "io")]
    ("timers that are dropped", (1, drop_timer)),
    #[cfg(feature = "io")]
    ("watches, and waits for them, that are dropped", (100, drop_watch)),
    ("primitives by name that are dropped", (10, open_by_name)),
    ("waits for primitives that are dropped or time out", (10, wait_for_primitives)),
];

fn poll(future: impl Future + Unpin) {
    let mut future = future;
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn poll_and_drop(scene: &Scene) {
    poll(IntoFuture::into_future(&scene.never));
}

fn poll_and_drop_owned(scene: &Scene) {
    poll(scene.never.clone().into_future());
}

fn time_out(scene: &Scene) {
    assert!(scene.never.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
}

fn drop_dependent(scene: &Scene) {
    drop(scene.ex.submit_after(&scene.never, |n| n + 1));
}

fn drop_dependent_of_two(scene: &Scene) {
    drop(scene.ex.submit_after((&scene.never, &scene.never), |(a, b)| a + b));
}

fn cancel_dependent(scene: &Scene) {
    assert!(scene.ex.submit_after(&scene.never, |n| n + 1).cancel("enough"));
}

fn drop_chain(scene: &Scene) {
    let next = scene.ex.submit_after(&scene.never, |n| n + 1);
    drop(scene.ex.submit_after((next, &scene.never), |(a, b)| a + b));
}

fn group(scene: &Scene) {
    let never = std::slice::from_ref(&scene.never);
    assert!(wait_any_timeout(never, Duration::ZERO).done.is_empty());
}

fn iterate(scene: &Scene) {
    assert_eq!(as_completed([scene.never.clone(), scene.never.clone()]).len(), 2);
}

fn clone(scene: &Scene) {
    drop(scene.never.clone());
}

fn cancel_detached(scene: &Scene) {
    let id = scene.ex.submit_after(&scene.never, |n| n + 1).detach();
    assert!(scene.ex.cancel_detached(id, "enough"));
}

#[cfg(feature = "io")]
fn drop_timer(_: &Scene) {
    poll(heist::io::sleep(Duration::from_secs(3600)));
}

#[cfg(feature = "io")]
fn drop_watch(_: &Scene) {
    let (reader, _writer) = std::io::pipe().unwrap();
    let reader = heist::io::Watched::new(&reader).unwrap();
    poll(reader.readable());
    poll(reader.readable());
}

/// Names that nothing had before: all kinds, used and dropped.
fn open_by_name(Scene { ex, never, .. }: &Scene) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = &NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let _held = (ex.lock(name).unwrap().lock().unwrap(), ex.semaphore(name, 2).unwrap().acquire().unwrap());
    let queue = ex.queue(name, Some(1)).unwrap();
    assert!(queue.put(never.clone()).is_ok());
    ex.variable(name).unwrap().set(never.clone());
    ex.event(name).unwrap().set();
    assert!(ex.barrier(name, 1).unwrap().wait().unwrap());
    ex.publish(name, never.clone()).unwrap();
    assert!(ex.unpublish(name));
    ex.log_event("names", name.clone()).unwrap();
}

fn wait_for_primitives(Scene { ex, .. }: &Scene) {
    let lock = ex.lock("held").unwrap();
    let held = lock.try_lock().unwrap();
    poll(pin!(lock.lock_async()));
    assert!(lock.lock_timeout(Duration::from_nanos(1)).unwrap_err().is_timeout());
    poll(pin!(MultiLock::new([&lock, &Lock::new()]).lock_async()));
    let (event, queue, variable) = (Event::new(), Queue::<u64>::bounded(1), Variable::<u64>::new());
    poll(pin!(event.wait_async()));
    poll(pin!(queue.get_async()));
    queue.put(1).unwrap();
    poll(pin!(queue.put_async(2)));
    assert!(queue.put_timeout(2, Duration::from_nanos(1)).is_err());
    poll(pin!(variable.get_async()));
    drop(held);
}

/// How often the habit with factor 1 is done in the first round: `HEIST_STRESS_TASKS`.
fn times() -> usize {
    std::env::var("HEIST_STRESS_TASKS").map_or(100_000, |tasks| tasks.parse().unwrap())
}

/// Says so when memory grows with the number of times, within one executor.
pub(crate) fn complaint(name: &str, (part, habit): Habit) -> Option<String> {
    let ex = Executor::builder().workers(1).build().unwrap();
    let (promise, never) = ex.promise();
    let scene = Scene { ex, never, _promise: promise };
    let few = (times() / part).max(1_000);
    (0..few).for_each(|_| habit(&scene));
    let once = Live::now();
    (0..9 * few).for_each(|_| habit(&scene));
    let tenfold = Live::now();
    let grew = tenfold.bytes.saturating_sub(once.bytes);
    (grew > SLACK).then(|| format!("{name}: {grew} bytes more after {few} and {} more", 9 * few))
}

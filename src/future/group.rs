//! Waiting for all, any or some of many futures.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::task_future::TaskFuture;
use super::watch::{Entry, Watch};
use crate::error::TaskError;
use crate::fork;
use crate::primitive::sync::Arc;
use crate::scheduler::{Waited, blocked, help_once, is_elsewhere};
use crate::task::Handle;

/// Which futures were done when a wait ended, each set in the order of the input. Failed and cancelled ones are done.
#[derive(Debug)]
pub struct DoneNotDone<T> {
    /// Those with a value or an error.
    pub done: Vec<TaskFuture<T>>,
    /// The others.
    pub not_done: Vec<TaskFuture<T>>,
    /// Why the wait ended before enough were done: its time ran out, or it could not go on
    /// ([`TaskError::is_timeout`], [`TaskError::is_stalled`]).
    pub ended_early: Option<TaskError>,
}

/// A wait for `missing` more of some futures.
struct Group<'a, T> {
    futures: &'a [TaskFuture<T>],
    watch: Arc<Watch>,
    entries: Vec<Entry>,
    missing: usize,
}

impl<'a, T> Group<'a, T> {
    fn new(futures: &'a [TaskFuture<T>], wanted: usize) -> Self {
        let watch = Watch::new();
        let entries = futures.iter().map(|future| watch.add(future.handle(), 0)).collect();
        Self { futures, watch, entries, missing: wanted.min(futures.len()) }
    }

    /// Counts those that have ended; whether enough have.
    fn enough(&mut self) -> bool {
        while self.missing > 0 && self.watch.pop().is_some() {
            self.missing -= 1;
        }
        self.missing == 0
    }

    fn block(&mut self, deadline: Option<Instant>) -> Waited {
        if self.futures.iter().any(|future| is_elsewhere(future.handle())) {
            return Waited::Forked;
        }
        if deadline.is_none() {
            self.help();
        }
        let Some(_note) = self.note(deadline) else { return Waited::Deadlock };
        while !self.enough() {
            let waited = self.watch.sleep(deadline);
            if waited != Waited::Done && !self.enough() {
                return waited;
            }
        }
        Waited::Done
    }

    /// Runs the futures on this thread, if it is an executor's, each as far as it goes: what runs elsewhere, or waits for
    /// what does, is left to the other workers.
    fn help(&mut self) {
        for future in self.futures {
            while !self.enough() && help_once(future.handle()) {}
        }
    }

    /// Notes the wait, if it is for all that are left; none when it could never end.
    fn note(&self, deadline: Option<Instant>) -> Option<blocked::Note> {
        let unfinished =
            || self.futures.iter().map(TaskFuture::handle).filter(|task| !task.head().state.load().is_done());
        let needs_all = deadline.is_none() && unfinished().count() <= self.missing;
        if deadline.is_none() && !needs_all && blocked::all_lead_back(unfinished().map(Handle::task)) {
            return None;
        }
        blocked::enter(unfinished().filter(|_| needs_all).map(Handle::task))
    }

    fn split(self, waited: Waited) -> DoneNotDone<T> {
        let (done, not_done) = self.futures.iter().cloned().partition(TaskFuture::done);
        DoneNotDone { done, not_done, ended_early: waited.error() }
    }
}

impl<T> Drop for Group<'_, T> {
    fn drop(&mut self) {
        for (entry, future) in self.entries.iter_mut().zip(self.futures) {
            entry.withdraw(future.handle());
        }
    }
}

fn wait_until<T>(futures: &[TaskFuture<T>], wanted: usize, deadline: Option<Instant>) -> DoneNotDone<T> {
    let mut group = Group::new(futures, wanted);
    let waited = group.block(deadline);
    group.split(waited)
}

/// Waits until all of `futures` are done. O(futures).
///
/// ```
/// let ex = heist::Executor::new()?;
/// let squares = ex.map(0..10, |i| i * i);
/// let sets = heist::wait_all(&squares);
/// assert_eq!((sets.done.len(), sets.not_done.len()), (10, 0));
/// # Ok::<(), heist::Error>(())
/// ```
pub fn wait_all<T>(futures: &[TaskFuture<T>]) -> DoneNotDone<T> {
    wait_until(futures, futures.len(), None)
}

/// As [`wait_all`], for no longer than `timeout`; what is done by then is told apart. The tasks go on.
///
/// ```
/// use std::time::Duration;
/// let ex = heist::Executor::new()?;
/// let (_promise, never) = ex.promise::<u32>();
/// let sets = heist::wait_all_timeout(&[ex.scatter(1), never], Duration::from_millis(1));
/// assert_eq!((sets.done.len(), sets.not_done.len()), (1, 1));
/// assert!(sets.ended_early.unwrap().is_timeout());
/// # Ok::<(), heist::Error>(())
/// ```
pub fn wait_all_timeout<T>(futures: &[TaskFuture<T>], timeout: Duration) -> DoneNotDone<T> {
    wait_until(futures, futures.len(), Instant::now().checked_add(timeout))
}

/// As [`wait_all`], awaited.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let squares = ex.map(0..3, |i| i * i);
/// let done = ex.spawn(async move { heist::wait_all_async(&squares).await.done.len() });
/// assert_eq!(done.result()?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn wait_all_async<T: Send>(futures: &[TaskFuture<T>]) -> DoneNotDone<T> {
    wait_n_async(futures, futures.len()).await
}

/// Waits until one of `futures` is done; returns at once when there are none. O(futures).
///
/// ```
/// let ex = heist::Executor::new()?;
/// let (_promise, never) = ex.promise::<u32>();
/// let sets = heist::wait_any(&[never, ex.submit(|| 1)]);
/// assert_eq!(sets.done[0].result()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait_any<T>(futures: &[TaskFuture<T>]) -> DoneNotDone<T> {
    wait_until(futures, 1, None)
}

/// As [`wait_any`], for no longer than `timeout`. The tasks go on.
pub fn wait_any_timeout<T>(futures: &[TaskFuture<T>], timeout: Duration) -> DoneNotDone<T> {
    wait_until(futures, 1, Instant::now().checked_add(timeout))
}

/// As [`wait_any`], awaited.
pub async fn wait_any_async<T: Send>(futures: &[TaskFuture<T>]) -> DoneNotDone<T> {
    wait_n_async(futures, 1).await
}

/// Waits until `count` of `futures`, or all if there are fewer, are done. O(futures).
///
/// ```
/// let ex = heist::Executor::new()?;
/// let sets = heist::wait_n(&ex.map(0..10, |i| i), 3);
/// assert!(sets.done.len() >= 3);
/// # Ok::<(), heist::Error>(())
/// ```
pub fn wait_n<T>(futures: &[TaskFuture<T>], count: usize) -> DoneNotDone<T> {
    wait_until(futures, count, None)
}

/// As [`wait_n`], for no longer than `timeout`. The tasks go on.
pub fn wait_n_timeout<T>(futures: &[TaskFuture<T>], count: usize, timeout: Duration) -> DoneNotDone<T> {
    wait_until(futures, count, Instant::now().checked_add(timeout))
}

/// As [`wait_n`], awaited under any async runtime.
pub fn wait_n_async<T: Send>(futures: &[TaskFuture<T>], count: usize) -> impl Future<Output = DoneNotDone<T>> + Send {
    // The process before any fork.
    let mut looked_in = 0;
    let mut group = Some(Group::new(futures, count));
    poll_fn(move |context| {
        let Some(waiting) = &mut group else { return Poll::Pending };
        if looked_in != fork::generation() && futures.iter().any(|future| is_elsewhere(future.handle())) {
            return group.take().map_or(Poll::Pending, |group| Poll::Ready(group.split(Waited::Forked)));
        }
        looked_in = fork::generation();
        while waiting.missing > 0 {
            if waiting.watch.pop_or_wake(context.waker()).is_none() {
                return Poll::Pending;
            }
            waiting.missing -= 1;
        }
        group.take().map_or(Poll::Pending, |group| Poll::Ready(group.split(Waited::Done)))
    })
}

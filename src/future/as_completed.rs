//! Futures in the order in which they end.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;

use super::task_future::TaskFuture;
use super::watch::{Entry, Watch};
use crate::error::TaskError;
use crate::primitive::sync::Arc;
use crate::scheduler::{Waited, blocked, help_once, is_elsewhere};
use crate::task::Handle;

/// Yields each future once it is done, with its result: values, errors and cancellations alike.
///
/// ```
/// use heist::as_completed;
/// let ex = heist::Executor::new()?;
/// let mut sum = 0;
/// for (future, value) in as_completed(ex.map(0..10, |i| i)) {
///     assert!(future.done());
///     sum += value?;
/// }
/// assert_eq!(sum, 45);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn as_completed<T>(futures: impl IntoIterator<Item = TaskFuture<T>>) -> AsCompleted<T> {
    let mut completed = AsCompleted {
        watch: Watch::new(),
        waiting: HashMap::new(),
        unhelped: VecDeque::new(),
        next: 0,
        deadline: None,
        ended_early: None,
    };
    completed.extend(futures);
    completed
}

/// See [`as_completed`]. An iterator that grows while it is read: every [`push`](Self::push) is yielded once.
pub struct AsCompleted<T> {
    watch: Arc<Watch>,
    waiting: HashMap<u64, (TaskFuture<T>, Entry)>,
    /// Those this iterator has not yet tried to run itself, when read within a task.
    unhelped: VecDeque<u64>,
    next: u64,
    deadline: Option<Instant>,
    ended_early: Option<TaskError>,
}

/// A future that has ended, with its result.
type Ended<T> = (TaskFuture<T>, Result<T, TaskError>);

impl<T> AsCompleted<T> {
    /// Adds a future; a future added twice is yielded twice. O(1).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let mut completed = heist::as_completed([ex.submit(|| 0)]);
    /// let mut seen = Vec::new();
    /// while let Some((_, value)) = completed.next() {
    ///     let value = value?;
    ///     seen.push(value);
    ///     if value < 3 {
    ///         completed.push(ex.submit(move || value + 1));
    ///     }
    /// }
    /// assert_eq!(seen, [0, 1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push(&mut self, future: TaskFuture<T>) {
        let number = self.next;
        self.next += 1;
        let entry = self.watch.add(future.handle(), number);
        self.waiting.insert(number, (future, entry));
        self.unhelped.push_back(number);
    }

    /// Drops every future that was not yielded, which releases those that nobody else holds.
    pub fn clear(&mut self) {
        self.withdraw();
        // One that ends at this moment still tells the old watch.
        self.watch = Watch::new();
    }

    fn withdraw(&mut self) {
        for (_, (future, mut entry)) in self.waiting.drain() {
            entry.withdraw(future.handle());
        }
        self.unhelped.clear();
    }

    /// How many are still to be yielded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is still to be yielded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the next one can be yielded without waiting.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.watch.len() != 0
    }

    /// Ends the iteration at `deadline`, once nothing is ready; [`ended_early`](Self::ended_early) tells.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// let ex = heist::Executor::new()?;
    /// let (_promise, never) = ex.promise::<u32>();
    /// let mut completed = heist::as_completed([never]).deadline(Instant::now() + Duration::from_millis(1));
    /// assert!(completed.next().is_none());
    /// assert!(completed.ended_early().unwrap().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Why the iteration ended although futures are left: the deadline passed, or the wait could not go on.
    #[must_use]
    pub fn ended_early(&self) -> Option<&TaskError> {
        self.ended_early.as_ref()
    }

    /// Everything that is ready; if nothing is and `block`, waits for the first. Empty when nothing is left.
    pub fn next_batch(&mut self, block: bool) -> Vec<(TaskFuture<T>, Result<T, TaskError>)>
    where
        T: Clone + Sync,
    {
        let mut batch = Vec::new();
        if block && !self.has_ready() {
            batch.extend(self.next());
        }
        while let Some(number) = self.watch.pop() {
            batch.extend(self.take(number));
        }
        batch
    }

    /// The iterator over batches: each has what is ready, at least one.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let batches: Vec<_> = heist::as_completed(ex.map(0..10, |i| i)).batches().collect();
    /// assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 10);
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn batches(self) -> Batches<T> {
        Batches(self)
    }

    /// As `next`, awaited under any async runtime.
    pub async fn next_async(&mut self) -> Option<(TaskFuture<T>, Result<T, TaskError>)>
    where
        T: Clone + Sync,
    {
        poll_fn(|context| self.poll_next_ended(context)).await
    }

    fn poll_next_ended(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended<T>>>
    where
        T: Clone + Sync,
    {
        loop {
            match self.watch.pop_or_wake(context.waker()) {
                Some(number) => {
                    let taken = self.take(number);
                    if taken.is_some() {
                        return Poll::Ready(taken);
                    }
                }
                None if self.waiting.values().next().is_none_or(|(future, _)| is_elsewhere(future.handle())) => {
                    if !self.is_empty() {
                        self.ended_early = Waited::Forked.error();
                    }
                    return Poll::Ready(None);
                }
                None => return Poll::Pending,
            }
        }
    }

    fn take(&mut self, number: u64) -> Option<(TaskFuture<T>, Result<T, TaskError>)>
    where
        T: Clone + Sync,
    {
        let (future, _) = self.waiting.remove(&number)?;
        let result = future.result();
        Some((future, result))
    }

    /// Runs one of the futures, or an input of it, on this thread, if that is an executor's and the task not begun;
    /// whether there is another one to try.
    fn help(&mut self) -> bool {
        let Some(number) = self.unhelped.front() else { return false };
        if !self.waiting.get(number).is_some_and(|(future, _)| help_once(future.handle())) {
            self.unhelped.pop_front();
        }
        true
    }
}

impl<T> Extend<TaskFuture<T>> for AsCompleted<T> {
    fn extend<I: IntoIterator<Item = TaskFuture<T>>>(&mut self, futures: I) {
        futures.into_iter().for_each(|future| self.push(future));
    }
}

impl<T: Clone + Sync> Iterator for AsCompleted<T> {
    type Item = (TaskFuture<T>, Result<T, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(number) = self.watch.pop() {
                return self.take(number);
            }
            if self.is_empty() {
                return None;
            }
            if self.deadline.is_none() && self.help() {
                continue;
            }
            let left = self.waiting.values().map(|(future, _)| future.handle());
            let waited = if left.clone().next().is_some_and(is_elsewhere) {
                Waited::Forked
            } else if self.deadline.is_none() && blocked::all_lead_back(left.map(Handle::task)) {
                Waited::Deadlock
            } else {
                self.watch.sleep(self.deadline)
            };
            match waited {
                Waited::Done => {}
                _ if self.has_ready() => {}
                early => {
                    self.ended_early = early.error();
                    return None;
                }
            }
        }
    }
}

/// The same futures for an async task, as they are done; a [deadline](AsCompleted::deadline) does not end it.
///
/// ```
/// use std::future::poll_fn;
/// use std::pin::Pin;
/// use futures_core::Stream;
/// let ex = heist::Executor::new()?;
/// let mut completed = heist::as_completed(ex.map(0..10, |i| i));
/// let sum = ex.spawn(async move {
///     let mut sum = 0;
///     while let Some((_, value)) = poll_fn(|context| Pin::new(&mut completed).poll_next(context)).await {
///         sum += value.unwrap();
///     }
///     sum
/// });
/// assert_eq!(sum.result()?, 45);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Clone + Sync> Stream for AsCompleted<T> {
    type Item = (TaskFuture<T>, Result<T, TaskError>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_ended(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> Unpin for AsCompleted<T> {}

impl<T> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl<T> std::fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsCompleted").field("len", &self.len()).field("has_ready", &self.has_ready()).finish()
    }
}

/// See [`AsCompleted::batches`].
#[derive(Debug)]
pub struct Batches<T>(AsCompleted<T>);

impl<T: Clone + Sync> Iterator for Batches<T> {
    type Item = Vec<(TaskFuture<T>, Result<T, TaskError>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.0.next_batch(true);
        (!batch.is_empty()).then_some(batch)
    }
}

//! `TaskFuture<T>`: one handle, its state, its value.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use crate::error::{CancelReason, TaskError, TaskErrorKind, TaskId};
use crate::primitive::atomic::Ordering;
use crate::scheduler::{Waited, wait};
use crate::task::{self, Handle, Phase, Typed};

/// How far a task is.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let (promise, input) = ex.promise::<u32>();
/// let task = ex.submit_after(&input, |n| n + 1);
/// assert_eq!(task.status(), heist::Status::Waiting);
/// promise.fulfil(1);
/// task.wait()?;
/// assert_eq!(task.status(), heist::Status::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Inputs are missing.
    Waiting,
    /// Queued.
    Ready,
    /// Runs, or waits for its promise to be kept.
    Running,
    /// Has a value.
    Finished,
    /// Panicked, returned `Err`, or an input did.
    Failed,
    /// Cancelled, or an input was.
    Cancelled,
}

impl Status {
    pub(crate) fn of(task: &Handle) -> Self {
        let head = task.head();
        match head.state.load().phase() {
            // ORDERING: Acquire; pairs with the Release of the last input's end.
            Phase::Open if head.pending.load(Ordering::Acquire) != 0 => Self::Waiting,
            Phase::Open => Self::Ready,
            Phase::Running if head.is_unbegun_message() => Self::Ready,
            #[cfg(feature = "ranks")]
            Phase::Running if is_done_elsewhere(task) => Self::Finished,
            Phase::Running => Self::Running,
            Phase::Value => Self::Finished,
            Phase::Error if task.error().is_some_and(|error| error.is_cancelled()) => Self::Cancelled,
            Phase::Error => Self::Failed,
        }
    }
}

/// The result of a task, there or to come.
///
/// Clones are handles on the same task. Dropping the last one *releases* the task: if it has not started and no
/// unfinished task depends on it, it never runs; [`detach`](Self::detach) lets it run with nobody holding on. A task that
/// has started always runs to its end.
///
/// Waits block the calling thread. Within a task they run the awaited task right there if nobody has begun it, or lend
/// the core to another thread; they never run anything else on the waiting stack. Every wait of this type is O(1) for
/// the executor, whatever the number of workers.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let a = ex.submit(|| 20);
/// let b = ex.submit_after(&a, |a| a + 1);
/// let c = ex.submit_after((&a, &b), |(a, b)| a + b + 1);
/// assert_eq!(c.result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the last future of an unstarted task releases it: it never runs; use detach() to let it run"]
pub struct TaskFuture<T>(Typed<T>);

impl<T> Clone for TaskFuture<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> TaskFuture<T> {
    pub(crate) fn new(task: Typed<T>) -> Self {
        Self(task)
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0.handle()
    }

    /// The value or the error, if the task is done here.
    #[cfg(feature = "ranks")]
    pub(crate) fn peek(&self) -> Option<Result<&T, TaskError>>
    where
        T: Sync,
    {
        self.0.peek()
    }

    pub(crate) fn into_typed(self) -> Typed<T> {
        self.0
    }

    pub(crate) fn into_handle(self) -> Handle {
        self.0.into_handle()
    }

    /// The id of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle().head().id()
    }

    /// How far the task is, at the moment of the call. O(1).
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(self.handle())
    }

    /// Whether the task has a value or an error. O(1).
    #[must_use]
    pub fn done(&self) -> bool {
        self.handle().head().state.load().is_done() || self.is_done_elsewhere()
    }

    /// Whether its value is there, on another rank, and has not been fetched.
    #[cfg(feature = "ranks")]
    fn is_done_elsewhere(&self) -> bool {
        is_done_elsewhere(self.handle())
    }

    #[cfg(not(feature = "ranks"))]
    fn is_done_elsewhere(&self) -> bool {
        false
    }

    /// Whether the task, or an input of it, was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.error().is_some_and(|error| error.is_cancelled())
    }

    /// The error of the task; `None` while it is not done and when it has a value.
    #[must_use]
    pub fn error(&self) -> Option<TaskError> {
        self.0.error()
    }

    /// Waits until the task is done, with a value or an error.
    ///
    /// # Errors
    /// Only of the wait itself: [`TaskError::is_deadlock`] if it could never end, [`TaskError::is_stalled`] if the
    /// executor may make no further thread.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let f = ex.submit_result(|| Err::<(), _>("no"));
    /// f.wait()?;
    /// assert!(f.done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&self) -> Result<(), TaskError> {
        waited(wait(self.handle(), None))
    }

    /// As [`wait`](Self::wait), for no longer than `timeout`. The task goes on.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let ex = heist::Executor::new()?;
    /// let (_promise, future) = ex.promise::<u32>();
    /// assert!(future.wait_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), TaskError> {
        waited(wait(self.handle(), Instant::now().checked_add(timeout)))
    }

    /// Waits, and borrows the value.
    ///
    /// # Errors
    /// The error of the task, or of the wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let words = ex.submit(|| vec!["a", "b"]);
    /// let borrowed: &Vec<&str> = words.value()?;
    /// assert_eq!(borrowed.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The value is lent to several threads at once, so it must be [`Sync`]:
    ///
    /// ```compile_fail,E0277
    /// let ex = heist::Executor::new().unwrap();
    /// let cell = ex.submit(|| std::cell::Cell::new(1));
    /// cell.value().unwrap();
    /// ```
    pub fn value(&self) -> Result<&T, TaskError>
    where
        T: Sync,
    {
        self.wait()?;
        self.0.peek().unwrap_or_else(|| Err(TaskError::new(TaskErrorKind::Timeout)))
    }

    /// Waits, and clones the value; any number of times.
    ///
    /// # Errors
    /// The error of the task, or of the wait.
    pub fn result(&self) -> Result<T, TaskError>
    where
        T: Clone + Sync,
    {
        self.value().cloned()
    }

    /// As [`result`](Self::result), for no longer than `timeout`. The task goes on.
    ///
    /// # Errors
    /// The error of the task, or of the wait; [`TaskError::is_timeout`] when the time ran out.
    ///
    /// ```
    /// use std::time::Duration;
    /// let ex = heist::Executor::new()?;
    /// let (promise, future) = ex.promise();
    /// assert!(future.result_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// promise.fulfil(5);
    /// assert_eq!(future.result_timeout(Duration::from_secs(60))?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, TaskError>
    where
        T: Clone + Sync,
    {
        self.wait_timeout(timeout)?;
        self.value().cloned()
    }

    /// The result, if the task is done. O(1).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let (promise, future) = ex.promise();
    /// assert!(future.try_result().is_none());
    /// promise.fulfil(3);
    /// assert_eq!(future.try_result().unwrap()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn try_result(&self) -> Option<Result<T, TaskError>>
    where
        T: Clone + Sync,
    {
        #[cfg(feature = "ranks")]
        if self.0.peek().is_none() {
            self.handle().head().want();
        }
        Some(self.0.peek()?.cloned())
    }

    /// Waits, and moves the result out, for any `T`. The future comes back when it is not the only one: another
    /// handle, or an unfinished dependent, still needs the value.
    ///
    /// # Errors
    /// The future itself, if it is not the only one; within `Ok`, the error of the task or of the wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let cell = ex.submit(|| std::cell::Cell::new(7));
    /// let second = cell.clone();
    /// let cell = cell.into_result().unwrap_err();
    /// drop(second);
    /// assert_eq!(cell.into_result().unwrap()?.get(), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_result(self) -> Result<Result<T, TaskError>, Self> {
        if let Err(error) = self.wait() {
            return Ok(Err(error));
        }
        self.0.into_result().map_err(Self)
    }

    /// Waits, and moves the value out if this future is the only one, else clones it.
    pub(crate) fn move_or_clone(self) -> Result<T, TaskError>
    where
        T: Clone + Sync,
    {
        self.into_result().unwrap_or_else(|shared| shared.result())
    }

    /// Cancels the task for all its handles; true unless it was done.
    ///
    /// The future ends at once, with the reason, and so do its dependents. A task that has not started never runs. A
    /// running one can look ([`heist::cancelled`](crate::cancelled)) and return early; what it returns is discarded.
    /// Its waits for locks, queues, mailboxes, timers and files end with an error; a wait for a future goes on.
    /// Its inputs stay valid. O(dependents).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let (_promise, input) = ex.promise::<u32>();
    /// let task = ex.submit_after(&input, |n| n + 1);
    /// let dependent = ex.submit_after(&task, |n| n + 1);
    /// assert!(task.cancel("no longer needed"));
    /// assert!(dependent.cancelled());
    /// assert!(!task.cancel("again"));
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn cancel(&self, reason: impl Into<CancelReason>) -> bool {
        if self.done() {
            return false;
        }
        let kind = TaskErrorKind::Cancelled(reason.into());
        task::cancel(self.handle(), self.handle().head().failure(kind))
    }
}

#[cfg(feature = "ranks")]
fn is_done_elsewhere(task: &Handle) -> bool {
    task.head().is_afar() && task::ask_afar(task.head(), task::Afar::IsDone)
}

fn waited(waited: Waited) -> Result<(), TaskError> {
    match waited.error() {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Handles on the same task are equal.
///
/// ```
/// use std::collections::HashSet;
/// let ex = heist::Executor::new()?;
/// let (a, b) = (ex.scatter(1), ex.scatter(1));
/// assert!(a == a.clone() && a != b);
/// assert_eq!(HashSet::from([a.clone(), a, b]).len(), 2);
/// # Ok::<(), heist::Error>(())
/// ```
impl<T> PartialEq for TaskFuture<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<T> Eq for TaskFuture<T> {}

impl<T> Hash for TaskFuture<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<T> fmt::Debug for TaskFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFuture")
            .field("id", &self.id())
            .field("name", &format_args!("{}", self.handle().head().name()))
            .field("location", &format_args!("{}", self.handle().head().location))
            .field("status", &self.status())
            .field("type", &format_args!("{}", (self.handle().head().vtable.value_name)()))
            .finish()
    }
}

//! `Lock`: one holder at a time, in the order they came.

use std::fmt;
use std::time::Duration;

use super::names::Names;
use super::permits::{Held, Permits};
use super::turn::{Failed, Turn, timed_out, wait, wait_timeout};
use crate::error::{Error, TaskError};
use crate::primitive::sync::Arc;

/// A mutual exclusion without data, for threads, tasks and async tasks alike. First come, first served.
///
/// Clones are handles on the same lock. A [`LockGuard`] belongs to no thread and borrows nothing: it may be sent, kept in
/// a struct, dropped anywhere. Uncontended, locking and unlocking are one exchange each.
///
/// A task that waits lends its core. Not reentrant: who locks a second time waits for himself.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let lock = heist::Lock::new();
/// let tasks = ex.map(0..4, {
///     let lock = lock.clone();
///     move |i| {
///         let _guard = lock.lock()?;
///         Ok::<_, heist::TaskError>(i)
///     }
/// });
/// for task in tasks {
///     task.into_result().unwrap()??;
/// }
/// assert!(!lock.is_locked());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Lock(Permits);

/// A lock that is held; given back when dropped.
#[must_use = "the lock is given back at once when the guard is dropped"]
pub struct LockGuard(Held);

impl Lock {
    /// A lock that nobody holds.
    #[must_use]
    pub fn new() -> Self {
        Self(Permits::new(1))
    }

    pub(crate) fn named(names: &Arc<Names>, name: &str) -> Result<Self, Error> {
        let make = |named| Permits::named(1, named);
        names.open("lock", name, Permits::revive, make).map(Self)
    }

    /// Waits until the lock is free, and takes it.
    ///
    /// # Errors
    /// Only of the wait itself, within a task: [`TaskError::is_cancelled`] if the task, or its executor, was cancelled
    /// meanwhile, [`TaskError::is_stalled`] if the executor may make no further thread.
    #[inline]
    pub fn lock(&self) -> Result<LockGuard, TaskError> {
        match self.0.take(1) {
            Some(held) => Ok(LockGuard(held)),
            None => self.lock_slow(),
        }
    }

    #[cold]
    fn lock_slow(&self) -> Result<LockGuard, TaskError> {
        wait(&self.0, 1).map(LockGuard).map_err(Failed::into_error)
    }

    /// Takes the lock if it is free and nobody waits for it.
    ///
    /// ```
    /// let lock = heist::Lock::new();
    /// let guard = lock.try_lock().unwrap();
    /// assert!(lock.try_lock().is_none());
    /// drop(guard);
    /// assert!(lock.try_lock().is_some());
    /// ```
    #[inline]
    #[must_use = "the lock is given back at once when the guard is dropped"]
    pub fn try_lock(&self) -> Option<LockGuard> {
        self.0.take(1).map(LockGuard)
    }

    /// As [`lock`](Self::lock), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let lock = heist::Lock::new();
    /// let guard = lock.lock()?;
    /// assert!(lock.lock_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard, TaskError> {
        match self.0.take(1) {
            Some(held) => Ok(LockGuard(held)),
            None => wait_timeout(&self.0, 1, timeout).map(LockGuard).map_err(Failed::into_error),
        }
    }

    /// As [`lock`](Self::lock), awaited under any async runtime. Dropped before its end, it leaves the line.
    ///
    /// # Errors
    /// None now; the type leaves room, as for every wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let lock = heist::Lock::new();
    /// let locking = lock.lock_async();
    /// assert!(ex.spawn(async move { locking.await.is_ok() }).result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn lock_async(&self) -> impl Future<Output = Result<LockGuard, TaskError>> + Send + use<> {
        let handle = self.0.clone();
        async {
            match handle.exchange(1) {
                Ok(held) => Ok(LockGuard(held)),
                Err(handle) => Turn::new(handle, 1).await.map(LockGuard).map_err(Failed::into_error),
            }
        }
    }

    /// Whether somebody holds it, at the moment of the call.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.free() == 0
    }

    pub(super) fn permits(&self) -> &Permits {
        &self.0
    }
}

impl LockGuard {
    pub(super) fn of(held: Held) -> Self {
        Self(held)
    }

    /// Gives the lock back, as a drop does.
    pub fn unlock(self) {
        drop(self.0);
    }
}

impl<W> Failed<W> {
    /// Of what nobody closes.
    pub(super) fn into_error(self) -> TaskError {
        match self {
            Self::Ended(_, error) => error,
            Self::Refused(_) => timed_out(),
        }
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.is_locked()).finish()
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockGuard")
    }
}

//! The executor's methods for tasks that nobody holds on to.

use super::Executor;
use crate::error::{CancelReason, TaskError, TaskErrorKind, TaskId};
use crate::future::Status;
use crate::task::{self, Handle};

/// A task that was [detached](crate::TaskFuture::detach) and is not done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Detached {
    /// As [`TaskFuture::detach`](crate::TaskFuture::detach) gave it.
    pub id: TaskId,
    /// The name it was given, else the type of its closure.
    pub name: String,
    /// How far it was.
    pub status: Status,
}

impl Executor {
    /// The detached tasks that are not done, by id. O(detached tasks).
    ///
    /// ```
    /// use heist::Status;
    /// let ex = heist::Executor::new()?;
    /// let (promise, input) = ex.promise::<u32>();
    /// let id = ex.submit_after(&input, |n| println!("{n}")).detach();
    /// let detached = ex.detached();
    /// assert_eq!((detached.len(), detached[0].id, detached[0].status), (1, id, Status::Waiting));
    /// promise.fulfil(1);
    /// ex.shutdown(heist::Shutdown::Wait);
    /// assert!(ex.detached().is_empty());
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[must_use]
    pub fn detached(&self) -> Vec<Detached> {
        let of = |task: &Handle| Detached {
            id: task.head().id(),
            name: task.head().name().to_owned(),
            status: Status::of(task),
        };
        let mut all: Vec<_> = self.registry.detached.unfinished().iter().map(of).collect();
        all.sort_by_key(|task| task.id);
        all
    }

    /// Cancels a detached task, as [`TaskFuture::cancel`](crate::TaskFuture::cancel) does; true unless it was done, or
    /// not detached. O(detached tasks).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let (_promise, input) = ex.promise::<u32>();
    /// let id = ex.submit_after(&input, |n| println!("{n}")).detach();
    /// assert!(ex.cancel_detached(id, "no longer needed"));
    /// assert!(!ex.cancel_detached(id, "again"));
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn cancel_detached(&self, id: TaskId, reason: impl Into<CancelReason>) -> bool {
        let all = self.registry.detached.unfinished();
        let Some(task) = all.iter().find(|task| task.head().id() == id) else { return false };
        let error = TaskError::of_task(TaskErrorKind::Cancelled(reason.into()), id, task.head().location);
        task::cancel(task, error)
    }
}

//! A future that somebody else fulfils: a callback, a C library, another process.

use std::panic::Location;

use super::task_future::TaskFuture;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::scheduler::{Local, Registry};
use crate::task::{self, Header, Priority, Rule, Typed, Unkept};

/// The writing side of a future made by [`Executor::promise`](crate::Executor::promise).
///
/// Dropped unfulfilled, it leaves an error ([`is_promise_dropped`](crate::TaskError::is_promise_dropped)).
///
/// ```
/// let ex = heist::Executor::new()?;
/// let (promise, future) = ex.promise::<String>();
/// std::thread::spawn(move || promise.fulfil("from outside".to_owned()));
/// assert_eq!(future.result()?, "from outside");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a promise that is dropped leaves an error in its future"]
pub struct Promise<T: Send + 'static> {
    /// Gone once it is used.
    unkept: Option<Unkept<T>>,
    registry: Arc<Registry>,
}

impl<T: Send + 'static> Promise<T> {
    pub(crate) fn new(registry: &Arc<Registry>, location: &'static Location<'static>) -> (Self, TaskFuture<T>) {
        Self::of(registry, || task::unkept(registry.birth(location)))
    }

    /// As [`new`](Self::new), of a task that is called as `N`.
    pub(crate) fn of_task<N: 'static>(
        registry: &Arc<Registry>,
        location: &'static Location<'static>,
    ) -> (Self, TaskFuture<T>) {
        Self::of(registry, || task::unkept_as::<T, N>(registry.birth(location)))
    }

    /// As [`new`](Self::new), of a task about which more is said.
    pub(crate) fn with_rule(
        registry: &Arc<Registry>,
        location: &'static Location<'static>,
        priority: Option<Priority>,
        rule: Rule,
    ) -> (Self, TaskFuture<T>) {
        Self::of(registry, || task::unkept_ruled(registry.birth_of(location, priority), rule))
    }

    fn of(registry: &Arc<Registry>, make: impl FnOnce() -> (Unkept<T>, Typed<T>)) -> (Self, TaskFuture<T>) {
        registry.count_created(1);
        let (unkept, task) = make();
        registry.outstanding.add(unkept.task());
        // Looked at after the promise is in the set, which a closing thread empties after it has closed.
        if let Err(error) = registry.admit_counted() {
            task::cancel(task.handle(), error);
        }
        (Self { unkept: Some(unkept), registry: registry.clone() }, TaskFuture::new(task))
    }

    /// Gives the future its value. If it was cancelled meanwhile, the value is dropped.
    pub fn fulfil(mut self, value: T) {
        if let Some(unkept) = self.take() {
            unkept.fulfil(value);
        }
    }

    /// Gives the future an error.
    pub fn fail(self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.fail_with(TaskErrorKind::Failed(error.into()));
    }

    pub(crate) fn fail_with(mut self, kind: TaskErrorKind) {
        if let Some(unkept) = self.take() {
            unkept.fail(kind);
        }
    }

    /// As [`fail_with`](Self::fail_with); gives the error.
    pub(crate) fn fail_as(mut self, kind: TaskErrorKind) -> TaskError {
        match self.take() {
            Some(unkept) => {
                let error = unkept.error(kind);
                unkept.fail_as(error.clone());
                error
            }
            None => TaskError::new(kind),
        }
    }

    /// The task that it is to fulfil.
    pub(crate) fn head(&self) -> Option<&Header> {
        self.unkept.as_ref().map(Unkept::head)
    }

    /// Takes the claim, which the closing executor must not touch from then on.
    fn take(&mut self) -> Option<Unkept<T>> {
        let unkept = self.unkept.take()?;
        self.registry.outstanding.remove(unkept.task());
        Some(unkept)
    }

    /// Whether anybody can still see what is put into it: not if the future was cancelled or every handle dropped.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.unkept.as_ref().is_some_and(|unkept| {
            let now = unkept.head().state.load();
            !now.is_done() && !now.is_unwanted()
        })
    }

    /// Whether the future was cancelled.
    pub(crate) fn is_done(&self) -> bool {
        self.unkept.as_ref().is_none_or(|unkept| unkept.head().state.load().is_done())
    }

    /// Runs `call` as part of the task.
    pub(crate) fn within<R>(&self, call: impl FnOnce() -> R) -> R {
        match &self.unkept {
            Some(unkept) => Local::within(unkept.task(), call),
            None => call(),
        }
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(unkept) = self.take() {
            unkept.fail(TaskErrorKind::PromiseDropped);
        }
    }
}

impl<T: Send + 'static> std::fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Promise")
            .field("id", &self.unkept.as_ref().map(|unkept| unkept.head().id()))
            .field("wanted", &self.is_wanted())
            .finish()
    }
}

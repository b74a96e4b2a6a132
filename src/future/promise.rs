//! A future that somebody else fulfils: a callback, a C library, another process.

use std::panic::Location;
use std::ptr::NonNull;

use super::task_future::TaskFuture;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;
use crate::task::{self, Handle, Header, Outcome, State};

/// The writing side of a future made by [`Executor::promise`](crate::Executor::promise).
///
/// Dropped unfulfilled, it leaves an error ([`TaskError::is_promise_dropped`]).
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
    /// Its task is claimed by the promise, which has the runtime's reference.
    task: NonNull<Header>,
    registry: Arc<Registry>,
    value: std::marker::PhantomData<fn(T)>,
}

// SAFETY: a promise brings a `T: Send` from its thread to the task's.
unsafe impl<T: Send> Send for Promise<T> {}
// SAFETY: by reference it only reads the state word.
unsafe impl<T: Send> Sync for Promise<T> {}

impl<T: Send + 'static> Promise<T> {
    pub(crate) fn new(registry: &Arc<Registry>, location: &'static Location<'static>) -> (Self, TaskFuture<T>) {
        registry.count_created(1);
        let task = task::without_work::<T>(registry.birth(location), State::running(), 1);
        // SAFETY: the one handle of a new task.
        let handle = unsafe { Handle::from_counted(task) };
        registry.outstanding.add(task);
        // Looked at after the promise is in the set, which a closing thread empties after it has closed.
        if let Err(error) = registry.admit() {
            task::cancel(&handle, error);
        }
        let promise = Self { task, registry: registry.clone(), value: std::marker::PhantomData };
        // SAFETY: made for values of type `T`.
        (promise, unsafe { TaskFuture::new(handle) })
    }

    /// Gives the future its value. If it was cancelled meanwhile, the value is dropped.
    pub fn fulfil(self, value: T) {
        // SAFETY: the promise has claimed the task, which has no value yet.
        unsafe { task::set_value(self.task, value) };
        self.end(Outcome::Value);
    }

    /// Gives the future an error.
    pub fn fail(self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        let error = self.error(TaskErrorKind::Failed(error.into()));
        self.end(Outcome::Error(error.into_word()));
    }

    /// Whether anybody can still see what is put into it: not if the future was cancelled or every handle dropped.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let now = self.head().state.load();
        !now.is_done() && !now.is_unwanted()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.head().state.load().is_done()
    }

    pub(crate) fn fail_with(self, kind: TaskErrorKind) {
        let error = self.error(kind);
        self.end(Outcome::Error(error.into_word()));
    }

    pub(crate) fn task(&self) -> NonNull<Header> {
        self.task
    }

    fn head(&self) -> &Header {
        // SAFETY: the promise has the runtime's reference.
        unsafe { self.task.as_ref() }
    }

    fn error(&self, kind: TaskErrorKind) -> TaskError {
        TaskError::of_task(kind, self.head().id, self.head().location)
    }

    fn end(self, outcome: Outcome) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the registry is taken out once.
        let registry = unsafe { std::ptr::read(&raw const this.registry) };
        registry.outstanding.remove(this.task);
        // SAFETY: the promise has claimed the task and has the runtime's reference; a value has been written.
        unsafe { task::finish(this.task, outcome, true, task::schedule) };
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        let error = self.error(TaskErrorKind::PromiseDropped);
        self.registry.outstanding.remove(self.task);
        // SAFETY: as in `end`.
        unsafe { task::finish(self.task, Outcome::Error(error.into_word()), true, task::schedule) };
    }
}

impl<T: Send + 'static> std::fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Promise").field("id", &self.head().id).field("wanted", &self.is_wanted()).finish()
    }
}

//! What a task can learn of itself: where it runs, who it is, whether it was cancelled.

use std::marker::PhantomData;

use crate::error::TaskId;
use crate::executor::Executor;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::sync::Arc;
use crate::scheduler::{Phase, local};
use crate::task::{Action, Listener, listen};

/// The task that calls, on the thread it runs on.
///
/// ```
/// let ex = heist::Executor::builder().workers(2).build()?;
/// let (worker, nested) = ex
///     .submit(|| {
///         let current = heist::current().unwrap();
///         (current.worker(), current.executor().submit(|| 1).result().unwrap())
///     })
///     .result()
///     .unwrap();
/// assert!(worker < 2 && nested == 1);
/// assert!(heist::current().is_none());
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Debug)]
pub struct Current {
    executor: Executor,
    worker: usize,
    task: TaskId,
    /// Of this thread.
    not_send: PhantomData<*const ()>,
}

/// The current task; `None` outside of tasks.
#[must_use]
pub fn current() -> Option<Current> {
    local(|local| {
        let registry = local.registry()?;
        let task = local.current()?.id();
        Some(Current {
            executor: Executor::of(registry.strong()?),
            worker: local.worker_index()?,
            task,
            not_send: PhantomData,
        })
    })
}

/// Whether the current task was cancelled, or its executor is being closed: what it returns will be discarded, so it
/// may as well stop. False outside of tasks. A few nanoseconds.
///
/// ```
/// use std::sync::mpsc;
/// let ex = heist::Executor::new()?;
/// let (started, is_started) = mpsc::channel();
/// let task = ex.submit(move || {
///     let _ = started.send(());
///     while !heist::cancelled() {
///         std::hint::spin_loop();
///     }
/// });
/// is_started.recv()?;
/// task.cancel("enough");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn cancelled() -> bool {
    local(|local| {
        let Some(task) = local.current() else { return false };
        task.state.load().is_done() || local.registry().is_some_and(|registry| registry.phase() >= Phase::Cancelling)
    })
}

impl Current {
    /// The executor that runs the task.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Index of the worker on whose core the task runs now. A wait may move it to another thread of the same core.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// The id of the task.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.task
    }

    /// A flag that is raised when the task is cancelled, or ends by itself; for threads and libraries that work for it.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let (promise, token) = ex.promise();
    /// let task = ex.submit(move || {
    ///     promise.fulfil(heist::current().unwrap().cancel_token());
    ///     while !heist::cancelled() {
    ///         std::hint::spin_loop();
    ///     }
    /// });
    /// let token = token.result()?;
    /// assert!(!token.is_cancelled());
    /// task.cancel("enough");
    /// assert!(token.is_cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        let raised = Arc::new(AtomicBool::new(false));
        local(|local| {
            let Some(task) = local.current() else { return };
            let flag = raised.clone();
            // ORDERING: Release; pairs with the Acquire of `is_cancelled`.
            let listener = Listener::new(Action::Call(Box::new(move || flag.store(true, Ordering::Release))));
            if listen(task, &listener).is_err() {
                listener.fire();
            }
        });
        CancelToken { raised }
    }
}

/// See [`Current::cancel_token`].
#[derive(Clone, Debug)]
pub struct CancelToken {
    raised: Arc<AtomicBool>,
}

impl CancelToken {
    /// Whether the task has ended. Asked while its closure runs: whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of the listener: what came before the cancel is seen.
        self.raised.load(Ordering::Acquire)
    }
}

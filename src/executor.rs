//! The executor: takes tasks, hands out futures, ends.

mod actors;
mod bounded;
mod coordination;
mod detached;
mod inspect;
#[cfg(feature = "ranks")]
mod launch;
#[cfg(all(test, feature = "ranks"))]
mod lost;
#[cfg(all(test, feature = "ranks"))]
mod lost_actors;
mod pool;
#[cfg(feature = "ranks")]
mod ranks;
mod scatter;
#[cfg(feature = "io")]
mod signals;
mod task;

use std::fmt;
use std::future::Future;
use std::panic::Location;

use crate::builder::Builder;
use crate::diagnostics::Stats;
use crate::error::{Error, TaskError, TaskErrorKind};
use crate::future::{Fallible, Gather, GatherOk, Inputs, Of, Plain, Promise, TaskFuture, failed, spawn};
use crate::primitive::atomic::Ordering;
use crate::primitive::sync::Arc;
use crate::scheduler::{Phase, Registry};
use crate::task::{Dealer, Named, Stateless};

pub use bounded::Bounded;
pub use detached::Detached;
pub use inspect::{CallStack, Running};
#[cfg(feature = "ranks")]
pub use launch::launch;
#[cfg(feature = "io")]
pub use signals::ShutdownOnSignals;
pub use task::TaskBuilder;

/// How an executor ends.
///
/// ```
/// use heist::{Executor, Shutdown};
/// let ex = Executor::new()?;
/// let future = ex.submit(|| 1);
/// ex.shutdown(Shutdown::Wait);
/// assert_eq!(future.result().unwrap(), 1);
/// assert!(ex.submit(|| 2).cancelled());
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Runs everything that was submitted, also what those tasks submit.
    Wait,
    /// Waits for running tasks only; all others are cancelled with the reason "executor closed".
    Cancel,
}

impl From<Shutdown> for Phase {
    fn from(how: Shutdown) -> Self {
        match how {
            Shutdown::Wait => Self::Draining,
            Shutdown::Cancel => Self::Cancelling,
        }
    }
}

/// A pool of pinned workers that runs tasks and the tasks that depend on them.
///
/// Clones are handles on the same pool. When the last one is dropped the pool ends as by
/// [`shutdown(Shutdown::Cancel)`](Self::shutdown). Handles and futures may be sent anywhere.
///
/// Every `submit…` returns at once. Submission, completion and stealing take no lock and do not grow with the number of
/// workers.
///
/// ```
/// use heist::prelude::*;
/// let ex = Executor::new()?;
/// let a = ex.submit(|| 1);
/// let b = ex.submit(|| 2);
/// let c = ex.submit_after((&a, &b), |(a, b)| a + b);
/// assert_eq!(c.result()?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Executor {
    registry: Arc<Registry>,
}

impl Executor {
    /// An executor with one pinned worker for each physical core this process may use.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new() -> Result<Self, Error> {
        Builder::default().build()
    }

    /// An executor that is not as by default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Takes over the one handle that a new registry is born with.
    pub(crate) fn of_new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// A further handle, from within.
    pub(crate) fn of(registry: Arc<Registry>) -> Self {
        // ORDERING: Relaxed; as in `Arc`.
        registry.handles.fetch_add(1, Ordering::Relaxed);
        Self { registry }
    }

    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.registry.settings.workers
    }

    /// What was not done as asked for when the executor was built, such as workers that could not be pinned.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.registry.settings.warnings
    }

    /// Why the workers sit where they do, in words.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// assert!(!ex.placement().is_empty());
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[must_use]
    pub fn placement(&self) -> &[String] {
        &self.registry.settings.reasons
    }

    /// What the workers have done so far. O(workers).
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(2).build()?;
    /// ex.gather(ex.map(0..10, |i| i))?;
    /// assert_eq!((ex.stats().submitted, ex.stats().per_worker.len()), (10, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.registry)
    }

    /// Runs `task` on a worker.
    #[track_caller]
    pub fn submit<T, F>(&self, task: F) -> TaskFuture<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        TaskFuture::new(self.registry.submit(Location::caller(), Plain(task)))
    }

    /// Runs a closure that may fail: `Err` becomes the error of the future ([`TaskError::is_failed`],
    /// [`TaskError::downcast_ref`]).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// assert_eq!(ex.submit_result(|| "7".parse::<i32>()).result()?, 7);
    /// assert!(ex.submit_result(|| "x".parse::<i32>()).result().unwrap_err().is_failed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit_result<T, E, F>(&self, task: F) -> TaskFuture<T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        TaskFuture::new(self.registry.submit(Location::caller(), Fallible(task)))
    }

    /// Polls a std future on the workers until it is done. Its output is the task's value; a panic is its error. When
    /// the task is cancelled, the future is dropped at its next await.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let a = ex.submit(|| 1);
    /// let b = ex.spawn(async move { a.await.unwrap() + 1 });
    /// assert_eq!(b.result()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> TaskFuture<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        spawn(&self.registry, Location::caller(), future)
    }

    /// Runs `task` once all `inputs` are done, and lends it their values. If one of them has no value, the task never
    /// runs and has the same error, told apart by [`TaskError::is_dependency`].
    #[track_caller]
    pub fn submit_after<I, T, F>(&self, inputs: I, task: F) -> TaskFuture<T>
    where
        I: Inputs,
        F: for<'a> FnOnce(I::Refs<'a>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let call = move |inputs: &I::Owned| Ok(task(I::refs(inputs)));
        TaskFuture::new(self.registry.submit_after::<Named<F>, _, _, _>(Location::caller(), inputs.own(), false, call))
    }

    /// As [`submit_after`](Self::submit_after), for a closure that may fail.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let text = ex.submit(|| "12".to_owned());
    /// let number = ex.submit_result_after(&text, |text| text.parse::<i32>());
    /// assert_eq!(number.result()?, 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit_result_after<I, T, E, F>(&self, inputs: I, task: F) -> TaskFuture<T>
    where
        I: Inputs,
        F: for<'a> FnOnce(I::Refs<'a>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let call = move |inputs: &I::Owned| task(I::refs(inputs)).map_err(failed);
        TaskFuture::new(self.registry.submit_after::<Named<F>, _, _, _>(Location::caller(), inputs.own(), false, call))
    }

    /// Runs `task` once all `inputs` are done, whatever became of them, and gives it their results.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let bad = ex.submit(|| -> u32 { panic!("no") });
    /// let told = ex.submit_after_results(&bad, |result| result.is_err());
    /// assert!(told.result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit_after_results<I, T, F>(&self, inputs: I, task: F) -> TaskFuture<T>
    where
        I: Inputs,
        F: for<'a> FnOnce(I::Results<'a>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let call = move |inputs: &I::Owned| Ok(task(I::results(inputs)));
        TaskFuture::new(self.registry.submit_after::<Named<F>, _, _, _>(Location::caller(), inputs.own(), true, call))
    }

    /// Runs `task` for each of `items`, queued in batches as they come. The futures come in the order of the items.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let products = ex.map((1..4).zip(4..), |(a, b)| a * b);
    /// assert_eq!(ex.gather(products)?, [4, 10, 18]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<It, T, F>(&self, items: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item: Send + 'static>,
        F: Fn(It::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        let tasks = match Stateless::of(task) {
            Ok(task) => {
                let works = items.into_iter().map(|item| Of::<F, _>::new(Plain(move || (task.get())(item))));
                self.registry.submit_all(location, works)
            }
            Err(task) => {
                let mut dealer = Dealer::new(task);
                let works = items.into_iter().map(|item| {
                    let task = dealer.deal();
                    Of::<F, _>::new(Plain(move || (task.get())(item)))
                });
                self.registry.submit_all(location, works)
            }
        };
        tasks.into_iter().map(TaskFuture::new).collect()
    }

    /// Runs `task` for each of `inputs`, once that input's futures are done.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let offset = ex.submit(|| 100);
    /// let squares = ex.map(0..3, |i| i * i);
    /// let moved = ex.map_after(squares.iter().map(|square| (square, &offset)), |(square, offset)| square + offset);
    /// assert_eq!(ex.gather(moved)?, [100, 101, 104]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_after<It, I, T, F>(&self, inputs: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item = I>,
        I: Inputs,
        F: for<'a> Fn(I::Refs<'a>) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        let task = Arc::new(task);
        inputs
            .into_iter()
            .map(|inputs| {
                let task = task.clone();
                let call = move |inputs: &I::Owned| Ok(task(I::refs(inputs)));
                TaskFuture::new(self.registry.submit_after::<Named<F>, _, _, _>(location, inputs.own(), false, call))
            })
            .collect()
    }

    /// Waits for all futures of a shape and gives their values in the same shape. A worker runs tasks of these futures
    /// meanwhile, and what they depend on; never others.
    ///
    /// # Errors
    /// The error of the first future, in the order of the input, that has no value; later ones are not waited for.
    /// [`TaskError::is_foreign_future`] if one is of another executor, before this blocks.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// assert_eq!(ex.gather(ex.map(0..3, |i| i * i))?, [0, 1, 4]);
    /// assert_eq!(ex.gather((ex.submit(|| 1), [ex.submit(|| "a")]))?, (1, ["a"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gather<G: Gather>(&self, futures: G) -> Result<G::Values, TaskError> {
        futures.values_of(self.registry.id)
    }

    /// As [`gather`](Self::gather), with a result for each future.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let [a, b] = ex.gather_results([ex.submit(|| 1), ex.submit(|| panic!("no"))]);
    /// assert!(a.is_ok() && b.is_err());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn gather_results<G: Gather>(&self, futures: G) -> G::Results {
        futures.results()
    }

    /// As [`gather`](Self::gather), without those that have no value.
    pub fn gather_ok<G: GatherOk>(&self, futures: G) -> G::Ok {
        futures.ok()
    }

    /// Waits for all futures and borrows their values.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let names = ex.map(["a", "b"], str::to_owned);
    /// assert_eq!(ex.gather_values(&names)?, ["a", "b"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gather_values<'a, T: Sync>(&self, futures: &'a [TaskFuture<T>]) -> Result<Vec<&'a T>, TaskError> {
        if futures.iter().any(|future| !future.handle().head().is_of(self.registry.id)) {
            return Err(TaskError::new(TaskErrorKind::ForeignFuture));
        }
        futures.iter().map(TaskFuture::value).collect()
    }

    /// A future that somebody else fulfils, and the [`Promise`] to do it with.
    #[track_caller]
    pub fn promise<T: Send + 'static>(&self) -> (Promise<T>, TaskFuture<T>) {
        Promise::new(&self.registry, Location::caller())
    }

    /// Ends the executor, and returns when its threads have left. No task is taken from outside any more: what is
    /// submitted gives a future that is cancelled from the start. May be called again; `Cancel` also during a `Wait`.
    ///
    /// From within a task of this executor it only begins the end and returns, since that task must end first; and so
    /// from within a callback, a hook or a drop that heist itself calls, since a task may wait for that.
    ///
    /// A `Wait` waits for promises too, for as long as they are neither kept nor dropped.
    pub fn shutdown(&self, how: Shutdown) {
        #[cfg(feature = "ranks")]
        if self.leaves_first(how) {
            return;
        }
        self.registry.close(how.into());
        self.registry.join();
    }

    /// As [`shutdown(Shutdown::Cancel)`](Self::shutdown).
    pub fn close(&self) {
        self.shutdown(Shutdown::Cancel);
    }
}

impl Clone for Executor {
    fn clone(&self) -> Self {
        Self::of(self.registry.clone())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // ORDERING: AcqRel; as in `Arc`: the last one comes after all the others.
        if self.registry.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shutdown(Shutdown::Cancel);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("id", &self.registry.id)
            .field("workers", &self.workers())
            .field("phase", &self.registry.phase())
            .finish()
    }
}

//! Calls to every worker of the pool.

use std::panic::Location;

use super::Executor;
use crate::error::{Refusal, TaskError, TaskErrorKind};
use crate::future::{Plain, TaskFuture};
use crate::primitive::sync::Arc;
use crate::scheduler::local;

impl Executor {
    /// Runs `call` on each worker, at its next task boundary and before whatever else it has to run, and waits for all of
    /// them. A worker that is in a long task answers after it; one that sleeps is woken. The values come in the order of
    /// the workers.
    ///
    /// From within a task of this executor, its own worker's call runs in the middle of that task, unless the task has
    /// [seceded](crate::secede).
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(3).build()?;
    /// assert_eq!(ex.run_on_all(|worker| 10 * worker)?, [0, 10, 20]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The error of the first worker whose call panicked, or was cancelled because the executor ends.
    #[track_caller]
    pub fn run_on_all<R, F>(&self, call: F) -> Result<Vec<R>, TaskError>
    where
        R: Send + 'static,
        F: Fn(usize) -> R + Send + Sync + 'static,
    {
        self.call(0..self.workers(), call, Location::caller()).into_iter().collect()
    }

    /// As [`run_on_all`](Self::run_on_all), with a result for each worker.
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(2).build()?;
    /// let odd = ex.run_on_all_results(|worker| assert!(worker == 1));
    /// assert!(odd[0].is_err() && odd[1].is_ok());
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[track_caller]
    pub fn run_on_all_results<R, F>(&self, call: F) -> Vec<Result<R, TaskError>>
    where
        R: Send + 'static,
        F: Fn(usize) -> R + Send + Sync + 'static,
    {
        self.call(0..self.workers(), call, Location::caller())
    }

    /// As [`run_on_all`](Self::run_on_all), without those that have no value.
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(2).build()?;
    /// let odd = ex.run_on_all_ok(|worker| if worker == 1 { worker } else { panic!("even") });
    /// assert_eq!(odd, [1]);
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[track_caller]
    pub fn run_on_all_ok<R, F>(&self, call: F) -> Vec<R>
    where
        R: Send + 'static,
        F: Fn(usize) -> R + Send + Sync + 'static,
    {
        self.call(0..self.workers(), call, Location::caller()).into_iter().flatten().collect()
    }

    /// As [`run_on_all`](Self::run_on_all), on some of the workers, in this order.
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(3).build()?;
    /// assert_eq!(ex.run_on([2, 0], |worker| worker)?, [2, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`run_on_all`](Self::run_on_all); and [`TaskError::is_impossible_place`] where there is no such worker.
    #[track_caller]
    pub fn run_on<R, F>(&self, workers: impl IntoIterator<Item = usize>, call: F) -> Result<Vec<R>, TaskError>
    where
        R: Send + 'static,
        F: Fn(usize) -> R + Send + Sync + 'static,
    {
        self.call(workers, call, Location::caller()).into_iter().collect()
    }

    /// Calls those workers, and waits for all of them.
    fn call<R, F>(
        &self,
        workers: impl IntoIterator<Item = usize>,
        call: F,
        location: &'static Location<'static>,
    ) -> Vec<Result<R, TaskError>>
    where
        R: Send + 'static,
        F: Fn(usize) -> R + Send + Sync + 'static,
    {
        let registry = &self.registry;
        let call = Arc::new(call);
        let here = local(|local| local.worker_index().filter(|_| local.serves(registry) && !local.has_seceded()));
        let submit = |worker| {
            let call = call.clone();
            let work = Plain(move || call(worker));
            TaskFuture::new(registry.submit_call(location, worker, here == Some(worker), work))
        };
        let workers: Vec<_> = workers.into_iter().collect();
        let none = |worker: usize| {
            let text = format!("there is no worker {worker}: this executor has {}", self.workers());
            TaskError::new(TaskErrorKind::Refused { refusal: Refusal::Place, text })
        };
        // The own call comes last: meanwhile the others are under way.
        let mut futures: Vec<_> = workers
            .iter()
            .map(|&worker| match worker {
                _ if worker >= self.workers() => Some(Err(none(worker))),
                _ if here == Some(worker) => None,
                _ => Some(Ok(submit(worker))),
            })
            .collect();
        for (future, &worker) in futures.iter_mut().zip(&workers).filter(|(future, _)| future.is_none()) {
            *future = Some(Ok(submit(worker)));
        }
        futures.into_iter().flatten().map(|future| future.and_then(await_value)).collect()
    }
}

/// Waits for the value of a future that nobody else has.
fn await_value<R: Send + 'static>(future: TaskFuture<R>) -> Result<R, TaskError> {
    future.into_result().unwrap_or_else(|_| Err(TaskError::new(TaskErrorKind::PromiseDropped)))
}

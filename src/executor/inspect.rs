//! The executor's methods that show what its threads are in the middle of, and that end it all.

use std::panic::Location;
use std::time::Duration;

use super::Executor;
use crate::actor;
use crate::error::{Error, TaskId};
use crate::scheduler::{SeenTask, SeenThread};
use crate::task::Keys;

/// A task that has begun and not ended, as it was seen. See [`Executor::running`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Running {
    /// The name it was given, else the type of its closure.
    pub name: String,
    /// Its id.
    pub id: TaskId,
    /// Where it was submitted.
    pub location: &'static Location<'static>,
    /// The worker on whose core it runs.
    pub worker: usize,
    /// How long ago it began. Good to some microseconds while tasks last long, or when somebody has looked of late; else,
    /// after many short ones, what is given may be when one of the last 64 began.
    pub since: Duration,
    /// It waits: for another task that runs on its stack, or for something else, and its thread sleeps.
    pub waiting: bool,
    /// It has left its worker to another thread ([`secede`](crate::secede)).
    pub seceded: bool,
}

/// The tasks on the stack of one thread, as they were seen. See [`Executor::call_stack`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallStack {
    /// The worker on whose core the thread runs.
    pub worker: usize,
    /// The tasks, at least one. Each waits for the next; the last is what the thread is about.
    pub tasks: Vec<Running>,
}

impl CallStack {
    fn of(thread: SeenThread<SeenTask>) -> Self {
        let SeenThread { worker, waits, seceded, tasks, .. } = thread;
        let count = tasks.len();
        let tasks = tasks.into_iter().enumerate().map(|(index, task)| Running {
            name: task.name,
            id: task.id,
            location: task.location,
            worker,
            since: task.since,
            waiting: waits || index + 1 < count,
            seceded,
        });
        Self { worker, tasks: tasks.collect() }
    }
}

impl Executor {
    /// The tasks that have begun and not ended, by worker; also those that wait or have seceded. Empty when idle.
    ///
    /// Those who run are held up for no more than the microseconds that the look takes, if they end meanwhile.
    ///
    /// # Errors
    /// [`Error::is_unseen`] where the system has no membarrier(2), or forbids it.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// let ex = heist::Executor::new()?;
    /// let (started, is_started) = mpsc::channel();
    /// let (end, ends) = mpsc::channel::<()>();
    /// let task = ex.submit(move || {
    ///     let _ = started.send(());
    ///     let _ = ends.recv();
    /// });
    /// is_started.recv()?;
    /// let running = ex.running()?;
    /// assert_eq!((running.len(), running[0].id), (1, task.id()));
    /// println!("{} for {:?}", running[0].name, running[0].since);
    /// drop(end);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn running(&self) -> Result<Vec<Running>, Error> {
        Ok(self.call_stack()?.into_iter().flat_map(|stack| stack.tasks).collect())
    }

    /// As [`running`](Self::running), thread by thread: a task that waits for another runs it on its own stack, if nobody has
    /// begun it.
    ///
    /// # Errors
    /// As [`running`](Self::running).
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(1).build()?;
    /// let inner = ex.clone();
    /// let depth = ex.submit(move || {
    ///     let within = inner.clone();
    ///     inner.submit(move || within.call_stack().unwrap()[0].tasks.len()).result().unwrap()
    /// });
    /// assert_eq!(depth.result()?, 2);
    /// assert!(heist::Executor::new()?.call_stack()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_stack(&self) -> Result<Vec<CallStack>, Error> {
        Ok(self.registry.see()?.into_iter().map(CallStack::of).collect())
    }

    /// Cancels every task that was submitted before, and goes on: queued ones, those that wait for inputs, promises, and
    /// those that run. Their futures end with a reason of which [`CancelReason::is_restart`](crate::CancelReason::is_restart)
    /// is true. A closure that runs is left to itself: [`cancelled`](crate::cancelled) is true in it, and what it
    /// returns is discarded. Actors end, those in the middle of a handler after it. Keys are free for new tasks; futures from before do not touch these.
    ///
    /// What another thread submits at the same time is either cancelled or not; what is submitted after this has returned
    /// is not. Of tasks that are on their way from one queue to another at this moment, a future may end a little later.
    /// From then on a submission costs a few instructions more.
    ///
    /// # Errors
    /// [`Error::is_closed`] if the executor is closed; [`Error::is_unseen`], and nothing is cancelled, where the system
    /// has no membarrier(2), or forbids it.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let (_promise, never) = ex.promise::<i32>();
    /// let next = ex.submit_after(&never, |n| n + 1);
    /// ex.restart()?;
    /// assert!(next.error().unwrap().cancel_reason().unwrap().is_restart());
    /// assert_eq!(ex.submit(|| 1).result()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restart(&self) -> Result<(), Error> {
        self.registry.restart()?;
        actor::restarted(&self.registry);
        self.registry.extensions.get::<Keys>().forget(|task| self.registry.is_old(task));
        Ok(())
    }
}

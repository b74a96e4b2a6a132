//! A task that will block, or wait for long, leaves its place among the workers to others, and may wait for one again.

use std::marker::PhantomData;

use crate::error::TaskError;
use crate::scheduler::{self, Secession};

/// The current task has left its worker to another thread; it goes on beside. See [`secede`].
///
/// When this is dropped the task counts as one of the worker again and goes on at once; the core has two threads until
/// the other one comes to the end of a task. [`rejoin`](Self::rejoin) waits instead.
#[derive(Debug)]
#[must_use = "the task is back when this is dropped"]
pub struct Seceded {
    secession: Option<Secession>,
    /// Of this thread.
    not_send: PhantomData<*const ()>,
}

/// The current task leaves its worker, which another thread drives from now on, so that other tasks run while this one
/// blocks: on a socket, on a lock, in a library, in a loop that watches something.
///
/// To its executor it is meanwhile like a thread from outside: what it submits is queued for the workers, and it runs
/// nothing while it waits. No wait of heist needs this: those lend the core by themselves.
///
/// Outside of tasks, and in a task that has seceded already, this does nothing, and so does what it gives.
///
/// # Errors
/// [`TaskError::is_stalled`] when as many threads were made as
/// [`max_spare_threads`](crate::Builder::max_spare_threads) allows; the task keeps its worker.
///
/// ```
/// use std::io::Read;
/// let ex = heist::Executor::builder().workers(1).build()?;
/// let (mut reader, writer) = std::io::pipe()?;
/// let text = ex.submit_result(move || {
///     let away = heist::secede()?;
///     let mut text = String::new();
///     reader.read_to_string(&mut text).map_err(|_| "no text")?; // the only worker runs others meanwhile
///     away.rejoin()?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(text)
/// });
/// ex.submit(move || drop(writer)).result()?;
/// assert_eq!(text.result()?, "");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn secede() -> Result<Seceded, TaskError> {
    Ok(Seceded { secession: scheduler::secede()?, not_send: PhantomData })
}

impl Seceded {
    /// Waits until the task has a worker of its executor to itself, and so until no more tasks run than there are workers.
    /// Who asks first is served first, by the first worker that comes to the end of a task; at once when one is idle. The
    /// task may go on on another core.
    ///
    /// # Errors
    /// [`TaskError::is_cancelled`] when the task is cancelled or the executor cancels what it has; the task goes on as
    /// after a drop.
    pub fn rejoin(mut self) -> Result<(), TaskError> {
        self.secession.take().map_or(Ok(()), scheduler::rejoin)
    }
}

impl Drop for Seceded {
    fn drop(&mut self) {
        if let Some(secession) = self.secession.take() {
            scheduler::come_home(secession);
        }
    }
}

//! One program for all ranks of a job: the first one's closure, and how an executor that is a rank ends.

use super::{Executor, Shutdown};
use crate::builder::Builder;
use crate::error::Error;
use crate::primitive::sync::Arc;
use crate::rank::{self, Rank};
use crate::scheduler::Registry;

/// As [`Builder::launch`], with the default settings.
///
/// # Errors
/// As [`Builder::build`].
///
/// ```
/// let sum = heist::launch(|ex| {
///     let squares = ex.map(0..10_u64, |i| i * i);
///     ex.gather(squares).map(|squares| squares.iter().sum::<u64>())
/// })?;
/// if let Some(sum) = sum {
///     assert_eq!(sum?, 285); // on rank 0, and on a process alone
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn launch<R>(main: impl FnOnce(&Executor) -> R) -> Result<Option<R>, Error> {
    Builder::default().launch(main)
}

impl Builder {
    /// Runs a program as the ranks of the job that a launcher (`mpirun`, `srun`) has started: rank 0 calls `main`, and its
    /// workers work like those of the other ranks, which serve until `main` has returned; then all leave together. Gives
    /// what `main` gave on rank 0, and nothing on the others. Without a launcher the process is rank 0 of one.
    ///
    /// A panic of `main` ends all ranks, as does a rank that exits or is killed meanwhile: the launcher tells it by its exit
    /// code.
    ///
    /// # Errors
    /// As [`build`](Self::build); [`Error::is_join`] when an executor of this process has joined the job before.
    ///
    /// ```
    /// let workers = heist::Executor::builder().workers(2).launch(|ex| ex.workers())?;
    /// assert_eq!(workers, Some(2));
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn launch<R>(self, main: impl FnOnce(&Executor) -> R) -> Result<Option<R>, Error> {
        rank::check_unjoined()?;
        let ending = Ending(self.build()?);
        let ex = &ending.0;
        Ok((ex.world().rank() == Rank(0)).then(|| main(ex)))
    }
}

/// Ends the executor, whoever else has a handle on it.
struct Ending(Executor);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.shutdown(Shutdown::Cancel);
    }
}

impl Executor {
    /// It lives as long as the process.
    pub(crate) fn stays(&self) {
        rank::stays(&self.registry);
    }

    /// If this executor is the process's part in a job, leaves it together with all ranks, which are served until then. True
    /// when that cannot be waited for here: another thread does it, and ends the executor.
    pub(super) fn leaves_first(&self, how: Shutdown) -> bool {
        let Some(leave) = rank::depart(&self.registry, how == Shutdown::Wait) else { return false };
        if !self.registry.may_not_wait() {
            leave.complete(&self.registry);
            return false;
        }
        if leave.is_second() {
            return true;
        }
        let (registry, leave) = (self.registry.clone(), leave.aside());
        let leaves = move || {
            leave.complete(&registry);
            end(&registry, how);
        };
        std::thread::Builder::new().name("heist-leave".to_owned()).spawn(leaves).is_ok()
    }
}

fn end(registry: &Arc<Registry>, how: Shutdown) {
    registry.close(how.into());
    registry.join();
}

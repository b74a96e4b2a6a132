//! The executor as one rank of a world.

#[cfg(test)]
mod frames;
#[cfg(test)]
mod fuzz;

use super::Executor;
use crate::builder::Builder;
use crate::error::{Error, ErrorKind};
use crate::primitive::sync::Arc;
use crate::rank::{Membership, Rank, Shared, Transport, World, local};

impl Executor {
    /// The ranks of the job that this executor belongs to: itself alone, if no launcher has started more, or when it has
    /// ended.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// assert_eq!(ex.world().size(), 1);
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[must_use]
    pub fn world(&self) -> World {
        let membership = self.registry.extensions.get::<Membership>();
        let shared = membership.world(&self.registry);
        // One that has ended has let go of its world: this one would outlive it.
        if self.registry.admit().is_err() {
            shared.executor_ended();
        }
        World::of(shared)
    }

    /// A world within this process, for tests of programs that are to run as ranks: an executor for each rank, as `build`
    /// says. The ranks share nothing but messages, as if they were processes.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// assert_eq!((ranks.len(), ranks[1].world().rank()), (2, Rank(1)));
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn in_process_world(ranks: usize, mut build: impl FnMut(Rank) -> Builder) -> Result<Vec<Self>, Error> {
        let ends = local::world(ranks);
        let members = ends.into_iter().enumerate().map(|(rank, end)| {
            let rank = Rank(u32::try_from(rank).unwrap_or(u32::MAX));
            Self::joined(build(rank), rank, ranks, Arc::new(end))
        });
        members.collect()
    }

    /// An executor as one of so many ranks of a host.
    fn joined(builder: Builder, rank: Rank, ranks: usize, end: Arc<dyn Transport>) -> Result<Self, Error> {
        let ex = builder.apart().build()?;
        Shared::join(&ex.registry, rank, vec![0; ranks], end).map_err(no_thread)?;
        Ok(ex)
    }
}

fn no_thread(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Thread { name: "heist-progress".to_owned(), source })
}

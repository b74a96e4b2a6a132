//! What each rank holds.

use std::panic::Location;

use serde::{Deserialize, Serialize};

use super::Told;
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Promise, TaskFuture};
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::message::Kind;
use crate::rank::world::{Rank, Shared, World};
use crate::scheduler::Registry;

/// One rank and what was scattered to it: by [`World::has_what`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankData {
    /// The rank.
    pub rank: Rank,
    /// Its workers.
    pub workers: usize,
    /// Scattered values and chunks that it holds.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What one rank holds, by domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Holds(pub(super) Vec<OnDomain>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OnDomain {
    /// What the kernel calls the domain, where memory is placed.
    pub(super) memory: Option<u32>,
    pub(super) workers: u32,
    entries: u64,
    bytes: u64,
}

impl Holds {
    pub(super) fn of(registry: &Registry) -> Self {
        let one = |domain| OnDomain {
            memory: registry.settings.seating.memory[domain],
            workers: registry.workers_of(domain).len() as u32,
            entries: registry.ledger.entries(domain) as u64,
            bytes: registry.ledger.bytes(domain) as u64,
        };
        Self((0..registry.domain_count()).map(one).collect())
    }

    pub(super) fn pack(&self) -> Result<Packed, TaskError> {
        pack(self)
    }
}

/// Asks a rank.
fn ask(world: &Arc<Shared>, rank: Rank) -> TaskFuture<Holds> {
    let (promise, future) = Promise::new(world.registry(), Location::caller());
    match pack(&Told::Holds) {
        Ok(packed) => {
            let answered = |world: &Arc<Shared>, answer: Result<Packed, TaskError>| match answer
                .and_then(|packed| packed.unpack(world))
            {
                Ok(holds) => promise.fulfil(holds),
                Err(error) => promise.fail_with(TaskErrorKind::Dependency(error)),
            };
            world.ask(rank, Kind::Data, packed, answered);
        }
        Err(error) => promise.fail_with(TaskErrorKind::Dependency(error)),
    }
    future
}

/// What all ranks hold, in their order.
pub(super) fn all(world: &Arc<Shared>) -> Result<Vec<Holds>, TaskError> {
    let asked: Vec<_> = (0..world.size() as u32).map(|rank| ask(world, Rank(rank))).collect();
    asked.iter().map(TaskFuture::result).collect()
}

impl World {
    /// The ranks, and what was scattered to each and is still held. Asks all of them, and waits.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] when one has ended, or that of the wait.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let table = world.broadcast(vec![7_u8; 100])?;
    /// assert_eq!(world.has_what()?[1].entries, 1);
    /// drop(table);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_what(&self) -> Result<Vec<RankData>, TaskError> {
        let sum = |(rank, Holds(domains)): (u32, Holds)| RankData {
            rank: Rank(rank),
            workers: domains.iter().map(|domain| domain.workers as usize).sum(),
            entries: domains.iter().map(|domain| domain.entries as usize).sum(),
            bytes: domains.iter().map(|domain| domain.bytes as usize).sum(),
        };
        Ok((0..).zip(all(self.shared())?).map(sum).collect())
    }
}

//! The ranks that a run has.

use heist::{Rank, World};

use crate::fail::Fail;
use crate::layout::count;

/// Every rank.
pub(crate) fn all(world: &World) -> impl Iterator<Item = Rank> {
    (0..world.size()).filter_map(|rank| u32::try_from(rank).ok()).map(Rank)
}

/// The workers of each rank.
pub(crate) fn workers(world: &World) -> Result<Vec<usize>, Fail> {
    let told: Vec<_> = all(world).map(|rank| world.on(rank).submit(workers_here, ((),))).collect();
    told.into_iter().map(|told| told.result().map_err(|error| Fail::task(&error))).collect()
}

fn workers_here(_: ((),)) -> usize {
    heist::current().map_or(0, |current| current.executor().workers())
}

/// For a report: `2`, or `8 on 4 ranks`.
pub(crate) fn told(workers: usize, ranks: usize) -> String {
    if ranks == 1 { workers.to_string() } else { format!("{workers} on {}", count(ranks, "rank")) }
}

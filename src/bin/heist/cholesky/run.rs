//! One run of the graph: the tiles its tasks work on, and the time they spend.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::tiles::Tiles;

/// What all tasks of a run share.
pub(crate) struct Run {
    pub(crate) tiles: Tiles,
    /// For each worker, nanoseconds inside tasks.
    busy: Vec<AtomicU64>,
}

/// A finished task, with the time of the longest chain of tasks that ends with it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Step {
    chain: Duration,
}

impl Step {
    /// The time from the first task of the graph to the end of this one if every task had been taken up as
    /// soon as its inputs were done.
    pub(crate) fn chain(self) -> Duration {
        self.chain
    }
}

impl Run {
    pub(crate) fn new(tiles: Tiles, workers: usize) -> Run {
        let busy = (0..workers).map(|_| AtomicU64::new(0)).collect();
        Run { tiles, busy }
    }

    /// The work of a task that has waited for `inputs`, timed.
    pub(crate) fn step<'a, T>(
        &self,
        inputs: impl IntoIterator<Item = &'a Step>,
        work: impl FnOnce(&Tiles) -> T,
    ) -> (Step, T) {
        let before = inputs.into_iter().map(|step| step.chain).max().unwrap_or_default();
        let start = Instant::now();
        let value = work(&self.tiles);
        let taken = start.elapsed();
        let worker = heist::current().and_then(|current| self.busy.get(current.worker()));
        if let Some(busy) = worker {
            let nanoseconds = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
            busy.fetch_add(nanoseconds, Ordering::Relaxed);
        }
        (Step { chain: before + taken }, value)
    }

    /// For each worker, the time inside tasks so far.
    pub(crate) fn busy(&self) -> Vec<Duration> {
        self.busy.iter().map(|busy| Duration::from_nanos(busy.load(Ordering::Relaxed))).collect()
    }
}

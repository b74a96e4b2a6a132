//! Who waits for an answer.

use std::collections::HashMap;

use super::codec::Packed;
use super::world::{Rank, Shared};
use crate::error::TaskError;
use crate::panics;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

type Done = Box<dyn FnOnce(&Arc<Shared>, Result<Packed, TaskError>) + Send>;

/// Tables, so that threads that ask at the same time seldom meet.
const SHARDS: usize = 16;

#[derive(Default)]
pub(crate) struct Replies {
    drawn: AtomicU64,
    shards: [Mutex<HashMap<u64, Waiting>>; SHARDS],
}

struct Waiting {
    from: Rank,
    done: Done,
}

impl Replies {
    /// A ticket, by which `done` is found again when the answer comes from that rank.
    pub(super) fn expect(&self, from: Rank, done: Done) -> u64 {
        // ORDERING: Relaxed; the number only has to be new.
        let ticket = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        self.shard(ticket).lock().insert(ticket, Waiting { from, done });
        ticket
    }

    fn shard(&self, ticket: u64) -> &Mutex<HashMap<u64, Waiting>> {
        &self.shards[ticket as usize % SHARDS]
    }

    /// Calls who waits for this answer, if it comes from the rank that was asked.
    pub(super) fn arrived(&self, world: &Arc<Shared>, from: Rank, ticket: u64, what: Result<Packed, TaskError>) {
        let mut shard = self.shard(ticket).lock();
        let Some(waiting) = shard.remove(&ticket) else { return };
        if waiting.from != from {
            shard.insert(ticket, waiting);
            return;
        }
        drop(shard);
        (waiting.done)(world, what);
    }

    /// Tells who waits for an answer of a rank that none will come.
    pub(crate) fn fail_from(&self, world: &Arc<Shared>, rank: Rank, error: &TaskError) {
        self.fail(world, error, |waiting| waiting.from == rank);
    }

    pub(super) fn fail_all(&self, world: &Arc<Shared>, error: &TaskError) {
        self.fail(world, error, |_| true);
    }

    fn fail(&self, world: &Arc<Shared>, error: &TaskError, is_meant: impl Fn(&Waiting) -> bool) {
        for shard in &self.shards {
            let meant: Vec<_> = shard.lock().extract_if(|_, waiting| is_meant(waiting)).collect();
            for (_, waiting) in meant {
                panics::catch_drop(|| (waiting.done)(world, Err(error.clone())));
            }
        }
    }
}

//! The actors of an executor: to be told of, and to be ended with it.

use std::cell::Cell;
use std::ptr::NonNull;

use super::core::Core;
use super::turn::Turn;
use crate::error::TaskId;
use crate::primitive::Padded;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;

/// Locks over which the actors are spread.
const SHARDS: usize = 16;

/// The neighbours of an actor in its list, touched under that list's lock.
#[derive(Default)]
pub(super) struct Links {
    before: Cell<Option<NonNull<Core>>>,
    after: Cell<Option<NonNull<Core>>>,
}

/// Lists of the actors that have not ended.
#[derive(Default)]
pub(super) struct House {
    shards: [Padded<Mutex<First>>; SHARDS],
}

#[derive(Default)]
struct First(Option<NonNull<Core>>);

// SAFETY: the pointers are followed under the lock, and an actor leaves its list, under it, before its memory goes.
unsafe impl Send for First {}

impl House {
    fn shard(&self, core: NonNull<Core>) -> &Mutex<First> {
        &self.shards[(core.addr().get() >> 8) % SHARDS].0
    }

    pub(super) fn enter(&self, core: &Core) {
        let this = NonNull::from(core);
        let mut first = self.shard(this).lock();
        core.links.after.set(first.0);
        if let Some(after) = first.0 {
            // SAFETY: it is listed, and the list is locked.
            unsafe { after.as_ref() }.links.before.set(Some(this));
        }
        first.0 = Some(this);
    }

    /// Called once for what has entered.
    pub(super) fn leave(&self, core: &Core) {
        let mut first = self.shard(NonNull::from(core)).lock();
        let (before, after) = (core.links.before.get(), core.links.after.get());
        // SAFETY: they are listed, and the list is locked.
        unsafe {
            match before {
                Some(before) => before.as_ref().links.after.set(after),
                None => first.0 = after,
            }
            if let Some(after) = after {
                after.as_ref().links.before.set(before);
            }
        }
    }

    /// Ends the actors of an executor that has ended. All are idle, but for those that a thread from outside has just told
    /// something, who ends them then.
    fn close(&self) {
        self.end_idle(|_| true);
    }

    /// Ends those of the idle actors that `are_meant`.
    fn end_idle(&self, are_meant: impl Fn(&Core) -> bool) {
        let claim = |core: &Core| {
            // SAFETY: the turn was just claimed.
            (are_meant(core) && core.mailbox.claim()).then(|| unsafe { Turn::of(NonNull::from(core)) })
        };
        for shard in &self.shards {
            let turns: Vec<_> = listed(&shard.0.lock()).filter_map(claim).collect();
            // Not under the lock: states are dropped.
            turns.into_iter().for_each(Turn::count_and_stop);
        }
    }

    pub(super) fn actors(&self) -> Vec<ActorInfo> {
        let told = |shard: &Padded<Mutex<First>>| listed(&shard.0.lock()).map(ActorInfo::of).collect::<Vec<_>>();
        self.shards.iter().flat_map(told).collect()
    }
}

/// The actors of a list that is locked.
fn listed(first: &First) -> impl Iterator<Item = &Core> {
    // SAFETY: what is listed is there while the list is locked, as long as `first` is borrowed.
    std::iter::successors(first.0, |core| unsafe { core.as_ref() }.links.after.get())
        .map(|core| unsafe { &*core.as_ptr() })
}

/// Ends the idle actors of a registry that are older than its last restart. Those whose turn is somebody's are ended by him.
#[cold]
pub(super) fn end_old(registry: &Registry) {
    registry.extensions.get::<Door>().0.end_idle(|core| registry.is_old(&core.head));
}

/// Where an executor keeps its house; closes it when the executor lets go of it.
#[derive(Default)]
pub(super) struct Door(pub(super) Arc<House>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An actor, as it was at one moment; see [`Executor::actors`](crate::Executor::actors).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ActorInfo {
    /// Its number, among those of tasks.
    pub id: TaskId,
    /// What it was named, else the name of its type.
    pub name: String,
    /// How many messages wait in its mailbox.
    pub waiting: usize,
    /// The domain it was put on, else the one where it last had its turn.
    pub home: Option<usize>,
}

impl ActorInfo {
    fn of(core: &Core) -> Self {
        Self { id: core.head.id(), name: core.name().to_owned(), waiting: core.waiting(), home: core.home() }
    }
}

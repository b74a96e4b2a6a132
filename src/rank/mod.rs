//! Ranks: the processes of one job, which pass each other tasks, data and messages.
//!
//! A `world` is what one rank knows of the others. Its parts send each other `message`s, which `codec` turns into frames of
//! bytes and a `transport` carries; `progress` hands what comes to the part it is meant for. `object`s are what a rank keeps
//! for others, and how it learns that they need it no more.
//!
//! A process joins the `job` that its launcher made, by what the ranks tell each other at first, and leaves with all of them.

#[cfg(not(heist_loom))]
mod actor;
#[cfg(not(heist_loom))]
mod balance;
mod bell;
#[cfg(not(heist_loom))]
mod codec;
#[cfg(not(heist_loom))]
mod collective;
#[cfg(not(heist_loom))]
mod data;
#[cfg(not(heist_loom))]
mod identity;
#[cfg(not(heist_loom))]
mod job;
#[cfg(not(heist_loom))]
mod message;
#[cfg(not(heist_loom))]
pub(crate) mod mpi;
#[cfg(not(heist_loom))]
mod object;
#[cfg(not(heist_loom))]
mod progress;
#[cfg(not(heist_loom))]
mod replies;
#[cfg(not(heist_loom))]
mod sync;
#[cfg(not(heist_loom))]
mod task;
mod transport;
#[cfg(not(heist_loom))]
mod wait;
#[cfg(not(heist_loom))]
mod world;

#[cfg(not(heist_loom))]
pub use actor::RemoteRef;
#[cfg(all(test, not(heist_loom)))]
pub(crate) use bell::{Bell, Futex};
#[cfg(not(heist_loom))]
pub use codec::Array;
#[cfg(not(heist_loom))]
pub use collective::{Collective, Max, Min, Number, Prod, Reduction, Sum};
#[cfg(not(heist_loom))]
pub use data::{RankData, Replicated};
#[cfg(not(heist_loom))]
pub(crate) use job::{Part, check_unjoined, depart, join, stays};
#[cfg(not(heist_loom))]
pub use job::{detach_command, with_mpi};
#[cfg(not(heist_loom))]
pub use sync::{
    WorldBarrier, WorldEvent, WorldLock, WorldLockGuard, WorldPermit, WorldQueue, WorldQueueIter, WorldSemaphore,
    WorldVariable,
};
#[cfg(not(heist_loom))]
pub use task::{All, Arg, Args, RemoteTask, all};
#[cfg(not(heist_loom))]
pub(crate) use transport::{Transport, local};
#[cfg(not(heist_loom))]
pub(crate) use world::{Membership, Shared};
#[cfg(not(heist_loom))]
pub use world::{Rank, World};

/// What tests of whole worlds look into.
#[cfg(all(test, not(heist_loom)))]
pub(crate) mod inside {
    pub(crate) use super::codec::{Blob, Frame, Packed, Passed, from_frame, pack, ranks_are_near, to_frame};
    pub(crate) use super::message::{Kind, Message};
    pub(crate) use super::object::{Reference, name};
}

//! Actors: state in one place, and messages that are handled one after the other.
#![doc = include_str!("README.md")]

#[allow(unsafe_code, reason = "counted references to an actor")]
#[cfg(not(heist_loom))]
mod actor_ref;
#[allow(
    unsafe_code,
    reason = "one allocation of an actor, shared by counted references; its state is whose turn it is"
)]
#[cfg(not(heist_loom))]
mod core;
#[cfg(not(heist_loom))]
mod feed;
#[allow(unsafe_code, reason = "actors are listed by address")]
#[cfg(not(heist_loom))]
mod house;
#[cfg(not(heist_loom))]
mod inputs;
#[allow(unsafe_code, reason = "a handler borrows the state of its actor across awaits; its alarm has the turn")]
#[cfg(not(heist_loom))]
mod later;
#[allow(unsafe_code, reason = "messages are linked through themselves")]
mod mailbox;
#[cfg(not(heist_loom))]
mod options;
#[allow(unsafe_code, reason = "a place leads to the actor whose room it is in")]
#[cfg(not(heist_loom))]
mod room;
#[allow(unsafe_code, reason = "an actor is born with one reference")]
#[cfg(not(heist_loom))]
mod spawn;
#[cfg(all(feature = "io", not(heist_loom)))]
mod timer;
#[allow(unsafe_code, reason = "who has the turn has the actor")]
#[cfg(not(heist_loom))]
mod turn;

#[cfg(not(heist_loom))]
pub use actor_ref::{ActorRef, WeakRef};
#[cfg(not(heist_loom))]
pub use house::ActorInfo;
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub(crate) use options::Reaction;
#[cfg(not(heist_loom))]
pub use options::{ActorOptions, OnPanic};
#[cfg(not(heist_loom))]
pub(crate) use spawn::{actors, restarted, spawn};
#[cfg(all(feature = "io", not(heist_loom)))]
pub use timer::ActorTimer;

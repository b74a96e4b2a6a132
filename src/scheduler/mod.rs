//! Brings ready tasks to workers and workers to tasks.
#![doc = include_str!("README.md")]

#[cfg(not(heist_loom))]
pub(crate) mod blocked;
#[allow(unsafe_code, reason = "a thread's record points to its registry, its worker and the tasks on its stack")]
#[cfg(not(heist_loom))]
mod context;
mod ending;
mod idle;
#[allow(unsafe_code, reason = "ready tasks are linked through themselves")]
mod inbox;
#[cfg(all(test, heist_loom))]
mod models;
#[allow(unsafe_code, reason = "promises are ended by address")]
#[cfg(not(heist_loom))]
mod outstanding;
#[cfg(not(heist_loom))]
mod registry;
#[cfg(not(heist_loom))]
mod shutdown;
#[cfg(not(heist_loom))]
mod slot;
#[cfg(not(heist_loom))]
mod spare;
#[cfg(not(heist_loom))]
mod stuck;
#[cfg(not(heist_loom))]
mod victim;
#[cfg(not(heist_loom))]
mod wait;
#[cfg(not(heist_loom))]
mod worker;

#[cfg(not(heist_loom))]
pub(crate) use context::{Local, local};
pub(crate) use ending::Phase;
#[cfg(not(heist_loom))]
pub(crate) use registry::{Registry, Settings};
#[cfg(not(heist_loom))]
pub(crate) use wait::{Waited, help_once, is_elsewhere, sleep, wait};

//! Brings ready tasks to workers and workers to tasks.
#![doc = include_str!("README.md")]

mod blocked;
mod context;
mod idle;
mod inbox;
mod outstanding;
mod registry;
mod shutdown;
mod slot;
mod spare;
mod stuck;
mod victim;
mod wait;
mod worker;

pub(crate) use context::{Local, local};
pub(crate) use registry::{Phase, Registry, Settings};
pub(crate) use wait::{Waited, help_any, is_elsewhere, sleep, wait};

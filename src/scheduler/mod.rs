//! Brings ready tasks to workers and workers to tasks.
#![doc = include_str!("README.md")]

mod blocked;
#[allow(unsafe_code, reason = "a thread's record points to its registry, its worker and the tasks on its stack")]
mod context;
mod idle;
#[allow(unsafe_code, reason = "ready tasks are linked through themselves")]
mod inbox;
#[allow(unsafe_code, reason = "promises are ended by address")]
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

//! Brings ready tasks to workers and workers to tasks.
#![doc = include_str!("README.md")]

#[cfg(not(heist_loom))]
pub(crate) mod blocked;
#[allow(unsafe_code, reason = "a thread's record points to its registry, its worker and the tasks on its stack")]
#[cfg(not(heist_loom))]
mod context;
#[cfg(not(heist_loom))]
mod domain;
#[cfg(not(heist_loom))]
mod drive;
mod ending;
#[allow(unsafe_code, reason = "a word leads to a task or a batch")]
mod entry;
#[cfg(not(heist_loom))]
mod extensions;
mod idle;
#[allow(unsafe_code, reason = "ready tasks are linked through themselves")]
mod inbox;
#[cfg(all(test, heist_loom))]
mod models;
#[cfg(not(heist_loom))]
mod outside;
#[allow(unsafe_code, reason = "promises are ended by address")]
#[cfg(not(heist_loom))]
mod outstanding;
#[cfg(not(heist_loom))]
mod pace;
#[cfg(not(heist_loom))]
mod registry;
#[cfg(not(heist_loom))]
mod seating;
#[cfg(not(heist_loom))]
mod shutdown;
#[cfg(all(test, not(heist_loom)))]
mod simulation;
#[allow(unsafe_code, reason = "a slot holds the word of an entry")]
#[cfg(not(heist_loom))]
mod slot;
#[cfg(not(heist_loom))]
mod spare;
#[cfg(not(heist_loom))]
mod stuck;
#[cfg(not(heist_loom))]
mod submit;
#[cfg(not(heist_loom))]
mod victim;
#[cfg(not(heist_loom))]
mod wait;
#[cfg(not(heist_loom))]
mod worker;

#[cfg(not(heist_loom))]
pub(crate) use context::{Local, is_worker_thread, local};
pub(crate) use ending::Phase;
#[cfg(not(heist_loom))]
pub(crate) use pace::Search;
#[cfg(not(heist_loom))]
pub(crate) use registry::{Registry, Settings};
#[cfg(not(heist_loom))]
pub(crate) use seating::Seating;
#[cfg(not(heist_loom))]
pub(crate) use wait::{Waited, help_newest, help_once, help_ready, is_elsewhere, sleep, wait};

//! Brings ready tasks to workers and workers to tasks.
#![doc = include_str!("README.md")]

#[allow(unsafe_code, reason = "blocked tasks are known by their addresses")]
#[cfg(not(heist_loom))]
pub(crate) mod blocked;
#[cfg(not(heist_loom))]
mod clock;
#[allow(unsafe_code, reason = "a thread's record points to its registry, its worker and the tasks on its stack")]
#[cfg(not(heist_loom))]
mod context;
#[cfg(not(heist_loom))]
mod detached;
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
#[cfg(not(heist_loom))]
mod interrupt;
mod line;
#[cfg(all(test, heist_loom))]
mod models;
#[cfg(all(test, heist_loom))]
mod models_seat;
#[allow(unsafe_code, reason = "a looker promises what he has done")]
#[cfg(all(test, heist_loom))]
mod models_shown;
#[allow(unsafe_code, reason = "the stacks of other threads are looked at")]
#[cfg(not(heist_loom))]
mod observe;
#[cfg(not(heist_loom))]
mod outside;
#[allow(unsafe_code, reason = "promises are ended by address")]
#[cfg(not(heist_loom))]
mod outstanding;
#[cfg(not(heist_loom))]
mod pace;
#[cfg(not(heist_loom))]
mod progress;
#[cfg(not(heist_loom))]
mod registry;
#[cfg(not(heist_loom))]
mod resources;
#[allow(unsafe_code, reason = "tasks on the stacks of threads are ended by address")]
#[cfg(not(heist_loom))]
mod restart;
#[cfg(not(heist_loom))]
mod ruled;
mod seat;
#[cfg(not(heist_loom))]
mod seating;
#[cfg(not(heist_loom))]
mod secede;
#[cfg(not(heist_loom))]
mod shelf;
#[cfg(not(heist_loom))]
mod shelves;
mod shown;
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
#[allow(unsafe_code, reason = "turns are queued by the address of whose they are")]
#[cfg(not(heist_loom))]
mod turns;
#[cfg(not(heist_loom))]
mod victim;
#[cfg(not(heist_loom))]
mod wait;
#[cfg(not(heist_loom))]
mod worker;

#[cfg(not(heist_loom))]
pub(crate) use context::{Local, is_worker_thread, local};
#[cfg(not(heist_loom))]
pub(crate) use detached::{ErrorHook, detach};
pub(crate) use ending::Phase;
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub(crate) use extensions::Extensions;
#[cfg(not(heist_loom))]
pub(crate) use interrupt::sleep_unless_cancelled;
#[cfg(not(heist_loom))]
pub(crate) use observe::{SeenTask, SeenThread};
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub(crate) use outstanding::FromAfar;
#[cfg(not(heist_loom))]
pub(crate) use pace::Search;
#[cfg(not(heist_loom))]
#[cfg_attr(not(feature = "ranks"), allow(unused_imports))]
pub(crate) use progress::Progress;
#[cfg(not(heist_loom))]
pub(crate) use registry::{Registry, Settings};
#[cfg(not(heist_loom))]
pub use resources::Resource;
#[cfg(not(heist_loom))]
pub(crate) use seating::Seating;
#[cfg(not(heist_loom))]
pub(crate) use secede::{Secession, come_home, rejoin, secede};
#[cfg(not(heist_loom))]
pub(crate) use turns::Budget;
#[cfg(not(heist_loom))]
pub(crate) use wait::{Helping, Waited, help_newest, help_once, help_ready, is_elsewhere, may_help, sleep, wait};

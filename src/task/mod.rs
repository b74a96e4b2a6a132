//! The core of a task: one allocation, one state word, one list of those who wait.
#![doc = include_str!("README.md")]

mod cell;
mod dependents;
mod handle;
mod header;
mod home;
mod listener;
mod make;
#[cfg(all(test, heist_loom))]
pub(crate) mod models;
mod nest;
mod recycle;
mod run;
#[cfg(not(heist_loom))]
mod shared;
mod state;
mod typed;
mod whereabouts;

pub(crate) use cell::{Birth, Work};
pub(crate) use dependents::{fail, fire, listen, withdraw};
pub(crate) use handle::Handle;
pub(crate) use handle::{schedule, skip};
pub(crate) use header::{Header, Ready, Schedule};
#[cfg(not(heist_loom))]
pub(crate) use home::MOST as MOST_EXECUTORS;
pub(crate) use home::{Home, Number, generation};
pub(crate) use listener::{Action, Listener};
pub(crate) use make::Held;
pub(crate) use make::{
    Anywhere, Lies, Unkept, after, ready, ready_unwanted, unkept, with_error, with_value, with_value_and,
};
pub(crate) use recycle::Pooled;
#[cfg(not(heist_loom))]
pub(crate) use recycle::{keeps_memory, rest};
pub(crate) use run::{Finisher, Help, Started, cancel, cancel_queued, help, if_open, start};
#[cfg(not(heist_loom))]
pub(crate) use shared::{Dealer, Stateless};
pub(crate) use state::Phase;
pub(crate) use typed::{Input, Typed};
pub(crate) use whereabouts::{Whereabouts, affinity};

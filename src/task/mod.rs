//! The core of a task: one allocation, one state word, one list of those who wait.
#![doc = include_str!("README.md")]

mod cell;
mod dependents;
mod handle;
mod header;
mod listener;
mod run;
mod state;

pub(crate) use cell::{Birth, Work, set_value, with_work, without_work};
pub(crate) use dependents::{error_of, fail, fire, listen, withdraw};
pub(crate) use handle::{Handle, Input, schedule, skip};
pub(crate) use header::{Header, Home, Ready, Schedule, value_pointer};
pub(crate) use listener::{Action, Listener};
pub(crate) use run::{Help, Started, cancel, cancel_queued, finish, help, register, start};
pub(crate) use state::{Outcome, Phase, State};

//! The core of a task: one allocation, one state word, one list of those who wait.
#![doc = include_str!("README.md")]

mod cell;
mod dependents;
mod handle;
mod header;
mod home;
mod keys;
#[cfg(any(feature = "ranks", heist_loom))]
mod lacking;
mod listener;
mod make;
mod message;
#[cfg(all(test, heist_loom))]
pub(crate) mod models;
mod nest;
mod recycle;
mod rule;
mod run;
#[cfg(not(heist_loom))]
mod shared;
mod state;
mod typed;
mod whereabouts;

pub(crate) use cell::{Birth, TriesAgain, Work};
pub(crate) use dependents::{fail, fire, listen, withdraw};
pub(crate) use handle::Handle;
pub(crate) use handle::{schedule, skip};
#[cfg(feature = "ranks")]
pub(crate) use header::Afar;
pub(crate) use header::{Header, Ready, Schedule};
#[cfg(not(heist_loom))]
pub(crate) use home::MOST as MOST_EXECUTORS;
#[cfg(feature = "ranks")]
pub(crate) use home::ask_afar;
#[cfg(not(heist_loom))]
pub(crate) use home::detach;
pub(crate) use home::{Home, Number, generation};
pub use keys::Key;
#[cfg(not(heist_loom))]
pub(crate) use keys::{Crew, Found, Keeper, Keys};
#[cfg(any(feature = "ranks", heist_loom))]
pub(crate) use lacking::{Lacking, Receive, lacking};
pub(crate) use listener::{Action, Listener, Roll};
pub(crate) use make::Held;
pub(crate) use make::{
    Anywhere, Lies, Named, Unkept, after, after_ruled_work, ready, ready_unwanted, ruled, unkept, unkept_as,
    unkept_aside, unkept_ruled, with_error, with_value, with_value_and,
};
pub(crate) use message::{Errand, Message, Turns, ask, fail_running, tell, turn, turn_of, waiting_for};
pub(crate) use recycle::Pooled;
#[cfg(not(heist_loom))]
pub(crate) use recycle::{keeps_memory, rest};
pub(crate) use rule::{Ended, NUMBER, Needs, Recipe, Renewed, Rule, Where, with_class};
pub use rule::{Place, Priority};
pub(crate) use run::{Finisher, Help, Started, cancel, cancel_queued, help, if_open, start};
#[cfg(not(heist_loom))]
pub(crate) use shared::{Dealer, Stateless};
pub(crate) use state::Phase;
pub(crate) use typed::{Input, Typed};
pub(crate) use whereabouts::{Whereabouts, affinity};

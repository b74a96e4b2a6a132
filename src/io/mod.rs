//! Timers, readiness of file descriptors, and signals, for tasks and for anybody else.
//!
//! Each is a std future, to be awaited in [`Executor::spawn`](crate::Executor::spawn) or under any other runtime, and has
//! a blocking form that lends the core of the task it is called from. One thread, started at first use, serves the whole
//! process: it waits for the system and wakes whoever waits for it, and runs no task.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use heist::io;
//! let ex = heist::Executor::new()?;
//! let (begin, pause) = (Instant::now(), Duration::from_millis(2));
//! let awaits = ex.spawn(async move { io::sleep(pause).await });
//! let blocks = ex.submit(move || io::sleep(pause).wait());
//! awaits.result()??;
//! blocks.result()??;
//! assert!(begin.elapsed() >= pause);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a child made by `fork()` what was made in the parent is an error ([`TaskError::is_forked`](crate::TaskError::is_forked));
//! what the child makes itself works.

mod after;
mod block;
mod event_loop;
#[allow(unsafe_code, reason = "a signal's handler is registered, and asked about")]
mod handler;
mod signal;
mod signals;
mod sources;
mod time;
mod timers;
mod waiting;
mod watched;

pub(crate) use after::{TimerKey, after, cancel};
#[cfg(feature = "ranks")]
pub(crate) use handler::{before_end_by, was_to_end};
pub use signal::Signal;
pub use signals::{NextSignal, Signals};
pub(crate) use time::next_tick;
pub use time::{Interval, Sleep, interval, sleep, sleep_until, timeout};
pub use watched::{Ready, Watched};

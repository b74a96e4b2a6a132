//! Calls at a time, for the layers above.

use std::time::Instant;

use super::event_loop::{self, Loop};
use super::timers::{Action, Key};
use crate::error::TaskError;

/// A call to come.
#[derive(Clone, Copy)]
pub(crate) struct TimerKey {
    of: &'static Loop,
    key: Key,
}

/// Has `call` called at `at`, or soon after, on the thread of the loop, which waits for its end: it must be short, and
/// not the user's. O(log timers).
pub(crate) fn after(at: Instant, call: impl FnOnce() + Send + 'static) -> Result<TimerKey, TaskError> {
    let of = event_loop::get()?;
    let key = of.add(at, Action::Call(Box::new(call)))?;
    Ok(TimerKey { of, key })
}

/// Takes a call back, and drops it; false when it was made, or is being made.
pub(crate) fn cancel(timer: TimerKey) -> bool {
    timer.of.timers().is_ok_and(|timers| timers.cancel(timer.key))
}

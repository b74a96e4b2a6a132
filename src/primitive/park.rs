//! One thread sleeps, another wakes it; a wake that comes first is kept.

use std::fmt;
// Loom's own cannot hold a trait object.
use std::sync::Arc;
use std::time::Instant;

use super::lock::{Condvar, Mutex};

/// Where a sleeper sleeps who does not sleep in its parker.
pub(crate) trait Alarm: Send + Sync {
    /// Has the sleepers of these bits look whether their token has come.
    fn sound(&self, bits: u32);
}

/// A one-token sleeping place: `wake` leaves a token, `sleep` takes it.
pub(crate) struct Parker {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    token: bool,
    alarm: Option<(Arc<dyn Alarm>, u32)>,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::default()), arrived: Condvar::new() }
    }

    /// Leaves the token; the sleeper, now or later, goes on.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        state.token = true;
        match state.alarm.clone() {
            // Under the lock: the sleeper may free the parker as soon as it sees the token.
            None => self.arrived.notify_one(),
            Some((alarm, bits)) => {
                drop(state);
                alarm.sound(bits);
            }
        }
    }

    /// Whether the token is there.
    pub(crate) fn has_token(&self) -> bool {
        self.state.lock().token
    }

    /// From now on a wake also sounds this alarm, with these bits, until [`silence`](Self::silence).
    pub(crate) fn alarm(&self, alarm: Arc<dyn Alarm>, bits: u32) {
        self.state.lock().alarm = Some((alarm, bits));
    }

    /// Ends the alarm, and takes the token if it is there.
    pub(crate) fn silence(&self) -> bool {
        let mut state = self.state.lock();
        state.alarm = None;
        std::mem::take(&mut state.token)
    }

    /// Sleeps until the token is there, and takes it.
    pub(crate) fn sleep(&self) {
        let mut state = self.state.lock();
        while !state.token {
            state = self.arrived.wait(state);
        }
        state.token = false;
    }

    /// As [`sleep`](Self::sleep), but no longer than `deadline`; says whether the token came.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.token {
            if Instant::now() >= deadline {
                return false;
            }
            state = self.arrived.wait_until(state, deadline);
        }
        state.token = false;
        true
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").field("has_token", &self.has_token()).finish()
    }
}

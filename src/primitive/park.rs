//! One thread sleeps, another wakes it; a wake that comes first is kept.

use std::time::Instant;

use super::lock::{Condvar, Mutex};

/// A one-token sleeping place: `wake` leaves a token, `sleep` takes it.
#[derive(Debug)]
pub(crate) struct Parker {
    token: Mutex<bool>,
    arrived: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { token: Mutex::new(false), arrived: Condvar::new() }
    }

    /// Leaves the token; the sleeper, now or later, goes on.
    pub(crate) fn wake(&self) {
        let mut token = self.token.lock();
        *token = true;
        // Under the lock: the sleeper may free the parker as soon as it sees the token.
        self.arrived.notify_one();
    }

    /// Whether the token is there.
    pub(crate) fn has_token(&self) -> bool {
        *self.token.lock()
    }

    /// Sleeps until the token is there, and takes it.
    pub(crate) fn sleep(&self) {
        let mut token = self.token.lock();
        while !*token {
            token = self.arrived.wait(token);
        }
        *token = false;
    }

    /// As [`sleep`](Self::sleep), but no longer than `deadline`; says whether the token came.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> bool {
        let mut token = self.token.lock();
        while !*token {
            if Instant::now() >= deadline {
                return false;
            }
            token = self.arrived.wait_until(token, deadline);
        }
        *token = false;
        true
    }
}

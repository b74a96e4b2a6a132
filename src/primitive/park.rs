//! One thread sleeps, another wakes it; a wake that comes first is kept.

use std::time::Instant;

use super::sync::{Condvar, Mutex};

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
        let mut token = lock(&self.token);
        *token = true;
        // Under the lock: the sleeper may free the parker as soon as it sees the token.
        self.arrived.notify_one();
        drop(token);
    }

    /// Sleeps until the token is there, and takes it.
    pub(crate) fn sleep(&self) {
        let mut token = lock(&self.token);
        while !*token {
            token = self.arrived.wait(token).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        *token = false;
    }

    /// As [`sleep`](Self::sleep), but no longer than `deadline`; says whether the token came.
    #[cfg(not(heist_loom))]
    pub(crate) fn sleep_until(&self, deadline: Instant) -> bool {
        let mut token = lock(&self.token);
        while !*token {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            token = self.arrived.wait_timeout(token, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        *token = false;
        true
    }

    /// Loom has no clock: a bounded sleep in a model is an unbounded one.
    #[cfg(heist_loom)]
    pub(crate) fn sleep_until(&self, _deadline: Instant) -> bool {
        self.sleep();
        true
    }
}

/// Locks without ever failing: the data behind heist's own locks stays whole when a holder panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> super::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

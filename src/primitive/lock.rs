//! A mutex that cannot be poisoned, as the data behind heist's own locks stays whole when a holder panics.
//!
//! Under `--cfg heist_tsan` it tells ThreadSanitizer when it is taken and given back: where the standard library is not
//! built with the sanitizer, that cannot be seen from outside.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Instant;

use super::sync;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// The data, for as long as the mutex is held.
pub(crate) struct Guard<'a, T> {
    /// Goes before the data is given back.
    _held: watch::Held,
    data: sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    #[cfg(not(heist_loom))]
    pub(crate) const fn new(data: T) -> Self {
        Self(sync::Mutex::new(data))
    }

    #[cfg(heist_loom)]
    pub(crate) fn new(data: T) -> Self {
        Self(sync::Mutex::new(data))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard::of(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<'a, T> Guard<'a, T> {
    fn of(data: sync::MutexGuard<'a, T>) -> Self {
        Self { _held: watch::Held::new(&*data), data }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

/// Where threads wait for a change of what a [`Mutex`] guards.
#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<'a, T>(&self, guard: Guard<'a, T>) -> Guard<'a, T> {
        let Guard { _held, data } = guard;
        _held.end();
        Guard::of(self.0.wait(data).unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`wait`](Self::wait), no longer than `deadline`. Loom has no clock: in a model it is unbounded.
    pub(crate) fn wait_until<'a, T>(&self, guard: Guard<'a, T>, deadline: Instant) -> Guard<'a, T> {
        #[cfg(not(heist_loom))]
        {
            let Guard { _held, data } = guard;
            _held.end();
            let left = deadline.saturating_duration_since(Instant::now());
            Guard::of(self.0.wait_timeout(data, left).unwrap_or_else(PoisonError::into_inner).0)
        }
        #[cfg(heist_loom)]
        {
            let _ = deadline;
            self.wait(guard)
        }
    }
}

#[cfg(not(heist_tsan))]
mod watch {
    pub(super) struct Held;

    impl Held {
        #[inline(always)]
        pub(super) fn new<T>(_data: &T) -> Self {
            Self
        }
        #[inline(always)]
        pub(super) fn end(self) {}
    }
}

#[cfg(heist_tsan)]
#[allow(unsafe_code, reason = "ThreadSanitizer's own interface")]
mod watch {
    unsafe extern "C" {
        fn __tsan_acquire(address: usize);
        fn __tsan_release(address: usize);
    }

    pub(super) struct Held(usize);

    impl Held {
        pub(super) fn new<T>(data: &T) -> Self {
            let address = std::ptr::from_ref(data).addr();
            // SAFETY: the address is only a name.
            unsafe { __tsan_acquire(address) };
            Self(address)
        }
        pub(super) fn end(self) {
            drop(self);
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // SAFETY: as above.
            unsafe { __tsan_release(self.0) };
        }
    }
}

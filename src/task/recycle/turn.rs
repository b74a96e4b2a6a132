//! Data that one thread at a time may enter, and for which nobody waits.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicBool, Ordering};

/// A mutex without waiting.
pub(super) struct Turn<T> {
    taken: Padded<AtomicBool>,
    data: UnsafeCell<T>,
}

// SAFETY: the data is reached by one thread at a time (`try_enter`).
unsafe impl<T: Send> Sync for Turn<T> {}

/// The data, for as long as this lives.
pub(super) struct Entered<'a, T>(&'a Turn<T>);

impl<T> Turn<T> {
    pub(super) fn new(data: T) -> Self {
        Self { taken: Padded(AtomicBool::new(false)), data: UnsafeCell::new(data) }
    }

    /// Enters, unless somebody is in.
    pub(super) fn try_enter(&self) -> Option<Entered<'_, T>> {
        // ORDERING: Acquire; pairs with the Release of `Entered`'s drop.
        // Relaxed on failure: nothing is read.
        let entered = self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        entered.is_ok().then(|| Entered(self))
    }
}

impl<T> Deref for Entered<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: nobody else is in.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> DerefMut for Entered<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: nobody else is in.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        // ORDERING: Release; pairs with the Acquire of `try_enter`.
        self.0.taken.store(false, Ordering::Release);
    }
}

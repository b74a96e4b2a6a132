//! A box whose memory is recycled.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{Class, give, take};

/// As a `Box`, in a cell.
#[derive(Debug)]
pub(crate) struct Pooled<T>(NonNull<T>);

// SAFETY: it owns its `T`.
unsafe impl<T: Send> Send for Pooled<T> {}

impl<T> Pooled<T> {
    const CLASS: Option<Class> = Class::of(size_of::<T>(), align_of::<T>());
    const NOT_EMPTY: () = assert!(size_of::<T>() != 0);

    #[inline]
    pub(crate) fn new(value: T) -> Self {
        let () = Self::NOT_EMPTY;
        // SAFETY: the layout is of the type, and not empty; the class was chosen for it.
        let block = unsafe { take(Layout::new::<T>, Self::CLASS) };
        let Some(place) = NonNull::new(block.cast::<T>()) else { handle_alloc_error(Layout::new::<T>()) };
        // SAFETY: fresh memory for a `T`.
        unsafe { place.write(value) };
        Self(place)
    }

    pub(crate) fn into_raw(self) -> NonNull<T> {
        std::mem::ManuallyDrop::new(self).0
    }

    /// # Safety
    /// The pointer came from [`into_raw`](Self::into_raw), and is used once.
    pub(crate) unsafe fn from_raw(raw: NonNull<T>) -> Self {
        Self(raw)
    }
}

impl<T> Deref for Pooled<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: it owns its `T`.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: it owns its `T`.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Pooled<T> {
    fn drop(&mut self) {
        // SAFETY: it owns its `T`, whose memory came from `take` with this layout and class.
        unsafe {
            self.0.drop_in_place();
            give(self.0.as_ptr().cast(), Layout::new::<T>, Self::CLASS);
        }
    }
}

//! The `std` side of the twins.

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

/// A sequentially consistent fence, right behind a read-modify-write of this thread. On x86 that was one already.
#[inline(always)]
pub(crate) fn fence_after_exchange() {
    use std::sync::atomic::{Ordering, compiler_fence, fence};
    if cfg!(all(target_arch = "x86_64", not(miri), not(heist_tsan))) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// This thread's half of a fence whose other half, in another thread, is heavy: it has every thread pass one.
#[inline(always)]
pub(crate) fn light_fence() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

pub(crate) mod sync {
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
}

pub(crate) mod alloc {
    pub(crate) use std::alloc::{alloc, dealloc};
}

pub(crate) mod cell {
    pub(crate) use std::cell::Cell;

    /// Watches who reads and who writes a payload that is reached by raw pointers; nothing at all outside loom.
    #[derive(Debug, Default)]
    pub(crate) struct Witness;

    impl Witness {
        pub(crate) fn new() -> Self {
            Self
        }
        #[inline(always)]
        pub(crate) fn read(&self) {}
        #[inline(always)]
        pub(crate) fn write(&self) {}
    }
}

pub(crate) mod hint {
    pub(crate) use std::hint::spin_loop;

    /// Has the core fetch the line that begins here, if it can be told to.
    #[allow(unsafe_code, reason = "an intrinsic")]
    #[inline(always)]
    pub(crate) fn prefetch<T>(place: *const T) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a prefetch reads nothing, whatever the address; SSE is part of the architecture.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = place;
    }
}

/// A thread-local with a constant start and no destructor.
macro_rules! local {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $start:expr;) => {
        std::thread_local! { $(#[$meta])* $vis static $name: $type = const { $start } }
    };
}
pub(crate) use local;

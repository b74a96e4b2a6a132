//! The `std` side of the twins.

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
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
}

/// A thread-local with a constant start and no destructor.
macro_rules! local {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $start:expr;) => {
        std::thread_local! { $(#[$meta])* $vis static $name: $type = const { $start } }
    };
}
pub(crate) use local;

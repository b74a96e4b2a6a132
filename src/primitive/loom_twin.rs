//! The `loom` side of the twins.

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

pub(crate) mod sync {
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
}

pub(crate) mod cell {
    /// Tells loom of every read and write of a payload that is reached by raw pointers, so that it finds the races.
    #[derive(Debug)]
    pub(crate) struct Witness(loom::cell::UnsafeCell<()>);

    impl Witness {
        pub(crate) fn new() -> Self {
            Self(loom::cell::UnsafeCell::new(()))
        }
        pub(crate) fn read(&self) {
            self.0.with(|_| ());
        }
        pub(crate) fn write(&self) {
            self.0.with_mut(|_| ());
        }
    }
}

pub(crate) mod hint {
    pub(crate) use loom::hint::spin_loop;
}

/// A thread-local of a modelled thread.
macro_rules! local {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $start:expr;) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $start }
    };
}
pub(crate) use local;

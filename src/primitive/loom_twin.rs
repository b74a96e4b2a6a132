//! The `loom` side of the twins.

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

pub(crate) fn light_fence() {
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
}

pub(crate) fn fence_after_exchange() {
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
}

pub(crate) mod sync {
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
}

pub(crate) mod alloc {
    use std::alloc::Layout;
    use std::cell::RefCell;
    use std::collections::VecDeque;

    pub(crate) use std::alloc::alloc;

    /// Freed blocks whose addresses do not come back yet, so that whoever touches one is seen by loom.
    const KEPT: usize = 64;

    std::thread_local! {
        static FREED: RefCell<VecDeque<(*mut u8, Layout)>> = const { RefCell::new(VecDeque::new()) };
    }

    /// # Safety
    /// As of [`std::alloc::dealloc`].
    pub(crate) unsafe fn dealloc(block: *mut u8, layout: Layout) {
        FREED.with_borrow_mut(|freed| {
            freed.push_back((block, layout));
            if freed.len() > KEPT
                && let Some((block, layout)) = freed.pop_front()
            {
                // SAFETY: the promise of the caller who freed it.
                unsafe { std::alloc::dealloc(block, layout) };
            }
        });
    }
}

pub(crate) mod cell {
    /// A plain cell that a protocol hands from thread to thread; loom finds the races.
    #[derive(Debug)]
    pub(crate) struct Cell<T: Copy> {
        value: std::cell::Cell<T>,
        accesses: loom::cell::UnsafeCell<()>,
    }

    impl<T: Copy> Cell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { value: std::cell::Cell::new(value), accesses: loom::cell::UnsafeCell::new(()) }
        }
        pub(crate) fn get(&self) -> T {
            self.accesses.with(|_| ());
            self.value.get()
        }
        pub(crate) fn set(&self, value: T) {
            self.replace(value);
        }
        pub(crate) fn replace(&self, value: T) -> T {
            self.accesses.with_mut(|_| ());
            self.value.replace(value)
        }
    }

    /// Tells loom of every read and write of a payload that is reached by raw pointers, so that it finds the races, and
    /// of the payload's end, so that it finds leaks.
    #[derive(Debug)]
    pub(crate) struct Witness(loom::cell::UnsafeCell<()>, loom::alloc::Track<()>);

    impl Witness {
        pub(crate) fn new() -> Self {
            Self(loom::cell::UnsafeCell::new(()), loom::alloc::Track::new(()))
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

    pub(crate) fn prefetch<T>(_place: *const T) {}
}

/// A thread-local of a modelled thread.
macro_rules! local {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $start:expr;) => {
        loom::thread_local! { $(#[$meta])* $vis static $name: $type = $start }
    };
}
pub(crate) use local;

//! The twins everything lock-free is written against: `std` in a build, `loom` under `--cfg heist_loom`.
//!
//! Invariant: nothing above this folder names `std::sync::atomic`, `loom` or `crossbeam` itself.

pub(crate) mod deque;
pub(crate) mod lock;
#[cfg(all(test, heist_loom))]
pub(crate) mod model;
pub(crate) mod park;

#[cfg(not(heist_loom))]
mod std_twin;
#[cfg(not(heist_loom))]
pub(crate) use std_twin::{alloc, atomic, cell, fence_after_exchange, hint, light_fence, local, sync};

#[cfg(heist_loom)]
#[allow(unsafe_code, reason = "the freed memory of models is kept for a while")]
mod loom_twin;
#[cfg(heist_loom)]
pub(crate) use loom_twin::{alloc, atomic, cell, fence_after_exchange, hint, light_fence, local, sync};

/// Keeps what many threads write off the lines of its neighbours (two lines: x86 fetches them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

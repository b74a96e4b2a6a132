//! Memory for tasks that comes back to be used again.
#![doc = include_str!("README.md")]

#[cfg(not(any(heist_loom, heist_plain_cells)))]
mod cache;
#[cfg_attr(any(heist_loom, heist_plain_cells), allow(dead_code, reason = "nothing is recycled there"))]
mod class;
#[cfg(not(any(heist_loom, heist_plain_cells)))]
mod heap;
#[cfg(not(heist_plain_cells))]
#[cfg(any(test, not(heist_loom)))]
mod inbound;
#[cfg(all(test, heist_loom))]
mod models;
mod pooled;
#[cfg(not(any(heist_loom, heist_plain_cells)))]
mod slab;
#[cfg(not(heist_plain_cells))]
#[cfg(any(test, not(heist_loom)))]
mod turn;

use std::alloc::Layout;

pub(super) use class::Class;
pub(crate) use pooled::Pooled;

/// 8 MiB.
#[cfg(not(any(heist_loom, heist_plain_cells)))]
const FEW_SLABS: usize = 32;

/// Memory for a task; null when the system has none.
///
/// # Safety
/// The layout is not empty, and fits the class if there is one.
#[inline]
pub(super) unsafe fn take(layout: impl FnOnce() -> Layout, class: Option<Class>) -> *mut u8 {
    #[cfg(not(any(heist_loom, heist_plain_cells)))]
    if let Some(class) = class {
        return cache::take(class);
    }
    #[cfg(any(heist_loom, heist_plain_cells))]
    let _ = class;
    // SAFETY: the caller's promise.
    unsafe { crate::primitive::alloc::alloc(layout()) }
}

/// Takes memory back.
///
/// # Safety
/// It came from [`take`] with the same layout and class, and nobody uses it any more.
#[inline]
pub(super) unsafe fn give(block: *mut u8, layout: impl FnOnce() -> Layout, class: Option<Class>) {
    #[cfg(not(any(heist_loom, heist_plain_cells)))]
    if let Some(class) = class {
        // SAFETY: the caller's promise.
        return unsafe { cache::give(block, class) };
    }
    #[cfg(any(heist_loom, heist_plain_cells))]
    let _ = class;
    // SAFETY: the caller's promise.
    unsafe { crate::primitive::alloc::dealloc(block, layout()) }
}

/// For a thread that has had nothing to do for a while: free cells go home, and unused memory back to the system.
#[cfg(not(heist_loom))]
pub(crate) fn rest() {
    #[cfg(not(heist_plain_cells))]
    cache::rest();
}

/// Whether more memory is held for tasks than a few threads need at least.
#[cfg(not(heist_loom))]
pub(crate) fn keeps_memory() -> bool {
    #[cfg(not(heist_plain_cells))]
    return slab::mapped() > FEW_SLABS;
    #[cfg(heist_plain_cells)]
    return false;
}

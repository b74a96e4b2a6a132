//! The bell's word, in this process's own memory or in a segment, and sleep on its upper half by the kernel's futex.

use std::num::NonZeroU32;
use std::time::Instant;

use heist_numa::Segment;
use rustix::thread::futex::{Flags, Timespec, wait_bitset, wake_bitset};
use rustix::time::{ClockId, clock_gettime};

use super::Place;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU32, AtomicU64};
use crate::primitive::sync::Arc;

/// A word that is a futex.
pub(crate) enum Futex {
    Own(Box<Padded<AtomicU64>>),
    /// At an offset that the segment has such a word at.
    Shared(Arc<Segment>, usize),
}

impl Futex {
    pub(crate) fn own() -> Self {
        Self::Own(Box::default())
    }

    /// The word at `offset` of a segment; `None` when there is none.
    pub(crate) fn shared(segment: &Arc<Segment>, offset: usize) -> Option<Self> {
        segment.atomics(offset, 1).ok()?;
        Some(Self::Shared(segment.clone(), offset))
    }

    /// The half of the word that overflows.
    fn upper(&self) -> &AtomicU32 {
        let halves = std::ptr::from_ref(self.word()).cast::<AtomicU32>();
        // SAFETY: the word has eight bytes, the upper half of which are four, aligned to four. This process never reads or
        // writes through this reference: it names the place to the kernel.
        unsafe { &*halves.add(usize::from(cfg!(target_endian = "little"))) }
    }
}

impl Place for Futex {
    fn word(&self) -> &AtomicU64 {
        match self {
            Self::Own(word) => word,
            Self::Shared(segment, offset) => match segment.atomics(*offset, 1) {
                Ok([word, ..]) => word,
                _ => unreachable!("a segment does not shrink"),
            },
        }
    }

    fn wait(&self, expected: u32, bits: u32, until: Option<Instant>) {
        let Some(bits) = NonZeroU32::new(bits) else { return };
        let until = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            let now = clock_gettime(ClockId::Monotonic);
            let nanoseconds = now.tv_nsec as u64 + u64::from(left.subsec_nanos());
            let seconds = left.as_secs() + nanoseconds / 1_000_000_000;
            Timespec {
                tv_sec: now.tv_sec.saturating_add_unsigned(seconds),
                tv_nsec: (nanoseconds % 1_000_000_000) as _,
            }
        });
        // Interrupted, changed or timed out: the caller looks in any case.
        _ = wait_bitset(self.upper(), Flags::empty(), expected, until.as_ref(), bits);
    }

    fn wake(&self, bits: u32, most: u32) {
        if let Some(bits) = NonZeroU32::new(bits) {
            _ = wake_bitset(self.upper(), Flags::empty(), most, bits);
        }
    }
}

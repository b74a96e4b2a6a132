//! What the hot path may call to be observed: per-worker counters, written by their worker alone, summed by the reader.

#[cfg(not(heist_loom))]
pub(crate) mod ledger;

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU64, Ordering};

/// One counter with one writer at a time: its bump is a plain load and store.
#[derive(Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    /// By the one writer.
    #[inline]
    pub(crate) fn bump(&self, by: u64) {
        // ORDERING: Release; pairs with the Acquire of `read`: who sees a task finished sees it created (shutdown).
        self.0.store(self.0.load(Ordering::Relaxed) + by, Ordering::Release);
    }
    /// By any of many writers.
    #[inline]
    pub(crate) fn bump_shared(&self, by: u64) {
        // ORDERING: Release; as in `bump`.
        self.0.fetch_add(by, Ordering::Release);
    }
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release of the bumps.
        self.0.load(Ordering::Acquire)
    }
}

/// The counters of one worker, or of the threads that are none.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Tasks made.
    pub(crate) created: Counter,
    /// Tasks that have a value or an error.
    pub(crate) finished: Counter,
    /// Closures run.
    pub(crate) executed: Counter,
    /// Tasks taken from other workers.
    pub(crate) stolen: Counter,
    /// Entries of those that came from other domains.
    pub(crate) stolen_afar: Counter,
    /// Times the worker went to sleep.
    pub(crate) parked: Counter,
    /// Nanoseconds without a task.
    pub(crate) idle_ns: Counter,
    /// Results that came after their task was cancelled.
    pub(crate) discarded: Counter,
}

impl Counters {
    pub(crate) fn new() -> Padded<Self> {
        Padded(Self {
            created: Counter::new(),
            finished: Counter::new(),
            executed: Counter::new(),
            stolen: Counter::new(),
            stolen_afar: Counter::new(),
            parked: Counter::new(),
            idle_ns: Counter::new(),
            discarded: Counter::new(),
        })
    }
}

//! How a model is run: every interleaving within loom's bounds, and no fewer than the model says there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use loom::thread;

/// Preemptions a thread may suffer when `LOOM_MAX_PREEMPTIONS` does not say; most races need no more.
const PREEMPTIONS: usize = 2;

/// Explores `body`. A model of which there are fewer than `least` interleavings has lost its concurrency, and fails.
pub(crate) fn explore(least: usize, body: impl Fn() + Send + Sync + 'static) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = loom.preemption_bound.or(Some(PREEMPTIONS));
    loom.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
        assert_eq!(crate::panics::drop_panics(), 0, "a drop panicked: loom found a race in it");
    });
    let seen = seen.load(Ordering::Relaxed);
    assert!(seen >= least, "only {seen} interleavings were explored");
}

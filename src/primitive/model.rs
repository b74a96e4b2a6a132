//! How a model is run: every interleaving within loom's bounds, and no fewer than the model says there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use loom::thread;

/// Preemptions a thread may suffer when `LOOM_MAX_PREEMPTIONS` does not say; most races need no more.
const PREEMPTIONS: usize = 2;

/// Explores `body`. A model of which [`PREEMPTIONS`] make fewer than `least` interleavings has lost its concurrency, and
/// fails.
pub(crate) fn explore(least: usize, body: impl Fn() + Send + Sync + 'static) {
    explore_to(PREEMPTIONS, least, body);
}

/// As [`explore`], for a small model of what needs more preemptions to go wrong.
pub(crate) fn explore_to(preemptions: usize, least: usize, body: impl Fn() + Send + Sync + 'static) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let mut loom = loom::model::Builder::new();
    let bound = loom.preemption_bound.map_or(preemptions, |asked| asked + preemptions - PREEMPTIONS);
    loom.preemption_bound = Some(bound);
    loom.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
        assert_eq!(crate::panics::drop_panics(), 0, "a drop panicked: loom found a race in it");
    });
    let seen = seen.load(Ordering::Relaxed);
    assert!(seen >= least || bound < preemptions, "only {seen} interleavings were explored");
}

/// What happened, counted behind loom's back: it does not widen the model.
#[derive(Default)]
pub(crate) struct Tally(AtomicUsize);

impl Tally {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

//! Worlds for tests.

use heist::{Executor, PinPolicy};

/// So many ranks of two workers each, in this process.
pub(crate) fn of(ranks: usize) -> Vec<Executor> {
    Executor::in_process_world(ranks, |_| Executor::builder().workers(2).pin(PinPolicy::None)).unwrap()
}

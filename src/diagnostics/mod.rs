//! The read side of what the workers count.

mod stats;

pub use stats::{Stats, WorkerStats};

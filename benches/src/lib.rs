//! heist beside its peers: the workloads on every runtime, one process a measurement, and the driver that runs
//! them all in one interleaved run.

pub mod actors;
pub mod alloc;
pub mod chain;
pub mod cholesky;
pub mod compare;
pub mod fairness;
pub mod groups;
pub mod idle;
pub mod latency;
pub mod locks;
pub mod map;
pub mod one;
pub mod pool;
pub mod report;
pub mod scatter;
pub mod spawn;
mod start;
pub mod tasks;
pub mod wake;

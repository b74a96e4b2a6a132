//! heist beside its peers: the workloads on every runtime, one process a measurement, and the driver that runs
//! them all in one interleaved run.

pub mod compare;
pub mod report;
pub mod spawn;

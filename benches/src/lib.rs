//! heist beside its peers: the workloads on every runtime, one process a measurement, and the driver that runs
//! them all in one interleaved run.

pub mod cholesky;
pub mod compare;
pub mod report;
pub mod spawn;

/// A rayon pool.
fn rayon_pool(workers: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("rayon starts its workers")
}

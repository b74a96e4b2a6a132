//! The workload `spawn`: a million tiny tasks, each with its own handle, all results collected, summed and checked.

mod executors;
pub(crate) mod heist;
mod rayon;
mod threads;
mod tokio;

pub use self::executors::SMOL_THREADS;
use crate::tasks::{Runtime, Tasks, runtime, sum};

/// The workload.
pub static SPAWN: Tasks = Tasks {
    name: "spawn",
    part: "submit",
    expected: sum,
    runtimes: &[
        runtime("heist", heist::inside, heist::outside),
        runtime("heist:map", heist::map_inside, heist::map_outside),
        runtime("rayon", rayon::inside, rayon::outside),
        runtime("rayon:scope", rayon::scope_inside, rayon::scope_outside),
        runtime("tokio", tokio::inside, tokio::outside),
        runtime("async-executor", executors::fixed_inside, executors::fixed_outside),
        runtime("async-executor:dynamic", executors::dynamic_inside, executors::dynamic_outside),
        runtime("smol", executors::smol_inside, executors::smol_outside),
        Runtime { least_inside: 2, ..runtime("threadpool", threads::pool_inside, threads::pool_outside) },
        Runtime { inside: None, ..runtime("crossbeam-channel", threads::channel_outside, threads::channel_outside) },
    ],
};

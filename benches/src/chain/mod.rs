//! The workload `chain`: tasks that each wait for the handle of the one before and add one to its value. The first
//! waits for a gate, which is opened when the last task is submitted; the last value is the number of tasks.

mod executors;
mod heist;
mod rayon;
mod tokio;

use std::time::Instant;

use smol::channel::{Receiver, bounded};

use crate::tasks::{Run, Tasks, runtime};

/// The workload. [`Run::part`] is the time from the opening of the gate to the last value.
pub static CHAIN: Tasks = Tasks {
    name: "chain",
    part: "propagate",
    expected: |tasks| tasks,
    runtimes: &[
        runtime("heist", heist::inside, heist::outside),
        runtime("rayon:next", rayon::inside, rayon::outside),
        runtime("tokio", tokio::inside, tokio::outside),
        runtime("async-executor", executors::inside, executors::outside),
    ],
};

/// The chain for handles that are awaited: `gate` makes the task that passes on what the gate lets through, `link` one
/// that adds one to what its argument gives.
async fn awaiting<H: Future>(
    tasks: u64,
    gate: impl FnOnce(Receiver<u64>) -> H,
    mut link: impl FnMut(H) -> H,
    value: impl FnOnce(H::Output) -> u64,
) -> Run {
    let start = Instant::now();
    let (open, closed) = bounded(1);
    let last = (0..tasks).fold(gate(closed), |last, _| link(last));
    let opened = Instant::now();
    open.send(0).await.expect("the first task waits");
    let value = value(last.await);
    Run { part: opened.elapsed(), total: start.elapsed(), value }
}

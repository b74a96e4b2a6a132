//! `tokio`: `spawn` and its `JoinHandle`, on the multi-thread scheduler.

use ::tokio::runtime::{Builder, Runtime};

use super::{Job, Run, awaiting, task};

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().expect("tokio starts its workers")
}

pub(super) fn outside(workers: usize) -> Job {
    let runtime = runtime(workers);
    Box::new(move |tasks| runtime.block_on(spawn_all(tasks)))
}

pub(super) fn inside(workers: usize) -> Job {
    let runtime = runtime(workers);
    Box::new(move |tasks| runtime.block_on(runtime.spawn(spawn_all(tasks))).expect("the submitter does not panic"))
}

async fn spawn_all(tasks: u64) -> Run {
    awaiting(tasks, |i| ::tokio::spawn(async move { task(i) }), |r| r.expect("the task does not panic")).await
}

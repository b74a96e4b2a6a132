//! `tokio`: `spawn` and its `JoinHandle`, on the multi-thread scheduler.

use crate::start::tokio;
use crate::tasks::{Job, Run, awaiting, task};

pub(super) fn outside(workers: usize) -> Job {
    let runtime = tokio(workers);
    Box::new(move |tasks| runtime.block_on(spawn_all(tasks)))
}

pub(super) fn inside(workers: usize) -> Job {
    let runtime = tokio(workers);
    Box::new(move |tasks| runtime.block_on(runtime.spawn(spawn_all(tasks))).expect("the submitter does not panic"))
}

async fn spawn_all(tasks: u64) -> Run {
    awaiting(tasks, |i| ::tokio::spawn(async move { task(i) }), |r| r.expect("the task does not panic")).await
}

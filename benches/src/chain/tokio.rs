//! `tokio`: spawned tasks that each await the `JoinHandle` of the one before.

use ::tokio::spawn;

use super::awaiting;
use crate::start::tokio;
use crate::tasks::{Job, Run};

pub(super) fn outside(workers: usize) -> Job {
    let runtime = tokio(workers);
    Box::new(move |tasks| runtime.block_on(chain(tasks)))
}

pub(super) fn inside(workers: usize) -> Job {
    let runtime = tokio(workers);
    Box::new(move |tasks| runtime.block_on(runtime.spawn(chain(tasks))).expect("the submitter does not panic"))
}

async fn chain(tasks: u64) -> Run {
    awaiting(
        tasks,
        |gate| spawn(async move { gate.recv().await.expect("the gate opens") }),
        |last| spawn(async move { last.await.expect("the task does not panic") + 1 }),
        |value| value.expect("the task does not panic"),
    )
    .await
}

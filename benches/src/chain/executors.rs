//! `async-executor`: tasks of its `StaticExecutor` that each await the `Task` of the one before.

use super::awaiting;
use crate::start::{FIXED, fixed};
use crate::tasks::{Job, Run};

pub(super) fn outside(workers: usize) -> Job {
    let threads = fixed(workers);
    Box::new(move |tasks| threads.wait(chain(tasks)))
}

pub(super) fn inside(workers: usize) -> Job {
    let threads = fixed(workers);
    Box::new(move |tasks| threads.wait(FIXED.spawn(chain(tasks))))
}

async fn chain(tasks: u64) -> Run {
    awaiting(
        tasks,
        |gate| FIXED.spawn(async move { gate.recv().await.expect("the gate opens") }),
        |last| FIXED.spawn(async move { last.await + 1 }),
        |value| value,
    )
    .await
}

//! `async-executor`: its `StaticExecutor`; `async-executor:dynamic`: its `Executor`; `smol`: the global executor.

use std::sync::Arc;

use async_executor::{Executor, Task};
use futures_lite::future::block_on;

use crate::start::{FIXED, Threads, fixed};
use crate::tasks::{Job, Run, awaiting, task};

/// Where smol reads how many workers to start, at its first task.
pub const SMOL_THREADS: &str = "SMOL_THREADS";

async fn all(tasks: u64, spawn: impl FnMut(u64) -> Task<u64>) -> Run {
    awaiting(tasks, spawn, |value| value).await
}

fn fixed_spawn(i: u64) -> Task<u64> {
    FIXED.spawn(async move { task(i) })
}

pub(super) fn fixed_outside(workers: usize) -> Job {
    let workers = fixed(workers);
    Box::new(move |tasks| workers.wait(all(tasks, fixed_spawn)))
}

pub(super) fn fixed_inside(workers: usize) -> Job {
    let workers = fixed(workers);
    Box::new(move |tasks| workers.wait(FIXED.spawn(all(tasks, fixed_spawn))))
}

fn dynamic(workers: usize) -> (Arc<Executor<'static>>, Threads) {
    let executor = Arc::new(Executor::new());
    let served = executor.clone();
    let workers = Threads::start(workers, move |stopped| {
        let _closed = block_on(served.run(stopped.recv()));
    });
    (executor, workers)
}

pub(super) fn dynamic_outside(workers: usize) -> Job {
    let (executor, workers) = dynamic(workers);
    Box::new(move |tasks| workers.wait(all(tasks, |i| executor.spawn(async move { task(i) }))))
}

pub(super) fn dynamic_inside(workers: usize) -> Job {
    let (executor, workers) = dynamic(workers);
    Box::new(move |tasks| {
        let inner = executor.clone();
        let submitter = async move { all(tasks, |i| inner.spawn(async move { task(i) })).await };
        workers.wait(executor.spawn(submitter))
    })
}

fn smol_spawn(i: u64) -> Task<u64> {
    smol::spawn(async move { task(i) })
}

pub(super) fn smol_outside(_: usize) -> Job {
    Box::new(|tasks| block_on(all(tasks, smol_spawn)))
}

pub(super) fn smol_inside(_: usize) -> Job {
    Box::new(|tasks| block_on(smol::spawn(all(tasks, smol_spawn))))
}

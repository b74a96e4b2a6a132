//! `heist`: `submit` and `TaskFuture::result`; `heist:map`: `map`, one batch of futures, and `gather`.

use std::time::Instant;

use ::heist::Executor;

use crate::start::{heist, within};
use crate::tasks::{Job, Run, blocking, task};

pub(crate) fn outside(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |tasks| submit_all(&executor, tasks))
}

pub(crate) fn inside(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |tasks| {
        let inner = executor.clone();
        within(&executor, move || submit_all(&inner, tasks))
    })
}

pub(crate) fn map_outside(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |tasks| map_all(&executor, tasks))
}

pub(crate) fn map_inside(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |tasks| {
        let inner = executor.clone();
        within(&executor, move || map_all(&inner, tasks))
    })
}

fn submit_all(executor: &Executor, tasks: u64) -> Run {
    blocking(tasks, |i| executor.submit(move || task(i)), |future| future.result().expect("the task succeeds"))
}

fn map_all(executor: &Executor, tasks: u64) -> Run {
    let start = Instant::now();
    let futures = executor.map(0..tasks, task);
    let part = start.elapsed();
    let values = executor.gather(futures).expect("the tasks succeed");
    let value = values.into_iter().fold(0, u64::wrapping_add);
    Run { part, total: start.elapsed(), value }
}

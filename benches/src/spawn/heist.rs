//! `heist`: `submit` and `TaskFuture::result`; `heist:map`: `map`, one batch of futures, and `gather`.

use std::time::Instant;

use ::heist::Executor;

use super::{Job, Run, blocking, task};

fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().expect("heist starts its workers")
}

pub(super) fn outside(workers: usize) -> Job {
    let executor = executor(workers);
    Box::new(move |tasks| submit_all(&executor, tasks))
}

pub(super) fn inside(workers: usize) -> Job {
    let executor = executor(workers);
    Box::new(move |tasks| {
        let inner = executor.clone();
        within(&executor, move || submit_all(&inner, tasks))
    })
}

pub(super) fn map_outside(workers: usize) -> Job {
    let executor = executor(workers);
    Box::new(move |tasks| map_all(&executor, tasks))
}

pub(super) fn map_inside(workers: usize) -> Job {
    let executor = executor(workers);
    Box::new(move |tasks| {
        let inner = executor.clone();
        within(&executor, move || map_all(&inner, tasks))
    })
}

fn within(executor: &Executor, submitter: impl FnOnce() -> Run + Send + 'static) -> Run {
    executor.submit(submitter).result().expect("the submitter succeeds")
}

fn submit_all(executor: &Executor, tasks: u64) -> Run {
    blocking(tasks, |i| executor.submit(move || task(i)), |future| future.result().expect("the task succeeds"))
}

fn map_all(executor: &Executor, tasks: u64) -> Run {
    let start = Instant::now();
    let futures = executor.map(0..tasks, task);
    let submit = start.elapsed();
    let values = executor.gather(futures).expect("the tasks succeed");
    let sum = values.into_iter().fold(0, u64::wrapping_add);
    Run { submit, total: start.elapsed(), sum }
}

//! `heist`: `submit_after`, which takes the future of the link before; the gate is a promise.

use std::time::Instant;

use ::heist::Executor;

use crate::start::{heist, within};
use crate::tasks::{Job, Run};

pub(super) fn outside(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |tasks| chain(&executor, tasks))
}

pub(super) fn inside(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |tasks| {
        let inner = executor.clone();
        within(&executor, move || chain(&inner, tasks))
    })
}

fn chain(executor: &Executor, tasks: u64) -> Run {
    let start = Instant::now();
    let (open, gate) = executor.promise();
    let last = (0..tasks).fold(gate, |last, _| executor.submit_after(last, |value| value + 1));
    let opened = Instant::now();
    open.fulfil(0);
    let value = last.result().expect("the tasks succeed");
    Run { part: opened.elapsed(), total: start.elapsed(), value }
}

//! `rayon:next`: each task spawns the next one, without handles, gate or anything built beforehand.

use std::time::Instant;

use ::oneshot::Sender;
use ::rayon::spawn;

use crate::start::rayon;
use crate::tasks::{Job, Run};

pub(super) fn outside(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| run(|done| pool.spawn(move || link(0, tasks, done))))
}

pub(super) fn inside(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| run(|done| pool.install(|| spawn(move || link(0, tasks, done)))))
}

fn run(first: impl FnOnce(Sender<u64>)) -> Run {
    let start = Instant::now();
    let (sender, receiver) = oneshot::channel();
    first(sender);
    let value = receiver.recv().expect("the last task sends");
    let total = start.elapsed();
    Run { part: total, total, value }
}

fn link(value: u64, tasks: u64, done: Sender<u64>) {
    let value = value + 1;
    if value == tasks {
        done.send(value).expect("the caller waits");
    } else {
        spawn(move || link(value, tasks, done));
    }
}

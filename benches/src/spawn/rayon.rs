//! `rayon`: a oneshot channel as the handle; `rayon:scope`: a scope and a slot a task, without handles.

use std::hint;
use std::time::Instant;

use ::oneshot::{Receiver, TryRecvError};
use ::rayon::{Scope, Yield};

use crate::start::rayon;
use crate::tasks::{Job, Run, blocking, task};

pub(super) fn outside(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| {
        let spawn = |i| {
            let (sender, receiver) = oneshot::channel();
            pool.spawn(move || sender.send(task(i)).expect("the caller waits"));
            receiver
        };
        blocking(tasks, spawn, |r| r.recv().expect("the task sends"))
    })
}

pub(super) fn inside(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| {
        let spawn = |i| {
            let (sender, receiver) = oneshot::channel();
            ::rayon::spawn(move || sender.send(task(i)).expect("the caller waits"));
            receiver
        };
        pool.install(|| blocking(tasks, spawn, recv_helping))
    })
}

/// Receives on a worker, which runs other tasks until the value is there.
fn recv_helping(receiver: Receiver<u64>) -> u64 {
    loop {
        match receiver.try_recv() {
            Ok(value) => return value,
            Err(TryRecvError::Empty) => {
                if ::rayon::yield_now() != Some(Yield::Executed) {
                    hint::spin_loop();
                }
            }
            Err(TryRecvError::Disconnected) => unreachable!("the task sends"),
        }
    }
}

pub(super) fn scope_outside(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| slots(tasks, |slots| pool.in_place_scope(|scope| fill(scope, slots))))
}

pub(super) fn scope_inside(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| pool.install(|| slots(tasks, |slots| ::rayon::scope(|scope| fill(scope, slots)))))
}

fn fill<'scope>(scope: &Scope<'scope>, slots: &'scope mut [u64]) -> Instant {
    for (i, slot) in (0..).zip(slots) {
        scope.spawn(move |_| *slot = task(i));
    }
    Instant::now()
}

/// `fill` has a task fill each slot, and returns when it had submitted the last of them.
fn slots(tasks: u64, fill: impl FnOnce(&mut [u64]) -> Instant) -> Run {
    let start = Instant::now();
    let mut slots: Vec<u64> = (0..tasks).map(|_| 0).collect();
    let submitted = fill(&mut slots);
    let value = slots.into_iter().fold(0, u64::wrapping_add);
    Run { part: submitted - start, total: start.elapsed(), value }
}

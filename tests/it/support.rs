//! What the tests share: a guard against hanging, conditions with a deadline, workers kept busy, drops counted.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use heist::{Executor, Promise, TaskFuture};

/// How long a test may take before it counts as hanging.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long a condition may take to come true.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Runs `body` on a thread of its own; fails instead of hanging.
#[track_caller]
pub(crate) fn guard(body: impl FnOnce() + Send + 'static) {
    let (ending, ended) = mpsc::channel::<()>();
    let run = move || {
        let _ending = ending;
        body();
    };
    let thread = thread::spawn(run);
    if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
        panic!("hangs: not at its end after {LIMIT:?}");
    }
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// Waits for a condition that nothing announces.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not so after {SOON:?}: {what}");
        thread::yield_now();
    }
}

pub(crate) fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().unwrap()
}

/// Workers that are kept from running anything, until this is dropped.
pub(crate) struct Busy {
    release: Vec<mpsc::Sender<()>>,
    tasks: Vec<TaskFuture<()>>,
}

/// Keeps every worker of `ex` in a task that blocks its core.
pub(crate) fn busy(ex: &Executor) -> Busy {
    let (started, is_started) = mpsc::channel();
    let (release, waits): (Vec<_>, Vec<_>) = (0..ex.workers()).map(|_| mpsc::channel::<()>()).unzip();
    let tasks = ex.map(waits, move |wait| {
        let _ = started.send(());
        let _ = wait.recv();
    });
    for _ in 0..ex.workers() {
        is_started.recv_timeout(SOON).unwrap();
    }
    Busy { release, tasks }
}

impl Busy {
    /// Lets one of the workers run.
    pub(crate) fn let_one_go(&mut self) {
        self.release.pop();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.release.clear();
        for task in &self.tasks {
            let _ = task.wait();
        }
    }
}

/// A task that has started and does not end before the promise is kept (or dropped), without lending its core.
pub(crate) fn running<T: Send + 'static>(ex: &Executor, value: T) -> (mpsc::Sender<()>, TaskFuture<T>) {
    let (started, is_started) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let task = ex.submit(move || {
        let _ = started.send(());
        let _ = ends.recv();
        value
    });
    is_started.recv_timeout(SOON).unwrap();
    (end, task)
}

/// A future that never ends by itself, with the promise that keeps it so.
pub(crate) fn never<T: Send + 'static>(ex: &Executor) -> (Promise<T>, TaskFuture<T>) {
    ex.promise()
}

/// Counts how many of its pieces were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

/// A value whose drop is counted.
pub(crate) struct Piece(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn piece(&self) -> Piece {
        Piece(self.0.clone())
    }
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A counter that tasks share.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
    pub(crate) fn sub(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
    pub(crate) fn max(&self, value: usize) {
        self.0.fetch_max(value, Ordering::SeqCst);
    }
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

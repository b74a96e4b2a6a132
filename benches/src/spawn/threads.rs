//! Plain threads behind a queue: `threadpool` with one result channel for all tasks and so no handles;
//! `crossbeam-channel` of boxed closures with a oneshot channel as the handle.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crossbeam_channel::unbounded;
use threadpool::ThreadPool;

use crate::tasks::{Job, Run, blocking, task};

pub(super) fn pool_outside(workers: usize) -> Job {
    let pool = ThreadPool::new(workers);
    Box::new(move |tasks| pool_run(&pool, tasks))
}

pub(super) fn pool_inside(workers: usize) -> Job {
    let pool = ThreadPool::new(workers);
    Box::new(move |tasks| {
        let (sender, receiver) = channel();
        let inner = pool.clone();
        pool.execute(move || {
            sender.send(pool_run(&inner, tasks)).expect("the caller waits");
        });
        receiver.recv().expect("the submitter sends")
    })
}

fn pool_run(pool: &ThreadPool, tasks: u64) -> Run {
    let (sender, receiver): (Sender<u64>, Receiver<u64>) = channel();
    let spawn = |i| {
        let sender = sender.clone();
        pool.execute(move || sender.send(task(i)).expect("the caller waits"));
    };
    blocking(tasks, spawn, |()| receiver.recv().expect("the task sends"))
}

pub(super) fn channel_outside(workers: usize) -> Job {
    type Closure = Box<dyn FnOnce() + Send>;
    let (queue, closures) = unbounded::<Closure>();
    for _ in 0..workers {
        let closures = closures.clone();
        thread::spawn(move || closures.iter().for_each(|closure| closure()));
    }
    Box::new(move |tasks| {
        let spawn = |i| {
            let (sender, receiver) = oneshot::channel();
            queue
                .send(Box::new(move || {
                    sender.send(task(i)).expect("the caller waits");
                }))
                .expect("a worker is there");
            receiver
        };
        blocking(tasks, spawn, |r| r.recv().expect("the task sends"))
    })
}

//! Models of what lies between submitters and workers: the inbox, and the end of an executor.

use std::cell::Cell;
use std::panic::Location;
use std::sync::{Arc, Weak};

use super::ending::{Ending, Phase};
use super::entry::Entry;
use super::idle::{Idle, Workers};
use super::inbox::Inbox;
use crate::counters::{Counter, Counters};
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::primitive::model::{Tally, explore, explore_to, thread};
use crate::primitive::park::Parker;
use crate::primitive::{Padded, local};
use crate::task::{self, Birth, Finisher, Home, Number, Ready, Schedule, Typed, Work};

const OUTSIDER: usize = usize::MAX;

local! {
    static WORKER: Cell<usize> = Cell::new(OUTSIDER);
}

/// An executor without deques: as `Registry` puts its parts together.
struct Pool {
    number: Number,
    home: Home,
    this: Weak<Self>,
    ending: Ending,
    inbox: Inbox,
    idle: Idle,
    parkers: Vec<Parker>,
    counters: Vec<Padded<Counters>>,
    ran: Tally,
    /// Of those that ran, how many saw that the executor had ended: a look that loom orders.
    ran_late: Tally,
}

/// A closure that counts, after it has submitted as many others, one within the other, as it says.
struct Closure {
    pool: Weak<Pool>,
    nested: usize,
}

impl Work for Closure {
    type Output = usize;
    fn run(self) -> Result<usize, TaskErrorKind> {
        if let Some(pool) = self.pool.upgrade() {
            if self.nested > 0 {
                pool.count_created();
                let closure = Self { pool: self.pool.clone(), nested: self.nested - 1 };
                pool.queue(Entry::of(task::ready_unwanted(pool.birth(), closure)));
            }
            if pool.ending.phase() == Phase::Ended {
                pool.ran_late.add();
            }
            pool.ran.add();
        }
        Ok(1)
    }
}

impl Schedule for Pool {
    fn ready(&self, task: Ready) {
        self.queue(Entry::of(task));
    }
    fn finished(&self) {
        self.count(|counters| &counters.finished);
    }
    fn discarded(&self) {}
}

/// Keeps what gets ready, to run it next.
struct Direct<'a> {
    pool: &'a Pool,
    next: &'a mut Option<Ready>,
}

impl Finisher for Direct<'_> {
    fn ready(&mut self, task: Ready) {
        *self.next = Some(task);
    }
    fn finished(&mut self) {
        self.pool.finished();
    }
    fn discarded(&mut self) {}
}

impl Workers for &Pool {
    fn has_work_in(&self, _group: usize) -> bool {
        !self.inbox.is_empty()
    }
    fn wake(&self, worker: usize) {
        self.parkers[worker].wake();
    }
    fn beside(&self) -> Option<usize> {
        None
    }
    fn pass_on(&self) {}
}

impl Pool {
    fn new(workers: usize) -> Arc<Self> {
        let pool = Arc::new_cyclic(|this: &Weak<Self>| Self {
            number: Number::reserve().unwrap_or_else(|| unreachable!("models are few")),
            home: Home(this.as_ptr()),
            this: this.clone(),
            ending: Ending::new(),
            inbox: Inbox::new(),
            idle: Idle::new(workers, None),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            counters: (0..=workers).map(|_| Counters::new()).collect(),
            ran: Tally::default(),
            ran_late: Tally::default(),
        });
        let scheduler: Weak<dyn Schedule> = pool.this.clone();
        pool.number.announce(&pool.home, scheduler);
        pool
    }

    fn birth(&self) -> Birth {
        Birth { executor: self.number.get(), raw_id: 1, location: Location::caller() }
    }

    fn task(&self, nested: usize) -> (Typed<usize>, Ready) {
        task::ready(self.birth(), Closure { pool: self.this.clone(), nested })
    }

    fn queue(&self, entry: Entry) {
        self.inbox.push(entry);
        self.idle.notify(0, self);
    }

    fn count_created(&self) {
        self.count(|counters| &counters.created);
    }

    fn count(&self, counter: fn(&Counters) -> &Counter) {
        match WORKER.with(Cell::get) {
            OUTSIDER => counter(&self.counters[self.parkers.len()]).bump_shared(1),
            worker => counter(&self.counters[worker]).bump(1),
        }
    }

    /// As an outsider submits; none when it is refused from the start.
    fn submit(&self) -> Option<Typed<usize>> {
        if self.ending.refuses(|| false) {
            return None;
        }
        self.count_created();
        let (task, ready) = self.task(0);
        self.queue(Entry::of(ready));
        if self.ending.refuses(|| false) {
            task::cancel(task.handle(), closed());
        }
        Some(task)
    }

    fn close(&self, phase: Phase) {
        if self.ending.advance(phase) {
            self.wake_all();
            self.end_if_quiescent();
        }
    }

    fn end_if_quiescent(&self) {
        if self.ending.end_if_quiescent(|| self.counters.iter().map(|counters| &**counters)) {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        for (worker, parker) in self.parkers.iter().enumerate() {
            if self.idle.unpark(worker) {
                parker.wake();
            }
        }
    }

    /// Looks before it takes, as a worker does.
    fn take(&self) -> impl Iterator<Item = Ready> {
        (!self.inbox.is_empty()).then(|| self.inbox.take()).into_iter().flatten().flat_map(Entry::tasks)
    }

    /// Runs a task, then directly the dependent that it makes ready.
    fn run(&self, task: Ready) {
        match self.ending.phase() {
            Phase::Cancelling => task::cancel_queued(task, closed()),
            _ => {
                let mut next = Some(task);
                while let Some(started) = next.take().and_then(task::start) {
                    started.run().end(&mut Direct { pool: self, next: &mut next });
                }
            }
        }
    }

    /// The life of a worker that never sleeps.
    fn poll(&self, worker: usize) {
        WORKER.with(|own| own.set(worker));
        loop {
            self.take().for_each(|task| self.run(task));
            self.end_if_quiescent();
            if self.ending.phase() == Phase::Ended {
                return;
            }
            thread::yield_now();
        }
    }

    /// The life of a worker. While the executor closes it looks around now and then, as a sleeper with a deadline does.
    fn work(&self, worker: usize) {
        WORKER.with(|own| own.set(worker));
        let mut searching = self.idle.start_search();
        while self.ending.phase() == Phase::Open {
            for task in self.take() {
                if std::mem::take(&mut searching) {
                    self.idle.end_search(self);
                }
                self.run(task);
            }
            let work = || !self.inbox.is_empty() || self.ending.phase() != Phase::Open;
            if self.idle.park(worker, searching, work) {
                self.parkers[worker].sleep();
            }
            searching = true;
        }
        self.poll(worker);
    }
}

fn closed() -> TaskError {
    TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED))
}

fn is_done(task: &Typed<usize>) -> bool {
    task.handle().head().state.load().is_done()
}

/// A submitter, a thread that closes, and a worker.
fn close_beside_a_submitter(close: fn(&Pool), work: fn(&Pool, usize)) {
    let pool = Pool::new(1);
    let worker = {
        let pool = pool.clone();
        thread::spawn(move || work(&pool, 0))
    };
    let closer = {
        let pool = pool.clone();
        thread::spawn(move || close(&pool))
    };
    let task = pool.submit();
    closer.join().unwrap();
    worker.join().unwrap();
    assert!(task.is_none_or(|task| is_done(&task)), "the executor ended without a task");
    pool.inbox.take().flat_map(Entry::tasks).for_each(task::skip);
}

#[test]
fn loom_draining_executor_forgets_no_task() {
    explore(10_000, || close_beside_a_submitter(|pool| pool.close(Phase::Draining), Pool::work));
}

#[test]
fn loom_cancelling_executor_forgets_no_task() {
    explore(10_000, || close_beside_a_submitter(|pool| pool.close(Phase::Cancelling), Pool::work));
}

/// A worker may be the first to sum, before the closing thread is past any fence of its own.
#[test]
fn loom_worker_that_ends_the_executor_forgets_no_task() {
    explore(1_000, || close_beside_a_submitter(|pool| assert!(pool.ending.advance(Phase::Draining)), Pool::poll));
}

/// A task that submits another one and ends between the two sums.
#[test]
fn loom_draining_executor_waits_for_tasks_of_tasks() {
    explore_to(4, 100, || {
        let pool = Pool::new(1);
        pool.count_created();
        let (task, ready) = pool.task(1);
        pool.inbox.push(Entry::of(ready));
        let worker = {
            let pool = pool.clone();
            thread::spawn(move || {
                WORKER.with(|own| own.set(0));
                (0..2).for_each(|_| pool.take().for_each(|task| pool.run(task)));
            })
        };
        pool.close(Phase::Draining);
        worker.join().unwrap();
        assert!(is_done(&task));
        assert_eq!((pool.ran.get(), pool.ran_late.get()), (2, 0));
    });
}

#[test]
fn loom_draining_executor_waits_for_a_promise() {
    explore(20, || {
        let pool = Pool::new(1);
        let closer = {
            let pool = pool.clone();
            thread::spawn(move || pool.close(Phase::Draining))
        };
        pool.count_created();
        let (promise, task) = task::unkept(pool.birth());
        if pool.ending.refuses_counted(|| false) {
            task::cancel(task.handle(), closed());
        } else {
            assert_ne!(pool.ending.phase(), Phase::Ended);
        }
        promise.fulfil(1);
        closer.join().unwrap();
    });
}

#[test]
fn loom_inbox_pushes_and_takes() {
    explore(70, || {
        let pool = Pool::new(1);
        let [(a, first), (b, second), (c, single)] = [(); 3].map(|()| pool.task(0));
        let pusher = {
            let pool = pool.clone();
            thread::spawn(move || pool.inbox.push(Entry::of(single)))
        };
        let taker = {
            let pool = pool.clone();
            thread::spawn(move || pool.inbox.take().flat_map(Entry::tasks).for_each(|task| pool.run(task)))
        };
        let batch = Entry::of_all([first, second]);
        batch.into_iter().for_each(|batch| pool.inbox.push(batch));
        pusher.join().unwrap();
        taker.join().unwrap();
        pool.inbox.take().flat_map(Entry::tasks).for_each(|task| pool.run(task));
        assert!([a, b, c].iter().all(is_done));
        assert_eq!(pool.ran.get(), 3);
    });
}

/// One entry is taken from afar, and the others put back, beside a push and somebody who takes them all.
#[test]
fn loom_inbox_gives_one_and_keeps_the_rest() {
    explore(70, || {
        let pool = Pool::new(1);
        let tasks = [(); 3].map(|()| pool.task(0));
        let (handles, ready): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
        let mut ready = ready.into_iter().map(Entry::of);
        ready.by_ref().take(2).for_each(|entry| pool.inbox.push(entry));
        let pusher = {
            let (pool, last) = (pool.clone(), ready.next());
            thread::spawn(move || last.into_iter().for_each(|entry| pool.inbox.push(entry)))
        };
        let taker = {
            let pool = pool.clone();
            thread::spawn(move || pool.inbox.take().flat_map(Entry::tasks).for_each(|task| pool.run(task)))
        };
        pool.inbox.take_one().into_iter().flat_map(Entry::tasks).for_each(|task| pool.run(task));
        pusher.join().unwrap();
        taker.join().unwrap();
        pool.inbox.take().flat_map(Entry::tasks).for_each(|task| pool.run(task));
        assert!(handles.iter().all(is_done));
        assert_eq!(pool.ran.get(), 3);
    });
}

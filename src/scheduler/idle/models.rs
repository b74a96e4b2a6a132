//! Models of the parking protocol: when everything pushed is done, nobody has slept through it.

use std::sync::Arc;

use super::{Idle, parked, searching};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::model::{explore, thread};
use crate::primitive::park::Parker;

/// Workers that drain one queue, of which only the number of items is kept. The last item ends them all.
struct Pool {
    idle: Idle,
    parkers: Vec<Parker>,
    queued: AtomicUsize,
    left: AtomicUsize,
    /// Items that have been taken, and how many must be before any is done: tasks that wait for each other, so that a
    /// worker which keeps one for itself and leaves the other to sleepers hangs.
    taken: Mutex<usize>,
    taken_now: Condvar,
    together: usize,
}

impl Pool {
    fn new(workers: usize, items: usize, together: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            queued: AtomicUsize::new(0),
            left: AtomicUsize::new(items),
            taken: Mutex::new(0),
            taken_now: Condvar::new(),
            together,
        })
    }

    fn wake(&self, worker: usize) {
        self.parkers[worker].wake();
    }

    fn push(&self) {
        // ORDERING: Release, as a deque and an inbox publish.
        self.queued.fetch_add(1, Ordering::Release);
        self.idle.notify(|worker| self.wake(worker));
    }

    fn push_many(&self, items: usize) {
        // ORDERING: as above.
        self.queued.fetch_add(items, Ordering::Release);
        self.idle.notify_many(items, |worker| self.wake(worker));
    }

    fn has_work(&self) -> bool {
        // ORDERING: Relaxed, as the looks of the protocol are.
        self.queued.load(Ordering::Relaxed) != 0
    }

    fn take(&self) -> bool {
        // ORDERING: Relaxed; a look before the exchange, as before a steal.
        let mut queued = self.queued.load(Ordering::Relaxed);
        while queued != 0 {
            match self.queued.compare_exchange(queued, queued - 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => queued = now,
            }
        }
        false
    }

    fn ended(&self) -> bool {
        // ORDERING: Acquire, as the phase is read.
        self.left.load(Ordering::Acquire) == 0
    }

    fn run(&self) {
        let mut taken = self.taken.lock();
        *taken += 1;
        self.taken_now.notify_all();
        while *taken < self.together {
            taken = self.taken_now.wait(taken);
        }
        drop(taken);
        // ORDERING: AcqRel, as the phase is written.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            for worker in 0..self.parkers.len() {
                if self.idle.unpark(worker) {
                    self.wake(worker);
                }
            }
        }
    }

    fn assert_at_rest(&self) {
        let counts = self.idle.counts();
        assert_eq!((searching(counts), parked(counts)), (0, 0));
        assert!(!self.idle.any_bit());
    }

    /// A worker's search and sleep, with one look for forty.
    fn work(&self, worker: usize) {
        let mut searching = self.idle.start_search();
        while !self.ended() {
            if self.take() {
                if searching {
                    self.idle.end_search(|| self.has_work(), |worker| self.wake(worker));
                }
                self.run();
                searching = self.idle.start_search();
                continue;
            }
            if self.idle.park(worker, searching, || self.has_work() || self.ended()) {
                self.parkers[worker].sleep();
            }
            searching = true;
        }
        if searching {
            self.idle.end_search(|| self.has_work(), |worker| self.wake(worker));
        }
    }
}

/// `workers` drain what `push` brings, and nothing of the protocol's is left over.
fn drain(workers: usize, items: usize, together: usize, push: fn(&Pool)) {
    let pool = Pool::new(workers, items, together);
    let threads: Vec<_> = (0..workers)
        .map(|worker| {
            let pool = pool.clone();
            thread::spawn(move || pool.work(worker))
        })
        .collect();
    push(&pool);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    pool.assert_at_rest();
}

#[test]
fn loom_one_worker_sleeps_through_no_push() {
    explore(80, || drain(1, 2, 1, |pool| (0..2).for_each(|_| pool.push())));
}

#[test]
fn loom_two_workers_sleep_through_no_push() {
    explore(5_000, || drain(2, 1, 1, Pool::push));
}

#[test]
fn loom_two_workers_sleep_through_no_batch() {
    explore(8_000, || drain(2, 2, 2, |pool| pool.push_many(2)));
}

/// The second push may be silent because of the worker that searches; when that one finds the first, it wakes the other.
#[test]
fn loom_last_searcher_wakes_another() {
    explore(20_000, || drain(2, 2, 2, |pool| (0..2).for_each(|_| pool.push())));
}

/// One push may be silent because the other pusher counts as a searcher while he looks for somebody to wake.
#[test]
fn loom_two_pushers_and_a_worker() {
    explore(600, || {
        let pool = Pool::new(1, 2, 1);
        let worker = {
            let pool = pool.clone();
            thread::spawn(move || pool.work(0))
        };
        let pusher = {
            let pool = pool.clone();
            thread::spawn(move || pool.push())
        };
        pool.push();
        pusher.join().unwrap();
        worker.join().unwrap();
        pool.assert_at_rest();
    });
}

/// A batch and a push wake nobody twice, and no fewer than the batch has tasks.
#[test]
fn loom_batch_wakes_many() {
    explore(10, || {
        let idle = Arc::new(Idle::new(3));
        assert!((0..3).all(|worker| idle.park(worker, false, || false)));
        let batch = {
            let idle = idle.clone();
            thread::spawn(move || {
                let mut woken = Vec::new();
                idle.notify_many(2, |worker| woken.push(worker));
                woken
            })
        };
        let mut single = None;
        idle.notify(|worker| single = Some(worker));
        let mut woken = batch.join().unwrap();
        woken.extend(single);
        woken.sort_unstable();
        assert!(woken == [0, 1] || woken == [0, 1, 2], "{woken:?}");
        assert_eq!(searching(idle.counts()), woken.len() as u64);
        assert_eq!(parked(idle.counts()), 3 - woken.len() as u64);
    });
}

#[test]
fn loom_no_more_search_than_may() {
    explore(500, || {
        let idle = Arc::new(Idle::new(3));
        let search = move || {
            if idle.start_search() {
                assert!(searching(idle.counts()) <= idle.limit);
                idle.end_search(|| false, |_| ());
            }
        };
        let threads = [(); 2].map(|()| thread::spawn(search.clone()));
        search();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

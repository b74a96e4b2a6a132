//! Models of the parking protocol: when everything pushed is done, nobody has slept through it.

use std::sync::Arc;

use super::{GROUP, Idle, Workers, parked, searching};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::model::{explore, thread};
use crate::primitive::park::Parker;

/// Workers that drain one queue, of which only the number of items is kept. The last item ends them all.
struct Pool {
    idle: Idle,
    parkers: Vec<Parker>,
    queued: AtomicUsize,
    /// Items that only this worker may take.
    bound: Vec<AtomicUsize>,
    left: AtomicUsize,
    /// Items that have been taken, and how many must be before any is done: tasks that wait for each other, so that a
    /// worker which keeps one for itself and leaves the other to sleepers hangs.
    taken: Mutex<usize>,
    taken_now: Condvar,
    together: usize,
    /// The same, for one that only this worker may take.
    together_with_own: usize,
}

impl Pool {
    fn new(workers: usize, items: usize, together: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers, None),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            queued: AtomicUsize::new(0),
            bound: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            left: AtomicUsize::new(items),
            taken: Mutex::new(0),
            taken_now: Condvar::new(),
            together,
            together_with_own: items,
        })
    }

    fn push(&self) {
        // ORDERING: Release, as a deque and an inbox publish.
        self.queued.fetch_add(1, Ordering::Release);
        self.idle.notify(0, self);
    }

    fn push_many(&self, items: usize) {
        // ORDERING: as above.
        self.queued.fetch_add(items, Ordering::Release);
        self.idle.notify_many(0, items, self);
    }

    fn push_to(&self, worker: usize) {
        // ORDERING: Release, as the lock of a shelf publishes.
        self.bound[worker].fetch_add(1, Ordering::Release);
        self.idle.notify_worker(worker, self);
    }

    fn has_work(&self) -> bool {
        // ORDERING: Relaxed, as the looks of the protocol are.
        self.queued.load(Ordering::Relaxed) != 0
    }

    fn has_work_for(&self, worker: usize) -> bool {
        // ORDERING: Relaxed, as the looks of the protocol are.
        self.has_work() || self.bound[worker].load(Ordering::Relaxed) != 0
    }

    /// How many items must be taken before the one that was taken here is done.
    fn take(&self, worker: usize) -> Option<usize> {
        let own = take_one(&self.bound[worker]).then_some(self.together_with_own);
        own.or_else(|| take_one(&self.queued).then_some(self.together))
    }

    fn ended(&self) -> bool {
        // ORDERING: Acquire, as the phase is read.
        self.left.load(Ordering::Acquire) == 0
    }

    fn run(&self, together: usize) {
        let mut taken = self.taken.lock();
        *taken += 1;
        self.taken_now.notify_all();
        while *taken < together {
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
        assert!(!self.idle.parked.any());
    }

    /// A worker's search and sleep, with one look for forty.
    fn work(&self, worker: usize) {
        let mut searching = self.idle.start_search();
        while !self.ended() {
            if let Some(together) = self.take(worker) {
                if searching {
                    self.idle.end_search(self);
                }
                self.run(together);
                searching = self.idle.start_search();
                continue;
            }
            if self.idle.park(worker, searching, || self.has_work_for(worker) || self.ended()) {
                self.parkers[worker].sleep();
            }
            searching = true;
        }
        if searching {
            self.idle.end_search(self);
        }
    }
}

fn take_one(items: &AtomicUsize) -> bool {
    // ORDERING: Relaxed; a look before the exchange, as before a steal.
    let mut queued = items.load(Ordering::Relaxed);
    while queued != 0 {
        match items.compare_exchange(queued, queued - 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => queued = now,
        }
    }
    false
}

impl Workers for &Pool {
    fn has_work_in(&self, _group: usize) -> bool {
        self.has_work()
    }
    fn wake(&self, worker: usize) {
        self.parkers[worker].wake();
    }
    fn beside(&self) -> Option<usize> {
        None
    }
    fn pass_on(&self) {}
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
fn loom_one_worker_sleeps_through_nothing_that_is_its_own() {
    explore(40, || {
        drain(1, 1, 1, |pool| pool.push_to(0));
    });
}

#[test]
fn loom_two_workers_sleep_through_nothing_that_is_one_s_own() {
    explore(4_000, || drain(2, 1, 1, |pool| pool.push_to(1)));
}

/// A push may be silent because of the worker that was woken for what is its own. That is not done before the other item is
/// taken, so somebody else must be woken for it.
#[test]
fn loom_what_is_one_s_own_leaves_the_rest_to_the_other() {
    explore(30_000, || {
        drain(2, 2, 1, |pool| {
            pool.push_to(1);
            pool.push();
        });
    });
    explore(30_000, || {
        drain(2, 2, 1, |pool| {
            pool.push();
            pool.push_to(1);
        });
    });
}

/// A push may be silent because who pushes to one worker counts as a searcher while he takes that one's bit, which is gone.
#[test]
fn loom_push_beside_one_who_finds_his_worker_awake() {
    push_beside(|sleepers| sleepers.idle.notify_worker(0, sleepers));
}

/// The same, because of one who wants that worker's seat.
#[test]
fn loom_push_beside_one_who_finds_his_seat_awake() {
    push_beside(|sleepers| {
        if sleepers.idle.rouse(0, sleepers) {
            sleepers.wake(0);
        }
    });
}

fn push_beside(call: fn(&Sleepers)) {
    explore(10, move || {
        let sleepers = Sleepers::new(GROUP + 1, 0);
        let own = {
            let sleepers = sleepers.clone();
            thread::spawn(move || call(&sleepers))
        };
        if sleepers.idle.unpark(0) {
            // Awake by itself, and off to what it has found.
            sleepers.idle.end_search(&*sleepers);
        }
        sleepers.push();
        own.join().unwrap();
        if sleepers.woken.lock().unwrap().contains(&0) {
            sleepers.idle.end_search(&*sleepers);
        }
        assert!(sleepers.woken.lock().unwrap().contains(&GROUP), "slept through a push");
    });
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

/// Notes who is woken; the second group has work when something was pushed there.
struct Sleepers {
    idle: Idle,
    queued: AtomicUsize,
    woken: std::sync::Mutex<Vec<usize>>,
}

impl Sleepers {
    /// The first `searching` of the workers search, the others sleep.
    fn new(workers: usize, searching: usize) -> Arc<Self> {
        let sleepers = Self { idle: Idle::new(workers, None), queued: AtomicUsize::new(0), woken: Default::default() };
        assert!((0..searching).all(|_| sleepers.idle.start_search()));
        assert!((searching..workers).all(|worker| sleepers.idle.park(worker, false, || false)));
        Arc::new(sleepers)
    }

    fn push(&self) {
        // ORDERING: Release, as a deque and an inbox publish.
        self.queued.fetch_add(1, Ordering::Release);
        self.idle.notify(GROUP, self);
    }

    /// Those who were woken, in order; each is counted.
    fn woken(&self, workers: u64, left: u64) -> Vec<usize> {
        let mut woken = std::mem::take(&mut *self.woken.lock().unwrap());
        woken.sort_unstable();
        assert_eq!(searching(self.idle.counts()), woken.len() as u64);
        assert_eq!(parked(self.idle.counts()), workers - left - woken.len() as u64);
        woken
    }
}

impl Workers for &Sleepers {
    fn has_work_in(&self, group: usize) -> bool {
        // ORDERING: Relaxed, as the looks of the protocol are.
        group == 1 && self.queued.load(Ordering::Relaxed) != 0
    }
    fn wake(&self, worker: usize) {
        self.woken.lock().unwrap().push(worker);
    }
    fn beside(&self) -> Option<usize> {
        None
    }
    fn pass_on(&self) {}
}

/// A batch and a push wake nobody twice, and no fewer than the batch has tasks.
#[test]
fn loom_batch_wakes_many() {
    explore(10, || {
        let sleepers = Sleepers::new(3, 0);
        let batch = {
            let sleepers = sleepers.clone();
            thread::spawn(move || sleepers.idle.notify_many(0, 2, &*sleepers))
        };
        sleepers.idle.notify(0, &*sleepers);
        batch.join().unwrap();
        let woken = sleepers.woken(3, 0);
        assert!(woken == [0, 1] || woken == [0, 1, 2], "{woken:?}");
    });
}

/// All searchers leave with other work, while somebody pushes: when the push was silent, one of them wakes a sleeper.
fn leave_beside_pushes(searchers: usize, pushers: usize, stale: bool) {
    const WORKERS: usize = GROUP + 3;
    let sleepers = Sleepers::new(WORKERS, searchers);
    if stale {
        // Remembered from a push whose task is taken already.
        sleepers.idle.notify(GROUP, &*sleepers);
    }
    let threads: Vec<_> = (1..pushers + searchers)
        .map(|thread| {
            let sleepers = sleepers.clone();
            thread::spawn(move || if thread < pushers { sleepers.push() } else { sleepers.idle.end_search(&*sleepers) })
        })
        .collect();
    sleepers.push();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(!sleepers.woken(WORKERS as u64, searchers as u64).is_empty(), "slept through a push");
}

#[test]
fn loom_silent_push_wakes_a_sleeper() {
    explore(10, || leave_beside_pushes(1, 1, false));
}

#[test]
fn loom_remembered_push_wakes_a_sleeper() {
    explore(10, || leave_beside_pushes(1, 1, true));
}

#[test]
fn loom_two_silent_pushes_wake_a_sleeper() {
    explore(100, || leave_beside_pushes(1, 2, false));
}

#[test]
fn loom_silent_push_beside_two_searchers() {
    explore(100, || leave_beside_pushes(2, 1, true));
}

/// A push is silent because of one who begins to search while the last of those before clears what was remembered.
#[test]
fn loom_push_beside_one_who_looks_for_missed() {
    explore(100, || {
        let sleepers = Sleepers::new(GROUP + 2, 1);
        sleepers.idle.notify(GROUP, &*sleepers);
        let searcher = {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                assert!(sleepers.idle.start_search());
                sleepers.idle.end_search(&*sleepers);
            })
        };
        let pusher = {
            let sleepers = sleepers.clone();
            thread::spawn(move || sleepers.push())
        };
        sleepers.idle.end_search(&*sleepers);
        searcher.join().unwrap();
        pusher.join().unwrap();
        assert!(!sleepers.woken(GROUP as u64 + 2, 1).is_empty(), "slept through a push");
    });
}

/// A push is silent because of a waker, who finds nobody: the only sleeper is about to set its bit.
#[test]
fn loom_push_beside_a_waker_who_finds_nobody() {
    explore(100, || {
        let sleepers = Sleepers::new(1, 1);
        sleepers.idle.end_search(&*sleepers);
        let sleeper = {
            let sleepers = sleepers.clone();
            thread::spawn(move || sleepers.idle.park(0, false, || (&*sleepers).has_work_in(1)))
        };
        let pusher = {
            let sleepers = sleepers.clone();
            thread::spawn(move || sleepers.push())
        };
        // For a task that is taken already.
        sleepers.idle.notify(GROUP, &*sleepers);
        pusher.join().unwrap();
        let slept = sleeper.join().unwrap();
        assert!(!slept || *sleepers.woken.lock().unwrap() == [0], "slept through a push");
    });
}

#[test]
fn loom_no_more_search_than_may() {
    explore(500, || {
        let sleepers = Sleepers::new(3, 0);
        let search = move || {
            if sleepers.idle.start_search() {
                assert!(searching(sleepers.idle.counts()) <= sleepers.idle.limit);
                sleepers.idle.end_search(&*sleepers);
            }
        };
        let threads = [(); 2].map(|()| thread::spawn(search.clone()));
        search();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

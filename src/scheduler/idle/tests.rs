//! Who is woken by what, step by step.

use std::sync::Mutex;

use super::{GROUP, Idle, Workers};

/// Queues of which only the lengths are kept, by group.
struct Pool {
    idle: Idle,
    queued: Mutex<Vec<usize>>,
    woken: Mutex<Vec<usize>>,
    looks: Mutex<Vec<usize>>,
    beside: Option<usize>,
}

impl Pool {
    /// All workers sleep.
    fn new(workers: usize) -> Self {
        let pool = Self {
            idle: Idle::new(workers),
            queued: Mutex::new(vec![0; workers.div_ceil(GROUP)]),
            woken: Mutex::default(),
            looks: Mutex::default(),
            beside: None,
        };
        assert!((0..workers).all(|worker| pool.idle.park(worker, false, || false)));
        pool
    }

    fn push(&self, near: usize, tasks: usize) {
        self.queued.lock().unwrap()[near / GROUP] += tasks;
        if tasks == 1 { self.idle.notify(near, self) } else { self.idle.notify_many(near, tasks, self) }
    }

    /// A searcher takes a task from a group and leaves.
    fn take(&self, group: usize) {
        self.queued.lock().unwrap()[group] -= 1;
        self.idle.end_search(self);
    }

    fn sleep(&self, worker: usize) {
        assert!(self.idle.park(worker, true, || false));
    }

    /// Who was woken since the last call.
    fn woken(&self) -> Vec<usize> {
        std::mem::take(&mut *self.woken.lock().unwrap())
    }

    /// The groups that were looked through since the last call.
    fn looks(&self) -> Vec<usize> {
        std::mem::take(&mut *self.looks.lock().unwrap())
    }
}

impl Workers for Pool {
    fn has_work_in(&self, group: usize) -> bool {
        self.looks.lock().unwrap().push(group);
        self.queued.lock().unwrap()[group] != 0
    }
    fn wake(&self, worker: usize) {
        self.woken.lock().unwrap().push(worker);
    }
    fn beside(&self) -> Option<usize> {
        self.beside
    }
}

#[test]
fn one_push_wakes_one_and_nobody_looks_around() {
    for workers in [2, 64, 1000] {
        let pool = Pool::new(workers);
        for _ in 0..100 {
            pool.push(0, 1);
            assert_eq!(pool.woken(), [0]);
            pool.take(0);
            assert!(pool.idle.start_search());
            pool.sleep(0);
        }
        assert_eq!((pool.woken(), pool.looks()), (vec![], vec![]));
    }
}

#[test]
fn a_burst_wakes_one_after_the_other() {
    let pool = Pool::new(64);
    (0..4).for_each(|_| pool.push(20, 1));
    assert_eq!(pool.woken(), [20], "the others are silent");
    for next in [16, 17, 18] {
        pool.take(2);
        assert_eq!((pool.woken(), pool.looks()), (vec![next], vec![2]), "a task is left");
    }
    pool.take(2);
    assert_eq!((pool.woken(), pool.looks()), (vec![], vec![2]), "none is left");
    pool.push(40, 1);
    assert_eq!(pool.woken(), [40]);
    pool.take(5);
    assert_eq!((pool.woken(), pool.looks()), (vec![], vec![]), "nothing is remembered");
}

#[test]
fn the_last_to_leave_looks_where_pushes_were_silent() {
    let pool = Pool::new(2000);
    assert!(pool.idle.unpark(1) && pool.idle.unpark(2));
    pool.push(8 * 7, 1);
    pool.push(8 * 9, 1);
    assert_eq!(pool.woken(), [], "somebody searches");
    pool.take(7);
    assert_eq!(pool.looks(), [], "another one searches still");
    pool.take(9);
    // From 64 groups on some share a bit.
    assert_eq!((pool.woken(), pool.looks()), (vec![], vec![7, 71, 135, 199, 9, 73, 137, 201]));
}

#[test]
fn a_batch_wakes_as_many_as_it_has_tasks() {
    let pool = Pool::new(16);
    pool.push(8, 3);
    assert_eq!(pool.woken(), [8, 9, 10]);
    pool.push(8, 4);
    assert_eq!(pool.woken(), [11], "three search already");
    pool.push(8, 20);
    assert_eq!(pool.woken(), [12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_a_batch_leaves_to_searchers_is_remembered() {
    let pool = Pool::new(16);
    assert!(pool.idle.unpark(0));
    pool.push(8, 2);
    assert_eq!(pool.woken(), [8]);
    // Neither takes one: they leave with other work.
    pool.idle.end_search(&pool);
    pool.idle.end_search(&pool);
    assert_eq!(pool.woken(), [9]);
}

#[test]
fn the_worker_on_the_waker_s_core_sleeps_on_while_another_can_be_woken() {
    let pool = Pool { beside: Some(0), ..Pool::new(2) };
    pool.push(0, 1);
    assert_eq!(pool.woken(), [1]);
    pool.take(0);
    pool.push(0, 1);
    assert_eq!(pool.woken(), [0]);
}

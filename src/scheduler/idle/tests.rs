//! Who is woken by what, step by step.

use std::sync::Mutex;

use super::{GROUP, Idle, Sleeps, Workers};
use crate::primitive::sync::Arc;

/// Queues of which only the lengths are kept, by group.
struct Pool {
    idle: Idle,
    queued: Mutex<Vec<usize>>,
    woken: Mutex<Vec<usize>>,
    looks: Mutex<Vec<usize>>,
    passed_on: Mutex<usize>,
    beside: Option<usize>,
}

impl Pool {
    /// All workers sleep; the last queue is that of other domains, if there are any.
    fn new(workers: usize) -> Self {
        Self::of_domain(workers, false)
    }

    fn of_domain(workers: usize, has_others: bool) -> Self {
        let pool = Self {
            idle: Idle::new(workers, has_others.then(|| Arc::new(Sleeps::new()))),
            queued: Mutex::new(vec![0; workers.div_ceil(GROUP) + usize::from(has_others)]),
            woken: Mutex::default(),
            looks: Mutex::default(),
            passed_on: Mutex::default(),
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

impl Workers for &Pool {
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
    fn pass_on(&self) {
        *self.passed_on.lock().unwrap() += 1;
    }
}

#[test]
fn one_push_wakes_one_and_nobody_looks_around() {
    for workers in [2, GROUP, 64, 1000] {
        let pool = Pool::new(workers);
        for _ in 0..100 {
            pool.push(0, 1);
            assert_eq!(pool.woken(), [0]);
            pool.take(0);
            assert!(pool.idle.start_search());
            pool.sleep(0);
        }
        assert_eq!(pool.woken(), []);
        // With several groups, once where the push was: the woken one might have taken something else.
        let looks = pool.looks();
        assert!(looks.iter().all(|look| look % 64 == 0) && looks.is_empty() == (workers <= GROUP), "{looks:?}");
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
    assert_eq!((pool.woken(), pool.looks()), (vec![], vec![5]), "he might have taken something else");
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

#[test]
fn what_nobody_here_can_take_is_passed_on() {
    let pool = Pool::of_domain(2, true);
    let passed_on = || std::mem::take(&mut *pool.passed_on.lock().unwrap());
    pool.push(0, 2);
    assert_eq!((pool.woken(), passed_on()), (vec![0, 1], 0));
    pool.push(0, 1);
    assert_eq!(passed_on(), 0, "somebody searches");
    (0..2).for_each(|_| pool.take(0));
    assert_eq!(passed_on(), 1, "the last of them leaves, and a task is left");
    pool.push(0, 1);
    assert_eq!((pool.woken(), passed_on()), (vec![], 1), "all are busy");
}

#[test]
fn word_from_afar_wakes_one_after_the_other() {
    let pool = Pool::of_domain(2, true);
    pool.queued.lock().unwrap()[1] = 3;
    assert!(pool.idle.notify_from_afar(&pool));
    assert_eq!(pool.woken(), [0]);
    assert!(pool.idle.notify_from_afar(&pool), "somebody searches");
    assert_eq!(pool.woken(), []);
    pool.take(1);
    assert_eq!(pool.woken(), [1]);
    pool.take(1);
    assert_eq!((pool.woken(), *pool.passed_on.lock().unwrap()), (vec![], 1), "a third domain may help");
    assert!(!pool.idle.notify_from_afar(&pool), "all are busy");
}

#[test]
fn who_takes_something_else_has_the_next_woken() {
    let pool = Pool::new(2 * GROUP);
    assert!((0..GROUP).all(|worker| pool.idle.unpark(worker)));
    (0..GROUP).for_each(|_| pool.idle.end_search(&pool));
    pool.push(0, 1);
    pool.push(GROUP, 1);
    assert_eq!(pool.woken(), [GROUP], "the second push is silent");
    pool.take(1);
    assert_eq!(pool.woken(), [GROUP + 1], "the first one's task is left");
}

#[test]
fn what_a_batch_leaves_to_those_who_searched_is_not_slept_through_elsewhere() {
    let pool = Pool::of_domain(2, true);
    assert!(pool.idle.unpark(0));
    pool.push(0, 2);
    assert_eq!(pool.woken(), [1]);
    pool.take(0);
    // The other one leaves with something else.
    pool.idle.end_search(&pool);
    assert_eq!(*pool.passed_on.lock().unwrap(), 1);
}

//! Chains and trees a million deep, recursion with waits: nothing may take stack in proportion.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heist::{Executor, TaskFuture};

use crate::{executor, stress, watchdog};

/// Always the real size: what takes 16 bytes of stack a link overflows it.
const LONG: u64 = 1_000_000;

fn chain(ex: &Executor, first: TaskFuture<u64>) -> TaskFuture<u64> {
    (0..LONG).fold(first, |last, _| ex.submit_after(last, |n| n + 1))
}

fn each(test: fn(&Executor)) {
    for workers in [1, 2] {
        stress(workers, test);
    }
}

#[test]
fn stress_chain_completed() {
    each(|ex| {
        let (promise, first) = ex.promise();
        let last = chain(ex, first);
        promise.fulfil(0);
        assert_eq!(last.result().unwrap(), LONG);
    });
}

#[test]
fn stress_chain_completed_while_it_is_made() {
    each(|ex| assert_eq!(chain(ex, ex.submit(|| 0)).result().unwrap(), LONG));
}

#[test]
fn stress_chain_waited_for_within_a_task() {
    each(|ex| {
        let (promise, first) = ex.promise();
        let last = chain(ex, first);
        let waits = ex.submit(move || last.result());
        promise.fulfil(0);
        assert_eq!(waits.result().unwrap().unwrap(), LONG);
    });
}

#[test]
fn stress_chain_cancelled_at_its_head() {
    each(|ex| {
        let (_promise, first) = ex.promise();
        let last = chain(ex, first.clone());
        assert!(first.cancel("enough"));
        assert!(last.cancelled());
    });
}

#[test]
fn stress_chain_failed_at_its_head() {
    each(|ex| {
        let (promise, first) = ex.promise();
        let last = chain(ex, first);
        drop(promise);
        let error = last.result().unwrap_err();
        assert!(error.is_dependency() && error.is_promise_dropped());
    });
}

#[test]
fn stress_chain_cancelled_at_its_tail() {
    each(|ex| {
        let (_promise, first) = ex.promise();
        let last = chain(ex, first);
        assert!(last.cancel("enough"));
    });
}

#[test]
fn stress_chain_dropped() {
    each(|ex| {
        let (promise, first) = ex.promise();
        drop(chain(ex, first));
        assert!(!promise.is_wanted());
    });
}

#[test]
fn stress_chain_left_to_a_closing_executor() {
    for workers in [1, 2] {
        watchdog::within(crate::limit(), String::new, move || {
            let ex = executor(workers);
            let (_promise, first) = ex.promise();
            let last = chain(&ex, first);
            drop(ex);
            assert!(last.cancelled());
        });
    }
}

/// A value that holds the future of the next.
#[derive(Clone)]
struct Holds {
    _next: Option<TaskFuture<Holds>>,
    _drops: Arc<Drops>,
}

#[derive(Default)]
struct Drops(AtomicU64);

#[test]
fn stress_values_that_hold_futures_dropped() {
    each(|ex| {
        let drops = Arc::<Drops>::default();
        let mut last = None;
        for _ in 0..LONG {
            last = Some(ex.scatter(Holds { _next: last, _drops: drops.clone() }));
        }
        drop(last);
        assert_eq!(Arc::strong_count(&drops), 1);
    });
}

#[test]
fn stress_values_that_hold_futures_dropped_by_a_worker() {
    each(|ex| {
        let drops = Arc::<Drops>::default();
        let mut last = ex.scatter(Holds { _next: None, _drops: drops.clone() });
        for _ in 0..LONG {
            let (next, drops) = (last, drops.clone());
            last = ex.submit(move || Holds { _next: Some(next), _drops: drops });
        }
        ex.submit_after(last, |_| ()).wait().unwrap();
        watchdog::until(|| Arc::strong_count(&drops) == 1);
    });
}

/// A value whose drop makes and drops, cancels and lets go of other futures.
struct Busy {
    ex: Executor,
    held: Option<TaskFuture<u64>>,
    ran: Arc<Drops>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let ran = self.ran.clone();
        let count = move || ran.0.fetch_add(1, Ordering::Relaxed);
        drop(self.ex.submit_after(self.held.take().unwrap(), |n| n + 1));
        self.ex.submit(|| 1).cancel("in a drop");
        self.ex.submit(count).detach();
    }
}

#[test]
fn stress_values_that_submit_when_dropped() {
    each(|ex| {
        let (_promise, never) = ex.promise();
        let ran = Arc::<Drops>::default();
        let count = 20_000;
        let busy = || Busy { ex: ex.clone(), held: Some(never.clone()), ran: ran.clone() };
        for _ in 0..count / 2 {
            drop(ex.scatter(busy()));
            let value = busy();
            ex.submit(move || value).detach();
        }
        watchdog::until(|| ran.0.load(Ordering::Relaxed) == count);
        never.cancel("the end");
    });
}

/// A tree of `LONG` levels: each task has the one above and a leaf as inputs, and gives its value to a leaf below.
#[test]
fn stress_tree_a_million_deep() {
    each(|ex| {
        for cancels in [false, true] {
            let (promise, mut stem) = ex.promise::<u64>();
            let root = stem.clone();
            let leaf = ex.scatter(1);
            let mut leaves = Vec::new();
            for level in 0..LONG {
                stem = ex.submit_after((stem, &leaf), |(stem, leaf)| stem + leaf);
                if level % 1_000 == 0 {
                    leaves.push(ex.submit_after((&stem, &leaf), |(stem, leaf)| stem - leaf));
                }
            }
            if cancels {
                root.cancel("enough");
                assert!(stem.cancelled() && leaves.iter().all(TaskFuture::cancelled));
            } else {
                promise.fulfil(0);
                assert_eq!(stem.result().unwrap(), LONG);
                assert_eq!(ex.gather(leaves).unwrap()[1], 1_000);
            }
        }
    });
}

fn recurse(ex: Executor, depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    let inner = ex.clone();
    ex.submit(move || recurse(inner, depth - 1)).result().unwrap() + 1
}

#[test]
fn stress_recursion_with_waits() {
    each(|ex| {
        let (inner, depth) = (ex.clone(), 10_000);
        assert_eq!(ex.submit(move || recurse(inner, depth)).result().unwrap(), depth);
    });
}

fn fibonacci(ex: Executor, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (left, right) = (ex.clone(), ex.clone());
    let left = ex.submit(move || fibonacci(left, n - 1));
    let right = ex.submit(move || fibonacci(right, n - 2));
    left.result().unwrap() + right.result().unwrap()
}

#[test]
fn stress_recursion_that_branches() {
    each(|ex| {
        let inner = ex.clone();
        assert_eq!(ex.submit(move || fibonacci(inner, 20)).result().unwrap(), 6_765);
    });
}

//! Memory comes back: nothing leaks over the full product of lives, and what is given up in a loop does not add up.
//!
//! One test in a process of its own, since it counts every allocation.

#[path = "../lifecycle/product/mod.rs"]
mod product;
#[path = "../lifecycle/watchdog.rs"]
mod watchdog;

mod flat;

use std::alloc::System;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// How often in a row a life must leave something behind to be called a leak.
const REPEATS: usize = 12;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations that are alive, and their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Live {
    allocations: usize,
    bytes: usize,
}

impl Live {
    fn now() -> Self {
        let stats = MEMORY.stats();
        Self {
            allocations: stats.allocations - stats.deallocations,
            bytes: stats.bytes_allocated - stats.bytes_deallocated,
        }
    }
}

/// Runs `life` and gives what it left behind; the first of its kind is to be run before, to warm up.
fn left_by(life: impl FnOnce()) -> Option<(Live, Live)> {
    let before = Live::now();
    life();
    let after = Live::now();
    (before != after).then_some((before, after))
}

/// Cases that leave something behind, in words.
fn leaks() -> Vec<String> {
    let cases = product::every_case();
    let mut leaks = Vec::new();
    for case in &cases {
        if left_by(|| product::check(case).unwrap()).is_none() {
            continue;
        }
        // What is made lazily, and retired deque buffers, which are freed some time later, are no leak: a leak grows
        // every time.
        let grows = |_: &_| left_by(|| product::check(case).unwrap()).is_some_and(|(before, after)| after > before);
        if (0..REPEATS).take_while(grows).count() == REPEATS {
            leaks.push(format!("{case:?}"));
        }
    }
    leaks
}

#[test]
fn memory_comes_back() {
    let now = Arc::new(Mutex::new("the product of lives"));
    let told = now.clone();
    watchdog::within(
        Duration::from_secs(1_800),
        move || (*told.lock().unwrap()).to_owned(),
        move || {
            let leaks = leaks();
            let some = leaks.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
            let mut complaints = Vec::new();
            if !leaks.is_empty() {
                complaints.push(format!("{} lives leak, such as\n{some}", leaks.len()));
            }
            for (name, habit) in flat::HABITS {
                *now.lock().unwrap() = name;
                complaints.extend(flat::complaint(name, *habit));
            }
            assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        },
    );
}

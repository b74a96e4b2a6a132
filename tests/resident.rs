//! A million cells alive, then none: the memory goes back to the system, while the executor idles and when it is gone.

mod again;

use std::thread;
use std::time::{Duration, Instant};

use again::{again, part};
use heist::{Executor, TaskFuture};

const CELLS: u64 = 1_000_000;
/// What a cell takes at least.
const CELL: usize = 48;
/// What may stay, as a part of what there was.
const STAYS: usize = 8;

/// Bytes of this process that are in memory, without what the C library's allocator keeps of what was freed.
fn resident() -> usize {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

type Futures = Vec<TaskFuture<u64>>;

fn submit(ex: &Executor) -> Futures {
    (0..CELLS).map(|i| ex.submit(move || i)).collect()
}

fn submit_inside(ex: &Executor) -> Futures {
    let inner = ex.clone();
    ex.submit(move || submit(&inner)).into_result().ok().unwrap().unwrap()
}

fn drop_inside(ex: &Executor, futures: Futures) {
    ex.submit(move || drop(futures)).wait().unwrap();
}

/// Waits until the memory is near what it was at the `start` again, of which it had `grown`.
fn falls_back(start: usize, grown: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = resident();
        if now <= start + grown / STAYS {
            return;
        }
        assert!(Instant::now() < deadline, "{start} bytes at first, {grown} more with the cells, {now} in the end");
        thread::yield_now();
    }
}

/// A million cells by `make`, let go of by `let_go`, twice: the executor then idles, or is dropped. In a process of its
/// own, whose threads share one arena, since only the first arena is ever trimmed to its end.
fn a_million(name: &str, make: fn(&Executor) -> Futures, let_go: fn(&Executor, Futures)) {
    if part().is_none() {
        again(name, "a million cells", &[("MALLOC_ARENA_MAX", "1")]);
        return;
    }
    for goes in [false, true] {
        let ex = Executor::builder().workers(2).build().unwrap();
        ex.gather(ex.map(0..1_000, |i| i)).unwrap();
        let start = resident();
        let futures = make(&ex);
        futures.iter().for_each(|future| future.wait().unwrap());
        let grown = resident().saturating_sub(start);
        assert!(grown > CELLS as usize * CELL, "a million cells took {grown} bytes");
        let_go(&ex, futures);
        let _idle = (!goes).then_some(ex);
        falls_back(start, grown);
    }
}

#[test]
fn cells_made_and_dropped_outside_go_back() {
    a_million("cells_made_and_dropped_outside_go_back", submit, |_, futures| drop(futures));
}

#[test]
fn cells_made_in_a_task_and_dropped_outside_go_back() {
    a_million("cells_made_in_a_task_and_dropped_outside_go_back", submit_inside, |_, futures| drop(futures));
}

#[test]
fn cells_made_outside_and_dropped_in_a_task_go_back() {
    a_million("cells_made_outside_and_dropped_in_a_task_go_back", submit, drop_inside);
}

#[test]
fn cells_made_and_dropped_in_tasks_go_back() {
    a_million("cells_made_and_dropped_in_tasks_go_back", submit_inside, drop_inside);
}

/// One task makes tasks and lets go of them, round by round; it never comes back to its worker's queue meanwhile.
fn round_by_round(name: &str, let_go: fn(Futures)) {
    const ROUNDS: u64 = 200;
    if part().is_none() {
        again(name, "round by round", &[("MALLOC_ARENA_MAX", "1")]);
        return;
    }
    let ex = Executor::builder().workers(1).build().unwrap();
    let inner = ex.clone();
    let task = ex.submit(move || {
        let round = || let_go((0..CELLS / ROUNDS).map(|i| inner.submit(move || i)).collect());
        round();
        let start = resident();
        (1..ROUNDS).for_each(|_| round());
        (start, resident())
    });
    let (start, end) = task.result().unwrap();
    assert!(end < start + CELLS as usize * CELL / STAYS, "{start} bytes after a round, {end} after {ROUNDS}");
}

#[test]
fn a_task_that_collects_again_and_again_holds_one_round() {
    round_by_round("a_task_that_collects_again_and_again_holds_one_round", |futures| {
        futures.into_iter().for_each(|future| assert!(future.result().is_ok()));
    });
}

#[test]
fn a_task_that_drops_again_and_again_holds_one_round() {
    round_by_round("a_task_that_drops_again_and_again_holds_one_round", drop);
}

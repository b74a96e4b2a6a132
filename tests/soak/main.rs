//! Random graphs of tasks, for as long as is asked for: values, errors, panics, cancels, drops, waits, shutdowns; then every
//! run, drop and byte is counted. `HEIST_SOAK_TASKS` says how many tasks; `HEIST_SOAK_SEED` where to begin, so that with one
//! task it repeats one episode.
#![allow(clippy::print_stderr, reason = "a soak of hours tells how far it is")]

#[path = "../lifecycle/watchdog.rs"]
mod watchdog;

mod drive;
mod episode;
mod graph;
mod ledger;
mod make;

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Episodes until everything that is made once is there.
const WARM: u64 = 10;
/// What may be held beyond what was held then: queues that were left behind are freed some time later.
const SLACK: usize = 256 << 10;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Bytes that are allocated.
fn held() -> usize {
    let stats = MEMORY.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Runs episodes until there were `tasks` tasks, the first from `seed`; `now` is the seed of the current one.
fn soak(tasks: u64, seed: u64, now: &AtomicU64) {
    let start = Instant::now();
    let (mut done, mut told, mut warm) = (0, 0, usize::MAX);
    for episode in 0.. {
        if done >= tasks {
            break;
        }
        let seed = seed.wrapping_add(episode);
        now.store(seed, Ordering::Relaxed);
        let size = fastrand::Rng::with_seed(!seed).usize(500..20_000);
        if let Err(complaint) = episode::run(seed, size) {
            panic!("HEIST_SOAK_TASKS=1 HEIST_SOAK_SEED={seed}: {complaint}");
        }
        done += size as u64;
        if episode == WARM {
            warm = held();
        }
        let seconds = start.elapsed().as_secs();
        if seconds >= told + 10 {
            told = seconds;
            eprintln!("{done} of {tasks} tasks in {seconds} s, {episode} episodes, the last from seed {seed}");
        }
    }
    let left = held().saturating_sub(warm);
    assert!(left < SLACK, "{left} bytes are left of {done} tasks");
}

#[test]
fn soak_random_graphs() {
    let (tasks, seed) = (variable("HEIST_SOAK_TASKS", 100_000), variable("HEIST_SOAK_SEED", 1));
    eprintln!("{tasks} tasks from seed {seed}");
    let now = Arc::new(AtomicU64::new(seed));
    let told = now.clone();
    watchdog::within(
        Duration::from_secs(120 + tasks / 2_000),
        move || format!("HEIST_SOAK_TASKS=1 HEIST_SOAK_SEED={}", told.load(Ordering::Relaxed)),
        move || soak(tasks, seed, &now),
    );
}

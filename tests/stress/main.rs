//! Many tasks, long chains, deep trees, many threads. `HEIST_STRESS_TASKS` says how many tasks a test makes.

#[path = "../lifecycle/watchdog.rs"]
mod watchdog;

mod actors;
mod depth;
mod graphs;
mod groups;
mod storms;
mod waits;

use std::time::Duration;

use heist::Executor;

/// How many tasks a test makes.
fn tasks() -> usize {
    std::env::var("HEIST_STRESS_TASKS").map_or(100_000, |tasks| tasks.parse().unwrap())
}

fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().unwrap()
}

/// Runs `body` with an executor, and shuts that down. What hangs fails with the executor's figures: a minute, and more
/// for more tasks.
#[track_caller]
fn stress(workers: usize, body: impl FnOnce(&Executor) + Send + 'static) {
    let ex = executor(workers);
    let watched = ex.clone();
    watchdog::within(
        limit(),
        move || format!("{:?}", watched.stats()),
        move || {
            body(&ex);
            ex.shutdown(heist::Shutdown::Wait);
            let stats = ex.stats();
            assert_eq!(stats.submitted, stats.finished, "{stats:?}");
        },
    );
}

fn limit() -> Duration {
    Duration::from_secs(120 + tasks() as u64 / 2_000)
}

//! Workers that run out of work: how many are woken for what, under every profile.

use heist::{Executor, Profile};

use crate::support::{guard, until};

const PROFILES: [Profile; 3] = [Profile::Balanced, Profile::Latency, Profile::Power];

fn sleeps(ex: &Executor) -> u64 {
    ex.stats().per_worker.iter().map(|worker| worker.parked).sum()
}

/// All workers sleep, each for the first time since it was started.
fn asleep(profile: Profile, workers: usize) -> Executor {
    let ex = Executor::builder().workers(workers).profile(profile).build().unwrap();
    until("all sleep", || sleeps(&ex) == workers as u64);
    ex
}

#[test]
fn a_submit_wakes_one_worker() {
    guard(|| {
        for profile in PROFILES {
            for workers in [1, 3, 24] {
                let ex = asleep(profile, workers);
                for round in 1..=50 {
                    ex.submit(|| ()).result().unwrap();
                    until("who was woken sleeps again", || sleeps(&ex) >= workers as u64 + round);
                }
                assert_eq!(sleeps(&ex), workers as u64 + 50, "{profile:?}, {workers} workers");
            }
        }
    });
}

#[test]
fn a_worker_that_searches_takes_a_task_without_a_wake() {
    guard(|| {
        let ex = asleep(Profile::Latency, 2);
        until("a task is found by a worker that has not slept since the last one", || {
            ex.submit(|| ()).result().unwrap();
            let before = sleeps(&ex);
            ex.submit(|| ()).result().unwrap();
            sleeps(&ex) == before
        });
    });
}

#[test]
fn without_a_search_every_pause_is_slept() {
    guard(|| {
        let ex = asleep(Profile::Power, 1);
        for round in 1..=100 {
            ex.submit(|| ()).result().unwrap();
            until("the worker sleeps again", || sleeps(&ex) == 1 + round);
        }
    });
}

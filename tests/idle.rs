//! An executor without tasks costs nothing. A binary of its own, whose tests take turns: the CPU time of a process is
//! everybody's.

use std::fs;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use heist::{Executor, Profile};

static TURN: Mutex<()> = Mutex::new(());

/// CPU time of this process so far, in the kernel's ticks of 10 ms.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Lets time go by, asleep.
fn pass(time: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    assert_eq!(never.recv_timeout(time), Err(mpsc::RecvTimeoutError::Timeout));
}

/// An executor that has worked, and then has nothing to do.
fn costs_nothing(profile: Profile, workers: usize) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ex = Executor::builder().workers(workers).profile(profile).build().unwrap();
    ex.gather(ex.map(0..1000, |n| n)).unwrap();
    // Those who searched last may not be through yet.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let before = ticks();
        pass(Duration::from_secs(2));
        let spent = ticks() - before;
        if spent <= 1 {
            return;
        }
        assert!(Instant::now() < deadline, "{spent} ticks of 10 ms in 2 s, {profile:?}, {workers} workers");
    }
}

#[cfg(feature = "io")]
#[test]
fn timers_and_files_that_nothing_happens_to_cost_nothing() {
    use heist::io::{Watched, sleep};

    let (reader, _writer) = std::io::pipe().unwrap();
    let ex = Executor::builder().workers(1).build().unwrap();
    let waits: Vec<_> = (0..1000).map(|n| ex.spawn(sleep(Duration::from_secs(3600 + n)))).collect();
    let reads = ex.spawn(async move { Watched::new(reader).unwrap().readable().await });
    costs_nothing(Profile::Balanced, 1);
    assert!(waits.iter().chain([&reads]).all(|wait| !wait.done()));
}

#[test]
fn two_idle_workers_cost_nothing() {
    costs_nothing(Profile::Balanced, 2);
}

#[test]
fn many_idle_workers_cost_nothing() {
    costs_nothing(Profile::Balanced, 128);
}

#[test]
fn idle_workers_that_search_for_long_sleep_in_the_end() {
    costs_nothing(Profile::Latency, 128);
}

#[test]
fn idle_workers_that_do_not_search_cost_nothing() {
    costs_nothing(Profile::Power, 2);
}

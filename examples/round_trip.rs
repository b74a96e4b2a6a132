//! What it costs to have another rank do something: the time from a task to a task on the next rank and back, one at a time,
//! and the time a task when there are many.
//!
//! ```sh
//! cargo build --release --features ranks --example round_trip
//! mpirun -n 2 --bind-to core target/release/examples/round_trip latency
//! mpirun -n 2 --bind-to core target/release/examples/round_trip
//! ```
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::time::{Duration, Instant};

use heist::{Executor, Profile, Rank, TaskError, World};

const TRIPS: usize = 20_000;
const SLOW_TRIPS: usize = 1_000;
const TASKS: u64 = 1_000_000;
const SLOW: Duration = Duration::from_micros(200);

fn next((number,): (u64,)) -> u64 {
    number + 1
}

/// As [`next`], so late that whoever waits for it sleeps.
fn slow((number,): (u64,)) -> u64 {
    let since = Instant::now();
    while since.elapsed() < SLOW {
        std::hint::spin_loop();
    }
    number + 1
}

/// The median of so many round trips.
fn round_trip(world: &World, to: Rank, work: fn((u64,)) -> u64, trips: usize) -> Result<Duration, TaskError> {
    let mut times = Vec::with_capacity(trips);
    for number in 0..trips as u64 {
        let since = Instant::now();
        let answer = world.on(to).submit(work, (number,)).result()?;
        times.push(since.elapsed());
        assert_eq!(answer, number + 1);
    }
    times.sort_unstable();
    Ok(times[trips / 2])
}

fn measure(ex: &Executor) -> Result<(), TaskError> {
    let world = ex.world();
    let to = Rank(world.size() as u32 - 1);
    let awake = round_trip(&world, to, next, TRIPS)?;
    println!("round trip, both awake: {awake:?}");
    let before = ex.stats().ranks_woken;
    let asleep = round_trip(&world, to, slow, SLOW_TRIPS)?;
    let woken = (ex.stats().ranks_woken - before) as f64 / SLOW_TRIPS as f64;
    println!("round trip to {SLOW:?} of work: {asleep:?}, {woken:.2} wakes of the other rank");
    let since = Instant::now();
    let all = world.on(to).map(0..TASKS, |number| number + 1);
    let sum: u64 = ex.gather(all)?.iter().sum();
    assert_eq!(sum, TASKS * (TASKS + 1) / 2);
    println!("{TASKS} tasks at once: {:?} a task", since.elapsed() / TASKS as u32);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let latency = std::env::args().any(|argument| argument == "latency");
    let profile = if latency { Profile::Latency } else { Profile::default() };
    let measured = Executor::builder().workers(1).profile(profile).launch(|ex| {
        let own = ex.clone();
        ex.submit_result(move || measure(&own)).result()
    })?;
    Ok(measured.transpose().map(drop)?)
}

//! Very many actors: what it takes to spawn one, and what memory one takes that has answered once and is idle since.

use std::fs;
use std::time::Duration;

use super::Spawner;
use crate::one::Args;
use crate::report::{Report, Series};

/// The one workload.
pub const WORKLOADS: &[&str] = &["spawn"];

type Named = (&'static str, fn(usize) -> Spawner);

const SPAWNERS: &[Named] = &[
    ("heist", super::heist::spawner),
    ("tokio", super::tokio::spawner),
    ("actix", super::actix::spawner),
    ("ractor", super::ractor::spawner),
    ("kameo", super::kameo::bounded_spawner),
    ("kameo:unbounded", super::kameo::unbounded_spawner),
];

/// The runtimes that have actors.
pub fn names(_workload: &str, _workers: usize) -> Vec<&'static str> {
    SPAWNERS.iter().map(|(name, _)| *name).collect()
}

/// Spawns [`Args::tasks`] actors once to warm up and some times more, all of which live to the end.
///
/// # Errors
///
/// When the runtime is unknown, and when this process's memory cannot be read.
pub fn measure(args: &Args) -> Result<Report, String> {
    let (_, start) = SPAWNERS.iter().find(|(name, _)| *name == args.runtime).ok_or("no runtime of that name")?;
    let mut spawn = start(args.workers);
    let mut each = Series::new("spawn", "ns");
    let mut memory = Series::new("memory", "B");
    let by_actor = |amount: f64| amount / args.tasks as f64;
    for repeat in 0..=args.repeats {
        let before = resident()?;
        let took: Duration = spawn(args.tasks);
        let taken = resident()?.saturating_sub(before);
        if repeat > 0 {
            each.samples.push(by_actor(took.as_nanos() as f64));
            memory.samples.push(by_actor(taken as f64));
        }
    }
    Ok(Report { series: vec![each, memory] })
}

/// Bytes of memory that this process has.
fn resident() -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().map_err(|_| "VmRSS is no number")?;
    Ok(kib * 1024)
}

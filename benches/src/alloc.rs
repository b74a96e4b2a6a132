//! How much the workloads `spawn`, `chain` and `map` allocate, by the task. Only `bench-one-counting` can tell.

use std::hint::black_box;

use stats_alloc::{INSTRUMENTED_SYSTEM, Stats};

use crate::chain::CHAIN;
use crate::map::MAP;
use crate::one::Args;
use crate::report::{Report, Series};
use crate::spawn::SPAWN;
use crate::tasks::{Submitter, Tasks, submitter};

/// Each workload, from inside and from outside.
pub const WORKLOADS: &[&str] =
    &["spawn-inside", "spawn-outside", "chain-inside", "chain-outside", "map-inside", "map-outside"];

/// The workload and the submitter of that name.
///
/// # Errors
///
/// When there are none.
pub fn parse(workload: &str) -> Result<(&'static Tasks, Submitter), String> {
    let (tasks, from) = workload.split_once('-').unwrap_or_default();
    let tasks = [&SPAWN, &CHAIN, &MAP].into_iter().find(|t| t.name == tasks).ok_or("no workload of that name")?;
    Ok((tasks, submitter(from)?))
}

/// Runs the workload once cold and some times warm, checks every value and counts what was allocated.
///
/// # Errors
///
/// When the runtime or the workload is unknown, when a value is wrong, and when nobody counts.
pub fn measure(args: &Args) -> Result<Report, String> {
    let before = INSTRUMENTED_SYSTEM.stats();
    black_box(Box::new(0));
    if INSTRUMENTED_SYSTEM.stats() == before {
        return Err("this program's allocator does not count".into());
    }
    let (tasks, from) = parse(&args.workload)?;
    let mut job = tasks.start(&args.runtime, from, args.workers)?;
    let mut warm = Series::new("warm", "allocations");
    let mut bytes = Series::new("bytes", "B");
    let mut cold = Series::new("cold", "allocations");
    let each = |count: usize| count as f64 / args.tasks as f64;
    for repeat in 0..=args.repeats {
        let before = INSTRUMENTED_SYSTEM.stats();
        let run = job(args.tasks);
        let used = INSTRUMENTED_SYSTEM.stats() - before;
        tasks.check(run, args.tasks)?;
        if repeat == 0 {
            cold.samples.push(each(calls(used)));
        } else {
            warm.samples.push(each(calls(used)));
            bytes.samples.push(each(used.bytes_allocated));
        }
    }
    Ok(Report { series: vec![warm, bytes, cold] })
}

/// Calls for memory; a block that grows is asked for again.
fn calls(stats: Stats) -> usize {
    stats.allocations + stats.reallocations
}

#[cfg(test)]
mod tests {
    use super::{WORKLOADS, parse};

    #[test]
    fn every_workload_is_one_of_tasks_and_has_a_submitter() {
        for workload in WORKLOADS {
            assert!(parse(workload).is_ok(), "{workload}");
        }
        assert!(parse("spawn").is_err());
    }
}

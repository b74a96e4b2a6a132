//! The workload `spawn`: a million tiny tasks, each with its own handle, all results collected, summed and checked.

pub mod cli;
mod executors;
mod heist;
mod rayon;
mod threads;
mod tokio;

use std::time::{Duration, Instant};

use clap::ValueEnum;

pub use self::executors::SMOL_THREADS;
use crate::report::{Report, Series, timed};

/// Who submits the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// A task that runs in the pool.
    Inside,
    /// A thread that is not a worker of the pool.
    Outside,
}

/// What one run of the workload gave.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Time until the last task was submitted.
    pub submit: Duration,
    /// Time until the last result was collected.
    pub total: Duration,
    /// The sum of all results.
    pub sum: u64,
}

/// A pool that is set up; called with a number of tasks it runs the workload once.
pub type Job = Box<dyn FnMut(u64) -> Run>;

type Start = fn(usize) -> Job;

/// A runtime that can run the workload.
#[derive(Debug)]
pub struct Runtime {
    /// Its name in tables.
    pub name: &'static str,
    /// Starts its workers; the submitter is one of their tasks. Takes the number of workers.
    pub inside: Option<Start>,
    /// Starts its workers; the submitter is the caller. Takes the number of workers.
    pub outside: Option<Start>,
    /// The fewest workers it needs to finish when it submits from inside.
    pub least_inside: usize,
}

/// All runtimes of this crate. Those in C++ are in `peers/`.
pub const RUNTIMES: &[Runtime] = &[
    runtime("heist", heist::inside, heist::outside),
    runtime("heist:map", heist::map_inside, heist::map_outside),
    runtime("rayon", rayon::inside, rayon::outside),
    runtime("rayon:scope", rayon::scope_inside, rayon::scope_outside),
    runtime("tokio", tokio::inside, tokio::outside),
    runtime("async-executor", executors::fixed_inside, executors::fixed_outside),
    runtime("async-executor:dynamic", executors::dynamic_inside, executors::dynamic_outside),
    runtime("smol", executors::smol_inside, executors::smol_outside),
    Runtime { least_inside: 2, ..runtime("threadpool", threads::pool_inside, threads::pool_outside) },
    Runtime { inside: None, ..runtime("crossbeam-channel", threads::channel_outside, threads::channel_outside) },
];

const fn runtime(name: &'static str, inside: Start, outside: Start) -> Runtime {
    Runtime { name, inside: Some(inside), outside: Some(outside), least_inside: 1 }
}

impl Runtime {
    /// The runtime called `name`.
    pub fn find(name: &str) -> Option<&'static Runtime> {
        RUNTIMES.iter().find(|r| r.name == name)
    }

    /// How to start it for `workload`, if it can run that with so many workers.
    pub fn start(&self, workload: Workload, workers: usize) -> Option<Start> {
        match workload {
            Workload::Inside if workers < self.least_inside => None,
            Workload::Inside => self.inside,
            Workload::Outside => self.outside,
        }
    }
}

/// The result of task `i`.
pub fn task(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// The sum of the results of `tasks` tasks.
pub fn expected(tasks: u64) -> u64 {
    (0..tasks).map(task).fold(0, u64::wrapping_add)
}

/// Runs `job` once to warm up and `repeats` times for the report, and checks every sum.
///
/// # Errors
///
/// When a sum is not the expected one.
pub fn measure(job: &mut Job, tasks: u64, repeats: usize) -> Result<Report, String> {
    let expected = expected(tasks);
    let mut total = Series::new("total", "ns");
    let mut submit = Series::new("submit", "ns");
    let mut core = Series::new("core", "ns");
    let each = |time: Duration| time.as_nanos() as f64 / tasks as f64;
    for repeat in 0..=repeats {
        let (run, _, cpu) = timed(|| job(tasks));
        if run.sum != expected {
            return Err(format!("the sum is {}, not {expected}", run.sum));
        }
        if repeat > 0 {
            total.samples.push(each(run.total));
            submit.samples.push(each(run.submit));
            core.samples.push(each(cpu));
        }
    }
    Ok(Report { series: vec![total, submit, core] })
}

/// Submits with `spawn`, then takes the result of every handle in the order of submission.
fn blocking<H>(tasks: u64, spawn: impl FnMut(u64) -> H, take: impl FnMut(H) -> u64) -> Run {
    let start = Instant::now();
    let handles: Vec<H> = (0..tasks).map(spawn).collect();
    let submit = start.elapsed();
    let sum = handles.into_iter().map(take).fold(0, u64::wrapping_add);
    Run { submit, total: start.elapsed(), sum }
}

/// As [`blocking`], for handles that are awaited.
async fn awaiting<H: Future>(tasks: u64, spawn: impl FnMut(u64) -> H, value: impl Fn(H::Output) -> u64) -> Run {
    let start = Instant::now();
    let handles: Vec<H> = (0..tasks).map(spawn).collect();
    let submit = start.elapsed();
    let mut sum = 0u64;
    for handle in handles {
        sum = sum.wrapping_add(value(handle.await));
    }
    Run { submit, total: start.elapsed(), sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_gives_the_sum() {
        for &workload in Workload::value_variants() {
            for runtime in RUNTIMES {
                if let Some(start) = runtime.start(workload, 2) {
                    assert_eq!(start(2)(1000).sum, expected(1000), "{} {workload:?}", runtime.name);
                }
            }
        }
    }
}

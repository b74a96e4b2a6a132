//! Workloads of very many tiny tasks, timed by the task: what `spawn`, `chain` and `map` have in common.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::one::Args;
use crate::report::{Report, Series, timed};

/// Who submits the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Submitter {
    /// A task that runs in the pool.
    Inside,
    /// A thread that is not a worker of the pool.
    Outside,
}

/// What one run of a workload gave.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Time of that part of the run that is told apart, as [`Tasks::part`] says.
    pub part: Duration,
    /// Time of the whole run.
    pub total: Duration,
    /// The sum of all results, or whatever else proves that every task ran.
    pub value: u64,
}

/// A pool that is set up; called with a number of tasks it runs the workload once.
pub type Job = Box<dyn FnMut(u64) -> Run>;

/// Starts so many workers.
pub type Start = fn(usize) -> Job;

/// A runtime that can run a workload.
#[derive(Debug)]
pub struct Runtime {
    /// Its name in tables.
    pub name: &'static str,
    /// Starts its workers; the submitter is one of their tasks.
    pub inside: Option<Start>,
    /// Starts its workers; the submitter is the caller.
    pub outside: Option<Start>,
    /// The fewest workers it needs to finish when it submits from inside.
    pub least_inside: usize,
}

/// A runtime that submits from inside and from outside.
pub(crate) const fn runtime(name: &'static str, inside: Start, outside: Start) -> Runtime {
    Runtime { name, inside: Some(inside), outside: Some(outside), least_inside: 1 }
}

impl Runtime {
    /// How to start it for `submitter`, if it can run that with so many workers.
    pub fn start(&self, submitter: Submitter, workers: usize) -> Option<Start> {
        match submitter {
            Submitter::Inside if workers < self.least_inside => None,
            Submitter::Inside => self.inside,
            Submitter::Outside => self.outside,
        }
    }
}

/// A workload on every runtime that has it.
#[derive(Debug)]
pub struct Tasks {
    /// Its name.
    pub name: &'static str,
    /// The runtimes of this crate. Those in C++ are in `peers/`.
    pub runtimes: &'static [Runtime],
    /// What [`Run::part`] is called.
    pub part: &'static str,
    /// What [`Run::value`] must be for so many tasks.
    pub expected: fn(u64) -> u64,
}

impl Tasks {
    /// The names of the runtimes that can run it.
    pub fn names(&self, submitter: Submitter, workers: usize) -> Vec<&'static str> {
        let able = self.runtimes.iter().filter(|runtime| runtime.start(submitter, workers).is_some());
        able.map(|runtime| runtime.name).collect()
    }

    /// Starts the runtime called `name`.
    ///
    /// # Errors
    ///
    /// When there is none, or when it cannot run this workload.
    pub fn start(&self, name: &str, submitter: Submitter, workers: usize) -> Result<Job, String> {
        let runtime = self.runtimes.iter().find(|r| r.name == name).ok_or("no runtime of that name")?;
        let start =
            runtime.start(submitter, workers).ok_or("the runtime cannot run this workload with so many workers")?;
        Ok(start(workers))
    }

    /// Runs the workload once to warm up and some times for the report, and checks every value.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and when a value is not the expected one.
    pub fn measure(&self, args: &Args) -> Result<Report, String> {
        let mut job = self.start(&args.runtime, submitter(&args.workload)?, args.workers)?;
        let mut total = Series::new("total", "ns");
        let mut part = Series::new(self.part, "ns");
        let mut core = Series::new("core", "ns");
        let each = |time: Duration| time.as_nanos() as f64 / args.tasks as f64;
        for repeat in 0..=args.repeats {
            let (run, _, cpu) = timed(|| job(args.tasks));
            self.check(run, args.tasks)?;
            if repeat > 0 {
                total.samples.push(each(run.total));
                part.samples.push(each(run.part));
                core.samples.push(each(cpu));
            }
        }
        Ok(Report { series: vec![total, part, core] })
    }

    /// Whether a run of so many tasks gave the right value.
    ///
    /// # Errors
    ///
    /// When it did not.
    pub fn check(&self, run: Run, tasks: u64) -> Result<(), String> {
        let expected = (self.expected)(tasks);
        if run.value == expected { Ok(()) } else { Err(format!("the value is {}, not {expected}", run.value)) }
    }
}

/// The submitter of that name.
///
/// # Errors
///
/// When there is none.
pub fn submitter(name: &str) -> Result<Submitter, String> {
    Submitter::from_str(name, false)
}

/// The result of task `i`.
pub(crate) fn task(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// The sum of the results of `tasks` tasks.
pub(crate) fn sum(tasks: u64) -> u64 {
    (0..tasks).map(task).fold(0, u64::wrapping_add)
}

/// Submits with `spawn`, then takes the result of every handle in the order of submission.
pub(crate) fn blocking<H>(tasks: u64, spawn: impl FnMut(u64) -> H, take: impl FnMut(H) -> u64) -> Run {
    let start = Instant::now();
    let handles: Vec<H> = (0..tasks).map(spawn).collect();
    let part = start.elapsed();
    let value = handles.into_iter().map(take).fold(0, u64::wrapping_add);
    Run { part, total: start.elapsed(), value }
}

/// As [`blocking`], for handles that are awaited.
pub(crate) async fn awaiting<H: Future>(
    tasks: u64,
    spawn: impl FnMut(u64) -> H,
    result: impl Fn(H::Output) -> u64,
) -> Run {
    let start = Instant::now();
    let handles: Vec<H> = (0..tasks).map(spawn).collect();
    let part = start.elapsed();
    let mut value = 0u64;
    for handle in handles {
        value = value.wrapping_add(result(handle.await));
    }
    Run { part, total: start.elapsed(), value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::CHAIN, map::MAP, spawn::SPAWN};

    #[test]
    fn every_runtime_gives_the_value() {
        for tasks in [&SPAWN, &CHAIN, &MAP] {
            for &submitter in Submitter::value_variants() {
                for name in tasks.names(submitter, 2) {
                    let run = tasks.start(name, submitter, 2).expect("starts")(1000);
                    assert_eq!(tasks.check(run, 1000), Ok(()), "{} {name} {submitter:?}", tasks.name);
                }
            }
        }
    }

    #[test]
    fn a_wrong_value_is_found() {
        let run = Run { part: Duration::ZERO, total: Duration::ZERO, value: 999 };
        assert_eq!(CHAIN.check(run, 999), Ok(()));
        assert!(CHAIN.check(run, 1000).is_err());
    }
}

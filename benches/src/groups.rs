//! What is compared: each group's workloads, runtimes, sizes, and what it is divided by.

use crate::one::Args;
use crate::report::Report;
use crate::tasks::{Tasks, submitter};
use crate::{actors, alloc, chain, fairness, idle, locks, map, pool, scatter, spawn, wake};

/// The allocator a process runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// The system's.
    System,
    /// mimalloc's current release.
    Mimalloc,
    /// The system's, with every call counted.
    Counting,
}

impl Allocator {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Allocator::System => "system",
            Allocator::Mimalloc => "mimalloc",
            Allocator::Counting => "counting",
        }
    }

    /// The program that runs one measurement with it.
    pub fn program(self) -> &'static str {
        match self {
            Allocator::System => "bench-one",
            Allocator::Mimalloc => "bench-one-mimalloc",
            Allocator::Counting => "bench-one-counting",
        }
    }
}

/// A group of measurements that are compared with each other.
#[derive(Debug)]
pub struct Group {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its workloads; a table for each.
    pub workloads: &'static [&'static str],
    /// The runtimes of this crate that can run a workload with so many workers.
    pub runtimes: fn(&str, usize) -> Vec<&'static str>,
    /// The allocators it is run with.
    pub allocators: &'static [Allocator],
    /// One measurement.
    pub measure: fn(&Args) -> Result<Report, String>,
    /// The runtime that the others are divided by.
    pub reference: Option<&'static str>,
    /// Numbers of workers where the process may use so many cores, unless told otherwise.
    pub workers: fn(usize) -> Vec<usize>,
    /// Tasks a run, or whatever else a run counts, unless told otherwise.
    pub tasks: usize,
    /// Timed runs a process, unless told otherwise.
    pub repeats: usize,
}

const BOTH: &[Allocator] = &[Allocator::System, Allocator::Mimalloc];

/// All groups but `cholesky`, which is a program of its own.
pub static GROUPS: &[Group] = &[
    Group {
        name: "spawn",
        about: "Tiny tasks with handles, submitted from inside and from outside the pool",
        tasks: 1_000_000,
        ..tasks(|workload, workers| names(&spawn::SPAWN, workload, workers), |args| spawn::SPAWN.measure(args))
    },
    Group {
        name: "chain",
        about: "Tasks that each wait for the one before, built behind a gate and then released",
        tasks: 100_000,
        workers: one_and_all,
        ..tasks(|workload, workers| names(&chain::CHAIN, workload, workers), |args| chain::CHAIN.measure(args))
    },
    Group {
        name: "map",
        about: "One closure over many indices, every result collected",
        tasks: 1_000_000,
        reference: Some("rayon"),
        ..tasks(|workload, workers| names(&map::MAP, workload, workers), |args| map::MAP.measure(args))
    },
    Group {
        name: "wake",
        about: "The time to the start of one task submitted into an idle pool from outside",
        workloads: wake::WORKLOADS,
        reference: Some("rayon"),
        tasks: 3000,
        ..pools(wake::measure)
    },
    Group {
        name: "idle",
        about: "The CPU time of a pool that has nothing to do",
        workloads: idle::WORKLOADS,
        workers: |_| vec![2, 16, 64],
        tasks: 1000,
        repeats: 1,
        ..pools(idle::measure)
    },
    Group {
        name: "fairness",
        about: "The wait of tasks from outside while the pool floods itself",
        workloads: fairness::WORKLOADS,
        workers: one_and_all,
        tasks: 1000,
        ..pools(fairness::measure)
    },
    Group {
        name: "scatter",
        about: "A slice cut into a chunk for each worker, so many MiB, beside as many threads that copy it",
        workloads: scatter::WORKLOADS,
        runtimes: |_, _| scatter::RUNTIMES.to_vec(),
        reference: Some("memcpy"),
        tasks: 1024,
        ..pools(scatter::measure)
    },
    Group {
        name: "actors",
        about: "Messages to one actor: asked one at a time, or told by one and by eight",
        workloads: actors::WORKLOADS,
        runtimes: actors::names,
        tasks: 300_000,
        ..pools(actors::measure)
    },
    Group {
        name: "actor-spawn",
        about: "Very many actors: the time to spawn one, and the memory of one that is idle",
        workloads: actors::spawn::WORKLOADS,
        runtimes: actors::spawn::names,
        tasks: 20_000,
        ..pools(actors::spawn::measure)
    },
    Group {
        name: "locks",
        about: "A lock or a permit that nobody else wants: taken and given back by one task",
        workloads: locks::WORKLOADS,
        runtimes: locks::names,
        workers: |_| vec![1],
        tasks: 10_000_000,
        ..pools(locks::measure)
    },
    Group {
        name: "alloc",
        about: "Allocations a task of spawn, chain and map; counts, no times",
        workloads: alloc::WORKLOADS,
        allocators: &[Allocator::Counting],
        reference: None,
        tasks: 100_000,
        ..tasks(
            |workload, workers| alloc::parse(workload).map_or(vec![], |(tasks, from)| tasks.names(from, workers)),
            alloc::measure,
        )
    },
];

/// A group of tasks from inside and from outside.
const fn tasks(runtimes: fn(&str, usize) -> Vec<&'static str>, measure: fn(&Args) -> Result<Report, String>) -> Group {
    Group {
        name: "",
        about: "",
        workloads: &["inside", "outside"],
        runtimes,
        allocators: BOTH,
        measure,
        reference: Some("tokio"),
        workers: |all| vec![all],
        tasks: 0,
        repeats: 3,
    }
}

/// A group of pools.
const fn pools(measure: fn(&Args) -> Result<Report, String>) -> Group {
    Group { allocators: &[Allocator::System], ..tasks(|_, _| pool::NAMES.to_vec(), measure) }
}

fn names(tasks: &Tasks, workload: &str, workers: usize) -> Vec<&'static str> {
    submitter(workload).map_or(vec![], |from| tasks.names(from, workers))
}

/// One worker, and as many as there are cores.
pub(crate) fn one_and_all(all: usize) -> Vec<usize> {
    if all > 1 { vec![1, all] } else { vec![1] }
}

impl Group {
    /// The group called `name`.
    pub fn find(name: &str) -> Option<&'static Group> {
        GROUPS.iter().find(|group| group.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_of_every_group_can_be_measured() {
        for group in GROUPS.iter().filter(|group| group.allocators[0] != Allocator::Counting) {
            for workload in group.workloads {
                for runtime in (group.runtimes)(workload, 2) {
                    if runtime == "smol" {
                        continue;
                    }
                    let args = Args {
                        group: group.name.into(),
                        runtime: runtime.into(),
                        workload: String::from(*workload),
                        workers: 2,
                        tasks: 20,
                        repeats: 1,
                        seconds: 0,
                        pause: 10,
                    };
                    let report = (group.measure)(&args).unwrap_or_else(|e| panic!("{args:?}: {e}"));
                    assert!(report.series.iter().all(|s| s.samples.len() == 1), "{args:?}");
                }
            }
        }
    }
}

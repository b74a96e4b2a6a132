//! What a group measures: the processes to start.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::Args;
use crate::report::Report;
use crate::spawn::{RUNTIMES, Workload};

/// The allocator a process runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allocator {
    System,
    Mimalloc,
}

impl fmt::Display for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Allocator::System => "system",
            Allocator::Mimalloc => "mimalloc",
        })
    }
}

/// One process to start, again and again.
#[derive(Debug, Clone)]
pub(super) struct Measurement {
    pub(super) workload: String,
    pub(super) runtime: String,
    pub(super) workers: usize,
    pub(super) allocator: Allocator,
    program: PathBuf,
    args: Vec<String>,
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurement {
            workload,
            runtime,
            workers,
            allocator,
            ..
        } = self;
        write!(f, "{workload} {runtime} workers={workers} {allocator}")
    }
}

impl Measurement {
    /// Runs the process once.
    pub(super) fn run(&self) -> Result<Report, Box<dyn Error>> {
        let output = Command::new(&self.program).args(&self.args).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{self}: {}: {}", output.status, said.trim()).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The peers in C++ that may lie in `peers/` beside the driver, and whether they can submit from outside.
const CPP: &[(&str, &str, bool)] = &[
    ("tbb", "spawn-tbb", true),
    ("openmp", "spawn-openmp", false),
    ("openmp:gcc", "spawn-openmp-gcc", false),
];

/// The group `spawn`: every runtime, workload and allocator that goes together.
pub(super) fn spawn(args: &Args, programs: &Path) -> Vec<Measurement> {
    let mut all = Vec::new();
    for &workload in Workload::value_variants() {
        for &workers in &args.workers {
            let mut add = |runtime: &str, allocator, program: PathBuf| {
                if args.wants(runtime) {
                    all.push(spawn_with(
                        args, workload, workers, runtime, allocator, program,
                    ));
                }
            };
            for runtime in RUNTIMES {
                if runtime.start(workload, workers).is_some() {
                    add(
                        runtime.name,
                        Allocator::System,
                        programs.join("bench-spawn"),
                    );
                    add(
                        runtime.name,
                        Allocator::Mimalloc,
                        programs.join("bench-spawn-mimalloc"),
                    );
                }
            }
            for &(runtime, file, outside) in CPP {
                let program = programs.join("peers").join(file);
                if program.exists() && (workload == Workload::Inside || outside) {
                    add(runtime, Allocator::System, program);
                }
            }
        }
    }
    all
}

fn spawn_with(
    args: &Args,
    workload: Workload,
    workers: usize,
    runtime: &str,
    allocator: Allocator,
    program: PathBuf,
) -> Measurement {
    let workload = match workload {
        Workload::Inside => "inside",
        Workload::Outside => "outside",
    };
    let mut words: Vec<String> = ["--workload", workload].map(String::from).to_vec();
    for (name, number) in [
        ("--workers", workers as u64),
        ("--tasks", args.tasks),
        ("--repeats", args.repeats as u64),
    ] {
        words.extend([name.into(), number.to_string()]);
    }
    if RUNTIMES.iter().any(|r| r.name == runtime) {
        words.extend(["--runtime".into(), runtime.into()]);
    }
    Measurement {
        workload: workload.into(),
        runtime: runtime.into(),
        workers,
        allocator,
        program,
        args: words,
    }
}

//! What a group measures: the processes to start.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::rows::total;
use super::{Args, note, undisturbed};
use crate::report::Report;
use crate::spawn::{RUNTIMES, SMOL_THREADS, Workload};
use crate::{cholesky, spawn};

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
        let Measurement { workload, runtime, workers, allocator, .. } = self;
        write!(f, "{workload} {runtime} workers={workers} {allocator}")
    }
}

impl Measurement {
    /// Runs the process once.
    pub(super) fn run(&self) -> Result<Report, Box<dyn Error>> {
        let output =
            Command::new(&self.program).args(&self.args).env(SMOL_THREADS, self.workers.to_string()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{self}: {}: {}", output.status, said.trim()).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The peers in C++ that may lie in `peers/` beside the driver, and whether they can submit from outside.
const CPP: &[(&str, &str, bool)] =
    &[("tbb", "spawn-tbb", true), ("openmp", "spawn-openmp", false), ("openmp:gcc", "spawn-openmp-gcc", false)];

/// The group `spawn`: every runtime, workload and allocator that goes together.
pub(super) fn spawn(args: &Args, programs: &Path) -> Vec<Measurement> {
    let mut all = Vec::new();
    for &workload in Workload::value_variants() {
        for &workers in &args.workers {
            let mut add = |runtime: &str, allocator, program: PathBuf| {
                if args.wants(runtime) {
                    all.push(spawn_with(args, workload, workers, runtime, allocator, program));
                }
            };
            for runtime in RUNTIMES {
                if runtime.start(workload, workers).is_some() {
                    add(runtime.name, Allocator::System, programs.join("bench-spawn"));
                    add(runtime.name, Allocator::Mimalloc, programs.join("bench-spawn-mimalloc"));
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
    let workload = name(workload);
    let mut measurement = Measurement {
        args: options(&[
            ("--workload", &workload),
            ("--workers", &workers),
            ("--tasks", &args.tasks),
            ("--repeats", &args.repeats),
        ]),
        workload,
        runtime: runtime.into(),
        workers,
        allocator,
        program,
    };
    if spawn::Runtime::find(runtime).is_some() {
        measurement.args.extend(options(&[("--runtime", &runtime)]));
    }
    measurement
}

/// The group `cholesky`: every runtime at the tile that suits it best with so many workers.
pub(super) fn cholesky(args: &Args, programs: &Path) -> Result<Vec<Measurement>, Box<dyn Error>> {
    const TILES: [usize; 5] = [64, 96, 128, 192, 256];
    let mut all = Vec::new();
    for &runtime in cholesky::Runtime::value_variants() {
        let runtime_name = name(runtime);
        let workers: &[usize] = match runtime {
            cholesky::Runtime::Sequential => &[1],
            _ => &args.workers,
        };
        for &workers in workers {
            let with_tile = |tile: usize| Measurement {
                workload: format!("n{}", args.size),
                runtime: runtime_name.clone(),
                workers,
                allocator: Allocator::System,
                program: programs.join("bench-cholesky"),
                args: options(&[
                    ("--runtime", &runtime_name),
                    ("--workers", &workers),
                    ("--size", &args.size),
                    ("--tile", &tile),
                    ("--repeats", &args.repeats),
                ]),
            };
            if args.wants(&runtime_name) {
                all.push(best(TILES.map(with_tile), args)?);
            }
        }
    }
    Ok(all)
}

/// The measurement with the least total, each run once.
fn best<const N: usize>(choices: [Measurement; N], args: &Args) -> Result<Measurement, Box<dyn Error>> {
    let mut best: Option<(f64, Measurement)> = None;
    for choice in choices {
        let (_, report) = undisturbed(&choice, args)?;
        let total = total(&report);
        note(&format!("choosing: {} {total:.1}", choice.args.join(" ")))?;
        if best.as_ref().is_none_or(|(least, _)| total < *least) {
            best = Some((total, choice));
        }
    }
    best.map(|(_, choice)| choice).ok_or_else(|| "nothing to choose from".into())
}

/// The word for `value` on a command line.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn options(pairs: &[(&str, &dyn fmt::Display)]) -> Vec<String> {
    pairs.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect()
}

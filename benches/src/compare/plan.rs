//! What a group measures: the processes to start.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::rows::leading;
use super::{Args, note, undisturbed};
use crate::cholesky;
use crate::groups::{Allocator, Group, one_and_all};
use crate::report::Report;
use crate::spawn::SMOL_THREADS;

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
        write!(f, "{workload} {runtime} workers={workers} {}", allocator.name())
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

/// A peer in C++ that may lie in `peers/` beside the driver.
struct Cpp {
    group: &'static str,
    runtime: &'static str,
    program: &'static str,
    workloads: &'static [&'static str],
}

const CPP: &[Cpp] = &[
    Cpp { group: "spawn", runtime: "tbb", program: "spawn-tbb", workloads: &["inside", "outside"] },
    Cpp { group: "spawn", runtime: "openmp", program: "spawn-openmp", workloads: &["inside"] },
    Cpp { group: "spawn", runtime: "openmp:gcc", program: "spawn-openmp-gcc", workloads: &["inside"] },
    Cpp { group: "chain", runtime: "tbb", program: "chain-tbb", workloads: &["outside"] },
    Cpp { group: "wake", runtime: "tbb", program: "wake-tbb", workloads: &["spin", "sleep"] },
];

/// Every runtime, workload, number of workers and allocator of a group that go together.
pub(super) fn group(group: &Group, args: &Args, cores: usize, programs: &Path) -> Vec<Measurement> {
    let mut all = Vec::new();
    for workload in group.workloads {
        for workers in args.workers((group.workers)(cores)) {
            let mut add = |runtime: &str, allocator, program: PathBuf, more: Vec<String>| {
                if args.wants(runtime) {
                    all.push(Measurement {
                        workload: String::from(*workload),
                        runtime: runtime.into(),
                        workers,
                        allocator,
                        program,
                        args: [more, common(group, args, workload, workers)].concat(),
                    });
                }
            };
            for runtime in (group.runtimes)(workload, workers) {
                for &allocator in group.allocators {
                    let mut more = vec![group.name.to_owned()];
                    more.extend(options(&[("--runtime", &runtime), ("--seconds", &args.seconds)]));
                    add(runtime, allocator, programs.join(allocator.program()), more);
                }
            }
            for cpp in CPP.iter().filter(|cpp| cpp.group == group.name && cpp.workloads.contains(workload)) {
                let program = programs.join("peers").join(cpp.program);
                if program.exists() {
                    add(cpp.runtime, Allocator::System, program, vec![]);
                }
            }
        }
    }
    all
}

/// The options of every program of a group, be it in Rust or in C++.
fn common(group: &Group, args: &Args, workload: &str, workers: usize) -> Vec<String> {
    options(&[
        ("--workload", &workload),
        ("--workers", &workers),
        ("--tasks", &args.tasks.unwrap_or(group.tasks)),
        ("--repeats", &args.repeats.unwrap_or(group.repeats)),
        ("--pause", &args.pause),
    ])
}

/// The group `cholesky`: every runtime at the tile that suits it best with so many workers.
pub(super) fn cholesky(args: &Args, cores: usize, programs: &Path) -> Result<Vec<Measurement>, Box<dyn Error>> {
    const TILES: [usize; 5] = [64, 96, 128, 192, 256];
    let several = args.workers(one_and_all(cores));
    let mut all = Vec::new();
    for &runtime in cholesky::Runtime::value_variants() {
        let runtime_name = name(runtime);
        let workers: &[usize] = match runtime {
            cholesky::Runtime::Sequential => &[1],
            _ => &several,
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
                    ("--repeats", &args.repeats.unwrap_or(3)),
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
        let total = leading(&report);
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

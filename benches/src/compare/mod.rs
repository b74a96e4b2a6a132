//! `bench-compare GROUP`: runs every measurement of a group interleaved with all others, prints a table and writes
//! the rows as JSON.

mod plan;
mod quiet;
mod rows;
mod table;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use clap::{Parser, ValueEnum};

use crate::report::Report;
use plan::{Allocator, Measurement};
use quiet::Gauge;
use rows::{Measured, Row};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Tiny tasks with handles, submitted from inside and from outside the pool.
    Spawn,
    /// A dense factorisation by tiles: a graph of futures, bulk-synchronous rayon and plain loops.
    Cholesky,
}

impl Group {
    /// Where the rows go, beside the driver.
    fn file(self) -> &'static str {
        match self {
            Group::Spawn => "spawn.json",
            Group::Cholesky => "cholesky.json",
        }
    }
}

/// Measures heist and its peers in one run: A-B-B-A, each measurement a process of its own.
#[derive(Debug, Parser)]
#[command(name = "bench-compare")]
struct Args {
    /// The group to run.
    group: Group,
    /// Rounds; two of them are one A-B-B-A, and every pair starts elsewhere in the list.
    #[arg(long, default_value_t = 4, value_parser = positive)]
    rounds: usize,
    /// Timed repeats in each process, after one that is not timed.
    #[arg(long, default_value_t = 3, value_parser = positive)]
    repeats: usize,
    /// Numbers of workers [default: the cores this process may use; for cholesky also one]
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    workers: Vec<usize>,
    /// Tasks a run of spawn.
    #[arg(long, default_value_t = 1_000_000, value_parser = positive)]
    tasks: usize,
    /// Rows of the matrix of cholesky.
    #[arg(long, default_value_t = 4096, value_parser = positive)]
    size: usize,
    /// Only these runtimes [default: all that are built]
    #[arg(long, value_delimiter = ',')]
    runtime: Vec<String>,
    /// A process that saw more foreign cores than this busy is run again.
    #[arg(long, default_value_t = 0.06)]
    foreign: f64,
    /// How often a process is run at most until it is undisturbed; then the least disturbed one counts.
    #[arg(long, default_value_t = 4)]
    attempts: usize,
}

impl Args {
    fn wants(&self, runtime: &str) -> bool {
        self.runtime.is_empty() || self.runtime.iter().any(|r| r == runtime)
    }
}

fn positive(text: &str) -> Result<usize, String> {
    let number: NonZeroUsize = text.parse().map_err(|e| format!("{e}"))?;
    Ok(number.get())
}

/// What every total of a group is divided by.
#[derive(Debug, Clone, Copy)]
struct Reference {
    runtime: &'static str,
    allocator: Allocator,
}

/// The whole program.
///
/// # Errors
///
/// When a measurement fails, most of all because a result was wrong, and when the rows cannot be written.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse();
    if args.workers.is_empty() {
        let all = available_parallelism()?.get();
        args.workers = match args.group {
            Group::Cholesky if all > 1 => vec![1, all],
            _ => vec![all],
        };
    }
    let exe = env::current_exe()?;
    let programs = exe.parent().ok_or("the driver lies in no folder")?;
    let (plan, reference) = match args.group {
        Group::Spawn => (plan::spawn(&args, programs), "tokio"),
        Group::Cholesky => (plan::cholesky(&args, programs)?, "rayon"),
    };
    let reference = Reference { runtime: reference, allocator: Allocator::System };
    for name in &args.runtime {
        if !plan.iter().any(|p| &p.runtime == name) {
            return Err(format!("{name} is no runtime of this group, or is not built").into());
        }
    }
    let mut measured: Vec<Measured> = plan.into_iter().map(Measured::new).collect();
    for round in 0..args.rounds {
        for index in order(round, args.rounds, measured.len()) {
            let entry = &mut measured[index];
            note(&format!("round {}/{}: {}", round + 1, args.rounds, entry.plan))?;
            let (foreign, report) = undisturbed(&entry.plan, &args)?;
            entry.disturbed += usize::from(foreign > args.foreign);
            entry.rounds.push(report);
        }
    }
    table::print(&measured, reference)?;
    let rows: Vec<Row> = measured.iter().flat_map(Measured::rows).collect();
    let file = programs.join(args.group.file());
    fs::write(&file, serde_json::to_string_pretty(&rows)? + "\n")?;
    Ok(())
}

/// The order of one round: forth, then back, every pair of rounds starting further on in the list.
fn order(round: usize, rounds: usize, len: usize) -> Vec<usize> {
    let start = (round / 2) * len / rounds.div_ceil(2);
    let forth = (0..len).map(|step| (start + step) % len);
    if round.is_multiple_of(2) { forth.collect() } else { forth.rev().collect() }
}

/// A report of a process that others did not disturb, else of the least disturbed one, and the cores they kept busy.
fn undisturbed(plan: &Measurement, args: &Args) -> Result<(f64, Report), Box<dyn Error>> {
    let attempt = || {
        let gauge = Gauge::now();
        let report = plan.run()?;
        Ok::<_, Box<dyn Error>>((gauge.foreign(), report))
    };
    let mut best = attempt()?;
    for _ in 1..args.attempts {
        if best.0 <= args.foreign || !quiet::wait(args.foreign) {
            break;
        }
        let next = attempt()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best)
}

/// Tells the person at the terminal what is going on, apart from the table.
fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn every_pair_of_rounds_goes_forth_and_back_over_all() {
        assert_eq!(order(0, 4, 4), [0, 1, 2, 3]);
        assert_eq!(order(1, 4, 4), [3, 2, 1, 0]);
        assert_eq!(order(2, 4, 4), [2, 3, 0, 1]);
        assert_eq!(order(3, 4, 4), [1, 0, 3, 2]);
    }
}

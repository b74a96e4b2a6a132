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

use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::groups::{GROUPS, Group};
use crate::report::Report;
use plan::Measurement;
use quiet::Gauge;
use rows::{Measured, Row};

/// The group that is a program of its own.
const CHOLESKY: &str = "cholesky";

/// Measures heist and its peers in one run: A-B-B-A, each measurement a process of its own.
#[derive(Debug, Parser)]
#[command(name = "bench-compare")]
struct Args {
    /// The group to run.
    #[arg(value_parser = groups())]
    group: String,
    /// Rounds; two of them are one A-B-B-A, and every pair starts elsewhere in the list.
    #[arg(long, default_value_t = 4, value_parser = positive)]
    rounds: usize,
    /// Timed repeats in each process, after one that is not timed [default: 3; for idle 1]
    #[arg(long, value_parser = positive)]
    repeats: Option<usize>,
    /// Numbers of workers [default: the cores this process may use; for chain, fairness and cholesky also one; for idle
    /// 2, 16 and 64]
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    workers: Vec<usize>,
    /// Tasks a run; wake-ups of wake, probes of fairness, messages of actors [default: 1000000; for locks 10000000, for actors
    /// 300000, for chain and alloc 100000, for actor-spawn 20000, for wake 3000, for fairness and idle 1000]
    #[arg(long, value_parser = positive)]
    tasks: Option<usize>,
    /// How long a pool of idle is left alone, in seconds.
    #[arg(long, default_value_t = 10, value_parser = positive)]
    seconds: usize,
    /// How long the submitter of wake pauses, in microseconds.
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pause: usize,
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
    /// The numbers of workers that were asked for, else the group's.
    fn workers(&self, usual: Vec<usize>) -> Vec<usize> {
        if self.workers.is_empty() { usual } else { self.workers.clone() }
    }

    fn wants(&self, runtime: &str) -> bool {
        self.runtime.is_empty() || self.runtime.iter().any(|r| r == runtime)
    }
}

fn groups() -> PossibleValuesParser {
    let micro = GROUPS.iter().map(|group| PossibleValue::new(group.name).help(group.about));
    let cholesky = "A dense factorisation by tiles: a graph of futures, bulk-synchronous rayon and plain loops";
    micro.chain([PossibleValue::new(CHOLESKY).help(cholesky)]).into()
}

fn positive(text: &str) -> Result<usize, String> {
    let number: NonZeroUsize = text.parse().map_err(|e| format!("{e}"))?;
    Ok(number.get())
}

/// The whole program.
///
/// # Errors
///
/// When a measurement fails, most of all because a result was wrong, and when the rows cannot be written.
pub fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let all = available_parallelism()?.get();
    let exe = env::current_exe()?;
    let programs = exe.parent().ok_or("the driver lies in no folder")?;
    let (plan, reference) = match Group::find(&args.group) {
        Some(group) => (plan::group(group, &args, all, programs), group.reference),
        None => (plan::cholesky(&args, all, programs)?, Some("rayon")),
    };
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
    let file = programs.join(format!("{}.json", args.group));
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

//! The command line of one measurement.

use std::env;

use clap::Parser;

use super::{Runtime, SMOL_THREADS, Workload, measure};

/// Runs the workload once to warm up and some times more, and prints a report.
#[derive(Debug, Parser)]
struct Args {
    /// The runtime, by its name in tables.
    #[arg(long)]
    runtime: String,
    /// Who submits the tasks.
    #[arg(long)]
    workload: Workload,
    /// How many workers the runtime starts.
    #[arg(long)]
    workers: usize,
    /// How many tasks a run submits.
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
    /// How many runs are timed.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
}

/// The whole program, under whichever allocator its binary has chosen.
///
/// # Errors
///
/// When the runtime is unknown or cannot run the workload, and when a result is wrong.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let runtime = Runtime::find(&args.runtime).ok_or("no runtime of that name")?;
    let start = runtime
        .start(args.workload, args.workers)
        .ok_or("the runtime cannot run this workload with so many workers")?;
    if runtime.name == "smol" && env::var(SMOL_THREADS).ok() != Some(args.workers.to_string()) {
        return Err(format!("smol starts as many workers as {SMOL_THREADS} says").into());
    }
    let mut job = start(args.workers);
    measure(&mut job, args.tasks, args.repeats)?.print()?;
    Ok(())
}

//! The command line of one measurement.

use std::env;

use clap::Parser;

use crate::groups::Group;
use crate::spawn::SMOL_THREADS;

/// Runs a workload once to warm up and some times more, and prints a report.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    /// The group, by its name on the command line of bench-compare.
    pub group: String,
    /// The runtime, by its name in tables.
    #[arg(long)]
    pub runtime: String,
    /// The workload of the group.
    #[arg(long)]
    pub workload: String,
    /// How many workers the runtime starts.
    #[arg(long)]
    pub workers: usize,
    /// How many tasks a run submits.
    #[arg(long, default_value_t = 1000)]
    pub tasks: u64,
    /// How many runs are timed.
    #[arg(long, default_value_t = 3)]
    pub repeats: usize,
    /// How long the pool of idle is left alone, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// How long the submitter of wake pauses, in microseconds.
    #[arg(long, default_value_t = 100)]
    pub pause: u64,
}

/// The whole program, under whichever allocator its binary has chosen.
///
/// # Errors
///
/// When the runtime is unknown or cannot run the workload, and when a result is wrong.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let group = Group::find(&args.group).ok_or("no group of that name")?;
    if args.runtime == "smol" && env::var(SMOL_THREADS).ok() != Some(args.workers.to_string()) {
        return Err(format!("smol starts as many workers as {SMOL_THREADS} says").into());
    }
    (group.measure)(&args)?.print()?;
    Ok(())
}

//! The command line of one measurement.

use clap::Parser;

use super::{Runtime, measure};

/// Factors once to warm up and some times more, and prints a report.
#[derive(Debug, Parser)]
struct Args {
    /// Who runs the tiles.
    #[arg(long)]
    runtime: Runtime,
    /// How many workers the runtime starts; the sequential run has no use for them.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Rows of the matrix.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Rows of a tile.
    #[arg(long)]
    tile: usize,
    /// How many runs are timed.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
}

/// The whole program.
///
/// # Errors
///
/// When a factor is wrong.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut job = args.runtime.start(args.workers);
    measure(&mut job, args.size, args.tile, args.repeats)?.print()?;
    Ok(())
}

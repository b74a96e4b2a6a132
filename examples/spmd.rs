//! Ranks that all run the same program: each has a part of a rod, whose heat spreads, and they meet in collective calls. Alone
//! it is one rank with all of it.
//!
//! ```sh
//! cargo build --release --features ranks --example spmd
//! mpirun -n 4 target/release/examples/spmd
//! ```
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use heist::prelude::*;
use heist::{Max, Rank, Sum};

const POINTS: usize = 1_200;
const STEPS: usize = 200;

/// One step of the part, whose neighbours' points are at hand.
fn step(part: &[f64], left: f64, right: f64) -> Vec<f64> {
    let at = |i: usize| part.get(i).copied();
    let before = |i: usize| i.checked_sub(1).and_then(at).unwrap_or(left);
    (0..part.len()).map(|i| part[i] + 0.25 * (before(i) - 2.0 * part[i] + at(i + 1).unwrap_or(right))).collect()
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let world = ex.world();
    let (rank, size) = (world.rank().0 as usize, world.size());
    let all = world.collective();
    let mine = rank * POINTS / size..(rank + 1) * POINTS / size;
    let mut part: Vec<f64> = mine.map(|point| if point == POINTS / 2 { 1.0 } else { 0.0 }).collect();
    for _ in 0..STEPS {
        // The outermost points of all parts.
        let ends = all.all_gather(&[part[0], part[part.len() - 1]])?;
        let left = if rank == 0 { part[0] } else { ends[2 * rank - 1] };
        let right = if rank + 1 == size { part[part.len() - 1] } else { ends[2 * rank + 2] };
        part = step(&part, left, right);
    }
    let mut heat = [part.iter().sum::<f64>()];
    all.all_reduce(&mut heat, Sum)?;
    let mut peak = [part.iter().copied().fold(0.0, f64::max)];
    all.reduce(Rank(0), &mut peak, Max)?;
    assert!((heat[0] - 1.0).abs() < 1e-12, "no heat is lost: {heat:?}");
    if rank == 0 {
        println!("after {STEPS} steps the peak is {:.6}, on {size} ranks", peak[0]);
        assert!((peak[0] - 0.039_869).abs() < 1e-6, "{peak:?}");
    }
    Ok(())
}

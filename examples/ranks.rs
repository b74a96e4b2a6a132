//! Ranks: one program, alone or on many hosts. Rank 0 runs the closure, the others serve; work that is not placed goes where
//! there is somebody to do it, and futures of any rank are inputs of work on any other.
//!
//! ```sh
//! cargo build --release --features ranks --example ranks
//! target/release/examples/ranks
//! mpirun -n 4 target/release/examples/ranks
//! srun -n 8 -c 16 target/release/examples/ranks
//! ```
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use heist::prelude::*;
use heist::{Array, Rank};

const PIECES: u64 = 256;
const STEPS: u64 = 2_000;

/// A piece of the area under 4 / (1 + x²) from 0 to 1.
fn area(piece: u64) -> f64 {
    let width = 1.0 / (PIECES * STEPS) as f64;
    let height = |step: u64| {
        let x = ((piece * STEPS + step) as f64 + 0.5) * width;
        4.0 / (1.0 + x * x)
    };
    (0..STEPS).map(height).sum::<f64>() * width
}

/// A wave of so many points.
fn wave(points: usize) -> Array<f64> {
    (0..points).map(|point| (point as f64 * 0.01).sin()).collect()
}

fn energy((wave, of): (Array<f64>, u32)) -> (u32, f64) {
    (of, wave.iter().map(|value| value * value).sum())
}

fn direct(ex: &Executor) -> Result<(), TaskError> {
    let world = ex.world();
    let pieces = world.map(0..PIECES, area);
    let pi: f64 = ex.gather(pieces)?.iter().sum();

    // Made on the last rank, and sent from there, once to each rank, as the bytes it is.
    let last = Rank(world.size() as u32 - 1);
    let wave = world.on(last).submit(|(points,)| wave(points), (100_000_usize,));
    let energies: Vec<_> = (0..=last.0).map(|rank| world.on(Rank(rank)).submit(energy, (&wave, rank))).collect();
    let energies = ex.gather(energies)?;

    println!("pi is {pi:.9}, by {} ranks; a wave has the energy {:.3}", world.size(), energies[0].1);
    assert!((pi - std::f64::consts::PI).abs() < 1e-9);
    assert!(energies.iter().zip(0..).all(|(&(of, energy), rank)| of == rank && energy == energies[0].1));
    Ok(())
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    match heist::launch(direct)? {
        Some(result) => Ok(result?),
        // A rank that has served.
        None => Ok(()),
    }
}

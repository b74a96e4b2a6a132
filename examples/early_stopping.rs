//! A sweep with early stopping through a `Variable`: the nearest of many signals to a given one. Whoever has compared one to
//! its end sets the variable to the distance; whoever is past that distance stops.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use heist::prelude::*;
use heist::{Variable, as_completed};

const SIGNALS: u64 = 400;
const SAMPLES: u64 = 4000;

/// A made-up signal.
fn sample(signal: u64, at: u64) -> f64 {
    let phase = signal as f64 * 0.37;
    (at as f64 * 0.01 + phase).sin() + 0.3 * (at as f64 * 0.023 * (1.0 + phase)).cos()
}

fn wanted(at: u64) -> f64 {
    sample(123, at) + 0.01 * (at as f64).sin()
}

/// How a comparison ended.
#[derive(Clone, Copy)]
struct Compared {
    signal: u64,
    /// None when it was stopped.
    distance: Option<f64>,
    samples: u64,
}

fn compare(signal: u64, best: &Variable<f64>) -> Compared {
    let mut distance = 0.0;
    for at in 0..SAMPLES {
        distance += (sample(signal, at) - wanted(at)).powi(2);
        if at % 64 == 0 && best.try_get().is_some_and(|best| distance > best) {
            return Compared { signal, distance: None, samples: at + 1 };
        }
    }
    // Another may set it in between. Whatever is there is a distance that was found, so no nearer signal is ever stopped.
    if best.try_get().is_none_or(|best| distance < best) {
        best.set(distance);
    }
    Compared { signal, distance: Some(distance), samples: SAMPLES }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let best = Variable::new();
    let comparisons = ex.map(0..SIGNALS, move |signal| compare(signal, &best));
    let (mut nearest, mut samples) = (None::<(f64, u64)>, 0);
    for (_, compared) in as_completed(comparisons) {
        let Compared { signal, distance, samples: took } = compared?;
        samples += took;
        if let Some(distance) = distance.filter(|&distance| nearest.is_none_or(|(least, _)| distance < least)) {
            nearest = Some((distance, signal));
        }
    }
    let (distance, signal) = nearest.ok_or("at least one is compared to its end")?;
    let share = 100.0 * samples as f64 / (SIGNALS * SAMPLES) as f64;
    println!("signal {signal} is the nearest, {distance:.3} away; {share:.1} % of the samples were compared");
    assert_eq!(signal, 123);
    assert!(samples < SIGNALS * SAMPLES);
    Ok(())
}

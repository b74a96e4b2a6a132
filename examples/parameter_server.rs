//! A parameter server as an actor: it owns the weights of a model; workers ask it for them, work out a gradient on data of
//! their own, and tell it what to change. Nobody waits for anybody else, and no lock is taken.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use heist::prelude::*;

const WEIGHTS: usize = 8;
const WORKERS: u64 = 6;
const STEPS: u64 = 300;
const SAMPLES: u64 = 64;
const RATE: f64 = 0.02;

/// What the model is to find.
fn truth(weight: usize) -> f64 {
    (weight as f64 - 3.5) / 2.0
}

/// The weights, and how often they were changed.
struct Server {
    weights: [f64; WEIGHTS],
    changes: u64,
}

impl Server {
    fn new() -> Server {
        Server { weights: [0.0; WEIGHTS], changes: 0 }
    }

    fn change(&mut self, gradient: &[f64; WEIGHTS]) {
        self.weights.iter_mut().zip(gradient).for_each(|(weight, gradient)| *weight -= RATE * gradient);
        self.changes += 1;
    }
}

/// The features of a made-up sample, between -1 and 1.
fn features(sample: u64) -> [f64; WEIGHTS] {
    let hash = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 17)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    std::array::from_fn(|i| (hash(sample * WEIGHTS as u64 + i as u64) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
}

/// The gradient of the squared error over the samples of one step.
fn gradient(weights: &[f64; WEIGHTS], samples: std::ops::Range<u64>) -> [f64; WEIGHTS] {
    let count = (samples.end - samples.start) as f64;
    let mut gradient = [0.0; WEIGHTS];
    for x in samples.map(features) {
        let error: f64 = (0..WEIGHTS).map(|i| (weights[i] - truth(i)) * x[i]).sum();
        (0..WEIGHTS).for_each(|i| gradient[i] += 2.0 * error * x[i] / count);
    }
    gradient
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let server = ex.actor(Server::new);
    let workers = ex.map(0..WORKERS, {
        let server = server.clone();
        move |worker| {
            for step in 0..STEPS {
                let weights = server.ask(|server| server.weights).result()?;
                let first = (worker * STEPS + step) * SAMPLES;
                let gradient = gradient(&weights, first..first + SAMPLES);
                server.tell(move |server| server.change(&gradient))?;
            }
            Ok::<(), TaskError>(())
        }
    });
    for worker in workers {
        worker.result()??;
    }
    let (weights, changes) = server.ask(|server| (server.weights, server.changes)).result()?;
    let off = (0..WEIGHTS).map(|i| (weights[i] - truth(i)).abs()).fold(0.0, f64::max);
    println!("{changes} changes; no weight is further than {off:.1e} from what was to be found");
    assert_eq!(changes, WORKERS * STEPS);
    assert!(off < 1e-3);
    Ok(())
}

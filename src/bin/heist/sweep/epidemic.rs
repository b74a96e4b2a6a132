//! An epidemic in a closed population (SIR), over a hundred times the mean time to recover.

use super::model::{Model, Parameter, step};

pub(super) const MODEL: Model = Model {
    name: "epidemic",
    about: "epidemic in a closed population (SIR)",
    parameters: &[Parameter::positive("transmission"), Parameter::positive("recovery"), Parameter::share("infected")],
    observables: &["peak", "peak_time", "total"],
    error_of: "drift of s + i - recovery/transmission * ln s",
    run,
};

const RECOVERIES: f64 = 100.0;

fn run(parameters: &[f64], steps: u64) -> Vec<f64> {
    let [transmission, recovery, infected] = [parameters[0], parameters[1], parameters[2]];
    let dt = RECOVERIES / recovery / steps as f64;
    let flow = |_: f64, y: &[f64; 2]| {
        let new = transmission * y[0] * y[1];
        [-new, new - recovery * y[1]]
    };
    let kept = |y: &[f64; 2]| y[0] + y[1] - recovery / transmission * y[0].ln();
    let mut y = [1.0 - infected, infected];
    let before = kept(&y);
    let (mut peak, mut peak_time) = (infected, 0.0);
    for n in 1..=steps {
        step(flow, 0.0, dt, &mut y);
        if y[1] > peak {
            (peak, peak_time) = (y[1], n as f64 * dt);
        }
    }
    vec![peak, peak_time, 1.0 - y[0], (kept(&y) / before - 1.0).abs()]
}

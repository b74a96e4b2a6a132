//! x″ + 2·damping·x′ + natural²·x = force·cos(driving·t) from rest, over fifty periods of the driving force.

use std::f64::consts::TAU;

use super::model::{Model, Parameter, step};

pub(super) const MODEL: Model = Model {
    name: "oscillator",
    about: "damped oscillator driven from rest",
    parameters: &[
        Parameter::positive("damping"),
        Parameter::positive("natural"),
        Parameter::positive("driving"),
        Parameter::positive("force"),
    ],
    observables: &["peak", "swing"],
    error_of: "|x - closed form| / peak",
    run,
};

const PERIODS: f64 = 50.0;
/// How often the closed form is looked at.
const CHECKS: u64 = 64;

fn run(parameters: &[f64], steps: u64) -> Vec<f64> {
    let [damping, natural, driving, force] = [parameters[0], parameters[1], parameters[2], parameters[3]];
    let dt = PERIODS * TAU / driving / steps as f64;
    let flow =
        |t: f64, y: &[f64; 2]| [y[1], force * (driving * t).cos() - 2.0 * damping * y[1] - natural * natural * y[0]];
    let exact = closed_form(damping, natural, driving, force);
    let (mut y, mut peak, mut swing, mut off) = ([0.0; 2], 0.0_f64, 0.0_f64, 0.0_f64);
    let (last_tenth, between) = (steps - steps / 10, steps.div_ceil(CHECKS));
    for n in 1..=steps {
        step(flow, (n - 1) as f64 * dt, dt, &mut y);
        peak = peak.max(y[0].abs());
        if n > last_tenth {
            swing = swing.max(y[0].abs());
        }
        if n % between == 0 || n == steps {
            let distance = (y[0] - exact(n as f64 * dt)).abs();
            off = if distance.is_nan() { f64::INFINITY } else { off.max(distance) };
        }
    }
    vec![peak, swing, off / peak]
}

/// The solution: what the force keeps up, and what dies away.
fn closed_form(damping: f64, natural: f64, driving: f64, force: f64) -> impl Fn(f64) -> f64 {
    let apart = natural * natural - driving * driving;
    let drag = 2.0 * damping * driving;
    let scale = force / (apart * apart + drag * drag);
    let (a, b) = (scale * apart, scale * drag);
    let rate = damping * damping - natural * natural;
    let root = rate.abs().sqrt();
    move |t| {
        let decay = (-damping * t).exp();
        let (even, odd) = if root * t < 1e-8 {
            (decay, decay * t)
        } else if rate < 0.0 {
            (decay * (root * t).cos(), decay * (root * t).sin() / root)
        } else {
            let (slow, fast) = (((root - damping) * t).exp(), (-(root + damping) * t).exp());
            (f64::midpoint(slow, fast), (slow - fast) / 2.0 / root)
        };
        a * ((driving * t).cos() - even) + b * (driving * t).sin() - (damping * a + driving * b) * odd
    }
}

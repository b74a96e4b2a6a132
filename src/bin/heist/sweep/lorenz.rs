//! The Lorenz system with its three Lyapunov exponents, over a hundred units of time.

use std::array;

use super::model::{Model, Parameter, step};

pub(super) const MODEL: Model = Model {
    name: "lorenz",
    about: "Lorenz system and its Lyapunov exponents",
    parameters: &[Parameter::positive("sigma"), Parameter::positive("rho"), Parameter::positive("beta")],
    observables: &["exponent_1", "exponent_2", "exponent_3"],
    error_of: "|sum of the exponents / -(sigma + 1 + beta) - 1|",
    run,
};

const TIME: f64 = 100.0;
/// Steps between two looks at how the directions have grown.
const BETWEEN: u64 = 8;

type Vector = [f64; 3];

fn run(parameters: &[f64], steps: u64) -> Vec<f64> {
    let [sigma, rho, beta] = [parameters[0], parameters[1], parameters[2]];
    let dt = TIME / steps as f64;
    // The state, then three directions that are carried along.
    let flow = |_: f64, y: &[f64; 12]| {
        let [x, v, z] = [y[0], y[1], y[2]];
        let mut change = [0.0; 12];
        change[..3].copy_from_slice(&[sigma * (v - x), x * (rho - z) - v, x * v - beta * z]);
        for at in [3, 6, 9] {
            let [p, q, r] = [y[at], y[at + 1], y[at + 2]];
            change[at..at + 3].copy_from_slice(&[sigma * (q - p), (rho - z) * p - q - x * r, v * p + x * q - beta * r]);
        }
        change
    };
    let mut y = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let mut growth = [0.0; 3];
    for n in 1..=steps {
        step(flow, 0.0, dt, &mut y);
        if n % BETWEEN == 0 || n == steps {
            for (sum, length) in growth.iter_mut().zip(orthonormalise(&mut y)) {
                *sum += length.ln();
            }
        }
    }
    let exponents = growth.map(|sum| sum / TIME);
    let error = (exponents.iter().sum::<f64>() / -(sigma + 1.0 + beta) - 1.0).abs();
    [&exponents[..], &[error]].concat()
}

/// Gram–Schmidt on the directions; returns how long each had become, apart from those before it.
fn orthonormalise(y: &mut [f64; 12]) -> Vector {
    let mut done = [[0.0; 3]; 3];
    let dot = |a: &Vector, b: &Vector| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    array::from_fn(|n| {
        let at = 3 + 3 * n;
        let mut direction = [y[at], y[at + 1], y[at + 2]];
        for earlier in &done[..n] {
            let along = dot(&direction, earlier);
            direction = array::from_fn(|i| direction[i] - along * earlier[i]);
        }
        let length = dot(&direction, &direction).sqrt();
        direction = direction.map(|part| part / length);
        y[at..at + 3].copy_from_slice(&direction);
        done[n] = direction;
        length
    })
}

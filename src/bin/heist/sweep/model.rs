//! The models that can be swept. Of every run of each something is known exactly, against which it is checked.

use std::array;
use std::ops::Range;

use super::{epidemic, lorenz, oscillator};
use crate::args::Which;

/// A model, its parameters and what is observed of it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) observables: &'static [&'static str],
    /// What the error of a row is.
    pub(crate) error_of: &'static str,
    /// The observables, then the error, after so many steps.
    pub(crate) run: fn(&[f64], u64) -> Vec<f64>,
}

/// The greatest error of a row that counts as solved.
pub(crate) const BOUND: f64 = 1e-6;

/// A parameter and the values it may have.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    allowed: Range<f64>,
}

impl Parameter {
    pub(super) const fn positive(name: &'static str) -> Parameter {
        Parameter { name, allowed: 0.0..f64::INFINITY }
    }

    /// Between 0 and 1.
    pub(super) const fn share(name: &'static str) -> Parameter {
        Parameter { name, allowed: 0.0..1.0 }
    }

    /// Why it may not have this value.
    pub(crate) fn refuse(&self, value: f64) -> Option<String> {
        let Range { start, end } = self.allowed;
        if start < value && value < end {
            None
        } else if end.is_finite() {
            Some(format!("is not between {start} and {end}"))
        } else {
            Some(format!("is not above {start}"))
        }
    }
}

impl Model {
    pub(crate) fn of(which: Which) -> &'static Model {
        match which {
            Which::Oscillator => &oscillator::MODEL,
            Which::Lorenz => &lorenz::MODEL,
            Which::Epidemic => &epidemic::MODEL,
        }
    }

    /// The names of its parameters, for a person.
    pub(crate) fn takes(&self) -> String {
        let names: Vec<_> = self.parameters.iter().map(|parameter| parameter.name).collect();
        format!("the model {} takes {}", self.name, names.join(", "))
    }
}

/// One step of the classical Runge–Kutta method of fourth order.
pub(super) fn step<const N: usize>(flow: impl Fn(f64, &[f64; N]) -> [f64; N], t: f64, dt: f64, y: &mut [f64; N]) {
    let ahead = |k: &[f64; N], by: f64| array::from_fn(|i| y[i] + by * k[i]);
    let k1 = flow(t, y);
    let k2 = flow(t + dt / 2.0, &ahead(&k1, dt / 2.0));
    let k3 = flow(t + dt / 2.0, &ahead(&k2, dt / 2.0));
    let k4 = flow(t + dt, &ahead(&k3, dt));
    *y = array::from_fn(|i| y[i] + dt / 6.0 * (k1[i] + 2.0 * (k2[i] + k3[i]) + k4[i]));
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// Values that every model can be run with.
    fn usual(which: Which) -> &'static [f64] {
        match which {
            Which::Oscillator => &[0.1, 1.0, 0.9, 1.0],
            Which::Lorenz => &[10.0, 28.0, 8.0 / 3.0],
            Which::Epidemic => &[0.5, 0.1, 1e-4],
        }
    }

    #[test]
    fn the_error_of_every_model_falls_with_the_fourth_power_of_the_step() {
        for &which in Which::value_variants() {
            let model = Model::of(which);
            let error = |steps| *(model.run)(usual(which), steps).last().unwrap();
            let (coarse, fine) = (error(10_000), error(20_000));
            assert!(fine < BOUND, "{}: {fine}", model.name);
            assert!((10.0..40.0).contains(&(coarse / fine)), "{}: {coarse} / {fine}", model.name);
        }
    }

    #[test]
    fn every_model_gives_what_it_names() {
        for &which in Which::value_variants() {
            let model = Model::of(which);
            assert_eq!(usual(which).len(), model.parameters.len());
            assert_eq!((model.run)(usual(which), 100).len(), model.observables.len() + 1, "{}", model.name);
        }
    }

    #[test]
    fn the_textbook_values_come_out() {
        let exponents = (Model::of(Which::Lorenz).run)(usual(Which::Lorenz), 100_000);
        assert!((exponents[0] - 0.906).abs() < 0.1 && exponents[1].abs() < 0.05, "{exponents:?}");
        let epidemic = (Model::of(Which::Epidemic).run)(usual(Which::Epidemic), 20_000);
        // The final size r solves r = 1 - s0 exp(-R0 r).
        let total = epidemic[2];
        assert!((1.0 - 0.9999 * (-5.0 * total).exp() - total).abs() < 1e-6, "{epidemic:?}");
        let [damping, natural, driving, force] = [0.1_f64, 1.0, 0.9, 1.0];
        let swing = (Model::of(Which::Oscillator).run)(&[damping, natural, driving, force], 20_000)[1];
        let expected = force / ((natural.powi(2) - driving.powi(2)).hypot(2.0 * damping * driving));
        assert!((swing / expected - 1.0).abs() < 1e-3, "{swing} {expected}");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let (above, within) = (Parameter::positive("a"), Parameter::share("b"));
        assert_eq!((above.refuse(1e-300), within.refuse(0.5)), (None, None));
        assert_eq!(above.refuse(0.0).unwrap(), "is not above 0");
        assert_eq!(within.refuse(1.0).unwrap(), "is not between 0 and 1");
    }
}

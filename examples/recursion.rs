//! Dynamic recursion: an integral by adaptive quadrature. A task that finds its interval too coarse submits a task for each
//! half and waits for them; a worker that waits runs them itself, so no depth of recursion uses up the workers.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use heist::prelude::*;

/// Where the integrand swings faster and faster.
fn f(x: f64) -> f64 {
    (1.0 / x).sin()
}

/// An integral, and how many intervals it took.
#[derive(Clone, Copy)]
struct Integral {
    value: f64,
    intervals: u64,
}

fn simpson(a: f64, b: f64) -> f64 {
    (b - a) / 6.0 * (f(a) + 4.0 * f(f64::midpoint(a, b)) + f(b))
}

/// The integral from `a` to `b`, halving where halving still changes it.
fn integrate(ex: &Executor, a: f64, b: f64, tolerance: f64) -> Result<Integral, TaskError> {
    let middle = f64::midpoint(a, b);
    let (whole, halves) = (simpson(a, b), simpson(a, middle) + simpson(middle, b));
    if (whole - halves).abs() < 15.0 * tolerance {
        return Ok(Integral { value: halves + (halves - whole) / 15.0, intervals: 1 });
    }
    let half = |a, b| {
        let inner = ex.clone();
        ex.submit_result(move || integrate(&inner, a, b, tolerance / 2.0))
    };
    let (left, right) = (half(a, middle), half(middle, b));
    let (left, right) = (left.result()?, right.result()?);
    Ok(Integral { value: left.value + right.value, intervals: left.intervals + right.intervals })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let inner = ex.clone();
    let integral = ex.submit_result(move || integrate(&inner, 0.01, 1.0, 1e-10)).result()?;
    println!("{:.9} from {} intervals", integral.value, integral.intervals);
    assert!((integral.value - 0.503_981_893).abs() < 1e-8);
    assert!(integral.intervals > 1000);
    Ok(())
}

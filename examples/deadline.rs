//! Collection bounded by a deadline: estimates of π that take longer and longer, taken with `wait_any` as they come, until
//! the time is up. What is there by then counts, each by how much work is in it; the rest is cancelled.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::f64::consts::PI;
use std::time::{Duration, Instant};

use heist::prelude::*;
use heist::wait_any_timeout;

const TIME: Duration = Duration::from_millis(200);

/// An estimate from so many points, or nothing once it is cancelled.
fn estimate(points: u64, seed: u64) -> Option<(f64, u64)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut coordinate = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut inside = 0;
    for point in 0..points {
        let (x, y) = (coordinate(), coordinate());
        inside += u64::from(x * x + y * y < 1.0);
        if point % 4096 == 0 && cancelled() {
            return None;
        }
    }
    Some((4.0 * inside as f64 / points as f64, points))
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let start = Instant::now();
    // The last of them would take years.
    let sizes = (10..60).map(|power| (1_u64 << power, power));
    let mut pending = ex.map(sizes, |(points, seed)| estimate(points, seed));
    let mut collected = Vec::new();
    while !pending.is_empty() {
        let waited = wait_any_timeout(&pending, TIME.saturating_sub(start.elapsed()));
        if waited.done.is_empty() {
            break;
        }
        for future in waited.done {
            collected.extend(future.result()?);
        }
        pending = waited.not_done;
    }
    let took = start.elapsed();
    let left = pending.len();
    pending.iter().for_each(|future| _ = future.cancel("the time is up"));

    let points: u64 = collected.iter().map(|(_, points)| points).sum();
    let pi = collected.iter().map(|(pi, points)| pi * *points as f64).sum::<f64>() / points as f64;
    println!("{pi:.4} from {} estimates of {points} points after {took:.0?}; {left} came too late", collected.len());
    assert!(took >= TIME && left > 0);
    assert!(collected.is_empty() || (pi - PI).abs() < 10.0 / (points as f64).sqrt(), "{pi}");
    Ok(())
}

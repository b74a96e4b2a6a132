//! Times from submission to start: their median, their 99th percentile and the longest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::report::{Report, Series};

/// The clock that submitter and tasks share.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Nanoseconds since the start, at least one.
    pub fn now(self) -> u64 {
        (self.0.elapsed().as_nanos() as u64).max(1)
    }
}

/// When a task started; nothing so far.
#[derive(Debug, Default)]
pub struct Begun(AtomicU64);

impl Begun {
    /// Called first thing in the task.
    pub fn set(&self, clock: Clock) {
        self.0.store(clock.now(), Ordering::Release);
    }

    /// When the task started, once it has.
    pub fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|&at| at > 0)
    }
}

/// A series for each of the three.
#[derive(Debug)]
pub struct Latencies {
    p50: Series,
    p99: Series,
    max: Series,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let [p50, p99, max] = ["p50", "p99", "max"].map(|metric| Series::new(metric, "ns"));
        Latencies { p50, p99, max }
    }
}

impl Latencies {
    /// Adds a sample to each series, from the times of one run.
    pub fn add(&mut self, mut times: Vec<u64>) {
        times.sort_unstable();
        self.p50.samples.push(at(&times, 0.5));
        self.p99.samples.push(at(&times, 0.99));
        self.max.samples.push(at(&times, 1.0));
    }

    /// The report, the median first.
    pub fn report(self) -> Report {
        Report { series: vec![self.p50, self.p99, self.max] }
    }
}

/// The least of the sorted times that so large a share of them does not exceed.
fn at(sorted: &[u64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.max(1) - 1] as f64
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!([at(&times, 0.5), at(&times, 0.99), at(&times, 1.0)], [100.0, 198.0, 200.0]);
        assert_eq!(at(&[7], 0.5), 7.0);
    }
}

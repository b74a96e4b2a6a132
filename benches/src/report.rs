//! What one process measured, as the JSON line it prints for the driver.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// The samples of one metric, in the order they were taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Series {
    /// What was measured: `total`, `submit`, `core`, …
    pub metric: String,
    /// The unit of the samples.
    pub unit: String,
    /// One value a timed repeat.
    pub samples: Vec<f64>,
}

impl Series {
    /// An empty series.
    pub fn new(metric: &str, unit: &str) -> Series {
        Series { metric: metric.into(), unit: unit.into(), samples: Vec::new() }
    }
}

/// Everything one process measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// One series a metric.
    pub series: Vec<Series>,
}

impl Report {
    /// Prints the report as one line of JSON.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, self)?;
        writeln!(out)
    }
}

/// Runs `f` and returns what it gave, the time it took and the CPU time the whole process used meanwhile.
pub fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration, Duration) {
    let cpu = cpu_time(UsageWho::RUSAGE_SELF);
    let start = Instant::now();
    let value = f();
    let wall = start.elapsed();
    (value, wall, cpu_time(UsageWho::RUSAGE_SELF).saturating_sub(cpu))
}

/// User and system time of `who`: this process, or the children it has waited for.
pub fn cpu_time(who: UsageWho) -> Duration {
    let Ok(usage) = getrusage(who) else {
        return Duration::ZERO;
    };
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| Duration::from_micros(time.num_microseconds().unsigned_abs()))
        .sum()
}

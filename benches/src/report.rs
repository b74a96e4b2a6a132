//! What one process measured, as the JSON line it prints for the driver.

use std::io::{self, Write};
use std::time::{Duration, Instant};

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
    let cpu = cpu_time(libc::RUSAGE_SELF);
    let start = Instant::now();
    let value = f();
    let wall = start.elapsed();
    (value, wall, cpu_time(libc::RUSAGE_SELF).saturating_sub(cpu))
}

/// User and system time of `who`: `RUSAGE_SELF`, or `RUSAGE_CHILDREN` for the children waited for.
pub fn cpu_time(who: libc::c_int) -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is valid for a write of one `rusage`, which is plain data and so valid zeroed if the call fails.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn time(t: libc::timeval) -> Duration {
    Duration::from_secs(t.tv_sec.unsigned_abs()) + Duration::from_micros(t.tv_usec.unsigned_abs())
}

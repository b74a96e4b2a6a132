//! The workload `wake`: one task at a time from outside into an idle pool, after a pause of the submitter. What counts
//! is the time from submission to the task's start.

use std::hint;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::latency::{Begun, Clock, Latencies};
use crate::one::Args;
use crate::pool::{self, Pool, Visit};
use crate::report::Report;

/// How the submitter spends the pause. It waits for the task's start by spinning in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pause {
    /// It stays on its core.
    Spin,
    /// It leaves its core.
    Sleep,
}

impl Pause {
    /// Lasts so long, and for `Sleep` a little longer.
    #[expect(clippy::disallowed_methods, reason = "the submitter's sleep is what is measured")]
    pub fn take(self, length: Duration) {
        match self {
            Pause::Spin => {
                let start = Instant::now();
                while start.elapsed() < length {
                    hint::spin_loop();
                }
            }
            Pause::Sleep => thread::sleep(length),
        }
    }
}

/// A workload for each pause.
pub const WORKLOADS: &[&str] = &["spin", "sleep"];

/// Wakes the pool [`Args::tasks`] times, once to warm up and some times more.
///
/// # Errors
///
/// When the runtime or the workload is unknown.
pub fn measure(args: &Args) -> Result<Report, String> {
    let pause = Pause::from_str(&args.workload, false)?;
    pool::on(&args.runtime, args.workers, Wake { args, pause })
}

struct Wake<'a> {
    args: &'a Args,
    pause: Pause,
}

impl Visit for Wake<'_> {
    type Output = Report;

    fn visit<P: Pool>(self, pool: &P) -> Report {
        let pause = || self.pause.take(Duration::from_micros(self.args.pause));
        let mut latencies = Latencies::default();
        for repeat in 0..=self.args.repeats {
            let times = (0..self.args.tasks).map(|_| once(pool, pause)).collect();
            if repeat > 0 {
                latencies.add(times);
            }
        }
        latencies.report()
    }
}

/// Nanoseconds from submission to the start of one task.
pub fn once<P: Pool>(pool: &P, pause: impl FnOnce()) -> u64 {
    let begun = Arc::new(Begun::default());
    let clock = Clock::start();
    let task = {
        let begun = begun.clone();
        move || begun.set(clock)
    };
    pause();
    let submitted = clock.now();
    let handle = pool.spawn(task);
    loop {
        if let Some(begun) = begun.get() {
            drop(handle);
            return begun - submitted;
        }
        hint::spin_loop();
    }
}

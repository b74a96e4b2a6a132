//! The workload `idle`: a pool runs a few tasks and then has nothing to do. What counts is the CPU time that the
//! process takes from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::resource::UsageWho;

use crate::one::Args;
use crate::pool::{self, Pool, Visit};
use crate::report::{Report, Series, cpu_time};

/// The one workload.
pub const WORKLOADS: &[&str] = &["idle"];

/// Leaves the pool idle some times, for [`Args::seconds`] each, after [`Args::tasks`] tasks.
///
/// # Errors
///
/// When the runtime is unknown.
pub fn measure(args: &Args) -> Result<Report, String> {
    pool::on(&args.runtime, args.workers, Idle(args))
}

struct Idle<'a>(&'a Args);

impl Visit for Idle<'_> {
    type Output = Report;

    #[expect(clippy::disallowed_methods, reason = "what an idle pool costs can only be seen over a time")]
    fn visit<P: Pool>(self, pool: &P) -> Report {
        let Idle(args) = self;
        let mut cpu = Series::new(&format!("cpu in {} s", args.seconds), "ms");
        for _ in 0..args.repeats {
            run(pool, args.tasks);
            let before = cpu_time(UsageWho::RUSAGE_SELF);
            thread::sleep(Duration::from_secs(args.seconds));
            cpu.samples.push((cpu_time(UsageWho::RUSAGE_SELF) - before).as_secs_f64() * 1e3);
        }
        Report { series: vec![cpu] }
    }
}

/// Runs so many tasks and returns when each has run.
fn run<P: Pool>(pool: &P, tasks: u64) {
    let ran = Arc::new(AtomicU64::new(0));
    let spawn = |_| {
        let ran = ran.clone();
        pool.spawn(move || {
            ran.fetch_add(1, Ordering::Relaxed);
        })
    };
    let _handles: Vec<P::Handle> = (0..tasks).map(spawn).collect();
    while ran.load(Ordering::Relaxed) < tasks {
        thread::yield_now();
    }
}

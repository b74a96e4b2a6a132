//! How busy the machine was with anything but the process that was measured.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::resource::UsageWho;
use nix::unistd::{SysconfVar, sysconf};

use crate::report::cpu_time;

/// A look at the machine's and the driver's CPU time; the next look tells what happened between.
#[derive(Debug)]
pub(super) struct Gauge {
    at: Instant,
    busy: Option<Duration>,
    own: Duration,
}

impl Gauge {
    pub(super) fn now() -> Gauge {
        Gauge {
            at: Instant::now(),
            busy: busy(),
            own: cpu_time(UsageWho::RUSAGE_SELF) + cpu_time(UsageWho::RUSAGE_CHILDREN),
        }
    }

    /// Cores that others kept busy since this look; zero where the system does not tell.
    pub(super) fn foreign(&self) -> f64 {
        let now = Gauge::now();
        let (Some(before), Some(after)) = (self.busy, now.busy) else {
            return 0.0;
        };
        let others = after.saturating_sub(before).saturating_sub(now.own.saturating_sub(self.own));
        others.as_secs_f64() / (now.at - self.at).as_secs_f64()
    }
}

/// Waits until others keep at most `limit` cores busy; `false` when they do not for a while.
#[expect(clippy::disallowed_methods, reason = "how busy the machine is can only be seen over a time")]
pub(super) fn wait(limit: f64) -> bool {
    const WINDOW: Duration = Duration::from_millis(500);
    (0..20).any(|_| {
        let gauge = Gauge::now();
        sleep(WINDOW);
        gauge.foreign() <= limit
    })
}

/// CPU time all processes together have used since the machine started, with what the hypervisor took away.
fn busy() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let &[user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = &fields[..] else {
        return None;
    };
    let ticks = user + nice + system + irq + softirq + steal;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

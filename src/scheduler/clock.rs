//! How closely a worker has to watch the time so that it can be told since when a task runs.

use std::cell::Cell;
/// Finds outside the own queues until the time is looked at.
pub(super) const DUE: u32 = 16;
/// Finds of which the mean is taken before the time is watched less closely.
const MANY: u32 = 64;
/// A mean from which on, and one below which, the time is looked at with every task, and now and then. In nanoseconds.
const LONG: u64 = 40_000;
const SHORT: u64 = 20_000;

/// What a worker knows of the time, in nanoseconds since its executor was built.
#[derive(Default)]
pub(super) struct Clock {
    /// When the present count began, and what was counted.
    begin: Cell<u64>,
    count: Cell<u32>,
    /// Finds outside the own queues since the last look.
    around: Cell<u32>,
}

impl Clock {
    /// Counts a find outside the own queues; whether the time should be looked at.
    pub(super) fn is_due(&self) -> bool {
        self.around.set(self.around.get() + 1);
        self.around.get() >= DUE
    }

    /// So many finds were made since the last look; it is looked at with every task if `closely`, and so it should be from
    /// now on if that is what comes back.
    pub(super) fn passed(&self, now: u64, finds: u32, closely: bool) -> bool {
        self.around.set(0);
        let count = self.count.get() + finds;
        let passed = now.saturating_sub(self.begin.get());
        let change = if closely {
            count >= MANY && passed < SHORT * u64::from(count)
        } else {
            passed >= LONG * u64::from(count)
        };
        if change || count >= MANY {
            self.count_from(now);
        } else {
            self.count.set(count);
        }
        closely != change
    }

    /// Counts anew: time before does not matter.
    pub(super) fn count_from(&self, now: u64) {
        self.begin.set(now);
        self.count.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: u64 = 50;
    const MUCH: u64 = 1_000_000;

    #[test]
    fn short_tasks_are_not_watched_and_long_ones_are() {
        let mut now = 0;
        let clock = Clock::default();
        let mut pass = |finds: u32, each: u64, closely| {
            now += each * u64::from(finds);
            clock.passed(now, finds, closely)
        };
        assert!((0..200).all(|_| pass(1, MUCH, true)));
        let changes = (0..200).filter(|_| !pass(1, SOME, true)).count();
        assert!(changes >= 2, "{changes}");
        assert!((0..200).all(|_| !pass(MANY, SOME, false)));
        assert!(pass(MANY, MUCH, false));
    }

    #[test]
    fn rest_is_not_taken_for_work() {
        let clock = Clock::default();
        clock.count_from(1_000 * MUCH);
        assert!(!clock.passed(1_000 * MUCH + 64 * SOME, MANY, false));
    }
}

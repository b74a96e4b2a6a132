//! How long a worker that finds nothing searches before it sleeps.

use std::cell::Cell;
use std::time::Duration;

use crate::primitive::hint::spin_loop;

/// Pauses of the core between two looks into the own inbox: 30 to 100 ns.
const PAUSES: u32 = 2;
/// Looks into the own inbox between two searches of every queue, which touch what others write.
const GLANCES: u32 = 12;

/// Bounds of the search. Waking a sleeper takes about 25 µs from one core to another, of which its waker pays 7; a search
/// that is as long at most costs no more than twice what the best choice, made in hindsight, would have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    least: Duration,
    first: Duration,
    most: Duration,
}

impl Search {
    /// As long as it pays.
    pub(crate) const ADAPTIVE: Self =
        Self { least: Duration::from_micros(2), first: Duration::from_micros(10), most: Duration::from_micros(50) };
    /// Long enough to be awake when the next task comes.
    pub(crate) const LONG: Self = Self::fixed(Duration::from_millis(2));
    /// Not at all.
    pub(crate) const NONE: Self = Self::fixed(Duration::ZERO);

    /// Whether it follows what happens.
    pub(super) fn is_adaptive(self) -> bool {
        self.least != self.most
    }

    /// How long it is before anything was learnt.
    pub(super) fn first(self) -> Duration {
        self.first
    }

    const fn fixed(time: Duration) -> Self {
        Self { least: time, first: time, most: time }
    }
}

/// A worker's search time. It follows the pauses between its tasks, as the kernel's adaptive halt polling does: one that
/// ended within the time leaves it as it is, one that a longer search would have bridged makes it longer, one that
/// is beyond all bounds shorter.
#[derive(Debug)]
pub(super) struct Pace {
    search: Search,
    time: Cell<Duration>,
}

impl Pace {
    pub(super) fn new(search: Search) -> Self {
        Self { search, time: Cell::new(search.first) }
    }

    /// How long to search before the next sleep.
    pub(super) fn time(&self) -> Duration {
        self.time.get()
    }

    /// The worker had nothing to do for `pause`, asleep or not.
    pub(super) fn learn(&self, pause: Duration) {
        let time = self.time.get();
        if pause > self.search.most {
            self.time.set((time / 2).max(self.search.least));
        } else if pause > time {
            self.time.set((2 * time).max(pause + pause / 2).min(self.search.most));
        }
    }
}

/// The time between two searches; it ends early when something comes. Plain reads of lines that are the reader's own until
/// somebody writes there.
pub(super) fn watch(has_come: impl Fn() -> bool) {
    for _ in 0..GLANCES {
        for _ in 0..PAUSES {
            spin_loop();
        }
        if has_come() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEYOND: Duration = Duration::from_secs(1);

    fn adaptive() -> Pace {
        Pace::new(Search::ADAPTIVE)
    }

    #[test]
    fn pauses_beyond_the_bound_shorten_the_search_to_the_least() {
        let pace = adaptive();
        pace.learn(BEYOND);
        assert_eq!(pace.time(), Search::ADAPTIVE.first / 2);
        (0..10).for_each(|_| pace.learn(BEYOND));
        assert_eq!(pace.time(), Search::ADAPTIVE.least);
    }

    #[test]
    fn the_search_grows_until_it_bridges_the_pauses_and_no_further() {
        let pace = adaptive();
        (0..10).for_each(|_| pace.learn(BEYOND));
        let pause = Search::ADAPTIVE.most / 2;
        pace.learn(pause);
        let time = pace.time();
        assert!(time > pause && time <= Search::ADAPTIVE.most);
        (0..10).for_each(|_| pace.learn(pause));
        assert_eq!(pace.time(), time);
        (0..10).for_each(|_| pace.learn(Search::ADAPTIVE.most));
        assert_eq!(pace.time(), Search::ADAPTIVE.most);
    }

    #[test]
    fn a_fixed_search_learns_nothing() {
        for search in [Search::LONG, Search::NONE] {
            let pace = Pace::new(search);
            for pause in [Duration::ZERO, Duration::from_micros(20), Duration::from_millis(1), BEYOND] {
                pace.learn(pause);
                assert_eq!(pace.time(), search.first);
            }
        }
    }
}

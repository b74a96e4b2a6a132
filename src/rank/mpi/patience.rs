//! How long to ask MPI again and again, and when to sleep instead.

use std::thread;
use std::time::{Duration, Instant};

/// Asked without a pause after something has happened.
const KEEN: Duration = Duration::from_micros(30);
/// After that, the core is offered to others between two questions: while MPI has much to do, and else.
const BUSY: Duration = Duration::from_millis(50);
const NEAR: Duration = Duration::from_micros(150);
/// The shortest sleep; each that follows is twice as long.
const FIRST_NAP: Duration = Duration::from_micros(50);
/// The longest while MPI has something to do, else, and when nothing has happened for `QUIET`.
const NAP_OF_BUSY: Duration = Duration::from_micros(100);
const NAP: Duration = Duration::from_millis(1);
const LONG_NAP: Duration = Duration::from_millis(4);
const QUIET: Duration = Duration::from_secs(2);

pub(super) struct Patience {
    since: Instant,
    nap: Duration,
}

/// What to do where nothing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Again,
    Nap(Duration),
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), nap: FIRST_NAP }
    }

    /// Something has happened.
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }

    /// Nothing has happened; `busy` says whether MPI has been given something to do.
    pub(super) fn next(&mut self, busy: bool) -> Next {
        let idle = self.since.elapsed();
        if idle < KEEN {
            std::hint::spin_loop();
            return Next::Again;
        }
        if idle < if busy { BUSY } else { NEAR } {
            thread::yield_now();
            return Next::Again;
        }
        let longest = match () {
            () if busy => NAP_OF_BUSY,
            () if idle < QUIET => NAP,
            () => LONG_NAP,
        };
        let nap = self.nap.min(longest);
        self.nap = (nap * 2).min(longest);
        Next::Nap(nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_ever_longer_and_starts_anew() {
        let mut patience = Patience::new();
        let mut naps = Vec::new();
        let until = Instant::now() + Duration::from_secs(10);
        while naps.len() < 7 && Instant::now() < until {
            if let Next::Nap(nap) = patience.next(false) {
                naps.push(nap.as_micros());
            }
        }
        assert_eq!(naps, [50, 100, 200, 400, 800, 1000, 1000]);
        patience.renew();
        assert_eq!(patience.nap, FIRST_NAP);
    }

    #[test]
    fn it_naps_briefly_while_mpi_is_busy() {
        let mut patience = Patience::new();
        patience.since = Instant::now().checked_sub(2 * BUSY).unwrap_or(patience.since);
        let naps: Vec<_> = (0..3).map(|_| patience.next(true)).collect();
        assert_eq!(naps, [FIRST_NAP, NAP_OF_BUSY, NAP_OF_BUSY].map(Next::Nap));
    }
}

//! How far an executor is from its end, and whether a task is left that it must wait for.

use crate::counters::Counters;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU8, Ordering, fence};

/// How far an executor is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Open,
    /// Runs what there is, takes nothing new from outside.
    Draining,
    /// Cancels what has not started.
    Cancelling,
    /// Every task is done; the threads leave.
    Ended,
}

/// Set beside the phase from the first restart on.
const RESTARTED: u8 = 0x80;

/// The phase of an executor.
#[derive(Debug)]
pub(crate) struct Ending(Padded<AtomicU8>);

impl Ending {
    pub(super) fn new() -> Self {
        Self(Padded(AtomicU8::new(Phase::Open as u8)))
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        // ORDERING: Acquire; pairs with the Release of `advance`.
        match self.0.load(Ordering::Acquire) & !RESTARTED {
            0 => Phase::Open,
            1 => Phase::Draining,
            2 => Phase::Cancelling,
            _ => Phase::Ended,
        }
    }

    /// Moves on to `phase`; false if it was that far already.
    pub(super) fn advance(&self, phase: Phase) -> bool {
        // ORDERING: AcqRel; pairs with the Acquire of `phase`.
        let mut before = self.0.fetch_max(phase as u8, Ordering::AcqRel);
        if before & RESTARTED != 0 {
            // The bit stood above every phase. It stays from now on.
            before = self.0.fetch_max(RESTARTED | phase as u8, Ordering::AcqRel);
        }
        before & !RESTARTED < phase as u8
    }

    /// Whether whatever is submitted is taken as it is: the executor is open, and was never restarted.
    #[inline]
    pub(super) fn takes_all(&self) -> bool {
        // ORDERING: Acquire; as in `phase`.
        self.0.load(Ordering::Acquire) == Phase::Open as u8
    }

    /// Whether whatever is ready may be run: nothing is cancelled, and the executor was never restarted.
    #[inline]
    pub(super) fn runs_all(&self) -> bool {
        // ORDERING: Acquire; as in `phase`.
        self.0.load(Ordering::Acquire) < Phase::Cancelling as u8
    }

    /// The mark of the restart is set.
    pub(super) fn restarted(&self) {
        // ORDERING: AcqRel; pairs with the Acquire of those who look: they see the mark.
        self.0.fetch_or(RESTARTED, Ordering::AcqRel);
    }

    /// Whether a task that comes now is refused. While the executor drains, its own threads may still make some: the task
    /// that makes them is itself waited for.
    #[inline]
    pub(super) fn refuses(&self, own: impl FnOnce() -> bool) -> bool {
        match self.phase() {
            Phase::Open => false,
            Phase::Draining => !own(),
            Phase::Cancelling | Phase::Ended => true,
        }
    }

    /// As [`refuses`](Self::refuses), for a task that is counted already and passes no queue, with its fence, before.
    pub(super) fn refuses_counted(&self, own: impl FnOnce() -> bool) -> bool {
        // Pairs with the fence of `quiescent`, as that of `Idle::notify` does.
        fence(Ordering::SeqCst);
        self.refuses(own)
    }

    /// Ends a closing executor whose tasks are all done; true for the one call that does.
    pub(super) fn end_if_quiescent<'a, I: Iterator<Item = &'a Counters>>(&self, counters: impl Fn() -> I) -> bool {
        !matches!(self.phase(), Phase::Open | Phase::Ended) && quiescent(counters) && self.advance(Phase::Ended)
    }
}

/// Whether every task that was made is done.
pub(super) fn quiescent<'a, I: Iterator<Item = &'a Counters>>(counters: impl Fn() -> I) -> bool {
    // Pairs with the fence of `Idle::notify` in every submit: either the submitter, behind it, sees the phase that the
    // caller has seen, or the sum of the created has his task.
    fence(Ordering::SeqCst);
    // The finished are summed first. Every task counted there was counted as created before, and the sum of the
    // created is read later, so equality means: at the moment between, none was unfinished.
    let finished: u64 = counters().map(|counters| counters.finished.read()).sum();
    let created: u64 = counters().map(|counters| counters.created.read()).sum();
    finished == created
}

//! Guards that a ledger counts in and out: what a task is made of, and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a guard stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A closure, or the item that `map` gives to it.
    Closure,
    /// A value as the task made it.
    Value,
    /// A clone of a value.
    Copy,
    /// An error, or the payload of a panic.
    Fault,
    /// The closure of a dependent.
    Dependent,
    /// The value of an input.
    Input,
}

const KINDS: [Kind; 6] = [Kind::Closure, Kind::Value, Kind::Copy, Kind::Fault, Kind::Dependent, Kind::Input];

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) runs: AtomicU64,
    pub(crate) dependent_runs: AtomicU64,
    made: [AtomicU64; KINDS.len()],
    dropped: [AtomicU64; KINDS.len()],
    broken: AtomicU64,
}

impl Ledger {
    pub(crate) fn guard(self: &Arc<Self>, kind: Kind) -> Guard {
        self.made[kind as usize].fetch_add(1, Ordering::Relaxed);
        Guard { ledger: self.clone(), kind, seal: Guard::WHOLE }
    }

    pub(crate) fn made(&self, kind: Kind) -> u64 {
        self.made[kind as usize].load(Ordering::SeqCst)
    }

    /// What was not dropped exactly once.
    pub(crate) fn complaint(&self) -> Option<String> {
        let lost = KINDS.iter().find_map(|&kind| {
            let (made, dropped) = (self.made(kind), self.dropped[kind as usize].load(Ordering::SeqCst));
            (made != dropped).then(|| format!("{kind:?}: {made} made, {dropped} dropped"))
        });
        let broken = self.broken.load(Ordering::SeqCst);
        lost.or_else(|| (broken != 0).then(|| format!("{broken} guards dropped that were none")))
    }
}

pub(crate) struct Guard {
    ledger: Arc<Ledger>,
    kind: Kind,
    seal: u64,
}

impl Guard {
    const WHOLE: u64 = 0x5EA1_5EA1_5EA1_5EA1;

    pub(crate) fn is_whole(&self) -> bool {
        self.seal == Self::WHOLE
    }
}

impl Clone for Guard {
    fn clone(&self) -> Self {
        self.ledger.guard(Kind::Copy)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.seal, 0) != Self::WHOLE {
            self.ledger.broken.fetch_add(1, Ordering::Relaxed);
        }
        self.ledger.dropped[self.kind as usize].fetch_add(1, Ordering::SeqCst);
    }
}

/// A guard as an error.
pub(crate) struct Fault(pub(crate) Guard);

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_whole() { "Fault" } else { "broken Fault" })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Fault {}

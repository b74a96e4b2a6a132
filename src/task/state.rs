//! The state word of a task: its phase, who still needs its memory, and the list of those who wait for it.
//!
//! ```text
//! bits 0..2  phase     OPEN 0 · RUNNING 1 · VALUE 2 · ERROR 3
//! bit  2     HELD      the runtime has a reference: a queue entry, edges in lists of inputs, a runner, a promise
//! bit  3     UNWANTED  the last handle is gone
//! bits 4..   OPEN, RUNNING: newest waiting node · ERROR: the error, null when released · VALUE: 0
//! ```

use super::dependents::Node;
use crate::primitive::atomic::{AtomicUsize, Ordering};

const PHASE: usize = 0b11;
const OPEN: usize = 0;
const RUNNING: usize = 1;
const VALUE: usize = 2;
const ERROR: usize = 3;
const HELD: usize = 0b100;
const UNWANTED: usize = 0b1000;
const FLAGS: usize = 0b1111;

/// What a task is about, read from its word at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for inputs or in a queue; its closure is whole.
    Open,
    /// Somebody has the closure: a runner, a submitter that still registers inputs, or a promise.
    Running,
    /// Finished with a value.
    Value,
    /// Finished without: failed, cancelled or released. The closure of a cancelled runner may still run.
    Error,
}

/// One reading of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(usize);

impl Snapshot {
    #[inline]
    pub(crate) fn phase(self) -> Phase {
        match self.0 & PHASE {
            OPEN => Phase::Open,
            RUNNING => Phase::Running,
            VALUE => Phase::Value,
            _ => Phase::Error,
        }
    }
    #[inline]
    pub(crate) fn is_done(self) -> bool {
        self.0 & PHASE >= VALUE
    }
    /// Whether it has a value and the runtime is out.
    #[inline]
    pub(crate) fn is_value_only(self) -> bool {
        self.0 == VALUE
    }
    /// The word of the error, 0 when the task was released; only of a task in [`Phase::Error`].
    #[inline]
    pub(crate) fn error_word(self) -> usize {
        debug_assert!(self.phase() == Phase::Error);
        self.0 & !FLAGS
    }
    #[inline]
    pub(crate) fn is_unwanted(self) -> bool {
        self.0 & UNWANTED != 0
    }
    #[inline]
    fn list(self) -> List {
        debug_assert!(!self.is_done());
        List(std::ptr::with_exposed_provenance(self.0 & !FLAGS))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("phase", &self.phase())
            .field("held", &(self.0 & HELD != 0))
            .field("unwanted", &self.is_unwanted())
            .field("pointer", &format_args!("{:#x}", self.0 & !FLAGS))
            .finish()
    }
}

/// The nodes that waited, newest first; whoever gets it fires each of them once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct List(pub(crate) *const Node);

/// How a task ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Value,
    /// With the word of an error.
    Error(usize),
    /// The closure was left where it was, to be run again.
    Again,
    /// Of a turn: it was given up, and may be somebody else's by now.
    Left,
}

impl Outcome {
    fn bits(self) -> usize {
        match self {
            Self::Value => VALUE,
            Self::Error(word) => ERROR | word,
            // It ends nothing (`run`).
            Self::Again | Self::Left => OPEN,
        }
    }
}

/// What the one that tried to take the closure got.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Claim {
    /// The closure is the caller's, who must finish, put it back or dispose of it.
    Mine,
    /// Somebody else has it, or the task is done.
    Taken,
}

/// What became of a queue entry.
#[derive(Debug)]
#[must_use]
pub(crate) enum Entry {
    /// It leads to a closure, and carries the runtime's reference.
    Open,
    /// Somebody else has the closure, or the task is done; the runtime's reference has ended.
    Skipped,
    /// As `Skipped`, and the memory is the caller's to free.
    Free,
}

/// What the one that put a closure back must do now.
#[derive(Debug)]
#[must_use]
pub(crate) enum Unclaim {
    /// Nothing: an entry for it is in a queue, or will be when its inputs are done.
    Done,
    /// Queue it: the entry was skipped meanwhile. The runtime's reference is the caller's again.
    Queue,
    /// Dispose of the closure: the task was cancelled meanwhile.
    Dispose,
}

/// What the one that finished a task must do now.
#[derive(Debug)]
#[must_use]
pub(crate) enum Finish {
    /// Fire the list; if `unwanted`, drop the result and then the memory.
    Finished { list: List, unwanted: bool },
    /// It had been cancelled: drop what was just made, then call [`State::give_back`] if the runner is held.
    Discarded,
}

/// What the one that cancelled a task must do now.
#[derive(Debug)]
#[must_use]
pub(crate) enum Cancel {
    /// Dispose of the closure unless it was `started`, when whoever has it sees to it, and fire the list. An `unwanted`
    /// task has no handle left to see the error or to drop it: the error was not taken.
    Cancelled { list: List, started: bool, unwanted: bool },
    /// Too late: it is done.
    Done,
}

/// What the one that dropped the last handle must do now.
#[derive(Debug)]
#[must_use]
pub(crate) enum Abandon {
    /// Never to run: dispose of the closure, fire the list, then [`State::retire`].
    Released(List),
    /// The runner sees to the rest.
    Running,
    /// Drop the result, then [`State::retire`].
    Done,
}

/// The word itself. Every transition is one successful read-modify-write.
#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

impl State {
    /// A task whose closure waits, held by the runtime.
    pub(crate) fn open() -> Self {
        Self(AtomicUsize::new(OPEN | HELD))
    }
    /// As [`open`](Self::open), with nobody who holds a handle.
    pub(crate) fn open_unwanted() -> Self {
        Self(AtomicUsize::new(OPEN | HELD | UNWANTED))
    }
    /// A task whose closure somebody has: a submitter that registers inputs, or a promise.
    pub(crate) fn running() -> Self {
        Self(AtomicUsize::new(RUNNING | HELD))
    }
    /// As [`running`](Self::running), with nobody who holds a handle.
    pub(crate) fn running_unwanted() -> Self {
        Self(AtomicUsize::new(RUNNING | HELD | UNWANTED))
    }
    /// Makes a turn one to be started again, by its owner, who queues it next.
    pub(super) fn rearm(&self) {
        // ORDERING: Relaxed; the queue publishes it.
        self.0.store(OPEN | HELD | UNWANTED, Ordering::Relaxed);
    }
    /// A task born done; the runtime has no part in it.
    pub(crate) fn done(outcome: Outcome) -> Self {
        Self(AtomicUsize::new(outcome.bits()))
    }

    /// ORDERING: Acquire; pairs with the Release of `finish` and `cancel`: who sees "done" sees the result.
    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// OPEN → RUNNING.
    #[inline]
    pub(crate) fn claim(&self) -> Claim {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        while now & PHASE == OPEN {
            // ORDERING: Acquire; pairs with the Release of `unclaim`, whose thread looked at the closure before.
            // (Release too: the list's head stays published by whoever pushed it.)
            match self.0.compare_exchange_weak(now, now | RUNNING, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Claim::Mine,
                Err(seen) => now = seen,
            }
        }
        Claim::Taken
    }

    /// OPEN → RUNNING by the holder of the queue entry, else `HELD` ends. In one step: were the entry given up after the
    /// look, a waiter could put the closure back in between, and nothing would lead to the task any more.
    #[inline]
    pub(crate) fn start(&self) -> Entry {
        loop {
            if self.claim() == Claim::Mine {
                return Entry::Open;
            }
            match self.skip_unless_open() {
                // Put back since.
                Entry::Open => {}
                skipped => return skipped,
            }
        }
    }

    /// The runtime's reference ends, by the holder of the queue entry, unless the task is OPEN.
    pub(crate) fn skip_unless_open(&self) -> Entry {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        while now & PHASE != OPEN {
            // ORDERING: AcqRel; as in `give_back`.
            match self.0.compare_exchange_weak(now, now & !HELD, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if Snapshot(now).is_done() && now & UNWANTED != 0 => return Entry::Free,
                Ok(_) => return Entry::Skipped,
                Err(seen) => now = seen,
            }
        }
        Entry::Open
    }

    /// RUNNING → OPEN, by the one that claimed. `HELD` is set again if the queue entry was consumed meanwhile.
    pub(crate) fn unclaim(&self) -> Unclaim {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if now & PHASE != RUNNING {
                return Unclaim::Dispose;
            }
            let held = now & HELD != 0;
            // ORDERING: Release; pairs with the Acquire of the next `claim`. Acquire on failure: see `load`.
            match self.0.compare_exchange_weak(now, (now & !PHASE) | OPEN | HELD, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if held => return Unclaim::Done,
                Ok(_) => return Unclaim::Queue,
                Err(seen) => now = seen,
            }
        }
    }

    /// RUNNING → VALUE or ERROR, by the one that has the closure. With `give_back` the runtime's reference, which is
    /// the caller's, ends in the same step: unless `unwanted` comes back, the task may be gone from then on.
    #[inline]
    pub(crate) fn finish(&self, outcome: Outcome, give_back: bool) -> Finish {
        let keep = if give_back { UNWANTED } else { UNWANTED | HELD };
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if Snapshot(now).is_done() {
                return Finish::Discarded;
            }
            debug_assert!(now & PHASE == RUNNING);
            // ORDERING: Release publishes the result to every Acquire `load`; Acquire takes over the nodes' fields
            // (pairs with the Release of `push`) and, when unwanted, all the last handle's thread did (`abandon`).
            match self.0.compare_exchange_weak(now, outcome.bits() | (now & keep), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    return Finish::Finished { list: Snapshot(now).list(), unwanted: now & UNWANTED != 0 };
                }
                Err(seen) => now = seen,
            }
        }
    }

    /// OPEN or RUNNING → ERROR.
    pub(crate) fn cancel(&self, error_word: usize) -> Cancel {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if Snapshot(now).is_done() {
                return Cancel::Done;
            }
            let unwanted = now & UNWANTED != 0;
            let new = ERROR | if unwanted { 0 } else { error_word } | (now & (HELD | UNWANTED));
            // ORDERING: as in `finish`; Acquire also takes over the closure that is disposed of (`unclaim`).
            match self.0.compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let started = now & PHASE == RUNNING;
                    return Cancel::Cancelled { list: Snapshot(now).list(), started, unwanted };
                }
                Err(seen) => now = seen,
            }
        }
    }

    /// The last handle is gone: an unstarted task is released, a running one marked.
    pub(crate) fn abandon(&self) -> Abandon {
        // ORDERING: Acquire; a done task's result is dropped next.
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let new = match now & PHASE {
                OPEN => ERROR | HELD,
                RUNNING => now | UNWANTED,
                _ => return Abandon::Done,
            };
            // ORDERING: Release; what this thread did with the task comes before its memory goes (`finish`,
            // `give_back`). Acquire: as in `cancel`.
            match self.0.compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if now & PHASE == OPEN => return Abandon::Released(Snapshot(now).list()),
                Ok(_) => return Abandon::Running,
                Err(seen) => now = seen,
            }
        }
    }

    /// The handles are gone and the result is dropped: true when the memory is the caller's to free.
    #[inline]
    pub(crate) fn retire(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of `give_back` or `finish`, after which the runtime is out.
        if self.0.load(Ordering::Acquire) & HELD == 0 {
            return true;
        }
        // ORDERING: Release; pairs with the Acquire of `give_back`, which frees then. Acquire: as above.
        self.0.fetch_or(UNWANTED, Ordering::AcqRel) & HELD == 0
    }

    /// The runtime's reference to a done task ends: true when the memory is his to free.
    #[inline]
    pub(crate) fn give_back(&self) -> bool {
        // ORDERING: AcqRel; either side of (`retire`, `give_back`) that comes second sees what the first did.
        let old = self.0.fetch_and(!HELD, Ordering::AcqRel);
        debug_assert!(old & HELD != 0);
        Snapshot(old).is_done() && old & UNWANTED != 0
    }

    /// Puts `top` before the newest node; `link` writes its successor. Gives the snapshot back when the task is done.
    #[inline]
    pub(crate) fn push(&self, top: *const Node, link: impl Fn(*const Node)) -> Result<(), Snapshot> {
        let top = top.expose_provenance();
        debug_assert!(top & FLAGS == 0);
        // ORDERING: Acquire; a caller told "done" reads the result.
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if Snapshot(now).is_done() {
                return Err(Snapshot(now));
            }
            link(Snapshot(now).list().0);
            // ORDERING: Release publishes the node's fields to the Acquire of `finish`, `cancel`, `abandon`, `take`.
            match self.0.compare_exchange_weak(now, top | (now & FLAGS), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => now = seen,
            }
        }
    }

    /// Makes `top` the list again that was taken to be swept, unless nodes have come since or the task is done.
    pub(crate) fn put_back(&self, top: *const Node) -> Result<(), Snapshot> {
        let top = top.expose_provenance();
        // ORDERING: Acquire; as in `push`.
        let mut now = self.0.load(Ordering::Acquire);
        while !Snapshot(now).is_done() && now & !FLAGS == 0 {
            // ORDERING: as in `push`.
            match self.0.compare_exchange_weak(now, top | (now & FLAGS), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => now = seen,
            }
        }
        Err(Snapshot(now))
    }

    /// Whether a task that runs without handles is just that: neither cancelled nor listened to.
    #[inline]
    pub(super) fn is_running_alone(&self) -> bool {
        // ORDERING: Acquire; who cancelled it has done so by way of its runner's record (`fail_running`).
        self.0.load(Ordering::Acquire) == RUNNING | HELD | UNWANTED
    }

    /// Whether somebody is in the list of an unfinished task.
    #[inline]
    pub(super) fn has_list(&self) -> bool {
        // ORDERING: Relaxed; only a look.
        let now = self.0.load(Ordering::Relaxed);
        !Snapshot(now).is_done() && now & !FLAGS != 0
    }

    /// Takes the list of an unfinished task to sweep it.
    pub(crate) fn take(&self) -> List {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if Snapshot(now).is_done() {
                return List(std::ptr::null());
            }
            // ORDERING: Acquire; pairs with the Release of `push`.
            match self.0.compare_exchange_weak(now, now & FLAGS, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Snapshot(now).list(),
                Err(seen) => now = seen,
            }
        }
    }
}

/// In a model, whoever frees a task must be the only one, and come after everybody who touched its word.
#[cfg(heist_loom)]
impl Drop for State {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let before = self.0.with_mut(|word| std::mem::replace(word, usize::MAX));
            assert_ne!(before, usize::MAX, "a task is freed twice");
        }
    }
}

//! A rank's doorbell: whoever sends to the rank rings it, and a sleeper is woken if nobody polls.
#![doc = include_str!("README.md")]

#[cfg(not(heist_loom))]
#[allow(unsafe_code, reason = "half of a word that processes share is what the kernel compares")]
mod futex;
#[cfg(all(test, heist_loom))]
mod models;

use std::time::Instant;

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU64, Ordering, fence};
use crate::primitive::park::Alarm;
#[cfg(not(heist_loom))]
pub(crate) use futex::Futex;

/// Threads that poll, in the low half: the kernel does not compare it.
const POLLER: u64 = 1;
/// Threads of workers that sleep here.
const LISTENER: u64 = 1 << 16;
const COUNT: u64 = (1 << 16) - 1;
/// It was rung, and nobody has looked since.
const RUNG: u64 = 1 << 32;
/// Changes with every call for a single sleeper; what overflows falls off the end.
const CALL: u64 = 1 << 33;

/// Whom a wake is for, a bit each: any worker that sleeps here, or the progress thread.
const LISTENERS: u32 = 1;
pub(crate) const PROGRESS: u32 = 1 << 1;
/// Bits for single workers, several to a bit on a large host.
const EARS: u32 = 30;

/// The bit by which the sleeper of this worker alone is called.
pub(crate) fn ear(worker: usize) -> u32 {
    1 << (2 + worker as u32 % EARS)
}

/// Where the word lies, and how threads sleep on the upper half of it.
pub(crate) trait Place: Send + Sync {
    fn word(&self) -> &AtomicU64;
    /// Sleeps while the upper half is `expected`, until a wake for one of the bits, or the time. May end early.
    fn wait(&self, expected: u32, bits: u32, until: Option<Instant>);
    /// Wakes so many of those who sleep for one of the bits.
    fn wake(&self, bits: u32, most: u32);
}

/// The bell of a rank; also that of another, as this rank reaches it.
pub(crate) struct Bell<P> {
    place: P,
    /// Sleepers that were woken from here, because something was sent.
    woken: Padded<AtomicU64>,
}

fn upper(word: u64) -> u32 {
    (word >> 32) as u32
}

fn pollers(word: u64) -> u64 {
    word & COUNT
}

fn listeners(word: u64) -> u64 {
    (word / LISTENER) & COUNT
}

// ORDERING: changes of the word are AcqRel, which keeps the steps of one thread in order; what a sender and a sleeper must
// see of each other is ordered by the fences of the README.
impl<P: Place> Bell<P> {
    pub(crate) fn new(place: P) -> Self {
        Self { place, woken: Padded(AtomicU64::new(0)) }
    }

    fn word(&self) -> &AtomicU64 {
        self.place.word()
    }

    /// After something was sent to the rank: wakes one of its sleepers, unless somebody polls or it was rung already.
    pub(crate) fn ring(&self) {
        // FENCE A of the README.
        fence(Ordering::SeqCst);
        let mut word = self.word().load(Ordering::Relaxed);
        while pollers(word) == 0 && word & RUNG == 0 {
            // Only where nobody polls: a bell is never rung without somebody woken.
            match self.word().compare_exchange_weak(word, word | RUNG, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    // ORDERING: Relaxed; a count.
                    self.woken.fetch_add(1, Ordering::Relaxed);
                    return self.place.wake(if listeners(word) != 0 { LISTENERS } else { PROGRESS }, 1);
                }
                Err(now) => word = now,
            }
        }
    }

    /// Wakes the sleepers of these bits, for what they know of.
    pub(crate) fn call(&self, bits: u32) {
        self.word().fetch_add(CALL, Ordering::AcqRel);
        self.place.wake(bits, i32::MAX as u32);
    }

    /// How often a ring from here woke somebody.
    pub(crate) fn wakes(&self) -> u64 {
        // ORDERING: Relaxed; a count.
        self.woken.load(Ordering::Relaxed)
    }

    /// The calling thread polls from now on, until it leaves.
    pub(crate) fn attend(&self) {
        self.word().fetch_add(POLLER, Ordering::AcqRel);
    }

    /// The calling thread polls no more. True when nobody does: he must look once more whether something has come, and if
    /// so see to it, or ring.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        let before = self.word().fetch_sub(POLLER, Ordering::AcqRel);
        // FENCE B of the README.
        fence(Ordering::SeqCst);
        pollers(before) == 1
    }

    /// Before a look at what has come: a sender who finds the bell rung has sent before that look.
    pub(crate) fn hear(&self) {
        // ORDERING: Relaxed; a look, to spare the exchange.
        if self.word().load(Ordering::Relaxed) & RUNG != 0 {
            self.word().fetch_and(!RUNG, Ordering::AcqRel);
            // FENCE C of the README.
            fence(Ordering::SeqCst);
        }
    }

    /// A thread of a worker, which polls, sleeps: until the bell rings, its own bit is called, `is_over` or the time has
    /// come. It polls again from then on.
    pub(crate) fn listen(&self, own: u32, until: Option<Instant>, is_over: impl Fn() -> bool) {
        self.word().fetch_add(LISTENER - POLLER, Ordering::AcqRel);
        // FENCE B of the README.
        fence(Ordering::SeqCst);
        self.sleep(LISTENERS | own, until, is_over);
        self.word().fetch_add(POLLER.wrapping_sub(LISTENER), Ordering::AcqRel);
        self.hear();
    }

    /// What [`rest`](Self::rest) is told, before a look at what one may be called for.
    pub(crate) fn calls(&self) -> u32 {
        upper(self.word().load(Ordering::Acquire))
    }

    /// The progress thread, which does not poll, sleeps until the bell rings and no worker sleeps here, or it is called, or
    /// was since `calls`, or the time has come. May end early.
    pub(crate) fn rest(&self, calls: u32, until: Option<Instant>, has_some: impl Fn() -> bool) {
        // FENCE B of the README.
        fence(Ordering::SeqCst);
        let word = self.word().load(Ordering::Acquire);
        // Who attends looks again, behind a fence, when he leaves.
        let is_attended = pollers(word) != 0 || listeners(word) != 0;
        let is_called = upper(word) & !upper(RUNG) != calls & !upper(RUNG);
        if !is_attended && (word & RUNG != 0 || has_some()) || is_called || has_come(until) {
            return;
        }
        self.place.wait(upper(word), PROGRESS, until);
    }

    fn sleep(&self, bits: u32, until: Option<Instant>, is_over: impl Fn() -> bool) {
        loop {
            let word = self.word().load(Ordering::Acquire);
            if word & RUNG != 0 || is_over() || has_come(until) {
                return;
            }
            self.place.wait(upper(word), bits, until);
        }
    }
}

impl<P: Place> Alarm for Bell<P> {
    fn sound(&self, bits: u32) {
        self.call(bits);
    }
}

fn has_come(time: Option<Instant>) -> bool {
    time.is_some_and(|time| Instant::now() >= time)
}

//! Who sleeps, who searches, and who must be woken.
#![doc = include_str!("README.md")]

#[cfg(all(test, heist_loom))]
mod models;

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU64, Ordering, fence};

const PARKED: u64 = 1 << 32;
const WORD: usize = 64;

/// The event count of an executor's workers.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Low half: workers that search. High half: workers that are parked.
    ///
    /// ORDERING: every change is an AcqRel read-modify-write, which keeps the steps of one worker in order and pairs with
    /// the next change; what a push and a worker must see of each other is ordered by the fences.
    counts: Padded<AtomicU64>,
    /// One bit a worker: parked.
    parked: Box<[Padded<AtomicU64>]>,
    /// No more than so many search at once.
    limit: u64,
}

fn searching(counts: u64) -> u64 {
    counts % PARKED
}

fn parked(counts: u64) -> u64 {
    counts / PARKED
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            counts: Padded(AtomicU64::new(0)),
            parked: (0..workers.div_ceil(WORD)).map(|_| Padded(AtomicU64::new(0))).collect(),
            limit: (workers as u64).div_ceil(2),
        }
    }

    fn counts(&self) -> u64 {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.counts.load(Ordering::Relaxed)
    }

    /// After work was pushed where workers look: wakes one worker, by `wake`, if nobody searches and somebody sleeps.
    #[inline]
    pub(crate) fn notify(&self, wake: impl FnOnce(usize)) {
        // FENCE A of the README.
        fence(Ordering::SeqCst);
        let counts = self.counts();
        if parked(counts) != 0 && searching(counts) == 0 {
            self.notify_slow(wake);
        }
    }

    #[cold]
    fn notify_slow(&self, wake: impl FnOnce(usize)) {
        let mut counts = self.counts();
        while parked(counts) != 0 && searching(counts) == 0 {
            // The woken worker counts as searching from here on: a burst of pushes wakes one.
            // ORDERING: AcqRel; keeps the steps of one waker in order.
            match self.counts.compare_exchange_weak(counts, counts + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if let Some(worker) = self.unpark_any() {
                        return wake(worker);
                    }
                    // All sleepers left by themselves. Leave as a searcher leaves: look again.
                    self.counts.fetch_sub(1, Ordering::AcqRel);
                    fence(Ordering::SeqCst);
                    // By the bits: a count that a leaving sleeper has yet to take back would keep us here until it runs.
                    if !self.any_bit() {
                        return;
                    }
                    counts = self.counts();
                }
                Err(now) => counts = now,
            }
        }
    }

    /// After `tasks` tasks were pushed at once: wakes as many sleepers, or all there are.
    pub(crate) fn notify_many(&self, tasks: usize, mut wake: impl FnMut(usize)) {
        // FENCE A of the README.
        fence(Ordering::SeqCst);
        let already = searching(self.counts()) as usize;
        for _ in already..tasks {
            if parked(self.counts()) == 0 {
                return;
            }
            self.counts.fetch_add(1, Ordering::AcqRel);
            match self.unpark_any() {
                Some(worker) => wake(worker),
                None => {
                    self.counts.fetch_sub(1, Ordering::AcqRel);
                    return self.notify(wake);
                }
            }
        }
    }

    fn any_bit(&self) -> bool {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.parked.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Takes one sleeper's bit. The caller has counted him as searching and must wake him.
    fn unpark_any(&self) -> Option<usize> {
        self.parked.iter().enumerate().find_map(|(index, word)| {
            // ORDERING: Relaxed; a guess for the exchange.
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                if self.take_bit(word, bit) {
                    return Some(index * WORD + bit.trailing_zeros() as usize);
                }
                bits = word.load(Ordering::Relaxed);
            }
            None
        })
    }

    /// Whether the caller, and nobody else, takes this sleeper out of the parked.
    fn take_bit(&self, word: &AtomicU64, bit: u64) -> bool {
        // ORDERING: AcqRel; one of waker and sleeper takes the bit.
        let mine = word.fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        if mine {
            self.counts.fetch_sub(PARKED, Ordering::AcqRel);
        }
        mine
    }

    fn word_and_bit(&self, worker: usize) -> (&AtomicU64, u64) {
        (&self.parked[worker / WORD].0, 1 << (worker % WORD))
    }

    /// Counts the caller as searching, unless enough others do.
    pub(crate) fn start_search(&self) -> bool {
        // ORDERING: Relaxed; a guess for the exchange.
        let mut counts = self.counts();
        while searching(counts) < self.limit {
            // ORDERING: AcqRel; keeps the steps of one worker in order.
            match self.counts.compare_exchange_weak(counts, counts + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => counts = now,
            }
        }
        false
    }

    /// A searcher found work. The last one to leave looks for more, by `more`, and has another woken for it: while he
    /// was counted, pushes woke nobody.
    pub(crate) fn end_search(&self, more: impl FnOnce() -> bool, wake: impl FnOnce(usize)) {
        let before = self.counts.fetch_sub(1, Ordering::AcqRel);
        if searching(before) == 1 && parked(before) != 0 {
            // FENCE C of the README.
            fence(Ordering::SeqCst);
            if more() {
                self.notify_slow(wake);
            }
        }
    }

    /// Announces the caller as parked, and no longer searching if he was; then says, by `work`, whether there is
    /// anything to do. True: sleep until woken. False: go on searching, counted as such.
    pub(crate) fn park(&self, worker: usize, was_searching: bool, work: impl FnOnce() -> bool) -> bool {
        let (word, bit) = self.word_and_bit(worker);
        // ORDERING: AcqRel; the bit is there before the count says so.
        word.fetch_or(bit, Ordering::AcqRel);
        self.counts.fetch_add(PARKED - u64::from(was_searching), Ordering::AcqRel);
        // FENCE B of the README.
        fence(Ordering::SeqCst);
        if !work() {
            return true;
        }
        // A waker that was quicker has counted us as searching and left a token: sleep takes it at once.
        if !self.take_bit(word, bit) {
            return true;
        }
        self.counts.fetch_add(1, Ordering::AcqRel);
        false
    }

    /// Takes the bit of a sleeper that must leave; true when he is to be woken by the caller, counted as searching.
    pub(crate) fn unpark(&self, worker: usize) -> bool {
        let (word, bit) = self.word_and_bit(worker);
        self.counts.fetch_add(1, Ordering::AcqRel);
        let mine = self.take_bit(word, bit);
        if !mine {
            self.counts.fetch_sub(1, Ordering::AcqRel);
        }
        mine
    }
}

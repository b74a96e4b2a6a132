//! Who sleeps, who searches, and who must be woken.
#![doc = include_str!("README.md")]

#[cfg(all(test, heist_loom))]
mod models;
#[cfg(all(test, heist_loom))]
mod models_afar;
mod parked;
#[cfg(all(test, not(heist_loom)))]
mod tests;

use crate::primitive::atomic::{AtomicU64, Ordering, fence};
use crate::primitive::sync::Arc;
use crate::primitive::{Padded, fence_after_exchange};
use parked::Parked;

/// Workers with one inbox, next to each other; a push is remembered and a sleeper looked for by group.
pub(crate) const GROUP: usize = 8;

const PARKED: u64 = 1 << 32;
/// Set in the counts of a domain that is not the only one: somebody may sleep in another.
const OTHERS: u64 = 1 << 63;

/// What the protocol asks of those whom it puts to sleep and has woken: the workers of one domain.
pub(crate) trait Workers: Copy {
    /// Whether a queue of this group holds something. The group after the last one is all other domains.
    fn has_work_in(&self, group: usize) -> bool;
    /// Ends the sleep of a worker whose bit was taken.
    fn wake(&self, worker: usize);
    /// The worker whose core the calling thread runs on: it would have to share.
    fn beside(&self) -> Option<usize>;
    /// None of these sleeps who could take what lies in a queue: tells other domains.
    fn pass_on(&self);
}

/// How often somebody went to sleep in any of several domains. Who has found nobody idle in any need not look again before
/// it changes.
#[derive(Debug)]
pub(crate) struct Sleeps(Padded<AtomicU64>);

impl Sleeps {
    pub(crate) fn new() -> Self {
        Self(Padded(AtomicU64::new(0)))
    }

    pub(crate) fn read(&self) -> u64 {
        // ORDERING: Acquire; pairs with the change in `park`: who reads it sees the sleeper counted.
        self.0.load(Ordering::Acquire)
    }
}

/// The event count of the workers of one domain.
#[derive(Debug)]
pub(crate) struct Idle {
    words: Padded<Words>,
    parked: Parked,
    groups: usize,
    /// Of this domain and others, if there are any.
    sleeps: Option<Arc<Sleeps>>,
    /// No more than so many search at once.
    limit: u64,
}

/// On one line, since who reads or writes the second has just read or written the first.
#[derive(Debug)]
struct Words {
    /// Low half: workers that search. High half: workers that are parked, and whether there are other domains.
    ///
    /// ORDERING: every change is an AcqRel read-modify-write, which keeps the steps of one worker in order and pairs with
    /// the next change; what a push and a worker must see of each other is ordered by the fences.
    counts: AtomicU64,
    /// One bit a group, from 64 groups on one for several, and one for all other domains: something was pushed there, and
    /// whoever searched or was woken for it may take something else.
    missed: AtomicU64,
}

fn searching(counts: u64) -> u64 {
    counts % PARKED
}

fn parked(counts: u64) -> u64 {
    (counts & !OTHERS) / PARKED
}

/// Whether somebody sleeps, as far as can be told from here.
fn has_sleepers(counts: u64) -> bool {
    counts >= PARKED
}

fn missed_bit(near: usize) -> u64 {
    1 << ((near / GROUP) % u64::BITS as usize)
}

impl Idle {
    /// One of several domains is told what they share.
    pub(crate) fn new(workers: usize, sleeps: Option<Arc<Sleeps>>) -> Self {
        Self {
            words: Padded(Words {
                counts: AtomicU64::new(if sleeps.is_some() { OTHERS } else { 0 }),
                missed: AtomicU64::new(0),
            }),
            parked: Parked::new(workers),
            groups: workers.div_ceil(GROUP),
            sleeps,
            limit: (workers as u64).div_ceil(2),
        }
    }

    fn counts(&self) -> u64 {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.words.counts.load(Ordering::Relaxed)
    }

    /// How many search or sleep, as far as can be told from here.
    #[cfg(feature = "ranks")]
    pub(crate) fn count(&self) -> usize {
        let counts = self.counts();
        (searching(counts) + parked(counts)) as usize
    }

    fn missed(&self) -> u64 {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.words.missed.load(Ordering::Relaxed)
    }

    /// After something was pushed on a queue of the group of `near`: wakes one worker, if nobody searches and somebody
    /// sleeps.
    #[inline]
    pub(crate) fn notify(&self, near: usize, workers: impl Workers) {
        // FENCE A of the README.
        fence(Ordering::SeqCst);
        self.notify_without_fence(near, workers);
    }

    /// As [`notify`](Self::notify), when the push was a read-modify-write, and the last thing the caller did.
    #[inline]
    pub(crate) fn notify_after_exchange(&self, near: usize, workers: impl Workers) {
        // FENCE A of the README.
        fence_after_exchange();
        self.notify_without_fence(near, workers);
    }

    /// As [`notify`](Self::notify), after what a worker had in hand was put back where others see it: at worst somebody
    /// sleeps through the one task that the worker is about to run.
    #[inline]
    pub(crate) fn notify_without_fence(&self, near: usize, workers: impl Workers) {
        let counts = self.counts();
        if has_sleepers(counts) && (searching(counts) == 0 || self.missed() & missed_bit(near) == 0) {
            self.wake_or_pass_on(near, workers);
        }
    }

    /// After something was pushed that only this worker may take: wakes it, if it sleeps. If it does not, it looks before it
    /// does.
    pub(crate) fn notify_worker(&self, worker: usize, workers: impl Workers) {
        // FENCE A of the README.
        fence(Ordering::SeqCst);
        if self.rouse(worker, workers) {
            workers.wake(worker);
        }
    }

    /// Behind a fence: takes the bit of this worker. True when it is to be woken by the caller, counted as searching; false
    /// when it does not sleep.
    pub(crate) fn rouse(&self, worker: usize, workers: impl Workers) -> bool {
        if !self.parked.has(worker) {
            return false;
        }
        // As in `wake_or_miss`: counted as searching before its bit is taken.
        self.words.counts.fetch_add(1, Ordering::AcqRel);
        let mine = self.take(worker);
        if !mine {
            // A push may have been silent because of that count: the caller leaves as a searcher leaves.
            self.end_search(workers);
        }
        mine
    }

    fn has_others(&self) -> bool {
        self.sleeps.is_some()
    }

    #[cold]
    fn wake_or_pass_on(&self, near: usize, workers: impl Workers) {
        if !self.wake_or_miss(near, workers) && self.has_others() {
            workers.pass_on();
        }
    }

    /// After a push in another domain, behind its fence, where nobody sleeps. False when nobody sleeps here either.
    pub(crate) fn notify_from_afar(&self, workers: impl Workers) -> bool {
        let near = self.groups * GROUP;
        if self.counts() & !OTHERS == 0 {
            return false;
        }
        // Whoever is woken takes one task, and there may be more: the word stays for the next.
        self.miss(missed_bit(near));
        // FENCE D of the README, also when the bit was set before: whoever set it does not come by the same domains.
        fence(Ordering::SeqCst);
        self.wake_or_miss(near, workers)
    }

    /// Behind a fence: wakes a sleeper, or leaves word for the last searcher to leave. False when there is neither.
    fn wake_or_miss(&self, near: usize, workers: impl Workers) -> bool {
        let mut counts = self.counts();
        while has_sleepers(counts) {
            if searching(counts) != 0 {
                if !self.miss(missed_bit(near)) {
                    return true;
                }
                // FENCE D of the README.
                fence(Ordering::SeqCst);
                counts = self.counts();
                continue;
            }
            if parked(counts) == 0 {
                return false;
            }
            // The woken worker counts as searching from here on: a burst of pushes wakes one.
            // ORDERING: AcqRel; keeps the steps of one waker in order.
            match self.words.counts.compare_exchange_weak(counts, counts + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if let Some(worker) = self.unpark_near(near, workers.beside()) {
                        if self.groups > 1 {
                            // He may take what came to another group: whoever leaves last looks here.
                            self.miss(missed_bit(near));
                        }
                        workers.wake(worker);
                        return true;
                    }
                    // All sleepers left by themselves. Leave as a searcher leaves: look again.
                    self.words.counts.fetch_sub(1, Ordering::AcqRel);
                    fence(Ordering::SeqCst);
                    // By the bits: a count that a leaving sleeper has yet to take back would keep us here until it runs.
                    if !self.parked.any() {
                        return false;
                    }
                    counts = self.counts();
                }
                Err(now) => counts = now,
            }
        }
        false
    }

    /// Whether the caller is the one who set these bits.
    fn miss(&self, bits: u64) -> bool {
        // A look first: most pushes find the bit set, and write nothing.
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.missed() & bits != bits && self.words.missed.fetch_or(bits, Ordering::Relaxed) & bits != bits
    }

    /// After `tasks` tasks were pushed at once: wakes as many sleepers, or all there are.
    pub(crate) fn notify_many(&self, near: usize, tasks: usize, workers: impl Workers) {
        // FENCE A of the README.
        fence(Ordering::SeqCst);
        let already = searching(self.counts()) as usize;
        if parked(self.counts()) == 0 {
            return self.notify_without_fence(near, workers);
        }
        let avoid = workers.beside();
        for task in already..tasks {
            self.words.counts.fetch_add(1, Ordering::AcqRel);
            let Some(worker) = self.unpark_near(near, avoid) else {
                self.words.counts.fetch_sub(1, Ordering::AcqRel);
                return self.notify(near, workers);
            };
            workers.wake(worker);
            if parked(self.counts()) == 0 {
                if self.has_others() && (already != 0 || task + 1 < tasks) {
                    // Some are left to those who search, or to other domains.
                    self.notify(near, workers);
                }
                return;
            }
        }
        if already != 0 {
            // Some are left to those who searched before.
            self.notify(near, workers);
        }
    }

    /// Takes one sleeper's bit. The caller has counted him as searching and must wake him.
    fn unpark_near(&self, near: usize, avoid: Option<usize>) -> Option<usize> {
        let worker = self.parked.take_near(near, avoid)?;
        self.words.counts.fetch_sub(PARKED, Ordering::AcqRel);
        Some(worker)
    }

    /// Whether the caller, and nobody else, takes this sleeper out of the parked.
    fn take(&self, worker: usize) -> bool {
        let mine = self.parked.take(worker);
        if mine {
            self.words.counts.fetch_sub(PARKED, Ordering::AcqRel);
        }
        mine
    }

    /// Counts the caller as searching, unless enough others do.
    pub(crate) fn start_search(&self) -> bool {
        // ORDERING: Relaxed; a guess for the exchange.
        let mut counts = self.counts();
        while searching(counts) < self.limit {
            // ORDERING: AcqRel; keeps the steps of one worker in order.
            match self.words.counts.compare_exchange_weak(counts, counts + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => counts = now,
            }
        }
        false
    }

    /// A searcher leaves: he found work, or his seat is wanted. The last one looks where pushes woke nobody because of
    /// the searchers, and has another woken if something lies there.
    pub(crate) fn end_search(&self, workers: impl Workers) {
        let before = self.words.counts.fetch_sub(1, Ordering::AcqRel);
        if searching(before) == 1 && has_sleepers(before) {
            // FENCE C of the README.
            fence(Ordering::SeqCst);
            if self.missed() != 0 {
                self.look_for_missed(workers);
            }
        }
    }

    #[cold]
    fn look_for_missed(&self, workers: impl Workers) {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        let mut bits = self.words.missed.swap(0, Ordering::Relaxed);
        // FENCE E of the README.
        fence(Ordering::SeqCst);
        while bits != 0 {
            let all = self.groups + usize::from(self.has_others());
            let mut groups = (bits.trailing_zeros() as usize..all).step_by(u64::BITS as usize);
            if let Some(group) = groups.find(|&group| workers.has_work_in(group)) {
                // There may be more than the one who is woken takes: whoever leaves last looks again.
                self.miss(bits);
                // FENCE D of the README.
                fence(Ordering::SeqCst);
                return self.wake_or_pass_on(group * GROUP, workers);
            }
            bits &= bits - 1;
        }
    }

    /// Announces the caller as parked, and no longer searching if he was; then says, by `work`, whether there is
    /// anything to do. True: sleep until woken. False: go on searching, counted as such.
    pub(crate) fn park(&self, worker: usize, was_searching: bool, work: impl FnOnce() -> bool) -> bool {
        // The count first, and last when a bit is taken: there are never more sleepers than it says.
        self.words.counts.fetch_add(PARKED - u64::from(was_searching), Ordering::AcqRel);
        self.parked.set(worker);
        if let Some(sleeps) = &self.sleeps {
            // ORDERING: AcqRel; as in `Sleeps::read`.
            sleeps.0.fetch_add(1, Ordering::AcqRel);
        }
        // FENCE B of the README.
        fence(Ordering::SeqCst);
        if !work() {
            return true;
        }
        // A waker that was quicker has counted us as searching and left a token: sleep takes it at once.
        if !self.take(worker) {
            return true;
        }
        self.words.counts.fetch_add(1, Ordering::AcqRel);
        false
    }

    /// Takes the bit of a sleeper that must leave; true when he is to be woken by the caller, counted as searching. A push
    /// may be silent because of a sleeper who is none: whoever has called looks for work afterwards, behind a fence.
    pub(crate) fn unpark(&self, worker: usize) -> bool {
        self.words.counts.fetch_add(1, Ordering::AcqRel);
        let mine = self.take(worker);
        if !mine {
            self.words.counts.fetch_sub(1, Ordering::AcqRel);
        }
        mine
    }
}

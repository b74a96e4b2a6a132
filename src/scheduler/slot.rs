//! The public side of a worker: what others steal from, wake and count, and the seat a thread drives it from.

use super::entry::Entry;
use super::seat::Seat;
use super::shelf::Shelf;
use super::worker::Worker;
use crate::counters::Counters;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::primitive::deque::{Deque, Stealer};
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::task::{Priority, Ready};

/// Bits of the attention word: threads are back on the core without the seat.
pub(super) const RETURNING: u32 = 1;
/// Threads wait in line for a seat.
pub(super) const AWAITED: u32 = 1 << 16;
/// Tasks lie here that only this worker may run.
pub(super) const BOUND: u32 = 1 << 1;
/// Shelves are in use; stays set.
pub(super) const SHELVES: u32 = 1 << 2;

/// The time is to be looked at before each task.
pub(super) const TIMED: u32 = 1 << 17;

/// One worker as the others see it.
pub(crate) struct Slot {
    pub(super) stealer: Stealer<Entry>,
    /// What to run next, stealable like anything else. Only the worker puts something in.
    next: Padded<AtomicPtr<u8>>,
    pub(super) parker: Parker,
    /// The PU its threads are pinned to.
    pub(super) cpu: Option<usize>,
    pub(super) counters: Arc<Padded<Counters>>,
    /// Whether the worker was woken by a thread that is no worker and had its core.
    crowded: Padded<AtomicBool>,
    /// What the thread on the seat is to see to between two tasks, bit by bit; mostly nothing.
    attention: Padded<AtomicU32>,
    /// What only this worker may run.
    bound: Shelf,
    seat: Seat<Box<Worker>>,
}

impl Slot {
    pub(super) fn new(deque: &Deque<Entry>, cpu: Option<usize>) -> Self {
        Self {
            stealer: deque.stealer(),
            next: Padded(AtomicPtr::new(std::ptr::null_mut())),
            parker: Parker::new(),
            cpu,
            counters: Arc::new(Counters::new()),
            crowded: Padded(AtomicBool::new(false)),
            attention: Padded(AtomicU32::new(TIMED)),
            bound: Shelf::new(),
            seat: Seat::new(),
        }
    }

    /// Puts something into the next-task slot, by the worker; what was there comes out.
    #[inline]
    pub(super) fn put_next(&self, entry: Entry) -> Option<Entry> {
        // ORDERING: Relaxed; only a look. Nobody else puts something in, so what is empty stays so.
        let before = if self.next.load(Ordering::Relaxed).is_null() {
            // ORDERING: Release publishes the entry to whoever takes it.
            self.next.store(entry.into_word().as_ptr(), Ordering::Release);
            std::ptr::null_mut()
        } else {
            // ORDERING: Release: as above. Acquire for the one that comes out.
            self.next.swap(entry.into_word().as_ptr(), Ordering::AcqRel)
        };
        // SAFETY: whoever takes a word out of the slot owns its entry.
        unsafe { Entry::from_word(before) }
    }

    /// Takes what is in the next-task slot.
    #[inline]
    pub(super) fn take_next(&self) -> Option<Entry> {
        // ORDERING: Relaxed; only a look, to spare the swap.
        if self.next.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // ORDERING: Acquire; pairs with the Release of `put_next`.
        let word = self.next.swap(std::ptr::null_mut(), Ordering::Acquire);
        // SAFETY: as in `put_next`.
        unsafe { Entry::from_word(word) }
    }

    #[inline]
    pub(super) fn has_work(&self) -> bool {
        // ORDERING: Relaxed; where it must not miss a push, the fences of the idle protocol order it.
        !self.stealer.is_empty() || !self.next.load(Ordering::Relaxed).is_null()
    }

    /// Whether there is more than the worker will run next.
    pub(super) fn has_much_work(&self) -> bool {
        // ORDERING: Relaxed; as above.
        self.stealer.len() + usize::from(!self.next.load(Ordering::Relaxed).is_null()) > 1
    }

    /// What the thread on the seat is to see to, besides running tasks.
    #[inline]
    pub(super) fn attention(&self) -> u32 {
        // ORDERING: Relaxed; a hint. What it is about is decided under locks, or ordered by the idle protocol's fences.
        self.attention.load(Ordering::Relaxed)
    }

    /// Asks for attention, or for no more of it.
    pub(super) fn ask(&self, bits: u32, wanted: bool) {
        // ORDERING: Relaxed; as in `attention`. Who sets and clears a bit does so under one lock, or never clears it.
        if wanted {
            self.attention.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.attention.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Whether the thread on the seat should leave it to another.
    #[inline]
    pub(super) fn is_wanted_back(&self) -> bool {
        self.attention() & (RETURNING | AWAITED) != 0
    }

    /// Whether it should be left to a thread in the line, rather than to one that is back.
    pub(super) fn is_awaited(&self) -> bool {
        self.attention() & (RETURNING | AWAITED) == AWAITED
    }

    /// Told by the line of those who wait for a seat, under its lock.
    pub(super) fn set_awaited(&self, is_awaited: bool) {
        self.ask(AWAITED, is_awaited);
    }

    pub(super) fn set_crowded(&self) {
        // ORDERING: Relaxed; a hint.
        self.crowded.store(true, Ordering::Relaxed);
    }

    /// Whether the core was crowded at the last wake; says so once.
    pub(super) fn take_crowded(&self) -> bool {
        // ORDERING: Relaxed; a hint.
        let crowded = self.crowded.load(Ordering::Relaxed);
        if crowded {
            self.crowded.store(false, Ordering::Relaxed);
        }
        crowded
    }

    /// What only this worker may run.
    pub(super) fn bound(&self) -> &Shelf {
        &self.bound
    }

    /// Puts down tasks that only this worker may run.
    pub(super) fn bind(&self, class: Priority, first: bool, tasks: impl DoubleEndedIterator<Item = Ready>) {
        self.bound.put(class, first, tasks, |some| self.ask(BOUND, some));
    }

    /// Takes a task of a class that only this worker may run.
    pub(super) fn take_bound_of(&self, class: Priority) -> Option<Ready> {
        self.bound.take(class, |some| self.ask(BOUND, some))
    }

    /// Takes every task that only this worker may run.
    pub(super) fn take_bound(&self) -> impl Iterator<Item = Ready> {
        self.bound.take_all(|some| self.ask(BOUND, some))
    }

    /// Lets go of such entries whose tasks are taken or done.
    pub(super) fn purge_bound(&self) {
        if self.bound.classes() != 0 {
            self.bound.purge(|some| self.ask(BOUND, some));
        }
    }

    /// See [`Seat::vacate`].
    pub(super) fn vacate(&self, worker: Box<Worker>) -> Result<(), Box<Worker>> {
        self.seat.vacate(worker)
    }

    /// See [`Seat::come_back`].
    pub(super) fn come_back(&self) -> Option<Box<Worker>> {
        self.seat.come_back(|are_some| self.ask(RETURNING, are_some))
    }

    /// See [`Seat::take_back`].
    pub(super) fn take_back(&self) -> Option<Box<Worker>> {
        self.seat.take_back(|are_some| self.ask(RETURNING, are_some))
    }

    /// See [`Seat::stop_returning`].
    pub(super) fn stop_returning(&self) -> Option<Box<Worker>> {
        self.seat.stop_returning(|are_some| self.ask(RETURNING, are_some))
    }
}

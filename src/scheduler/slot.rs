//! The public side of a worker: what others steal from, wake and count, and the seat a thread drives it from.

use super::entry::Entry;
use super::worker::Worker;
use crate::counters::Counters;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::primitive::deque::{Deque, Stealer};
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;

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
    /// Threads that are back on the core without the seat; a copy of the seat's count, to be looked at cheaply.
    returning: Padded<AtomicU32>,
    seat: Mutex<Seat>,
}

/// Who drives the worker. At most one thread has the [`Worker`]; when none has, it lies here.
#[derive(Default)]
struct Seat {
    vacant: Option<Box<Worker>>,
    returning: u32,
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
            returning: Padded(AtomicU32::new(0)),
            seat: Mutex::new(Seat::default()),
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

    /// Whether the thread on the seat should leave it to one that is back.
    #[inline]
    pub(super) fn is_wanted_back(&self) -> bool {
        // ORDERING: Relaxed; a hint, decided under the lock.
        self.returning.load(Ordering::Relaxed) != 0
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

    fn set_returning(&self, seat: &mut Seat, count: u32) {
        seat.returning = count;
        // ORDERING: Relaxed; a hint.
        self.returning.store(count, Ordering::Relaxed);
    }

    /// Leaves the seat to a thread that is back; gives the worker back when there is none any more.
    pub(super) fn vacate(&self, worker: Box<Worker>) -> Result<(), Box<Worker>> {
        let mut seat = self.seat.lock();
        if seat.returning == 0 {
            return Err(worker);
        }
        seat.vacant = Some(worker);
        Ok(())
    }

    /// A thread is back from a wait: it gets the seat if that is free, else it is counted as returning.
    pub(super) fn come_back(&self) -> Option<Box<Worker>> {
        let mut seat = self.seat.lock();
        let worker = seat.vacant.take();
        if worker.is_none() {
            let count = seat.returning + 1;
            self.set_returning(&mut seat, count);
        }
        worker
    }

    /// A returning thread leaves its core again; it gets the seat if that is free.
    pub(super) fn stop_returning(&self) -> Option<Box<Worker>> {
        let mut seat = self.seat.lock();
        let count = seat.returning - 1;
        self.set_returning(&mut seat, count);
        seat.vacant.take()
    }
}

//! What lies in a queue: a task, or a batch of tasks that were made together.

use std::ptr::NonNull;

use crate::primitive::cell::Cell;
use crate::primitive::hint::prefetch;
#[cfg(not(heist_loom))]
use crate::task::Priority;
use crate::task::{Header, Pooled, Ready};

/// Marks the address of a batch.
const BATCH: usize = 1;

/// One word in a queue, to be [opened](Entry::open) by whoever takes it out.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entry(NonNull<u8>);

// SAFETY: it owns what it leads to: a `Ready`, or a `Batch` of such.
unsafe impl Send for Entry {}

/// What an entry leads to.
#[derive(Debug)]
pub(crate) enum Opened {
    Task(Ready),
    Batch(Pooled<Batch>),
}

impl Opened {
    /// The entry again.
    pub(crate) fn close(self) -> Entry {
        match self {
            Self::Task(task) => Entry::of(task),
            Self::Batch(batch) => Entry::of_batch(batch),
        }
    }
}

/// Tasks that are ready, at least one. An array and no list, so that the next ones can be fetched while one runs: they
/// were written by another core.
#[derive(Debug)]
#[repr(align(16))]
pub(crate) struct Batch {
    /// The next entry of an inbox.
    link: Cell<*mut u8>,
    /// The first and the end of those that are left.
    first: u16,
    end: u16,
    /// Whether more may be added.
    is_open: bool,
    tasks: [NonNull<Header>; MOST],
}

/// Tasks of a batch at most; it then fills the largest cell.
pub(crate) const MOST: usize = 62;
/// So far ahead tasks are fetched.
const AHEAD: usize = 8;

impl Entry {
    #[inline]
    pub(crate) fn of(task: Ready) -> Self {
        Self(task.0.cast())
    }

    /// One entry for some tasks; none for no tasks. Those beyond [`MOST`] are not taken.
    #[inline]
    pub(crate) fn of_all(tasks: impl IntoIterator<Item = Ready>) -> Option<Self> {
        let mut tasks = tasks.into_iter().take(MOST);
        let first = tasks.next()?;
        let Some(second) = tasks.next() else { return Some(Self::of(first)) };
        let mut batch = Batch::new(first.0);
        batch.push(second.0);
        tasks.for_each(|task| batch.push(task.0));
        Some(Self::of_batch(batch))
    }

    pub(crate) fn of_batch(batch: Pooled<Batch>) -> Self {
        let batch: NonNull<u8> = batch.into_raw().cast();
        Self(batch.map_addr(|address| address | BATCH))
    }

    /// As a word for a list or a slot.
    #[inline]
    pub(super) fn into_word(self) -> NonNull<u8> {
        self.0
    }

    /// # Safety
    /// The word came from [`into_word`](Self::into_word), or is null, and is not used again.
    #[inline]
    pub(super) unsafe fn from_word(word: *mut u8) -> Option<Self> {
        NonNull::new(word).map(Self)
    }

    /// The word's place in a list.
    ///
    /// # Safety
    /// The word came from [`into_word`](Self::into_word), and the entry is the caller's.
    pub(super) unsafe fn link<'a>(word: NonNull<u8>) -> &'a Cell<*mut u8> {
        // SAFETY: the caller's promise; the mark says what the address is of.
        unsafe {
            if word.addr().get() & BATCH == 0 {
                &word.cast::<Header>().as_ref().link
            } else {
                &batch(word).as_ref().link
            }
        }
    }

    #[inline]
    pub(crate) fn open(self) -> Opened {
        if self.0.addr().get() & BATCH == 0 {
            Opened::Task(Ready(self.0.cast()))
        } else {
            // SAFETY: `of_batch` gave it up, and this is its one entry.
            Opened::Batch(unsafe { Pooled::from_raw(batch(self.0)) })
        }
    }

    /// The class of its tasks, which were made together.
    #[cfg(not(heist_loom))]
    pub(super) fn priority(&self) -> Priority {
        // SAFETY: as in `open`; the entry stays whole, and its tasks are alive.
        unsafe {
            if self.0.addr().get() & BATCH == 0 {
                self.0.cast::<Header>().as_ref().priority()
            } else {
                batch(self.0).as_ref().first().as_ref().priority()
            }
        }
    }

    /// The tasks it leads to, in the order they are to run.
    pub(crate) fn tasks(self) -> impl Iterator<Item = Ready> {
        let (task, mut batch) = match self.open() {
            Opened::Task(task) => (Some(task), None),
            Opened::Batch(batch) => (None, Some(batch)),
        };
        task.into_iter().chain(std::iter::from_fn(move || {
            let (task, rest) = Batch::pop(batch.take()?);
            batch = rest;
            Some(task)
        }))
    }
}

fn batch(word: NonNull<u8>) -> NonNull<Batch> {
    // An address with the mark is not zero without it: allocations are no smaller than their alignment.
    word.map_addr(|address| address.get().wrapping_sub(BATCH).try_into().unwrap_or(address)).cast()
}

impl Batch {
    fn new(first: NonNull<Header>) -> Pooled<Self> {
        Pooled::new(Self {
            link: Cell::new(std::ptr::null_mut()),
            first: 0,
            end: 1,
            is_open: false,
            tasks: [first; MOST],
        })
    }

    /// A batch to which tasks may be [added](Self::add).
    pub(crate) fn open(first: Ready) -> Pooled<Self> {
        let mut batch = Self::new(first.0);
        batch.is_open = true;
        batch
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Adds a task to an open batch, which is closed when there is no more room.
    pub(crate) fn add(&mut self, task: Ready) {
        debug_assert!(self.is_open);
        self.push(task.0);
        self.is_open = (self.end as usize) < MOST;
    }

    #[inline]
    fn push(&mut self, task: NonNull<Header>) {
        if let Some(place) = self.tasks.get_mut(self.end as usize) {
            *place = task;
            self.end += 1;
        }
    }

    /// The first task, and the batch of the others, if any.
    #[inline]
    pub(crate) fn pop(mut batch: Pooled<Self>) -> (Ready, Option<Pooled<Self>>) {
        let first = batch.first as usize;
        let ahead = batch.tasks[(first + AHEAD).min(batch.end as usize - 1)];
        prefetch(ahead.as_ptr());
        let task = Ready(batch.tasks[first]);
        batch.first += 1;
        batch.is_open = false;
        if batch.first == batch.end { (task, None) } else { (task, Some(batch)) }
    }

    /// Cuts the batch in two, unless it has one task only; the first half is no smaller.
    pub(crate) fn split(mut batch: Pooled<Self>) -> (Pooled<Self>, Option<Pooled<Self>>) {
        let kept = batch.len().div_ceil(2);
        let rest = batch.iter().nth(kept).map(|first| {
            let mut rest = Self::new(first);
            batch.iter().skip(kept + 1).for_each(|task| rest.push(task));
            rest
        });
        batch.end = batch.first + kept as u16;
        batch.is_open = false;
        (batch, rest)
    }

    /// The task to run first.
    pub(crate) fn first(&self) -> NonNull<Header> {
        self.tasks[self.first as usize]
    }

    pub(crate) fn len(&self) -> usize {
        (self.end - self.first) as usize
    }

    /// Its tasks, in the order they are to run.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<Header>> {
        self.tasks[self.first as usize..self.end as usize].iter().copied()
    }
}

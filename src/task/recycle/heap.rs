//! The slabs of one thread, and what comes back to them from others.

use std::ptr::NonNull;

use super::super::home;
use super::class::{CLASSES, Class};
use super::inbound::Inbound;
use super::slab::Slab;
use super::turn::{Entered, Turn};

/// Empty slabs a heap keeps for the next burst until it is trimmed: 128 MiB, while there is an executor, else 2 MiB.
const MOST_EMPTY: usize = 512;
const MOST_EMPTY_ALONE: usize = 8;
/// Cells that wait in a heap whose thread does not come for them, until who frees sees to it.
const OVERDUE: usize = 16 * 1024;

/// A heap lives as long as the process; a thread that ends leaves it to the next.
pub(super) struct Heap {
    inbound: Inbound,
    turn: Turn<Store>,
}

impl Heap {
    pub(super) fn new() -> Self {
        Self { inbound: Inbound::new(), turn: Turn::new(Store::new()) }
    }

    /// Fills `room` with cells; gives how many, none when the system has no memory. `None` when somebody else is in the
    /// heap.
    pub(super) fn take(&'static self, class: Class, room: &mut [*mut u8]) -> Option<usize> {
        let mut store = self.turn.try_enter()?;
        let mut taken = store.take(class, room);
        if taken < room.len() && self.inbound.len() != 0 {
            self.drain(&mut store);
            taken += store.take(class, &mut room[taken..]);
        }
        if taken == 0 && store.grow(self, class) {
            taken = store.take(class, room);
        }
        Some(taken)
    }

    /// Takes cells back.
    ///
    /// # Safety
    /// The cells are of this heap and the caller's, and nobody uses them any more. `own` says that the caller is the
    /// heap's thread.
    pub(super) unsafe fn put(&self, cells: &[*mut u8], own: bool) {
        if own && let Some(mut store) = self.turn.try_enter() {
            // SAFETY: the caller's promise.
            unsafe { store.put(cells) };
            return;
        }
        // SAFETY: the caller's promise; every class has room for a parcel.
        let waiting = unsafe { self.inbound.push(cells) };
        if waiting > OVERDUE {
            self.settle();
        }
    }

    /// Brings home what waits, in place of the heap's own thread, unless somebody else is in the heap.
    fn settle(&self) {
        if let Some(mut store) = self.turn.try_enter() {
            self.drain(&mut store);
        }
    }

    fn drain(&self, store: &mut Entered<'_, Store>) {
        // SAFETY: what was pushed are free cells of this heap.
        self.inbound.take(|cells| unsafe { store.put(cells) });
    }

    /// Brings home what waits and gives empty slabs back to the system.
    pub(super) fn trim(&self) {
        if let Some(mut store) = self.turn.try_enter() {
            self.drain(&mut store);
            store.release(0);
        }
    }
}

/// Slabs by what is in them. Exhausted ones are in no list: their cells lead back to them.
struct Store {
    /// For each class, the slabs that have cells left.
    open: [*mut Slab; CLASSES],
    empty: *mut Slab,
    empties: usize,
}

// SAFETY: the slabs are the store's alone.
unsafe impl Send for Store {}

impl Store {
    fn new() -> Self {
        Self { open: [std::ptr::null_mut(); CLASSES], empty: std::ptr::null_mut(), empties: 0 }
    }

    fn take(&mut self, class: Class, room: &mut [*mut u8]) -> usize {
        let mut taken = 0;
        while taken < room.len()
            && let Some(slab) = NonNull::new(self.open[class.index()])
        {
            // SAFETY: a slab in a list is the store's.
            unsafe {
                taken += Slab::take(slab.as_ptr(), &mut room[taken..]);
                if slab.as_ref().is_exhausted() {
                    self.unlink(slab);
                }
            }
        }
        taken
    }

    /// Opens a slab of `class`: an empty one, else a new one. False when the system has no memory.
    fn grow(&mut self, heap: &'static Heap, class: Class) -> bool {
        let slab = if let Some(mut slab) = NonNull::new(self.empty) {
            // SAFETY: an empty slab in the list is the store's.
            let this = unsafe { slab.as_mut() };
            self.empty = this.next;
            self.empties -= 1;
            this.reuse(class);
            slab
        } else {
            let Some(slab) = Slab::map(heap, class) else { return false };
            slab
        };
        self.link(slab);
        true
    }

    /// # Safety
    /// Cells of slabs of this store's, which nobody uses any more.
    unsafe fn put(&mut self, mut cells: &[*mut u8]) {
        while !cells.is_empty() {
            // SAFETY: the caller's promise; the slab is the store's.
            unsafe {
                let (slab, count) = Slab::put(cells);
                cells = &cells[count..];
                // An exhausted slab was in no list.
                let was_exhausted = slab.as_ref().has_only(count);
                if slab.as_ref().is_empty() {
                    if !was_exhausted {
                        self.unlink(slab);
                    }
                    (*slab.as_ptr()).next = self.empty;
                    self.empty = slab.as_ptr();
                    self.empties += 1;
                    self.release(if home::any() { MOST_EMPTY } else { MOST_EMPTY_ALONE });
                } else if was_exhausted {
                    self.link(slab);
                }
            }
        }
    }

    /// Unmaps empty slabs until `most` are left.
    fn release(&mut self, most: usize) {
        while self.empties > most
            && let Some(slab) = NonNull::new(self.empty)
        {
            // SAFETY: an empty slab in the list is the store's, and nobody else knows of it.
            unsafe {
                self.empty = slab.as_ref().next;
                Slab::unmap(slab);
            }
            self.empties -= 1;
        }
    }

    fn link(&mut self, slab: NonNull<Slab>) {
        let slab = slab.as_ptr();
        // SAFETY: the slab, and those in lists, are the store's; no reference to one is made, as others read its `heap`.
        unsafe {
            let first = &mut self.open[(*slab).class().index()];
            (*slab).previous = std::ptr::null_mut();
            (*slab).next = *first;
            if !first.is_null() {
                (**first).previous = slab;
            }
            *first = slab;
        }
    }

    fn unlink(&mut self, slab: NonNull<Slab>) {
        let slab = slab.as_ptr();
        // SAFETY: as in `link`.
        unsafe {
            let (previous, next) = ((*slab).previous, (*slab).next);
            if previous.is_null() {
                self.open[(*slab).class().index()] = next;
            } else {
                (*previous).next = next;
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
    }
}

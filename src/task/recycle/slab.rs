//! A piece of memory cut into cells of one class.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::class::Class;
use super::heap::Heap;

/// Bytes of a slab, and its alignment: the slab of a cell is found by masking the cell's address.
pub(super) const SLAB: usize = 256 * 1024;
/// What offsets of cells are counted in.
const UNIT: usize = 16;

static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Slabs of the process.
pub(super) fn mapped() -> usize {
    // ORDERING: Relaxed; a hint.
    MAPPED.load(Ordering::Relaxed)
}

/// Where the next slab would lie in the last gap, or beside the last slab. Neighbours are one map to the kernel, which allows a process some
/// 65,000 of them.
static BESIDE: AtomicUsize = AtomicUsize::new(0);

/// Memory of the size and alignment of a slab.
fn map_aligned() -> Option<NonNull<u8>> {
    // ORDERING: Relaxed; a hint.
    let slab = map_beside(BESIDE.load(Ordering::Relaxed)).or_else(map_anywhere)?;
    // ORDERING: Relaxed; hints.
    BESIDE.store(slab.addr().get().wrapping_sub(SLAB), Ordering::Relaxed);
    MAPPED.fetch_add(1, Ordering::Relaxed);
    Some(slab)
}

/// A new map, at `place` if nothing is there.
fn map(place: usize, bytes: usize) -> Option<*mut u8> {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new map, away from all others: the place is only a wish.
    let start = unsafe { libc::mmap(std::ptr::without_provenance_mut(place), bytes, access, kind, -1, 0) };
    (start != libc::MAP_FAILED).then(|| start.cast())
}

/// Takes what the kernel gives for the wish, if it is aligned.
fn map_beside(place: usize) -> Option<NonNull<u8>> {
    let start = (place != 0).then(|| map(place, SLAB)).flatten()?;
    if !start.addr().is_multiple_of(SLAB) {
        // SAFETY: the map just made, which nobody uses.
        unsafe { libc::munmap(start.cast(), SLAB) };
        return None;
    }
    NonNull::new(start)
}

/// Twice as much has an aligned piece; the rest goes back at once.
fn map_anywhere() -> Option<NonNull<u8>> {
    let start = map(0, 2 * SLAB)?;
    let aligned = start.map_addr(|address| address.next_multiple_of(SLAB));
    let before = aligned.addr() - start.addr();
    // SAFETY: the parts of the map before and behind the aligned piece, unless they are empty, which nobody uses.
    unsafe {
        if before != 0 {
            libc::munmap(start.cast(), before);
        }
        libc::munmap(aligned.add(SLAB).cast(), SLAB - before);
    }
    NonNull::new(aligned)
}

/// The head of a slab. Behind it lies a stack of the offsets of free cells, then the cells.
#[repr(C, align(128))]
pub(super) struct Slab {
    /// Whose it is; read by whoever frees a cell of it.
    heap: &'static Heap,
    /// The rest belongs to whoever has entered the heap.
    class: Class,
    capacity: u32,
    /// Cells from here on were never handed out; their offsets are not on the stack.
    fresh: u32,
    /// Height of the stack.
    free: u32,
    pub(super) previous: *mut Slab,
    pub(super) next: *mut Slab,
}

const STACK: usize = size_of::<Slab>();

const fn capacity(class: Class) -> usize {
    (SLAB - STACK - 128) / (class.size() + size_of::<u16>())
}

const fn first_cell(class: Class) -> usize {
    (STACK + capacity(class) * size_of::<u16>()).next_multiple_of(128)
}

/// The heap that a cell belongs to.
///
/// # Safety
/// `cell` came from a slab, and has not been put back into it.
#[inline]
pub(super) unsafe fn heap_of(cell: *mut u8) -> &'static Heap {
    // SAFETY: the caller's promise: the slab stays while a cell of it is out, and its `heap` is not written meanwhile.
    unsafe { (*Slab::of(cell)).heap }
}

impl Slab {
    /// The slab of a cell.
    fn of(cell: *mut u8) -> *mut Self {
        cell.map_addr(|address| address & !(SLAB - 1)).cast()
    }

    /// A new slab; `None` when the system has no memory.
    pub(super) fn map(heap: &'static Heap, class: Class) -> Option<NonNull<Self>> {
        let slab = map_aligned()?.cast::<Self>();
        // SAFETY: fresh memory of a slab's size and alignment.
        unsafe {
            slab.write(Self {
                heap,
                class,
                capacity: capacity(class) as u32,
                fresh: 0,
                free: 0,
                previous: std::ptr::null_mut(),
                next: std::ptr::null_mut(),
            });
        }
        Some(slab)
    }

    /// Gives the memory of an empty slab back to the system.
    ///
    /// # Safety
    /// No cell is out, and nobody knows of the slab any more.
    pub(super) unsafe fn unmap(slab: NonNull<Self>) {
        // SAFETY: the caller's promise; it is a whole map of its own.
        unsafe { libc::munmap(slab.as_ptr().cast(), SLAB) };
        // The gap is filled first.
        // ORDERING: Relaxed; hints.
        BESIDE.store(slab.addr().get(), Ordering::Relaxed);
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes an empty slab one of `class`.
    pub(super) fn reuse(&mut self, class: Class) {
        self.class = class;
        self.capacity = capacity(class) as u32;
        self.fresh = 0;
        self.free = 0;
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// Whether every cell is here.
    pub(super) fn is_empty(&self) -> bool {
        self.free == self.fresh
    }

    /// Whether so many cells are free, and it has no others.
    pub(super) fn has_only(&self, cells: usize) -> bool {
        self.free as usize == cells && self.fresh == self.capacity
    }

    /// Whether no cell is left.
    pub(super) fn is_exhausted(&self) -> bool {
        self.free == 0 && self.fresh == self.capacity
    }

    /// Fills `room` with cells, as far as there are any; gives how many.
    ///
    /// # Safety
    /// `slab` is a slab that the caller has to himself.
    pub(super) unsafe fn take(slab: *mut Self, room: &mut [*mut u8]) -> usize {
        // SAFETY: the caller's promise. Offsets lie within the slab by how they are made; the stack has as many entries
        // as there are cells.
        unsafe {
            let base = slab.cast::<u8>();
            let stack = base.add(STACK).cast::<u16>();
            let (class, free, fresh) = ((*slab).class, (*slab).free, (*slab).fresh);
            let used = room.len().min(free as usize);
            let free = free as usize - used;
            (*slab).free = free as u32;
            for (index, place) in room[..used].iter_mut().enumerate() {
                *place = base.add(stack.add(free + index).read() as usize * UNIT);
            }
            let (size, first) = (class.size(), first_cell(class));
            let unused = (room.len() - used).min(((*slab).capacity - fresh) as usize);
            for (index, place) in room[used..used + unused].iter_mut().enumerate() {
                *place = base.add(first + (fresh as usize + index) * size);
            }
            (*slab).fresh = fresh + unused as u32;
            used + unused
        }
    }

    /// Puts cells back that are of the same slab as the first; gives the slab and how many those are.
    ///
    /// # Safety
    /// The cells, at least one, came from slabs that the caller has to himself, and nobody uses them any more.
    pub(super) unsafe fn put(cells: &[*mut u8]) -> (NonNull<Self>, usize) {
        let slab = Self::of(cells[0]);
        let mut count = 0;
        // SAFETY: the caller's promise; as in `take`.
        unsafe {
            let stack = slab.cast::<u8>().add(STACK).cast::<u16>().add((*slab).free as usize);
            for cell in cells {
                let offset = cell.addr().wrapping_sub(slab.addr());
                if offset >= SLAB {
                    break;
                }
                stack.add(count).write((offset / UNIT) as u16);
                count += 1;
            }
            (*slab).free += count as u32;
            (NonNull::new_unchecked(slab), count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_fills_its_slab_and_no_more() {
        for class in Class::all() {
            let end = first_cell(class) + capacity(class) * class.size();
            assert!(end <= SLAB, "{class:?} ends at {end}");
            assert!(SLAB - end < class.size() + 256, "{class:?} leaves {} bytes", SLAB - end);
            assert!(end / UNIT <= usize::from(u16::MAX));
        }
    }
}

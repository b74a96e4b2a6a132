//! The free cells that a thread has at hand.

use std::cell::{Cell, UnsafeCell};

use super::class::{CLASSES, Class};
use super::heap::Heap;
use super::slab::heap_of;
use crate::primitive::sync::Mutex;

/// Cells of a class that a thread keeps at most.
const MOST: usize = 128;
/// Heaps that are tried before a new one is made.
const OTHERS: usize = 4;
/// As many move between thread and heap at once.
const HALF: usize = MOST / 2;

/// The free cells of a class, the last given back on top.
struct Magazine {
    count: Cell<usize>,
    cells: UnsafeCell<[*mut u8; MOST]>,
}

/// What a thread has at hand. It is the thread's alone.
struct Cache {
    heap: Cell<&'static Heap>,
    magazines: [Magazine; CLASSES],
}

thread_local! {
    /// Without a destructor, so that it can be read at any time. Null before the first task and after the last.
    static CACHE: Cell<*const Cache> = const { Cell::new(std::ptr::null()) };
    /// Gives everything back when the thread ends.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        let cache = CACHE.replace(std::ptr::null());
        if !cache.is_null() {
            // SAFETY: `of_thread` made it by `Box::into_raw`, and nobody else has it.
            let cache = unsafe { Box::from_raw(cache.cast_mut()) };
            cache.flush();
            cache.heap.get().trim();
            Heaps::leave(cache.heap.get());
        }
    }
}

/// A cell of `class`; null when the system has no memory.
#[inline]
pub(super) fn take(class: Class) -> *mut u8 {
    // SAFETY: the thread's own.
    if let Some(cache) = unsafe { CACHE.get().as_ref() }
        && let Some(cell) = cache.magazines[class.index()].pop()
    {
        return cell;
    }
    take_slowly(class)
}

/// # Safety
/// The cell came from [`take`] with this class, and nobody uses it any more.
#[inline]
pub(super) unsafe fn give(cell: *mut u8, class: Class) {
    // SAFETY: the thread's own.
    match unsafe { CACHE.get().as_ref() } {
        Some(cache) if cache.magazines[class.index()].push(cell) => {}
        // SAFETY: the caller's promise.
        _ => unsafe { give_slowly(cell, class) },
    }
}

/// Brings this thread's free cells home, and what waits in any heap; empty slabs go back to the system.
pub(super) fn rest() {
    // SAFETY: the thread's own.
    if let Some(cache) = unsafe { CACHE.get().as_ref() } {
        cache.flush();
    }
    Heaps::all().iter().for_each(|heap| heap.trim());
}

#[cold]
fn take_slowly(class: Class) -> *mut u8 {
    let mut room = [std::ptr::null_mut(); HALF];
    let Some(cache) = of_thread() else {
        // The thread ends: no more than the one cell.
        let (heap, _) = take_from(Heaps::enter(), class, &mut room[..1]);
        Heaps::leave(heap);
        return room[0];
    };
    let (heap, taken) = take_from(cache.heap.get(), class, &mut room);
    cache.heap.set(heap);
    // The lowest address comes out first.
    room[..taken].reverse();
    cache.magazines[class.index()].refill(&room[..taken]);
    cache.magazines[class.index()].pop().unwrap_or(std::ptr::null_mut())
}

/// Takes cells from `heap`, or, while somebody is in it (if this process is a fork, perhaps for ever), from another one,
/// which is then the caller's in its stead. Gives that heap and how many cells there were.
fn take_from(mut heap: &'static Heap, class: Class, room: &mut [*mut u8]) -> (&'static Heap, usize) {
    for _ in 0..OTHERS {
        if let Some(taken) = heap.take(class, room) {
            return (heap, taken);
        }
        Heaps::leave(std::mem::replace(&mut heap, Heaps::enter()));
    }
    Heaps::leave(heap);
    // Nobody can be in a heap that nobody knows.
    let heap: &'static Heap = Box::leak(Box::new(Heap::new()));
    let taken = heap.take(class, room).unwrap_or(0);
    Heaps::with(|heaps| heaps.all.push(heap));
    (heap, taken)
}

/// # Safety
/// As of [`give`].
#[cold]
unsafe fn give_slowly(cell: *mut u8, class: Class) {
    let Some(cache) = of_thread() else {
        // SAFETY: the caller's promise.
        return unsafe { heap_of(cell).put(&[cell], false) };
    };
    let magazine = &cache.magazines[class.index()];
    if magazine.count.get() == MOST {
        let older = magazine.drop_older_half();
        // SAFETY: cells of a magazine are free.
        unsafe { cache.bring_home(&older) };
    }
    let kept = magazine.push(cell);
    debug_assert!(kept);
}

/// The cache of this thread, made if need be; `None` while the thread ends.
fn of_thread() -> Option<&'static Cache> {
    if CACHE.get().is_null() {
        END.try_with(|_| ()).ok()?;
        let cache =
            Box::new(Cache { heap: Cell::new(Heaps::enter()), magazines: std::array::from_fn(|_| Magazine::new()) });
        CACHE.set(Box::into_raw(cache));
    }
    // SAFETY: it stays until `End`, and the reference is used by this thread within one call only.
    unsafe { CACHE.get().as_ref() }
}

impl Magazine {
    fn new() -> Self {
        Self { count: Cell::new(0), cells: UnsafeCell::new([std::ptr::null_mut(); MOST]) }
    }

    #[inline]
    fn pop(&self) -> Option<*mut u8> {
        let count = self.count.get().checked_sub(1)?;
        self.count.set(count);
        // SAFETY: the thread's own, and no reference to the array outlives a method.
        unsafe { (*self.cells.get()).get(count).copied() }
    }

    #[inline]
    fn push(&self, cell: *mut u8) -> bool {
        let count = self.count.get();
        // SAFETY: as in `pop`.
        let Some(place) = (unsafe { (*self.cells.get()).get_mut(count) }) else { return false };
        *place = cell;
        self.count.set(count + 1);
        true
    }

    /// Fills an empty magazine.
    fn refill(&self, cells: &[*mut u8]) {
        // SAFETY: as in `pop`.
        unsafe { (&mut (*self.cells.get()))[..cells.len()].copy_from_slice(cells) };
        self.count.set(cells.len());
    }

    /// Takes the half of a full magazine that was not needed for longest.
    fn drop_older_half(&self) -> [*mut u8; HALF] {
        // SAFETY: as in `pop`.
        let cells = unsafe { &mut *self.cells.get() };
        let mut older = [std::ptr::null_mut(); HALF];
        older.copy_from_slice(&cells[..HALF]);
        cells.copy_within(HALF.., 0);
        self.count.set(MOST - HALF);
        older
    }

    /// Takes all cells, into `room`.
    fn drop_all<'a>(&self, room: &'a mut [*mut u8; MOST]) -> &'a [*mut u8] {
        // SAFETY: as in `pop`.
        *room = unsafe { *self.cells.get() };
        &room[..self.count.replace(0)]
    }
}

impl Cache {
    /// Brings all cells home.
    fn flush(&self) {
        for magazine in &self.magazines {
            let mut room = [std::ptr::null_mut(); MOST];
            // SAFETY: cells of a magazine are free.
            unsafe { self.bring_home(magazine.drop_all(&mut room)) };
        }
    }

    /// # Safety
    /// Free cells, the caller's.
    unsafe fn bring_home(&self, mut cells: &[*mut u8]) {
        // SAFETY: a cell that is free but not put back keeps its slab.
        let heap = |cell: *mut u8| unsafe { heap_of(cell) };
        while let Some(&first) = cells.first() {
            let owner = heap(first);
            let others = cells.iter().position(|&cell| !std::ptr::eq(heap(cell), owner)).unwrap_or(cells.len());
            // SAFETY: as above; these are of this heap.
            unsafe { owner.put(&cells[..others], std::ptr::eq(owner, self.heap.get())) };
            cells = &cells[others..];
        }
    }
}

/// All heaps of the process, and those that belong to no thread.
struct Heaps {
    all: Vec<&'static Heap>,
    free: Vec<&'static Heap>,
}

static HEAPS: Mutex<Heaps> = Mutex::new(Heaps { all: Vec::new(), free: Vec::new() });

impl Heaps {
    /// Calls `call` unless somebody has the list; for a fork that may be for ever.
    fn with<R>(call: impl FnOnce(&mut Self) -> R) -> Option<R> {
        for _ in 0..1000 {
            if let Ok(mut heaps) = HEAPS.try_lock() {
                return Some(call(&mut heaps));
            }
            std::thread::yield_now();
        }
        None
    }

    /// A heap for a thread.
    fn enter() -> &'static Heap {
        let free = Self::with(|heaps| {
            heaps.free.pop().unwrap_or_else(|| {
                let heap = &*Box::leak(Box::new(Heap::new()));
                heaps.all.push(heap);
                heap
            })
        });
        free.unwrap_or_else(|| Box::leak(Box::new(Heap::new())))
    }

    /// A thread is done with its heap.
    fn leave(heap: &'static Heap) {
        Self::with(|heaps| heaps.free.push(heap));
    }

    fn all() -> Vec<&'static Heap> {
        Self::with(|heaps| heaps.all.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread;

    use super::super::slab::mapped;
    use super::*;

    const MANY: usize = 20_000;

    /// The tests count what is shared by the process.
    static TURN: Mutex<()> = Mutex::new(());

    fn alone() -> std::sync::MutexGuard<'static, ()> {
        TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn class(size: usize) -> Class {
        Class::of(size, 8).unwrap_or_else(|| unreachable!("{size} bytes are recycled"))
    }

    /// As a number: a pointer does not go from thread to thread by itself.
    fn taken(class: Class) -> usize {
        let cell = take(class);
        // SAFETY: a new cell, written from end to end.
        unsafe { cell.write_bytes(0xa5, class.size()) };
        cell.expose_provenance()
    }

    fn give_all(cells: Vec<usize>, class: Class) {
        for cell in cells {
            // SAFETY: each came from `taken`, once.
            unsafe { give(std::ptr::with_exposed_provenance_mut(cell), class) };
        }
    }

    #[test]
    fn cells_in_use_do_not_overlap() {
        let _alone = alone();
        for size in [1, 64, 65, 200, 512] {
            let class = class(size);
            let mut cells: Vec<_> = (0..MANY).map(|_| taken(class)).collect();
            cells.sort_unstable();
            assert!(cells.windows(2).all(|pair| pair[1] - pair[0] >= class.size()), "{size}");
            assert!(cells.iter().all(|cell| cell % 16 == 0));
            give_all(cells, class);
        }
    }

    #[test]
    fn a_cell_given_back_is_the_next_taken() {
        let _alone = alone();
        let class = class(100);
        let cell = taken(class);
        give_all(vec![cell], class);
        let again = taken(class);
        assert_eq!(again, cell);
        give_all(vec![again], class);
    }

    #[test]
    fn cells_that_another_thread_gives_back_are_taken_again() {
        let _alone = alone();
        let class = class(300);
        let mut seen = HashSet::<usize>::new();
        for _ in 0..10 {
            let cells: Vec<_> = (0..MANY).map(|_| taken(class)).collect();
            seen.extend(&cells);
            assert!(thread::spawn(move || give_all(cells, class)).join().is_ok());
        }
        assert!(seen.len() < 3 * MANY, "{} cells for {MANY} at a time", seen.len());
    }

    #[test]
    fn cells_outlive_the_thread_that_took_them() {
        let _alone = alone();
        let class = class(128);
        let (out, cells) = mpsc::channel();
        let taker = thread::spawn(move || out.send((0..MANY).map(|_| taken(class)).collect::<Vec<_>>()));
        assert!(taker.join().is_ok_and(|sent| sent.is_ok()));
        let cells = cells.recv().unwrap_or_default();
        // SAFETY: the cells are this thread's now.
        let is_whole = |cell: &usize| unsafe { *std::ptr::with_exposed_provenance::<[u8; 128]>(*cell) == [0xa5; 128] };
        assert!(cells.len() == MANY && cells.iter().all(is_whole));
        give_all(cells, class);
    }

    #[test]
    fn memory_that_nobody_uses_goes_back() {
        let _alone = alone();
        let class = class(500);
        rest();
        let before = mapped();
        let cells: Vec<_> = (0..10 * MANY).map(|_| taken(class)).collect();
        let held = mapped();
        assert!(held >= before + 10 * MANY / 600);
        give_all(cells, class);
        rest();
        assert!(mapped() < held - 5 * MANY / 512, "{before} slabs, then {held}, then {}", mapped());
    }
}

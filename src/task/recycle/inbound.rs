//! Where cells come home that other threads have freed: a stack of small parcels, each written into a freed cell.

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::primitive::cell::Witness;

/// Cells that a parcel lists, besides the one it lies in: then it fills one line of memory.
const LISTED: usize = 6;

/// A freed cell that lists others.
#[repr(C)]
pub(super) struct Parcel {
    next: *mut Parcel,
    count: usize,
    cells: [*mut u8; LISTED],
    written: Witness,
}

#[cfg(not(heist_loom))]
const _: () = assert!(size_of::<Parcel>() <= super::class::SMALLEST);

/// The stack. Many push, whoever swaps takes all; so reuse of addresses does no harm.
#[derive(Debug)]
pub(super) struct Inbound {
    newest: Padded<AtomicPtr<Parcel>>,
    /// Cells in it, for a look: raised after a push, lowered after a take.
    cells: Padded<AtomicUsize>,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self { newest: Padded(AtomicPtr::new(std::ptr::null_mut())), cells: Padded(AtomicUsize::new(0)) }
    }

    /// Cells that wait, roughly.
    pub(super) fn len(&self) -> usize {
        // ORDERING: Relaxed; a hint.
        self.cells.load(Ordering::Relaxed)
    }

    /// Adds cells in one step; gives how many wait now, roughly.
    ///
    /// # Safety
    /// The cells are the caller's, nobody reads them any more, and each has room for a [`Parcel`].
    pub(super) unsafe fn push(&self, cells: &[*mut u8]) -> usize {
        let mut parcels = cells.chunks(LISTED + 1);
        // SAFETY: the caller's promise.
        let Some(newest) = parcels.next().map(|cells| unsafe { wrap(cells) }) else { return self.len() };
        let oldest = parcels.fold(newest, |above, cells| {
            // SAFETY: the caller's promise; `above` is a parcel of this call's.
            unsafe {
                let parcel = wrap(cells);
                (*above).next = parcel;
                parcel
            }
        });
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut head = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: a parcel of this call's.
            unsafe { (*oldest).next = head };
            // ORDERING: Release; pairs with the Acquire of `take`: publishes the parcels, and ends the freer's use of the
            // cells.
            match self.newest.compare_exchange_weak(head, newest, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // ORDERING: Relaxed; a hint.
        self.cells.fetch_add(cells.len(), Ordering::Relaxed).wrapping_add(cells.len())
    }

    /// Takes all cells and hands them to `some`, a parcel at a time.
    pub(super) fn take(&self, mut some: impl FnMut(&[*mut u8])) {
        // ORDERING: Acquire; pairs with the Release of `push`.
        let mut parcel = self.newest.swap(std::ptr::null_mut(), Ordering::Acquire);
        let mut taken = 0;
        while !parcel.is_null() {
            // SAFETY: a taken parcel is the taker's; it is read before its cell is handed on.
            let Parcel { next, count, cells, written } = unsafe { parcel.read() };
            written.write();
            let mut all = [parcel.cast(); LISTED + 1];
            all[1..].copy_from_slice(&cells);
            some(&all[..=count]);
            taken += 1 + count;
            parcel = next;
        }
        if taken != 0 {
            // ORDERING: Relaxed; a hint. (It may pass the raise of a push just taken, hence `wrapping`.)
            self.cells.fetch_sub(taken, Ordering::Relaxed);
        }
    }
}

/// Makes the first of `cells` a parcel that lists the others.
///
/// # Safety
/// As of [`Inbound::push`]; `cells` are between one and [`LISTED`] and one more.
unsafe fn wrap(cells: &[*mut u8]) -> *mut Parcel {
    let parcel = cells[0].cast::<Parcel>();
    let mut listed = [std::ptr::null_mut(); LISTED];
    let others = &cells[1..];
    listed[..others.len()].copy_from_slice(others);
    // SAFETY: the caller's promise: the cell is free and large enough.
    unsafe {
        let written = Witness::new();
        parcel.write(Parcel { next: std::ptr::null_mut(), count: others.len(), cells: listed, written });
    }
    parcel
}

//! Placed memory as slices of values, all of which are written before any is read.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::NonNull;

use heist_numa::{PageSize, Pod, Policy, Region};

use super::crew::work_off;
use crate::error::{Error, ErrorKind};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::scheduler::Registry;

/// Bytes that are copied in one go: whole huge pages, so that no two threads take the same.
pub(super) const PIECE: usize = 2 << 20;
/// No page is smaller on any host.
const LEAST_PAGE: usize = 4096;

/// Values in memory of their own, on a domain.
#[derive(Debug)]
pub(super) struct Placed<T> {
    region: Region<u8>,
    len: usize,
    values: PhantomData<T>,
}

/// Memory for a [`Placed`]: of the bytes zero, or of old values.
#[derive(Debug)]
pub(super) struct Blank<T>(Placed<T>);

impl<T> Blank<T> {
    /// Room for `len` values, on the domain that the kernel calls so, as long as that has room.
    pub(super) fn map(len: usize, domain: Option<u32>) -> Result<Self, Error> {
        Self::map_all(&[len], domain).map(|mut one| one.swap_remove(0))
    }

    /// Room for as many values as each of `lens` says, mapped together.
    pub(super) fn map_all(lens: &[usize], domain: Option<u32>) -> Result<Vec<Self>, Error> {
        const { assert!(align_of::<T>() <= LEAST_PAGE, "scattered values are aligned to a page at most") };
        let memory = |source| Error::new(ErrorKind::Memory(source));
        let policy = domain.map_or(Policy::FirstTouch, Policy::Preferred);
        // As many as no memory holds are more bytes than any has.
        let bytes: Vec<usize> = lens.iter().map(|len| len.saturating_mul(size_of::<T>())).collect();
        let pages = if bytes.iter().all(|&bytes| bytes < PIECE) { PageSize::Base } else { PageSize::Huge };
        let regions = Region::builder().policy(policy).pages(pages).allocate_all(&bytes).map_err(memory)?;
        let blank = |(&len, region)| Self(Placed { region, len, values: PhantomData });
        Ok(lens.iter().zip(regions).map(blank).collect())
    }

    /// The memory of values that nobody reads any more.
    pub(super) fn reuse(values: Placed<T>) -> Self {
        Self(values)
    }

    /// What was not done as asked for.
    pub(super) fn warnings(&self) -> &[String] {
        self.0.region.warnings()
    }

    fn slots(&mut self) -> &mut [MaybeUninit<T>] {
        let start =
            if self.0.region.is_empty() { NonNull::dangling().as_ptr() } else { self.0.region.as_mut_ptr().cast() };
        // SAFETY: a region is aligned to pages, and so for `T`, and is of so many bytes, borrowed exclusively through `self`;
        // values of no bytes lie at any aligned address.
        unsafe { std::slice::from_raw_parts_mut(start, self.0.len) }
    }
}

impl<T: Pod> Blank<T> {
    /// The bytes, for whoever fills them by himself.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0.region
    }

    /// The values that the bytes are.
    pub(super) fn values(&mut self) -> &mut [T] {
        // SAFETY: all bytes of a region are written from the start, with zeros, and any bytes are values of this type.
        unsafe { self.slots().assume_init_mut() }
    }

    /// The same for readers.
    pub(super) fn into_values(self) -> Placed<T> {
        self.0
    }
}

impl<T> Placed<T> {
    /// Moves the pages to the domain that the kernel calls so.
    pub(super) fn migrate(&self, domain: u32) -> Result<(), heist_numa::Error> {
        self.region.migrate(domain)
    }
}

impl<T> Deref for Placed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let start = if self.region.is_empty() {
            NonNull::dangling().as_ptr()
        } else {
            self.region.as_ptr().cast::<T>().cast_mut()
        };
        // SAFETY: as in `slots`; every value is written before a `Blank` becomes a `Placed`.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

/// A part of a slice that is being written, from its start on.
pub(super) struct Sink<'a, T> {
    slots: &'a mut [MaybeUninit<T>],
    written: usize,
}

impl<T: Copy> Sink<'_, T> {
    /// Values that are missing.
    pub(super) fn missing(&self) -> usize {
        self.slots.len() - self.written
    }

    /// Appends as many of `values` as there is room for.
    pub(super) fn copy(&mut self, values: &[T]) {
        let count = values.len().min(self.missing());
        self.slots[self.written..][..count].write_copy_of_slice(&values[..count]);
        self.written += count;
    }

    /// As [`copy`](Self::copy), one by one.
    pub(super) fn extend<'v>(&mut self, values: impl Iterator<Item = &'v T>)
    where
        T: 'v,
    {
        for (slot, value) in self.slots[self.written..].iter_mut().zip(values) {
            slot.write(*value);
            self.written += 1;
        }
    }
}

/// Fills `blanks`, each by the workers of its domain. `write` is called with the number of a blank and a position in it,
/// and fills the sink with the values from there on.
pub(super) fn fill<T: Copy + Send + Sync>(
    registry: &Registry,
    location: &'static Location<'static>,
    mut blanks: Vec<(usize, Blank<T>)>,
    write: impl Fn(usize, usize, &mut Sink<'_, T>) + Sync,
) -> Vec<Placed<T>> {
    let all: usize = blanks.iter().map(|(_, blank)| blank.0.len).sum();
    let pieces = blanks.iter_mut().enumerate().flat_map(|(number, (domain, blank))| {
        let domain = *domain;
        cut(blank.slots()).map(move |(at, slots)| (domain, (number, at, slots)))
    });
    assert_eq!(write_all(registry, location, pieces, write), all, "every value is written");
    blanks.into_iter().map(|(_, blank)| blank.0).collect()
}

/// A vector of `len` values, written by the workers of the domain that `domain` gives for a position.
pub(super) fn collect<T: Copy + Send + Sync>(
    registry: &Registry,
    location: &'static Location<'static>,
    len: usize,
    domain: impl Fn(usize) -> usize,
    write: impl Fn(usize, &mut Sink<'_, T>) + Sync,
) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    let pieces = cut(&mut values.spare_capacity_mut()[..len]).map(|(at, slots)| (domain(at), (0, at, slots)));
    let written = write_all(registry, location, pieces, |_, at, sink| write(at, sink));
    assert_eq!(written, len, "every value is written");
    // SAFETY: so many were written, each once.
    unsafe { values.set_len(len) };
    values
}

/// The pieces of some slots, each with its position.
fn cut<T>(slots: &mut [MaybeUninit<T>]) -> impl Iterator<Item = (usize, &mut [MaybeUninit<T>])> {
    let piece = PIECE.checked_div(size_of::<T>()).unwrap_or(usize::MAX).max(1);
    slots.chunks_mut(piece).enumerate().map(move |(number, slots)| (number * piece, slots))
}

/// Has all pieces written; gives how many values were.
fn write_all<'a, T: Copy + Send + Sync + 'a>(
    registry: &Registry,
    location: &'static Location<'static>,
    pieces: impl IntoIterator<Item = (usize, (usize, usize, &'a mut [MaybeUninit<T>]))>,
    write: impl Fn(usize, usize, &mut Sink<'_, T>) + Sync,
) -> usize {
    let all = AtomicUsize::new(0);
    work_off(registry, location, pieces, |(number, at, slots)| {
        let mut sink = Sink { slots, written: 0 };
        write(number, at, &mut sink);
        // ORDERING: Relaxed; read when everybody is out of the gate.
        all.fetch_add(sink.written, Ordering::Relaxed);
    });
    all.into_inner()
}

//! Private, zeroed mappings as slices.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::Arc,
};

use bytemuck::Pod;
use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

/// Memory that only this value reaches.
pub(crate) struct Owned<T> {
    /// Points to `len` values in `share`, or dangles, aligned, when `len` is 0.
    start: NonNull<T>,
    len: usize,
    share: Option<Share>,
}

/// Bytes of a mapping that others may have a share in too: whole pages, for nobody else.
struct Share {
    map: Arc<MmapRaw>,
    offset: usize,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        // With the last share goes the mapping.
        if Arc::strong_count(&self.map) > 1 {
            // SAFETY: nobody reaches these bytes any more. A kernel that refuses, as of locked pages, keeps them until the
            // mapping goes.
            let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.offset, self.bytes) };
        }
    }
}

// SAFETY: the memory belongs to this value alone, as that of a `Vec<T>` does; the pointer is to it.
unsafe impl<T: Send> Send for Owned<T> {}
// SAFETY: as above; `&Owned<T>` gives `&[T]` and nothing more.
unsafe impl<T: Sync> Sync for Owned<T> {}

impl<T: Pod> Owned<T> {
    /// Maps, in one go, as many zeroed values as each of `lens` says, each lot at a multiple of `align` and of the
    /// alignment of `T`, in pages of `page` bytes, both powers of two; with `hugetlb` those are the kernel's reserved ones.
    /// `OutOfMemory` when that is more than an address space holds.
    pub(crate) fn map(lens: &[usize], align: usize, page: usize, hugetlb: bool) -> io::Result<Vec<Owned<T>>> {
        const { assert!(size_of::<T>() > 0, "a region's values take room") };
        let no_room = || io::Error::from(io::ErrorKind::OutOfMemory);
        // A mapping starts at a multiple of its page.
        let align = align.max(align_of::<T>()).max(page);
        let bytes = |&len: &usize| len.checked_mul(size_of::<T>())?.checked_next_multiple_of(align);
        let shares: Vec<usize> = lens.iter().map(bytes).collect::<Option<_>>().ok_or_else(no_room)?;
        let all = shares.iter().try_fold(0_usize, |all, &bytes| all.checked_add(bytes)).ok_or_else(no_room)?;
        if all == 0 {
            return Ok(lens.iter().map(|&len| Owned { start: NonNull::dangling(), len, share: None }).collect());
        }
        let rounded = all.checked_add(align - page).filter(|&bytes| isize::try_from(bytes).is_ok());
        let mut options = MmapOptions::new();
        options.len(rounded.ok_or_else(no_room)?);
        if hugetlb {
            options.huge(None);
        }
        let map = Arc::new(MmapRaw::from(options.map_anon()?));
        let mut offset = map.as_ptr().align_offset(align);
        let cut = |(&len, bytes): (&usize, usize)| {
            if bytes == 0 {
                return Ok(Owned { start: NonNull::dangling(), len, share: None });
            }
            // SAFETY: the mapping starts at a multiple of `page`, so that the first offset is at most `align - page`, and
            // all the shares follow it in the mapping.
            let start = unsafe { map.as_mut_ptr().add(offset) };
            let start = NonNull::new(start.cast()).ok_or_else(no_room)?;
            let share = Share { map: map.clone(), offset, bytes };
            offset += bytes;
            Ok(Owned { start, len, share: Some(share) })
        };
        lens.iter().zip(shares).map(cut).collect()
    }
}

/// The mapping that the values were mapped in, if there are any.
fn whole<T>(mapped: &[Owned<T>]) -> Option<&Arc<MmapRaw>> {
    mapped.iter().find_map(|owned| owned.share.as_ref()).map(|share| &share.map)
}

/// The address and the bytes of the mapping that all the values were mapped in.
pub(crate) fn mapping<T>(mapped: &[Owned<T>]) -> Option<(usize, usize)> {
    whole(mapped).map(|map| (map.as_ptr() as usize, map.len()))
}

/// Keeps huge pages of `huge` bytes, which hosts may make unasked, from reaching from one share of a mapping into the next,
/// and into the mappings on both sides: these may have other places, and a page is moved whole.
pub(crate) fn keep_apart<T>(mapped: &[Owned<T>], huge: usize) {
    let Some((map, (start, bytes))) = whole(mapped).zip(mapping(mapped)) else { return };
    let end = start + bytes;
    let first = if mapped.len() > 1 { end } else { start.next_multiple_of(huge).min(end) };
    let last = (end / huge * huge).max(first);
    for (from, to) in [(start, first), (last, end)] {
        if from < to {
            // A kernel that refuses has no huge pages.
            let _ = map.advise_range(Advice::NoHugePage, from - start, to - from);
        }
    }
}

/// Asks for transparent huge pages of `huge` bytes, which each share of the mapping is a multiple of, and has small ones
/// where the values do not fill one: that would take memory which is of no use. All is one mapping to the kernel still,
/// of which a process may have only so many.
pub(crate) fn advise_huge<T>(mapped: &[Owned<T>], huge: usize) -> io::Result<()> {
    let Some(map) = whole(mapped) else { return Ok(()) };
    map.advise(Advice::NoHugePage)?;
    for owned in mapped {
        let bytes = owned.len * size_of::<T>();
        if !bytes.is_multiple_of(huge) {
            // SAFETY: within the values, of which nobody else knows yet.
            let tail = unsafe { owned.start.cast::<u8>().add(bytes / huge * huge) };
            // What was read once has a table of small pages, and gets these when it is written; to read takes no memory.
            // SAFETY: the mapping is zeroed.
            unsafe { tail.read_volatile() };
        }
    }
    map.advise(Advice::HugePage)
}

impl<T> Owned<T> {
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.start.as_ptr()
    }

    pub(crate) fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// All its pages: their address and bytes.
    pub(crate) fn pages(&self) -> Option<(usize, usize)> {
        self.share.as_ref().map(|share| (self.address(), share.bytes))
    }
}

impl<T: Pod> Deref for Owned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` is aligned and non-null and `len` values of zeroed or since written memory, valid for any bits
        // since `T: Pod`, follow it in one mapping of at most `isize::MAX` bytes, which lives as long as `self`; only
        // `&mut self` leads to writes.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Pod> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; the memory is reached through `self` alone, which is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values at {:#x}", self.len, self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys_memory::page_size;

    #[derive(Clone, Copy)]
    #[repr(C, align(16384))]
    struct Wide([u8; 16_384]);
    // SAFETY: an array of bytes, as large as its alignment: zero is a value of it.
    unsafe impl bytemuck::Zeroable for Wide {}
    // SAFETY: as above: any bits are one, and no byte is padding.
    unsafe impl Pod for Wide {}

    #[test]
    fn aligned_as_asked_and_as_the_type_is() {
        let page = page_size();
        for align in [page, 1 << 21, 1 << 23] {
            for mut owned in Owned::<Wide>::map(&[3, 0, 4, 200], align, page, false).unwrap() {
                let Some(last) = owned.len().checked_sub(1) else { continue };
                assert_eq!(owned.address() % align.max(16_384), 0);
                owned[last].0[16_383] = 9;
                assert_eq!(owned.iter().map(|wide| wide.0.iter().map(|&b| u32::from(b)).sum::<u32>()).sum::<u32>(), 9);
            }
        }
    }

    #[test]
    fn no_values_take_no_mapping() {
        let mut none = Owned::<u64>::map(&[0, 0], page_size(), page_size(), false).unwrap();
        assert!(mapping(&none).is_none());
        advise_huge(&none, 1 << 21).unwrap();
        for none in &mut none {
            assert!(none.is_empty() && none.pages().is_none() && none.as_mut_ptr().is_aligned());
            assert!(none.iter_mut().next().is_none());
        }
    }

    #[test]
    fn sizes_beyond_the_address_space() {
        let page = page_size();
        for len in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8, isize::MAX as usize / 8 - 600] {
            for lens in [&[len][..], &[1, len], &[len / 2, 1, len / 2 + 1]] {
                let error = Owned::<u64>::map(lens, page, page, false).map(|_| ()).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{len}");
            }
        }
    }
}

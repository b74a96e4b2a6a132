//! Owned memory with a place.

mod builder;
#[allow(unsafe_code, reason = "placed memory is handed out as slices of its own mapping")]
mod owned;
pub(crate) mod policy;
pub(crate) mod residency;

use std::{
    fmt,
    ops::{Bound, Deref, DerefMut, RangeBounds},
};

use bytemuck::Pod;

use crate::{
    error::Error,
    fault::Fault,
    sys_memory::{self as sys, Move, page_size},
};
pub use builder::RegionBuilder;
use owned::Owned;
use policy::{Placed, Policy, place};
use residency::Residency;

/// How large the pages of a [`Region`] are to be.
///
/// ```
/// use heist_numa::{PageSize, Region};
///
/// let region = Region::<f64>::builder().pages(PageSize::HugeTlb).allocate(1 << 20)?;
/// assert!(region[..].iter().all(|&value| value == 0.0));
/// for warning in region.warnings() {
///     println!("{warning}"); // as where the host has no huge pages
/// }
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageSize {
    /// As the host does it for all memory: base pages, and huge ones where `transparent_hugepage/enabled` says always.
    #[default]
    Base,
    /// Transparent huge pages, as far as the kernel has them at hand.
    Huge,
    /// Pages reserved by `vm.nr_hugepages`; [`Huge`](PageSize::Huge) with a warning when too few of them are free.
    /// With [`Policy::On`] they are taken at once, for a page that is missing later would end the process.
    HugeTlb,
}

/// Owned memory whose pages are where they were asked to be: a slice of plain values, zero at first.
///
/// A page gets its place when it is first written, or [populated](Region::populate), which several threads may do at
/// once, each for its part. What the host cannot give (huge pages, or any say about places) is missing with a
/// [warning](Region::warnings); a domain that does not exist is an error.
///
/// ```
/// use heist_numa::{Policy, Region};
///
/// let mut region = Region::<f64>::builder().policy(Policy::Preferred(0)).allocate(1_000)?;
/// region[7] = 1.5;
/// assert_eq!(region.iter().sum::<f64>(), 1.5);
/// assert!(region.residency()?.present() > 0);
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub struct Region<T: Pod> {
    memory: Owned<T>,
    policy: Policy,
    pages: PageSize,
    warnings: Vec<String>,
}

/// Element positions of `range`, checked.
pub(crate) fn positions(
    range: impl RangeBounds<usize>,
    len: usize,
    what: &'static str,
) -> Result<std::ops::Range<usize>, Error> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    if start <= end && end <= len { Ok(start..end) } else { Err(Fault::Range { what, start, end, len }.into()) }
}

impl<T: Pod> Region<T> {
    /// Starts a region: see [`RegionBuilder`].
    ///
    /// ```
    /// let region = heist_numa::Region::<u8>::builder().allocate(100)?;
    /// assert_eq!(region.len(), 100);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn builder() -> RegionBuilder<T> {
        RegionBuilder::new()
    }

    /// The first value, to write through as to that of a `Vec`: from several threads, say, each to its own part.
    ///
    /// ```
    /// let mut region = heist_numa::Region::<u8>::builder().allocate(100)?;
    /// assert_eq!(region.as_mut_ptr().cast_const(), region.as_ptr());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.memory.as_mut_ptr()
    }

    /// Takes the memory of the values in `range`, and so gives it its place, without a change to them. Of pages that
    /// the range has a part of, all is taken.
    ///
    /// Many threads may do so at once, and beside others that write: with [`Policy::FirstTouch`] each thread gets the
    /// pages of its range onto its own domain.
    ///
    /// # Errors
    ///
    /// [`is_out_of_range`](Error::is_out_of_range) when the region has no such values;
    /// [`is_out_of_memory`](Error::is_out_of_memory) when the kernel has no pages.
    ///
    /// ```
    /// use std::thread;
    ///
    /// let region = heist_numa::Region::<u64>::builder().allocate(1 << 20)?;
    /// thread::scope(|s| {
    ///     let halves = [0..1 << 19, 1 << 19..1 << 20].map(|half| s.spawn(|| region.populate(half)));
    ///     halves.into_iter().try_for_each(|half| half.join().unwrap())
    /// })?;
    /// assert_eq!(region.residency()?.absent(), 0);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn populate(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let range = positions(range, self.len(), "values of the region")?;
        if range.is_empty() {
            return Ok(());
        }
        let start = self.memory.address() + range.start * size_of::<T>();
        let end = self.memory.address() + range.end * size_of::<T>();
        populate_pages(start, end, "the pages of a region")
    }

    /// Where the pages are.
    ///
    /// # Errors
    ///
    /// [`is_refused`](Error::is_refused) when the kernel does not tell, as under a system call filter.
    ///
    /// ```
    /// let region = heist_numa::Region::<u8>::builder().allocate(1 << 16)?;
    /// assert_eq!(region.residency()?.absent(), region.residency()?.pages());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn residency(&self) -> Result<Residency, Error> {
        Residency::of(self.memory.address(), self.len() * size_of::<T>())
    }

    /// Moves all pages to the domain with this kernel number, and has those yet to come follow: as long as it has room, or,
    /// where the region was asked for with [`Policy::On`], in any case. Values stay as they are, and may be read and written
    /// meanwhile. When some pages have to stay, so do all, as far as the kernel can put them back, and the policy.
    ///
    /// # Errors
    ///
    /// [`is_unavailable`](Error::is_unavailable) when the domain has no memory for this process;
    /// [`is_refused`](Error::is_refused) when the kernel forbids the call, or pages stay because the domain is full,
    /// they are locked, or a child made by `fork` has them too.
    ///
    /// ```
    /// let region = heist_numa::Region::<u8>::builder().allocate(1 << 16)?;
    /// region.populate(..)?;
    /// region.migrate(0)?;
    /// assert!(region.residency()?.is_all_on(0));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn migrate(&self, id: u32) -> Result<(), Error> {
        let Some((start, bytes)) = self.memory.pages() else { return Ok(()) };
        // A page that is bound and finds no room when it is first written ends the process: only who asked for that gets
        // it, and nobody who has pages of hugetlb, of which there are few.
        let is_bound = matches!(self.policy, Policy::On(_)) && self.pages != PageSize::HugeTlb;
        let policy = if is_bound { Policy::On(id) } else { Policy::Preferred(id) };
        migrate_pages(start, bytes, &policy, id)
    }

    /// What could not be done as asked, and how it can be.
    ///
    /// ```
    /// let region = heist_numa::Region::<u8>::builder().allocate(1 << 16)?;
    /// assert!(region.warnings().is_empty());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Takes the pages that hold the bytes `start..end`.
pub(crate) fn populate_pages(start: usize, end: usize, what: &str) -> Result<(), Error> {
    let first = start / page_size() * page_size();
    sys::populate(first, (end - first).next_multiple_of(page_size())).map_err(|source| {
        let hint = "free memory there, or let it come from another domain by Policy::Preferred";
        Fault::Room { what: what.to_owned(), bytes: end - start, hint, source: Some(source) }.into()
    })
}

/// Gives a mapping the policy, which is all for the domain `id`, and moves its pages there.
pub(crate) fn migrate_pages(start: usize, bytes: usize, policy: &Policy, id: u32) -> Result<(), Error> {
    let before = sys::policy_of(start);
    let elsewhere = || Residency::of(start, bytes).map(|found| found.present() - found.pages_on(id));
    let stayed = place(start, bytes, policy, Move::All).and_then(|placed| match placed {
        // What is preferred to be there may be elsewhere even so.
        Placed::AsAsked => Ok(elsewhere().unwrap_or(0)),
        Placed::Refused(source) => {
            let hint = "allow it (containers: --cap-add SYS_NICE or another seccomp profile), or leave the pages";
            Err(Fault::Call { call: "mbind", what: format!("{bytes} bytes to domain {id}"), hint, source }.into())
        }
        // A huge page that a neighbour has a part of is split and moved, and still counts as one that stayed.
        Placed::Stuck => elsewhere(),
    });
    let error = match stayed {
        Ok(0) => return Ok(()),
        Ok(pages) => Fault::Stuck { id, pages }.into(),
        Err(error) => error,
    };
    if let Ok((mode, nodes)) = before {
        let moving = if nodes.is_empty() { Move::Nothing } else { Move::All };
        // The pages that cannot be put back stay where they are, which the error tells of.
        let _ = sys::bind(start, bytes, mode, &nodes, moving);
    }
    Err(error)
}

impl<T: Pod> Deref for Region<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory
    }
}

impl<T: Pod> DerefMut for Region<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory
    }
}

impl<T: Pod> fmt::Debug for Region<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("memory", &self.memory)
            .field("policy", &self.policy)
            .field("pages", &self.pages)
            .field("warnings", &self.warnings)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_size_is_zero_and_writable() {
        for pages in [PageSize::Base, PageSize::Huge, PageSize::HugeTlb] {
            let mut region = Region::<u64>::builder().pages(pages).allocate(700_000).unwrap();
            assert!(region.iter().all(|&value| value == 0));
            region.iter_mut().zip(0..).for_each(|(value, at)| *value = at);
            region.populate(3..699_999).unwrap();
            assert!(region.iter().zip(0..).all(|(&value, at)| value == at));
            assert_eq!(region.residency().unwrap().absent(), 0);
        }
    }

    #[test]
    fn an_empty_region_is_a_region() {
        for pages in [PageSize::Base, PageSize::Huge, PageSize::HugeTlb] {
            let region = Region::<u64>::builder().pages(pages).policy(Policy::On(0)).allocate(0).unwrap();
            region.populate(..).unwrap();
            region.migrate(0).unwrap();
            assert_eq!((region.len(), region.residency().unwrap().pages()), (0, 0));
        }
        let absent = Region::<u64>::builder().policy(Policy::On(4_095)).allocate(0);
        assert!(absent.unwrap_err().is_unavailable());
    }

    #[test]
    fn what_is_moved_is_bound_only_if_it_was() {
        let by = |policy| {
            let region = Region::<u8>::builder().policy(policy).allocate(1 << 16).unwrap();
            region.populate(..).unwrap();
            region.migrate(0).unwrap();
            assert!(region.migrate(4_001).unwrap_err().is_unavailable());
            sys::policy_of(region.as_ptr().addr()).unwrap()
        };
        assert_eq!(by(Policy::Preferred(0)), (libc::MPOL_PREFERRED, vec![0]));
        assert_eq!(by(Policy::FirstTouch), (libc::MPOL_PREFERRED, vec![0]));
        assert_eq!(by(Policy::On(0)), (libc::MPOL_BIND, vec![0]));
    }

    #[test]
    fn ranges_stay_inside() {
        let region = Region::<u16>::builder().allocate(10).unwrap();
        for range in [(Bound::Included(0), Bound::Included(10)), (Bound::Excluded(usize::MAX), Bound::Unbounded)] {
            assert!(region.populate(range).unwrap_err().is_out_of_range());
        }
        let (start, end) = (7, 3);
        assert!(region.populate(start..end).unwrap_err().to_string().contains("7..3 leaves the 10 values"));
        region.populate(10..).unwrap();
        assert_eq!(region.residency().unwrap().present(), 0);
    }

    #[test]
    fn crosses_threads() {
        fn portable<T: Send + Sync + 'static>() {}
        portable::<Region<f64>>();
    }
}

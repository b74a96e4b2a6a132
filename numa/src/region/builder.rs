//! How a region comes to be: mapped, in pages of a size, by a policy.

use std::{fs, io, marker::PhantomData, path::Path, sync::OnceLock};

use bytemuck::Pod;

use super::{
    PageSize, Region,
    owned::{self, Owned},
    policy::{Policy, place},
};
use crate::{
    error::Error,
    fault::Fault,
    sys_memory::{self as sys, Move, page_size},
    sysfs,
};

/// Bytes of regions that are mapped together: one mapping must not be more than the host has.
const RUN: usize = 1 << 30;

/// Says how a [`Region`] shall be; from [`Region::builder`].
///
/// ```
/// let builder = heist_numa::Region::<u8>::builder();
/// assert_eq!(builder.allocate(4_096)?.len(), 4_096);
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RegionBuilder<T> {
    policy: Policy,
    pages: PageSize,
    values: PhantomData<fn() -> T>,
}

impl<T: Pod> RegionBuilder<T> {
    pub(super) fn new() -> RegionBuilder<T> {
        RegionBuilder { policy: Policy::default(), pages: PageSize::default(), values: PhantomData }
    }

    /// Where the pages come from; [`Policy::FirstTouch`] unless said.
    ///
    /// ```
    /// use heist_numa::{Policy, Region};
    ///
    /// let region = Region::<u8>::builder().policy(Policy::On(4_000)).allocate(1);
    /// assert!(region.unwrap_err().is_unavailable());
    /// ```
    pub fn policy(self, policy: Policy) -> RegionBuilder<T> {
        RegionBuilder { policy, ..self }
    }

    /// How large the pages are to be; [`PageSize::Base`] unless said.
    ///
    /// ```
    /// use heist_numa::{PageSize, Region};
    ///
    /// let region = Region::<u8>::builder().pages(PageSize::Huge).allocate(4 << 20)?;
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn pages(self, pages: PageSize) -> RegionBuilder<T> {
        RegionBuilder { pages, ..self }
    }

    /// Maps `len` values, all zero. No memory is taken yet, but by [`PageSize::HugeTlb`]. That values of no size have no
    /// region is seen at compile time.
    ///
    /// # Errors
    ///
    /// [`is_unavailable`](Error::is_unavailable) when a domain of the policy has no memory for this process;
    /// [`is_out_of_memory`](Error::is_out_of_memory) when there is no room; [`is_refused`](Error::is_refused) when the
    /// process has too many mappings already.
    ///
    /// ```
    /// let region = heist_numa::Region::<u32>::builder().allocate(1_000)?;
    /// assert_eq!(*region, [0; 1_000]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn allocate(&self, len: usize) -> Result<Region<T>, Error> {
        self.allocate_all(&[len]).map(|mut one| one.swap_remove(0))
    }

    /// Maps many regions, of so many values each, together: of mappings a process may have only so many
    /// (`vm.max_map_count`), and of regions that are mapped together a GiB or more takes one, until some are moved. Of one
    /// that is dropped the pages are given back; the addresses go with the last.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    ///
    /// ```
    /// let regions = heist_numa::Region::<u32>::builder().allocate_all(&[1_000, 0, 7])?;
    /// assert_eq!(regions.iter().map(|region| region.len()).collect::<Vec<_>>(), [1_000, 0, 7]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn allocate_all(&self, lens: &[usize]) -> Result<Vec<Region<T>>, Error> {
        if self.pages == PageSize::HugeTlb {
            return lens.iter().map(|&len| self.reserved(len)).collect();
        }
        let mut warnings = Vec::new();
        let huge = if self.pages == PageSize::Base { None } else { usable(transparent(Path::new("/")), &mut warnings) };
        let bytes = |at: usize| lens[at].saturating_mul(size_of::<T>());
        let is_large = |at: usize| bytes(at) >= huge.unwrap_or_else(huge_size);
        let mut order: Vec<usize> = (0..lens.len()).collect();
        order.sort_by_key(|&at| is_large(at));
        // Large ones without advice get huge pages where the host gives them to all, and so are kept apart.
        let is_alone = |at: usize| self.pages == PageSize::Base && is_large(at);
        let mut regions = Vec::with_capacity(lens.len());
        // Each takes a page at least, a huge one if it has any.
        let share = |at: usize| bytes(at).saturating_add(huge.filter(|_| is_large(at)).unwrap_or_else(page_size));
        let mut all = order.first().map_or(0, |&first| share(first));
        let in_one = |&last: &usize, &next: &usize| {
            let fits = all.saturating_add(share(next)) <= RUN;
            let in_one = fits && is_large(last) == is_large(next) && !is_alone(next);
            all = if in_one { all + share(next) } else { share(next) };
            in_one
        };
        for run in order.chunk_by(in_one) {
            let lens: Vec<usize> = run.iter().map(|&at| lens[at]).collect();
            let memories = self.map_run(&lens, huge.filter(|_| is_large(run[0])), &mut warnings)?;
            regions.extend(run.iter().copied().zip(memories));
        }
        regions.sort_unstable_by_key(|&(at, _)| at);
        Ok(regions.into_iter().map(|(_, memory)| self.region(memory, self.pages, warnings.clone())).collect())
    }

    /// One mapping, in huge pages if they have a size.
    fn map_run(&self, lens: &[usize], huge: Option<usize>, warnings: &mut Vec<String>) -> Result<Vec<Owned<T>>, Error> {
        let memories = Owned::<T>::map(lens, huge.unwrap_or(1), page_size(), false);
        let memories = memories
            .map_err(|source| no_room::<T>(lens.iter().fold(0, |all, &len| all.saturating_add(len)), source))?;
        let refused = match huge {
            Some(huge) => owned::advise_huge(&memories, huge).err(),
            None => {
                owned::keep_apart(&memories, huge_size());
                None
            }
        };
        warn(warnings, refused.map(|why| format!("no huge pages: {why}")));
        self.put(&memories, warnings)?;
        Ok(memories)
    }

    fn region(&self, memory: Owned<T>, pages: PageSize, warnings: Vec<String>) -> Region<T> {
        Region { memory, policy: self.policy.clone(), pages, warnings }
    }

    /// In reserved huge pages, as far as there are such.
    fn reserved(&self, len: usize) -> Result<Region<T>, Error> {
        let mut warnings = Vec::new();
        let why = match self.hugetlb(len, &mut warnings)? {
            Ok(memory) => return Ok(self.region(memory, PageSize::HugeTlb, warnings)),
            Err(why) => why,
        };
        let mut region = self.clone().pages(PageSize::Huge).allocate(len)?;
        let warning =
            format!("no pages of hugetlb, so transparent huge ones: {why}; free or reserve some by vm.nr_hugepages");
        region.warnings.insert(0, warning);
        Ok(region)
    }

    /// Memory of reserved huge pages, or why there is none.
    fn hugetlb(&self, len: usize, warnings: &mut Vec<String>) -> Result<Result<Owned<T>, String>, Error> {
        let Some(page) = hugetlb_size(&fs::read_to_string("/proc/meminfo").unwrap_or_default()) else {
            return Ok(Err("the kernel has none".to_owned()));
        };
        let mut memory = match Owned::<T>::map(&[len], page, page, true) {
            Ok(memory) => memory,
            Err(source) => return Ok(Err(source.to_string())),
        };
        self.put(&memory, warnings)?;
        let memory = memory.swap_remove(0);
        if let (Policy::On(id), Some((start, bytes))) = (&self.policy, memory.pages())
            && let Err(source) = sys::populate(start, bytes)
        {
            return Ok(Err(format!("too few are free on domain {id} ({source})")));
        }
        Ok(Ok(memory))
    }

    /// Gives the mapping that they are all in its policy.
    fn put(&self, memories: &[Owned<T>], warnings: &mut Vec<String>) -> Result<(), Error> {
        // Nothing is mapped for no values, but an absent domain is an error even so.
        let probe;
        let (start, bytes) = match owned::mapping(memories) {
            Some(mapping) => mapping,
            None => {
                probe = Owned::<u8>::map(&[1], 1, page_size(), false).map_err(|source| no_room::<u8>(1, source))?;
                (probe[0].address(), page_size())
            }
        };
        warn(warnings, place(start, bytes, &self.policy, Move::Nothing)?.warning(&self.policy));
        Ok(())
    }
}

/// Each once.
fn warn(warnings: &mut Vec<String>, more: Option<String>) {
    warnings.extend(more.filter(|more| !warnings.contains(more)));
}

/// The size of huge pages, or none with a warning.
fn usable(huge: Result<usize, String>, warnings: &mut Vec<String>) -> Option<usize> {
    huge.map_err(|why| warnings.push(format!("no huge pages: {why}"))).ok()
}

fn no_room<T>(len: usize, source: io::Error) -> Fault {
    Fault::Room {
        what: "a region".to_owned(),
        bytes: len.saturating_mul(size_of::<T>()),
        hint: "ask for less, or raise the limit of address space (ulimit -v) or of overcommitted memory",
        source: Some(source),
    }
}

/// The size of reserved huge pages, as `/proc/meminfo` has it.
fn hugetlb_size(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("Hugepagesize:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024).filter(|bytes| bytes.is_power_of_two())
}

/// The size of transparent huge pages, or why there are none.
fn transparent(root: &Path) -> Result<usize, String> {
    let dir = root.join("sys/kernel/mm/transparent_hugepage");
    let enabled = sysfs::text(&dir.join("enabled")).ok_or("the kernel has no transparent ones")?;
    if enabled.contains("[never]") {
        return Err(format!("{} says never; write `madvise` to it", dir.join("enabled").display()));
    }
    Ok(hpage_pmd_size(&dir))
}

fn hpage_pmd_size(dir: &Path) -> usize {
    let size = sysfs::text(&dir.join("hpage_pmd_size")).and_then(|text| text.parse().ok());
    size.filter(|size: &usize| size.is_power_of_two()).unwrap_or(2 << 20)
}

/// The size of transparent huge pages on this host, which may have none.
fn huge_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| hpage_pmd_size(Path::new("/sys/kernel/mm/transparent_hugepage")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::Host, region::residency::Residency};

    /// The mappings of this process.
    fn mappings() -> usize {
        fs::read_to_string("/proc/self/maps").unwrap().lines().count()
    }

    #[test]
    fn huge_pages_are_told_by_the_host() {
        assert_eq!(hugetlb_size("MemTotal: 1 kB\nHugepagesize:       2048 kB\n"), Some(2 << 20));
        assert_eq!(hugetlb_size("MemTotal: 1 kB\n"), None);
        let host = Host::new();
        assert!(transparent(host.root()).unwrap_err().contains("no transparent"));
        host.write("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
        assert!(transparent(host.root()).unwrap_err().contains("says never"));
        host.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        assert_eq!(transparent(host.root()), Ok(2 << 20));
        host.write("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "536870912\n");
        assert_eq!(transparent(host.root()), Ok(512 << 20));
    }

    #[test]
    fn absent_domains_are_named() {
        for id in [4_001, 4_095, 4_096, u32::MAX] {
            for policy in [Policy::On(id), Policy::Preferred(id), Policy::Interleaved(vec![0, id])] {
                let error = Region::<u8>::builder().policy(policy).allocate(1).unwrap_err();
                assert!(error.is_unavailable() && !error.is_refused(), "{error}");
                let message = error.to_string();
                assert!(message.contains(&format!("domain {id}:")) && message.contains("choose among 0"), "{message}");
            }
        }
        let error = Region::<u8>::builder().policy(Policy::Interleaved(vec![])).allocate(1).unwrap_err();
        assert!(error.is_unavailable() && error.to_string().contains("no domain"), "{error}");
        let region = Region::<u8>::builder().allocate(1).unwrap();
        assert!(region.migrate(4_001).unwrap_err().is_unavailable());
    }

    #[test]
    fn what_is_too_large_is_an_error() {
        for len in [1 << 60, usize::MAX / 8, usize::MAX] {
            for pages in [PageSize::Base, PageSize::Huge, PageSize::HugeTlb] {
                let error = Region::<u64>::builder().pages(pages).allocate(len).unwrap_err();
                assert!(error.is_out_of_memory(), "{error}");
            }
        }
    }

    #[test]
    fn many_regions_are_few_mappings() {
        let huge = huge_size();
        for (pages, bytes) in [(PageSize::Huge, huge + huge / 2), (PageSize::Base, huge / 8 - 100)] {
            let before = mappings();
            let regions = Region::<u8>::builder().pages(pages).allocate_all(&[bytes; 2_000]).unwrap();
            let runs = 2_000 * (bytes + huge) / RUN + 1;
            // Other tests map something meanwhile.
            let more = mappings().saturating_sub(before);
            assert!(more < runs + 200, "{more} mappings for {pages:?}");
            assert_eq!(regions.len(), 2_000);
        }
    }

    #[test]
    fn regions_of_one_mapping_have_their_own_pages() {
        let huge = huge_size();
        let lens = [huge + 1, 0, 3, 2 * huge, huge - 1, 5, huge + 5 * page_size()];
        for pages in [PageSize::Base, PageSize::Huge, PageSize::HugeTlb] {
            let mut regions =
                Region::<u8>::builder().pages(pages).policy(Policy::Preferred(0)).allocate_all(&lens).unwrap();
            assert!(regions.iter().map(|region| region.len()).eq(lens));
            for (region, at) in regions.iter_mut().zip(1..) {
                assert!(region.iter().all(|&value| value == 0));
                region.fill(at);
            }
            let own =
                |region: &Region<u8>| region.memory.pages().map(|(start, bytes)| Residency::of(start, bytes).unwrap());
            for region in regions.iter().filter(|region| region.pages != PageSize::HugeTlb) {
                let present = own(region).map_or(0, |found| found.present());
                assert_eq!(present, region.len().div_ceil(page_size()), "no more is taken than is of use: {region:?}");
            }
            let (start, bytes) = regions[3].memory.pages().unwrap();
            let last = regions.split_off(4);
            last[2].migrate(0).unwrap();
            regions.truncate(3);
            let whole: Vec<_> = regions.into_iter().chain(last).collect();
            for (region, at) in whole.iter().zip([1, 2, 3, 5, 6, 7]) {
                assert!(region.iter().all(|&value| value == at), "{at}");
            }
            // Its neighbours keep the mapping; of the other sizes each large one has its own.
            if pages == PageSize::Huge {
                assert_eq!(Residency::of(start, bytes).unwrap().present(), 0, "what is dropped is given back");
            }
            drop(whole);
        }
        assert!(Region::<u8>::builder().allocate_all(&[]).unwrap().is_empty());
        let absent = Region::<u8>::builder().policy(Policy::On(4_095)).allocate_all(&[1, 0]);
        assert!(absent.unwrap_err().is_unavailable());
    }
}

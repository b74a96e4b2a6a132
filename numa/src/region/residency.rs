//! Where pages really are.

use std::collections::BTreeMap;

use crate::{
    error::Error,
    fault::Fault,
    sys_memory::{nodes_of_pages, page_size},
};

/// Pages asked about in one call.
const AT_ONCE: usize = 16 * 1024;

/// Where the pages of some memory are, as the kernel tells: counted in base pages, whatever the memory is made of.
///
/// ```
/// let region = heist_numa::Region::<u8>::builder().allocate(1 << 20)?;
/// region.populate(..1 << 19)?;
///
/// let found = region.residency()?;
/// assert_eq!(found.pages() * found.page_size(), 1 << 20);
/// assert_eq!(found.domains().map(|(_, pages)| pages).sum::<usize>(), found.present());
/// assert!(found.present() >= found.pages() / 2);
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    page: usize,
    domains: BTreeMap<u32, usize>,
    absent: usize,
}

impl Residency {
    /// Asks about every page that a range touches.
    pub(crate) fn of(start: usize, bytes: usize) -> Result<Residency, Error> {
        let page = page_size();
        let mut found = Residency { page, domains: BTreeMap::new(), absent: 0 };
        if bytes == 0 {
            return Ok(found);
        }
        let first = start / page * page;
        let pages = (start + bytes - first).div_ceil(page);
        let mut nodes = vec![libc::c_int::MIN; pages.min(AT_ONCE)];
        for chunk in (0..pages).step_by(AT_ONCE) {
            let nodes = &mut nodes[..(pages - chunk).min(AT_ONCE)];
            nodes_of_pages(first + chunk * page, page, nodes).map_err(|source| refused(bytes, source))?;
            found.count(nodes);
        }
        Ok(found)
    }

    /// A page that was never written is told of in two ways: `-ENOENT` by new kernels, `-EFAULT` by old ones.
    fn count(&mut self, nodes: &[libc::c_int]) {
        for &node in nodes {
            match u32::try_from(node) {
                Ok(id) => *self.domains.entry(id).or_default() += 1,
                Err(_) => self.absent += 1,
            }
        }
    }

    /// Bytes of the pages that this counts.
    ///
    /// ```
    /// let found = heist_numa::residency_of(&[0_u8; 10])?;
    /// assert!(found.page_size().is_power_of_two());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.page
    }

    /// All pages, present or not.
    ///
    /// ```
    /// assert_eq!(heist_numa::residency_of::<u8>(&[])?.pages(), 0);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn pages(&self) -> usize {
        self.present() + self.absent
    }

    /// The pages that are in memory.
    ///
    /// ```
    /// let region = heist_numa::Region::<u8>::builder().allocate(1 << 20)?;
    /// assert_eq!(region.residency()?.present(), 0);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn present(&self) -> usize {
        self.domains.values().sum()
    }

    /// The pages that are not in memory: never written, or swapped out.
    ///
    /// ```
    /// let region = heist_numa::Region::<u8>::builder().allocate(1 << 20)?;
    /// assert_eq!(region.residency()?.absent(), region.residency()?.pages());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn absent(&self) -> usize {
        self.absent
    }

    /// The kernel's number of each domain that has pages, ascending, and how many.
    ///
    /// ```
    /// let stack = [1_u8; 10];
    /// let found = heist_numa::residency_of(&stack)?;
    /// for (id, pages) in found.domains() {
    ///     println!("domain {id}: {} KiB", pages * found.page_size() >> 10);
    /// }
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn domains(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.domains.iter().map(|(&id, &pages)| (id, pages))
    }

    /// The pages on the domain with this kernel number.
    ///
    /// ```
    /// assert_eq!(heist_numa::residency_of(&[1_u8; 10])?.pages_on(4_000), 0);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn pages_on(&self, id: u32) -> usize {
        self.domains.get(&id).copied().unwrap_or(0)
    }

    /// True when every page is in memory and on the domain with this kernel number.
    ///
    /// ```
    /// assert!(!heist_numa::residency_of(&[1_u8; 10])?.is_all_on(4_000));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_all_on(&self, id: u32) -> bool {
        self.pages_on(id) == self.pages()
    }
}

fn refused(bytes: usize, source: std::io::Error) -> Fault {
    let hint = "allow it to see where memory is (containers: --cap-add SYS_NICE or another seccomp profile)";
    Fault::Call { call: "move_pages", what: format!("{bytes} bytes"), hint, source }
}

/// Where the pages of any memory of this process are.
///
/// # Errors
///
/// [`is_refused`](Error::is_refused) when the kernel does not tell, as under a system call filter.
///
/// ```
/// let heap = vec![1_u64; 100_000];
/// let found = heist_numa::residency_of(&heap)?;
/// assert_eq!(found.absent(), 0);
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn residency_of<T>(memory: &[T]) -> Result<Residency, Error> {
    Residency::of(memory.as_ptr() as usize, size_of_val(memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_for_an_untouched_page_count_alike() {
        let mut found = Residency { page: 4_096, domains: BTreeMap::new(), absent: 0 };
        found.count(&[2, -libc::EFAULT, 0, -libc::ENOENT, 2]);
        assert_eq!(found.domains().collect::<Vec<_>>(), [(0, 1), (2, 2)]);
        assert_eq!((found.present(), found.absent(), found.pages()), (3, 2, 5));
        assert!(!found.is_all_on(2));
    }

    #[test]
    fn pages_at_both_ends_count() {
        let page = page_size();
        let memory = vec![1_u8; 4 * page];
        let at = page - memory.as_ptr() as usize % page;
        let around = residency_of(&memory[at - 1..at + page + 1]).unwrap();
        assert_eq!((around.pages(), around.present()), (3, 3));
    }

    #[test]
    fn more_pages_than_one_call_takes() {
        let page = page_size();
        let map = memmap2::MmapMut::map_anon((AT_ONCE + 3) * page).unwrap();
        crate::sys_memory::populate(map.as_ptr() as usize + (AT_ONCE - 1) * page, 2 * page).unwrap();
        let found = residency_of(&map).unwrap();
        assert_eq!((found.pages(), found.present()), (AT_ONCE + 3, 2));
    }
}

//! Where the memory of a value lies, and which domain holds most of what a task waits for.

use std::collections::BTreeMap;

use super::dependents::Node;
use super::header::{Header, Ready, edges};
use crate::primitive::atomic::Ordering;

/// A domain of the executor and how much of it, in pages rounded up, as one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts(u32);

const DOMAIN_BITS: u32 = 10;
const MOST_PAGES: usize = (1 << (u32::BITS - DOMAIN_BITS)) - 1;
/// What whereabouts count in, in bytes.
const PAGE: usize = 4096;

/// Domains that can be told apart; the number after them stands for all.
const MOST_DOMAINS: usize = (1 << DOMAIN_BITS) - 1;

impl Whereabouts {
    /// Of a value whose place is of no matter.
    pub(crate) const NOWHERE: Self = Self(0);

    /// Some bytes on `domain`. They count as a page at least, and as 16 GiB at most.
    pub(crate) fn on(domain: usize, bytes: usize) -> Self {
        if domain < MOST_DOMAINS { Self::at(domain, bytes) } else { Self::NOWHERE }
    }

    /// So many bytes on each domain: near, wherever a task runs.
    pub(crate) fn everywhere(bytes: usize) -> Self {
        Self::at(MOST_DOMAINS, bytes)
    }

    fn at(domain: usize, bytes: usize) -> Self {
        let pages = bytes.div_ceil(PAGE).clamp(1, MOST_PAGES);
        Self((pages << DOMAIN_BITS | domain) as u32)
    }

    pub(crate) fn is_nowhere(self) -> bool {
        self == Self::NOWHERE
    }

    /// The domain, if there is one in particular.
    pub(crate) fn domain(self) -> Option<usize> {
        (!self.is_nowhere()).then_some(self.number()).filter(|&domain| domain < MOST_DOMAINS)
    }

    pub(crate) fn is_everywhere(self) -> bool {
        self.number() == MOST_DOMAINS
    }

    /// In whole pages.
    pub(crate) fn bytes(self) -> usize {
        self.pages() as usize * PAGE
    }

    fn number(self) -> usize {
        self.0 as usize & MOST_DOMAINS
    }

    fn pages(self) -> u64 {
        u64::from(self.0 >> DOMAIN_BITS)
    }

    /// For the header of a task that has a value, in the place of its missing inputs.
    pub(super) fn word(self) -> u32 {
        self.0
    }

    /// As the mark that an edge keeps of its input; no pointer to a node is odd.
    pub(super) fn into_mark<T>(self) -> *const T {
        std::ptr::without_provenance((self.0 as usize) << 1 | 1)
    }

    pub(super) fn of_mark<T>(mark: *const T) -> Self {
        let mark = mark.addr();
        if mark & 1 == 0 { Self::NOWHERE } else { Self((mark >> 1) as u32) }
    }

    /// Of the value of a task that has one.
    pub(crate) fn of_done(task: &Header) -> Self {
        // ORDERING: Relaxed; written before the task was finished, and the caller knows that it is.
        Self(task.pending.load(Ordering::Relaxed))
    }

    /// The value of a task that has one has been moved here. Tasks made from now on go by it.
    pub(crate) fn tell(self, task: &Header) {
        // ORDERING: Relaxed; a hint for whoever reads it.
        task.pending.store(self.word(), Ordering::Relaxed);
    }
}

/// The domain that holds most of the inputs of a task; `here`, if no other holds more. None when all of them are nowhere
/// in particular. O(inputs).
pub(crate) fn affinity(task: &Ready, here: usize) -> Option<usize> {
    // SAFETY: a `Ready` holds its task.
    if unsafe { task.0.as_ref() }.vtable.inputs == Some(0) {
        return None;
    }
    // SAFETY: all inputs are settled, so the edges are out of every list, and nobody writes to them any more.
    let edges = unsafe { edges(task.0).as_ref() };
    let inputs = || edges.iter().map(Node::whereabouts).filter(|at| at.domain().is_some());
    let first = inputs().next()?.domain();
    if inputs().all(|at| at.domain() == first) {
        return first;
    }
    let mut pages = BTreeMap::new();
    inputs().for_each(|at| *pages.entry(at.domain()).or_insert(0) += at.pages());
    let most = pages.values().max()?;
    if pages.get(&Some(here)) == Some(most) {
        return Some(here);
    }
    pages.iter().find(|(_, pages)| *pages == most).and_then(|(domain, _)| *domain)
}

#[cfg(all(test, not(heist_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_and_a_mark_say_the_same() {
        for (domain, bytes, pages) in
            [(0, 0, 1), (3, 1, 1), (1022, 4097, 2), (7, 1 << 30, 1 << 18), (5, 1 << 50, MOST_PAGES)]
        {
            let at = Whereabouts::on(domain, bytes);
            assert_eq!((at.domain(), at.pages()), (Some(domain), pages as u64));
            assert_eq!(Whereabouts::of_mark(at.into_mark::<u8>()), at);
        }
        assert_eq!(Whereabouts::NOWHERE.domain(), None);
        assert!(Whereabouts::of_mark(std::ptr::null::<u8>()).is_nowhere());
        let everywhere = Whereabouts::everywhere(5000);
        assert!(everywhere.is_everywhere() && everywhere.domain().is_none() && !everywhere.is_nowhere());
        assert_eq!(Whereabouts::of_mark(everywhere.into_mark::<u8>()).bytes(), 8192);
        let pointer: *const u64 = &0;
        assert!(Whereabouts::of_mark(pointer).is_nowhere());
    }
}

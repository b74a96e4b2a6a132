//! What the ranks of a host know of each other's end: a word each, in memory they share.

use crate::primitive::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heist_numa::Segment;

/// How far a rank is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Condition {
    Working = 0,
    /// A signal that ends processes has come.
    Signalled = 1,
    /// It is ending the job, and has said why.
    Ending = 2,
    /// It has left the job, as all have.
    Left = 3,
}

/// The words of a host's ranks. Without memory to share, all seem to work, and each speaks for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Option<Arc<Segment>>);

/// Bytes of a word.
const WORD: usize = size_of::<AtomicU64>();

impl Board {
    /// For a job of so many ranks.
    pub(super) fn new(ranks: usize) -> Self {
        Self(Segment::create((ranks + 1) * WORD).ok().map(Arc::new))
    }

    /// What others attach to it by; empty when they cannot.
    pub(super) fn address(&self) -> String {
        self.0.as_ref().map(|segment| segment.address()).unwrap_or_default()
    }

    pub(super) fn attach(address: &str) -> Self {
        Self(Segment::attach(address).ok().map(Arc::new))
    }

    /// Allocates nothing when there is such a word, since signals' handlers come here.
    fn word(&self, at: usize) -> Option<&AtomicU64> {
        let segment = self.0.as_ref()?;
        if !segment.is_mapped() || (at + 1) * WORD > segment.len() {
            return None;
        }
        segment.atomics(at * WORD, 1).ok()?.first()
    }

    pub(super) fn condition(&self, rank: usize) -> Condition {
        // ORDERING: Acquire, with the Release in `set`.
        match self.word(rank + 1).map_or(0, |word| word.load(Ordering::Acquire)) {
            1 => Condition::Signalled,
            2 => Condition::Ending,
            3 => Condition::Left,
            _ => Condition::Working,
        }
    }

    pub(super) fn set(&self, rank: usize, condition: Condition) {
        if let Some(word) = self.word(rank + 1) {
            // ORDERING: Release, with the Acquire in `condition`.
            word.store(condition as u64, Ordering::Release);
        }
    }

    /// Whether this rank is the one of the host's that says why the job ends: the first that asks.
    pub(super) fn speaks(&self, rank: usize) -> bool {
        // ORDERING: AcqRel; the first one is the first for all.
        let first = |word: &AtomicU64| word.compare_exchange(0, rank as u64 + 1, Ordering::AcqRel, Ordering::Acquire);
        self.word(0).is_none_or(|word| first(word).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_see_each_others_words_and_one_speaks() {
        let ours = Board::new(3);
        let theirs = Board::attach(&ours.address());
        assert_eq!(theirs.condition(2), Condition::Working);
        for condition in [Condition::Signalled, Condition::Ending, Condition::Left] {
            ours.set(2, condition);
            assert_eq!((theirs.condition(2), theirs.condition(1)), (condition, Condition::Working));
        }
        assert!(theirs.speaks(1) && !ours.speaks(0) && !ours.speaks(1));
    }

    #[test]
    fn without_memory_to_share_each_speaks_for_itself() {
        let board = Board::attach("no address");
        board.set(0, Condition::Left);
        assert_eq!(board.condition(0), Condition::Working);
        assert!(board.speaks(0) && board.speaks(1));
        assert_eq!(Board::new(1).condition(7), Condition::Working, "no such rank");
    }
}

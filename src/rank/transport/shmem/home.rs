//! The segment of a rank: its bell, and a ring for each rank of the host to write to it.
//!
//! The rings take addresses and no memory until somebody writes, since the pages of a segment come with the first write.

use heist_numa::{Error, Segment};

use super::ring::Ring;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::sync::Arc;
use crate::rank::bell::{Bell, Futex};

/// Words of the ring from one rank to another: 64 KiB, which stay in a core's own cache.
const RING: usize = 1 << 13;
/// Words of two lines, which are fetched together.
const LINES: usize = 16;

/// What lies where, in words: a line about the segment, one with the bell, the tails of all rings, so that one look sees many
/// at once, two lines for each ring's reader, and the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    ranks: usize,
}

impl Layout {
    const BELL: usize = LINES;
    const TAILS: usize = 2 * LINES;

    fn readers(self) -> usize {
        Self::TAILS + self.ranks.next_multiple_of(LINES)
    }
    fn rings(self) -> usize {
        self.readers() + self.ranks * LINES
    }
    fn words(self) -> usize {
        self.rings() + self.ranks * RING
    }
}

/// In the first word: that this is such a segment, of so many ranks.
const MARK: u64 = 0x6865_6973_7401 << 16;

/// A rank's segment, here or attached to.
pub(crate) struct Home {
    segment: Arc<Segment>,
    layout: Layout,
    bell: Arc<Bell<Futex>>,
}

impl Home {
    /// For a rank of a host with so many. `None` where segments cannot be mapped.
    pub(crate) fn create(ranks: usize) -> Result<Option<Self>, Error> {
        let layout = Layout { ranks };
        let segment = Segment::create(layout.words() * size_of::<u64>())?;
        if !segment.is_mapped() {
            return Ok(None);
        }
        // ORDERING: Relaxed; the address is told afterwards.
        segment.atomics(0, 1)?[0].store(MARK | ranks as u64, Ordering::Relaxed);
        Ok(Self::of(segment, layout))
    }

    /// That of a peer, who says that his host has so many ranks as this.
    pub(super) fn attach(address: &str, ranks: usize) -> Option<Self> {
        let segment = Segment::attach(address).ok()?;
        // ORDERING: Relaxed; the address was told afterwards.
        let mark = segment.atomics(0, 1).ok()?[0].load(Ordering::Relaxed);
        if mark != MARK | ranks as u64 { None } else { Self::of(segment, Layout { ranks }) }
    }

    /// `None` when the segment is too small.
    fn of(segment: Segment, layout: Layout) -> Option<Self> {
        segment.atomics(0, layout.words()).ok()?;
        let segment = Arc::new(segment);
        let bell = Arc::new(Bell::new(Futex::shared(&segment, Layout::BELL * size_of::<u64>())?));
        Some(Self { segment, layout, bell })
    }

    /// By which peers attach.
    pub(crate) fn address(&self) -> String {
        self.segment.address()
    }

    pub(crate) fn bell(&self) -> &Arc<Bell<Futex>> {
        &self.bell
    }

    pub(super) fn ranks(&self) -> usize {
        self.layout.ranks
    }

    fn words(&self) -> &[AtomicU64] {
        match self.segment.atomics(0, self.layout.words()) {
            Ok(words) => words,
            Err(_) => unreachable!("a segment does not shrink"),
        }
    }

    /// Where the writers of all rings are.
    pub(super) fn tails(&self) -> &[AtomicU64] {
        &self.words()[Layout::TAILS..][..self.layout.ranks]
    }

    /// The ring that a rank writes, by its number on the host.
    pub(super) fn ring(&self, from: usize) -> Ring<'_> {
        let words = self.words();
        let reader = &words[self.layout.readers() + from * LINES..][..LINES];
        Ring {
            tail: &words[Layout::TAILS + from],
            head: &reader[0],
            wanted: &reader[1],
            words: &words[self.layout.rings() + from * RING..][..RING],
        }
    }
}

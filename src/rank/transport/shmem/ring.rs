//! A ring of words that one rank writes and another reads.
//!
//! It carries *records*, a head and so many words; one record or several make a *stream* of pieces. Both sides keep their
//! own position to themselves, and check every word that the other has written: a mistaken or malicious peer is told from a
//! sound one by [`Corrupt`], or sends nonsense, and no more.

use super::stream::{Assembly, Source};
use crate::primitive::atomic::{AtomicU64, Ordering, fence};

/// In the upper part of each record's head.
const MARK: u64 = 0x48_45_53 << 40;
/// The record opens a stream; it ends one.
const FIRST: u64 = 1 << 32;
const LAST: u64 = 1 << 33;
const LEN: u64 = u32::MAX as u64;

/// What a peer has written makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// The words of one ring. Positions count words since the start; they never wrap in a program's life.
#[derive(Clone, Copy)]
pub(super) struct Ring<'a> {
    /// Where the writer is; his alone to change.
    pub(super) tail: &'a AtomicU64,
    /// Where the reader is; his alone to change.
    pub(super) head: &'a AtomicU64,
    /// Whether the writer waits for room.
    pub(super) wanted: &'a AtomicU64,
    /// As many as a power of two.
    pub(super) words: &'a [AtomicU64],
}

impl<'a> Ring<'a> {
    fn capacity(self) -> u64 {
        self.words.len() as u64
    }

    fn at(self, position: u64) -> &'a AtomicU64 {
        &self.words[position as usize & (self.words.len() - 1)]
    }

    /// So many words from a position on, around the end.
    fn run(self, position: u64, count: usize) -> [&'a [AtomicU64]; 2] {
        let start = position as usize & (self.words.len() - 1);
        let first = count.min(self.words.len() - start);
        [&self.words[start..start + first], &self.words[..count - first]]
    }
}

/// The writer's side.
#[derive(Debug, Default)]
pub(super) struct Writer {
    tail: u64,
    /// Where the reader was when last looked at.
    head: u64,
}

impl Writer {
    fn look(&mut self, ring: Ring<'_>) -> Result<(), Corrupt> {
        // ORDERING: Acquire; pairs with the Release of `Reader::read`, who has copied out what is written over from here on.
        let head = ring.head.load(Ordering::Acquire);
        if head < self.head || head > self.tail {
            return Err(Corrupt);
        }
        self.head = head;
        Ok(())
    }

    /// Words that there is room for; when that may be too few, as the reader has it now.
    fn room(&mut self, ring: Ring<'_>, wish: u64) -> Result<u64, Corrupt> {
        if ring.capacity() - (self.tail - self.head) < wish {
            self.look(ring)?;
        }
        Ok(ring.capacity() - (self.tail - self.head))
    }

    /// Writes as much of a stream as there is room for; whether that was all that was left of it.
    pub(super) fn write<B: AsRef<[u8]>>(&mut self, ring: Ring<'_>, source: &mut Source<B>) -> Result<bool, Corrupt> {
        loop {
            let left = source.left();
            let wish = Self::wish(ring, source);
            let room = self.room(ring, wish)?;
            if room < wish {
                return Ok(false);
            }
            let count = left.min(room - 1).min(LEN);
            let first = if source.is_fresh() { FIRST } else { 0 };
            let last = if count == left { LAST } else { 0 };
            source.copy_into(ring.run(self.tail + 1, count as usize));
            // ORDERING: Relaxed; published below.
            ring.at(self.tail).store(MARK | first | last | count, Ordering::Relaxed);
            self.tail += count + 1;
            // ORDERING: Release; pairs with the Acquire of `Reader::read`.
            ring.tail.store(self.tail, Ordering::Release);
            if last != 0 {
                return Ok(true);
            }
        }
    }

    /// Asks the reader to tell when there is room for what is next of a stream: where he must be then. `None` when there is
    /// already.
    pub(super) fn wants_room<B: AsRef<[u8]>>(
        &mut self,
        ring: Ring<'_>,
        source: &Source<B>,
    ) -> Result<Option<u64>, Corrupt> {
        let wish = Self::wish(ring, source);
        // ORDERING: Relaxed; the fence pairs with that of `Reader::gives_room`: either the reader sees the wish, or he has
        // moved on before this look.
        ring.wanted.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let has_room = self.room(ring, wish)? >= wish;
        Ok((!has_room).then(|| self.tail + wish - ring.capacity()))
    }

    /// Words that are worth a record, of those that are left.
    fn wish<B: AsRef<[u8]>>(ring: Ring<'_>, source: &Source<B>) -> u64 {
        (source.left() + 1).min(ring.capacity() / 4)
    }
}

/// The reader's side.
#[derive(Debug, Default)]
pub(super) struct Reader {
    head: u64,
    assembly: Assembly,
}

impl Reader {
    pub(super) fn position(&self) -> u64 {
        self.head
    }

    /// Takes out what was there at the beginning, at most so many streams, and hands over the pieces of each. Gives how
    /// many.
    pub(super) fn read(
        &mut self,
        ring: Ring<'_>,
        most: usize,
        mut handle: impl FnMut(Vec<Vec<u8>>),
    ) -> Result<usize, Corrupt> {
        // ORDERING: Acquire; pairs with the Release of `Writer::write`.
        let tail = ring.tail.load(Ordering::Acquire);
        let mut seen = 0;
        while seen < most && self.head != tail {
            let there = tail.wrapping_sub(self.head);
            if there > ring.capacity() {
                return Err(Corrupt);
            }
            // ORDERING: Relaxed; the tail was acquired.
            let record = ring.at(self.head).load(Ordering::Relaxed);
            let count = record & LEN;
            if record & !(FIRST | LAST | LEN) != MARK || count >= there {
                return Err(Corrupt);
            }
            if (record & FIRST != 0) != self.assembly.is_empty() {
                return Err(Corrupt);
            }
            let is_whole = self.assembly.take(ring.run(self.head + 1, count as usize))?;
            if is_whole != (record & LAST != 0) {
                return Err(Corrupt);
            }
            self.head += count + 1;
            // ORDERING: Release; pairs with the Acquire of `Writer::look`: what was copied out may be written over.
            ring.head.store(self.head, Ordering::Release);
            if is_whole {
                handle(self.assembly.finish());
                seen += 1;
            }
        }
        Ok(seen)
    }

    /// After something was read: whether the writer waits to be told of the room.
    pub(super) fn gives_room(ring: Ring<'_>) -> bool {
        // Pairs with the fence of `Writer::wants_room`.
        fence(Ordering::SeqCst);
        // ORDERING: Relaxed; ordered by the fence.
        ring.wanted.load(Ordering::Relaxed) != 0 && ring.wanted.swap(0, Ordering::Relaxed) != 0
    }
}

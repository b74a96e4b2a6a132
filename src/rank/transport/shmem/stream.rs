//! What a frame is in a ring: how many pieces it has, the length of each, then the pieces, each from a whole word on.

use super::ring::Corrupt;
use crate::primitive::atomic::{AtomicU64, Ordering};

const WORD: usize = size_of::<u64>();
/// More pieces than a frame has.
const MOST_PIECES: u64 = 1 << 24;
/// More bytes than a piece has.
const MOST_BYTES: u64 = 1 << 48;
/// Bytes that room is made for before they have come.
const AHEAD: usize = 1 << 16;

/// A frame on its way into a ring, and how far it has come.
pub(super) struct Source<B> {
    table: Vec<u64>,
    pieces: Vec<B>,
    /// Words in all, and those that are written.
    words: u64,
    written: u64,
    /// The piece that is next, and how many of its words are written.
    next: usize,
    within: usize,
}

fn words_of(len: usize) -> usize {
    len.div_ceil(WORD)
}

impl<B: AsRef<[u8]>> Source<B> {
    /// Of at least one piece.
    pub(super) fn new(pieces: Vec<B>) -> Self {
        let lengths = || pieces.iter().map(|piece| piece.as_ref().len());
        let table: Vec<_> = std::iter::once(pieces.len()).chain(lengths()).map(|number| number as u64).collect();
        let words = table.len() + lengths().map(words_of).sum::<usize>();
        Self { table, pieces, words: words as u64, written: 0, next: 0, within: 0 }
    }

    /// Words that are left.
    pub(super) fn left(&self) -> u64 {
        self.words - self.written
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.written == 0
    }

    /// Fills these words, of which there are no more than are left.
    pub(super) fn copy_into(&mut self, runs: [&[AtomicU64]; 2]) {
        for mut run in runs {
            self.written += run.len() as u64;
            while !run.is_empty() {
                let bytes = match self.next {
                    0 => None,
                    next => Some(self.pieces[next - 1].as_ref()),
                };
                let count = match bytes {
                    None => self.table.len() - self.within,
                    Some(bytes) => words_of(bytes.len()) - self.within,
                };
                let count = count.min(run.len());
                let (now, later) = run.split_at(count);
                match bytes {
                    None => now.iter().zip(&self.table[self.within..]).for_each(|(word, value)| {
                        // ORDERING: Relaxed; the ring publishes.
                        word.store(*value, Ordering::Relaxed);
                    }),
                    Some(bytes) => copy_in(now, &bytes[self.within * WORD..]),
                }
                self.within += count;
                run = later;
                let all = bytes.map_or(self.table.len(), |bytes| words_of(bytes.len()));
                if self.within == all {
                    (self.next, self.within) = (self.next + 1, 0);
                }
            }
        }
    }
}

/// Fills words with bytes, the last one with zeros behind them; there may be more bytes.
fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<WORD>();
    // ORDERING: Relaxed; the ring publishes.
    words.iter().zip(whole).for_each(|(word, bytes)| word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed));
    if let Some(word) = words.get(whole.len()) {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        word.store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

/// Appends so many bytes, that lie in as many words as they need.
fn copy_out(words: &[AtomicU64], len: usize, to: &mut Vec<u8>) {
    let start = to.len();
    to.resize(start + words.len() * WORD, 0);
    for (to, word) in to[start..].as_chunks_mut::<WORD>().0.iter_mut().zip(words) {
        // ORDERING: Relaxed; the ring has acquired.
        *to = word.load(Ordering::Relaxed).to_ne_bytes();
    }
    to.truncate(start + len);
}

/// A stream as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// How many pieces there will be, and their lengths.
    count: Option<u64>,
    lengths: Vec<usize>,
    pieces: Vec<Vec<u8>>,
}

impl Assembly {
    pub(super) fn is_empty(&self) -> bool {
        self.count.is_none()
    }

    /// Takes the next words; whether the stream is complete.
    pub(super) fn take(&mut self, runs: [&[AtomicU64]; 2]) -> Result<bool, Corrupt> {
        for mut run in runs {
            while let Some(word) = run.first() {
                // ORDERING: Relaxed; the ring has acquired.
                let word = || word.load(Ordering::Relaxed);
                let count = match self.count {
                    Some(count) => count,
                    None => {
                        self.count = Some(word()).filter(|count| (1..=MOST_PIECES).contains(count));
                        self.count.ok_or(Corrupt)?;
                        run = &run[1..];
                        continue;
                    }
                };
                if (self.lengths.len() as u64) < count {
                    let len = word();
                    self.lengths.push(if len > MOST_BYTES { return Err(Corrupt) } else { len as usize });
                    run = &run[1..];
                    self.open_next();
                    continue;
                }
                run = self.fill(run)?;
            }
        }
        Ok(self.is_whole())
    }

    fn is_whole(&self) -> bool {
        self.count == Some(self.lengths.len() as u64) && self.pieces.len() == self.lengths.len() && self.left() == 0
    }

    /// Bytes that the open piece misses.
    fn left(&self) -> usize {
        match (self.pieces.last(), self.lengths.get(self.pieces.len().wrapping_sub(1))) {
            (Some(piece), Some(len)) => len - piece.len(),
            _ => 0,
        }
    }

    /// When all lengths are there: opens the next piece, and those behind it as long as they are empty.
    fn open_next(&mut self) {
        if self.count != Some(self.lengths.len() as u64) {
            return;
        }
        while self.left() == 0
            && let Some(&len) = self.lengths.get(self.pieces.len())
        {
            self.pieces.push(Vec::with_capacity(len.min(AHEAD)));
        }
    }

    /// Gives the open piece what it misses; gives what is behind that.
    fn fill<'a>(&mut self, run: &'a [AtomicU64]) -> Result<&'a [AtomicU64], Corrupt> {
        let left = self.left();
        let Some(piece) = self.pieces.last_mut().filter(|_| left != 0) else { return Err(Corrupt) };
        let count = words_of(left).min(run.len());
        copy_out(&run[..count], left.min(count * WORD), piece);
        self.open_next();
        Ok(&run[count..])
    }

    /// The pieces of a complete stream; the next one begins.
    pub(super) fn finish(&mut self) -> Vec<Vec<u8>> {
        self.count = None;
        self.lengths.clear();
        std::mem::take(&mut self.pieces)
    }
}

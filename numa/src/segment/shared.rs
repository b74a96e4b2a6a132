//! Memory that other processes write to, as atomic words, and copies out of it and into it.
//!
//! All access is by whole aligned words, so that two accesses at a time never differ in size, whoever makes them; a write
//! of part of a word leaves its other bytes as they come to be meanwhile.

use std::{
    fmt,
    fs::File,
    io,
    ops::{Deref, DerefMut, Range},
    slice,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use memmap2::{Advice, Mmap, MmapMut, MmapOptions, MmapRaw};

use crate::sys_file::{add_seals, seals};

const WORD: usize = size_of::<u64>();

/// A mapping of a file that cannot shrink.
pub(crate) struct Shared {
    map: MmapRaw,
}

impl Shared {
    /// Maps `bytes` bytes, a multiple of a page, of a file that has them and, by a seal, always will.
    pub(super) fn map(file: &File, bytes: usize) -> io::Result<Shared> {
        Ok(Shared { map: MmapOptions::new().len(bytes).map_raw(file)? })
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is aligned to a page, lives as long as `self`, and by the seal of its file has memory behind
        // each byte. The atomics are made for others, in this process or not, that change them; nothing in this process
        // reaches this memory other than by atomic words: a file that can still be written to is mapped here only.
        unsafe { slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / WORD) }
    }

    pub(super) fn address(&self) -> usize {
        self.map.as_ptr() as usize
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:#x}", self.len(), self.address())
    }
}

/// A mapping of a file that nobody can change.
pub(super) struct ReadOnly {
    map: Mmap,
    len: usize,
}

impl ReadOnly {
    /// Maps a file of `bytes` bytes, of which the first `len` count; `None` when it is not sealed against all changes.
    pub(super) fn map(file: &File, bytes: usize, len: usize) -> io::Result<Option<ReadOnly>> {
        let is_frozen =
            |seals: libc::c_int| seals & libc::F_SEAL_SHRINK != 0 && seals & (libc::F_SEAL_WRITE | NO_NEW_WRITER) != 0;
        if !seals(file).is_some_and(is_frozen) {
            return Ok(None);
        }
        // SAFETY: the seals are there for good, and with them the file neither changes nor shrinks: the kernel grants the
        // one against writes only when no mapping is left that could write, and the one against new writers is set by
        // `Own::freeze`, which has had the only one there was.
        let map = unsafe { MmapOptions::new().len(bytes).map_copy_read_only(file)? };
        Ok(Some(ReadOnly { map, len }))
    }
}

impl Deref for ReadOnly {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

/// The seal that lets nobody become a writer.
const NO_NEW_WRITER: libc::c_int = libc::F_SEAL_FUTURE_WRITE;

/// A mapping of a file that no other process, and nothing else in this one, has.
pub(super) struct Own {
    map: MmapMut,
    len: usize,
}

impl Own {
    /// Maps a file of `bytes` bytes, of which the first `len` count: one that was just made, is sealed to keep its size, and
    /// of which nobody is told as long as the mapping lives.
    pub(super) fn map(file: &File, bytes: usize, len: usize) -> io::Result<Own> {
        // SAFETY: by the seal there is memory behind each byte; nobody else knows of the file, as the caller sees to.
        let map = unsafe { MmapOptions::new().len(bytes).map_mut(file)? };
        // Where the host has no huge pages to share, they are small.
        _ = map.advise(Advice::HugePage);
        Ok(Own { map, len })
    }

    /// Forbids all changes to the file, for good, and leaves its pages where they are mapped; `None` where the kernel, before
    /// 5.1, has no such seal.
    pub(super) fn freeze(self, file: &File) -> io::Result<Option<ReadOnly>> {
        let map = self.map.make_read_only()?;
        match add_seals(file, NO_NEW_WRITER | libc::F_SEAL_SEAL) {
            Ok(()) => Ok(Some(ReadOnly { map, len: self.len })),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Deref for Own {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

impl DerefMut for Own {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map[..self.len]
    }
}

/// The part of a range of bytes before its first whole word, and how many whole words follow.
fn split(offset: usize, len: usize) -> (usize, usize) {
    let head = (offset.next_multiple_of(WORD) - offset).min(len);
    (head, (len - head) / WORD)
}

// ORDERING: Relaxed throughout; bytes are published by what the user stores, with Release, in a word of
// `Segment::atomics`, and reads there, with Acquire, before he copies them out.

/// Copies bytes from `offset` on out of the words, each word as it is when it is read.
pub(super) fn read(words: &[AtomicU64], offset: usize, to: &mut [u8]) {
    let (head, whole) = split(offset, to.len());
    let (start, rest) = to.split_at_mut(head);
    let (middle, end) = rest.split_at_mut(whole * WORD);
    let part = |at: usize, to: &mut [u8]| {
        if !to.is_empty() {
            let first = at % WORD;
            to.copy_from_slice(&words[at / WORD].load(Relaxed).to_ne_bytes()[first..first + to.len()]);
        }
    };
    part(offset, start);
    let first = (offset + head) / WORD;
    for (to, word) in middle.chunks_exact_mut(WORD).zip(&words[first..first + whole]) {
        to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
    }
    part(offset + head + whole * WORD, end);
}

/// Copies bytes into the words from `offset` on.
pub(super) fn write(words: &[AtomicU64], offset: usize, from: &[u8]) {
    let (head, whole) = split(offset, from.len());
    let (start, rest) = from.split_at(head);
    let (middle, end) = rest.split_at(whole * WORD);
    let part = |at: usize, from: &[u8]| {
        if !from.is_empty() {
            let first = at % WORD;
            merge(&words[at / WORD], first..first + from.len(), from);
        }
    };
    part(offset, start);
    let first = (offset + head) / WORD;
    for (from, word) in middle.as_chunks().0.iter().zip(&words[first..first + whole]) {
        word.store(u64::from_ne_bytes(*from), Relaxed);
    }
    part(offset + head + whole * WORD, end);
}

/// Sets some bytes of a word, and no other, whatever becomes of those at the same time.
fn merge(word: &AtomicU64, bytes: Range<usize>, from: &[u8]) {
    word.update(Relaxed, Relaxed, |word| {
        let mut merged = word.to_ne_bytes();
        merged[bytes.clone()].copy_from_slice(from);
        u64::from_ne_bytes(merged)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn copies_are_those_of_a_slice() {
        let mut random = Random::new(7);
        let words = words(8);
        let mut model = [0_u8; 64];
        for round in 0..4_000 {
            let (start, end) = (random.below(65), random.below(65));
            let range = start.min(end)..start.max(end);
            let bytes: Vec<u8> = range.clone().map(|_| random.below(256) as u8).collect();
            write(&words, range.start, &bytes);
            model[range.clone()].copy_from_slice(&bytes);

            let (start, end) = (random.below(65), random.below(65));
            let range = start.min(end)..start.max(end);
            let mut found = vec![0; range.len()];
            read(&words, range.start, &mut found);
            assert_eq!(found, model[range.clone()], "round {round}: {range:?}");
        }
    }

    #[test]
    fn writers_of_neighbours_lose_nothing() {
        let words = words(4);
        std::thread::scope(|s| {
            for thread in 0..2_usize {
                let words = &words;
                s.spawn(move || {
                    for round in 0..3_000_u32 {
                        let byte = [round as u8];
                        // The threads take alternate bytes; each finds its own as it left it.
                        for at in (thread..32).step_by(2) {
                            write(words, at, &byte);
                        }
                        let mut all = [0; 32];
                        read(words, 0, &mut all);
                        assert!(all.iter().skip(thread).step_by(2).all(|&found| found == byte[0]));
                    }
                });
            }
        });
    }
}

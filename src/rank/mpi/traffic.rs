//! Frames over MPI: each is a message with its head and what is small of it, then one for each larger part of it.
//!
//! A head is, in little-endian numbers: how many parts (u32), how long each is (u64), and those that are short enough to go
//! along. The first part is the frame's bytes, the others its blobs. What is longer than MPI can count goes in pieces.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use super::MpiError;
use super::calls::{Calls, Communicator, Matched, Operation, Receiving};
use crate::primitive::sync::Arc;
use crate::rank::codec::{Blob, Frame, Room};

type Outcome<T> = Result<T, MpiError>;

/// The longest part that goes along with its head, and how much of them does at most.
const ALONG: usize = 16 << 10;
const ALONG_IN_ALL: usize = 1 << 20;
/// The longest message; MPI counts to 2^31 - 1.
const PIECE: usize = 1 << 30;
/// Messages to one rank that MPI has at a time.
const UNDER_WAY: usize = 64;
/// Messages found in one turn, so that those to be sent have theirs.
const AT_ONCE: usize = 64;

/// Bytes to be sent.
#[derive(Clone)]
enum Data {
    Bytes(Arc<Vec<u8>>),
    Blob(Blob),
}

impl Deref for Data {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Blob(blob) => blob,
        }
    }
}

/// A message to be sent: a part of some bytes.
struct Piece {
    data: Data,
    range: std::ops::Range<usize>,
}

/// What goes to one rank.
#[derive(Default)]
struct Outgoing {
    waiting: VecDeque<Piece>,
    under_way: Vec<Operation<Data>>,
}

/// What comes from one rank.
#[derive(Default)]
struct Incoming {
    /// Found, and not yet known what of.
    found: VecDeque<Matched>,
    frames: VecDeque<Arriving>,
    /// It has sent what makes no sense; nothing of it is listened to any more.
    corrupt: bool,
}

/// A frame on its way here.
enum Arriving {
    Head(Receiving<Vec<u8>>),
    Parts(Parts),
}

struct Parts {
    parts: Vec<Part>,
    /// Of the first that waits for a message.
    next: usize,
}

enum Part {
    /// So many bytes are said to come. Memory for them there is when the first message of them has.
    Expected(usize),
    There(Receiving<Memory>),
}

/// Where a part is received.
enum Memory {
    Bytes(Vec<u8>),
    Blob(Room),
}

impl Deref for Memory {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Blob(room) => room,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Blob(room) => room,
        }
    }
}

impl Memory {
    /// Zero, and not touched yet where it is much. The first part of a frame is its bytes. None when there is not so much.
    fn new(part: usize, length: usize) -> Option<Self> {
        if part > 0 {
            return Room::for_ranks(length).ok().map(Self::Blob);
        }
        Vec::<u8>::new().try_reserve_exact(length).ok()?;
        Some(Self::Bytes(vec![0; length]))
    }

    fn into_blob(self) -> Option<Blob> {
        match self {
            Self::Bytes(bytes) => Some(Blob::of_vec(bytes)),
            Self::Blob(room) => room.close().ok(),
        }
    }
}

/// All that is on its way between this rank and the others.
pub(super) struct Traffic {
    over: Communicator,
    outgoing: Vec<Outgoing>,
    incoming: Vec<Incoming>,
    /// The longest message: smaller in tests.
    piece: usize,
}

impl Traffic {
    pub(super) fn new(over: Communicator, piece: Option<usize>) -> Self {
        let size = over.size as usize;
        Self {
            over,
            outgoing: (0..size).map(|_| Outgoing::default()).collect(),
            incoming: (0..size).map(|_| Incoming::default()).collect(),
            piece: piece.unwrap_or(PIECE),
        }
    }

    /// Sends a frame behind those sent before.
    pub(super) fn send(&mut self, to: u32, frame: Frame) {
        let Some(outgoing) = self.outgoing.get_mut(to as usize) else { return };
        let lengths = std::iter::once(frame.bytes.len()).chain(frame.blobs.iter().map(|blob| blob.len()));
        let count = 1 + frame.blobs.len();
        let mut head = Vec::with_capacity(4 + 8 * count + frame.bytes.len().min(ALONG));
        head.extend_from_slice(&(count as u32).to_le_bytes());
        lengths.for_each(|length| head.extend_from_slice(&(length as u64).to_le_bytes()));
        let parts = std::iter::once(Data::Bytes(Arc::new(frame.bytes))).chain(frame.blobs.into_iter().map(Data::Blob));
        let (mut rule, mut alone) = (Along::default(), Vec::new());
        for part in parts {
            if rule.goes_along(part.len()) {
                head.extend_from_slice(&part);
            } else {
                alone.push(part);
            }
        }
        let whole = 0..head.len();
        outgoing.waiting.push_back(Piece { data: Data::Bytes(Arc::new(head)), range: whole });
        for part in alone {
            for start in (0..part.len()).step_by(self.piece) {
                let range = start..part.len().min(start + self.piece);
                outgoing.waiting.push_back(Piece { data: part.clone(), range });
            }
        }
    }

    /// Whether all that was sent is out of this rank's hands.
    pub(super) fn all_sent(&self) -> bool {
        self.outgoing.iter().all(|outgoing| outgoing.waiting.is_empty() && outgoing.under_way.is_empty())
    }

    /// Whether MPI has something to do for it.
    pub(super) fn is_busy(&self) -> bool {
        !self.all_sent() || self.incoming.iter().any(|incoming| !incoming.frames.is_empty())
    }

    /// Goes on with everything. Gives whether something has happened; what has come whole goes to `arrived`.
    pub(super) fn advance(&mut self, calls: &Calls, mut arrived: impl FnMut(u32, Frame)) -> Outcome<bool> {
        let mut happened = false;
        for (to, outgoing) in self.outgoing.iter_mut().enumerate() {
            happened |= outgoing.advance(calls, to as u32, self.over)?;
        }
        for _ in 0..AT_ONCE {
            let Some(message) = calls.next_message(self.over)? else { break };
            happened = true;
            if let Some(incoming) = self.incoming.get_mut(message.from as usize) {
                incoming.found.push_back(message);
            }
        }
        for (from, incoming) in self.incoming.iter_mut().enumerate() {
            happened |= incoming.advance(calls, self.piece, &mut |frame| arrived(from as u32, frame))?;
        }
        Ok(happened)
    }
}

/// Which parts go along with the head: both sides ask in the same order.
#[derive(Default)]
struct Along(usize);

impl Along {
    fn goes_along(&mut self, length: usize) -> bool {
        let fits = length <= ALONG && self.0 + length <= ALONG_IN_ALL;
        if fits {
            self.0 += length;
        }
        fits
    }
}

impl Outgoing {
    fn advance(&mut self, calls: &Calls, to: u32, over: Communicator) -> Outcome<bool> {
        let mut happened = false;
        let mut test = |operation: &mut Operation<Data>| -> Outcome<bool> {
            let ended = operation.test(calls)?;
            happened |= ended;
            Ok(ended)
        };
        let mut at = 0;
        while let Some(operation) = self.under_way.get_mut(at) {
            if test(operation)? {
                drop(self.under_way.swap_remove(at));
            } else {
                at += 1;
            }
        }
        while self.under_way.len() < UNDER_WAY
            && let Some(Piece { data, range }) = self.waiting.pop_front()
        {
            let mut operation = calls.send(data, range, to, over)?;
            if !test(&mut operation)? {
                self.under_way.push(operation);
            }
        }
        Ok(happened)
    }
}

impl Incoming {
    fn advance(&mut self, calls: &Calls, piece: usize, arrived: &mut dyn FnMut(Frame)) -> Outcome<bool> {
        if self.found.is_empty() && self.frames.is_empty() {
            return Ok(false);
        }
        let mut happened = false;
        loop {
            // Only the last frame can miss messages; what the next one is may not be known before a head is there.
            match self.frames.back_mut() {
                Some(Arriving::Head(head)) => {
                    if !head.test(calls)? {
                        break;
                    }
                    happened = true;
                    self.read_head(arrived);
                }
                Some(Arriving::Parts(parts)) if parts.misses_some() => {
                    let Some(message) = self.found.pop_front() else { break };
                    if !parts.receive(calls, message, piece)? {
                        self.refuse(arrived);
                    }
                }
                _ => {
                    let Some(message) = self.found.pop_front() else { break };
                    let mut head = Receiving::new(vec![0; message.bytes]);
                    calls.receive(message, &mut head)?;
                    if !self.corrupt {
                        self.frames.push_back(Arriving::Head(head));
                    }
                }
            }
        }
        while let Some(Arriving::Parts(parts)) = self.frames.front_mut()
            && parts.test(calls)?
        {
            let frame = match self.frames.pop_front() {
                Some(Arriving::Parts(parts)) => parts.into_frame(),
                _ => None,
            };
            arrived(frame.unwrap_or_default());
            happened = true;
        }
        Ok(happened)
    }

    /// Makes of the last frame's head, which is there, what is to come of it.
    fn read_head(&mut self, arrived: &mut dyn FnMut(Frame)) {
        let Some(Arriving::Head(head)) = self.frames.pop_back() else { return };
        match head.take().and_then(|head| Parts::read(&head)) {
            Some(parts) => self.frames.push_back(Arriving::Parts(parts)),
            None => self.refuse(arrived),
        }
    }

    /// An empty frame says that nothing that comes from there can be understood.
    fn refuse(&mut self, arrived: &mut dyn FnMut(Frame)) {
        self.corrupt = true;
        self.frames.clear();
        arrived(Frame::default());
    }
}

impl Parts {
    /// What a head says. None if it makes no sense.
    fn read(head: &[u8]) -> Option<Self> {
        let (count, rest) = head.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (lengths, mut along) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut rule = Along::default();
        let mut parts = Vec::with_capacity(count);
        for (at, length) in lengths.as_chunks::<8>().0.iter().enumerate() {
            let length = isize::try_from(u64::from_le_bytes(*length)).ok()? as usize;
            parts.push(if rule.goes_along(length) {
                let bytes = along.split_off(..length)?;
                let mut memory = Memory::new(at, length)?;
                memory.copy_from_slice(bytes);
                Part::There(Receiving::full(memory))
            } else {
                Part::Expected(length)
            });
        }
        let mut parts = Self { parts, next: 0 };
        parts.pass_over_begun();
        (count > 0 && along.is_empty()).then_some(parts)
    }

    fn pass_over_begun(&mut self) {
        while let Some(Part::There(part)) = self.parts.get(self.next)
            && part.missing() == 0
        {
            self.next += 1;
        }
    }

    fn misses_some(&self) -> bool {
        self.next < self.parts.len()
    }

    /// Receives the next message of the next part: all of what misses, or as much as goes in one.
    fn receive(&mut self, calls: &Calls, message: Matched, piece: usize) -> Outcome<bool> {
        let Some(part) = self.parts.get_mut(self.next) else { return Ok(false) };
        let missing = match part {
            Part::Expected(length) => *length,
            Part::There(part) => part.missing(),
        };
        if message.bytes != missing.min(piece) {
            return Ok(false);
        }
        if let Part::Expected(length) = *part {
            let Some(memory) = Memory::new(self.next, length) else { return Ok(false) };
            *part = Part::There(Receiving::new(memory));
        }
        let Part::There(part) = part else { return Ok(false) };
        let begun = calls.receive(message, part);
        self.pass_over_begun();
        begun
    }

    fn test(&mut self, calls: &Calls) -> Outcome<bool> {
        if self.misses_some() {
            return Ok(false);
        }
        for part in &mut self.parts {
            if let Part::There(part) = part
                && !part.test(calls)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn into_frame(self) -> Option<Frame> {
        let mut parts = self.parts.into_iter().map(|part| match part {
            Part::There(part) => part.take(),
            Part::Expected(_) => None,
        });
        let Memory::Bytes(bytes) = parts.next()?? else { return None };
        let blobs = parts.map(|part| part?.into_blob()).collect::<Option<_>>()?;
        Some(Frame { bytes, blobs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_make_no_sense_are_refused() {
        let head = |count: u32, lengths: &[u64], along: &[u8]| {
            let lengths = lengths.iter().flat_map(|length| length.to_le_bytes());
            [count.to_le_bytes().to_vec(), lengths.collect(), along.to_vec()].concat()
        };
        let good = head(2, &[3, 1 << 20], b"abc");
        let parts = Parts::read(&good).unwrap();
        assert!(matches!(&parts.parts[..], [Part::There(there), Part::Expected(0x10_0000)] if there.missing() == 0));
        for cut in 0..good.len() {
            assert!(Parts::read(&good[..cut]).is_none(), "{cut}");
        }
        for bad in [
            head(2, &[3, 1 << 20], b"abcd"),
            head(0, &[], b""),
            head(u32::MAX, &[1, 2], b""),
            head(1, &[u64::MAX], b""),
        ] {
            assert!(Parts::read(&bad).is_none(), "{bad:?}");
        }
    }
}

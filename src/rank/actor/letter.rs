//! What ranks write to each other's actors, and how many such letters go as one message.

use serde::{Deserialize, Serialize};

use super::function::Code;
use super::options::WireOptions;
use crate::error::{TaskError, TaskErrorKind};
use crate::rank::codec::Packed;
use crate::rank::object::{ObjectId, Reference};

/// What is wanted of an actor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    /// Makes it.
    Make { code: Code, options: WireOptions },
    /// Runs a handler; its answer is awaited, and can be called off by the number.
    Ask { code: Code, number: u64 },
    /// Runs a handler.
    Tell { code: Code },
    /// As `Tell`, when the mailbox has room; the answer says that it has.
    TellInRoom { code: Code, waits: bool },
    /// Calls off what was asked with that number, for a reason, or because nobody wants it any more.
    Cancel { number: u64, reason: Option<String> },
    /// Answers when it has ended.
    Watch,
    /// Ends it.
    Stop,
}

/// One thing that is wanted of one actor.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) actor: ObjectId,
    pub(super) what: What,
    /// Whose letters are handled in the order they were sent: a number of the sending rank's.
    pub(super) sender: u64,
    /// Arguments.
    pub(super) packed: Packed,
    /// Which of the references among them are to be fetched first.
    pub(super) needs: Vec<u32>,
}

impl What {
    /// Whether who sends it waits for an answer.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self, Self::Ask { .. } | Self::TellInRoom { .. } | Self::Watch)
    }
}

impl Letter {
    /// What is to be fetched first.
    pub(super) fn needed(&self) -> Vec<Reference> {
        self.needed_of(&self.packed)
    }

    /// As [`needed`](Self::needed), when the arguments have been taken out.
    pub(super) fn needed_of(&self, packed: &Packed) -> Vec<Reference> {
        self.needs.iter().filter_map(|&place| packed.references.get(place as usize).cloned()).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    actor: ObjectId,
    what: What,
    sender: u64,
    needs: Vec<u32>,
    bytes: usize,
    blobs: usize,
    references: usize,
}

fn corrupt() -> TaskError {
    TaskError::new(TaskErrorKind::Codec("a letter to an actor that is not whole".to_owned()))
}

/// Puts a letter behind others.
pub(super) fn add(bundle: &mut Packed, letter: Letter) -> Result<(), TaskError> {
    let Letter { actor, what, sender, packed, needs } = letter;
    let (bytes, blobs, references) = (packed.bytes.len(), packed.blobs.len(), packed.references.len());
    let head = Head { actor, what, sender, needs, bytes, blobs, references };
    let wire = postcard::to_extend(&head, std::mem::take(&mut bundle.bytes));
    bundle.bytes = wire.map_err(|error| TaskError::new(TaskErrorKind::Codec(error.to_string())))?;
    bundle.bytes.extend_from_slice(&packed.bytes);
    bundle.blobs.extend(packed.blobs);
    bundle.references.extend(packed.references);
    Ok(())
}

/// Hands the letters of a bundle over, one after the other, each with whether it is the last.
pub(super) fn each(bundle: Packed, mut take: impl FnMut(Letter, bool)) -> Result<(), TaskError> {
    let Packed { bytes, blobs, references } = bundle;
    let (mut blobs, mut references) = (blobs.into_iter(), references.into_iter());
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (head, after) = postcard::take_from_bytes::<Head>(rest).map_err(|_| corrupt())?;
        let (own, after) = after.split_at_checked(head.bytes).ok_or_else(corrupt)?;
        if head.blobs > blobs.len() || head.references > references.len() {
            return Err(corrupt());
        }
        let packed = Packed {
            bytes: own.to_vec(),
            blobs: blobs.by_ref().take(head.blobs).collect(),
            references: references.by_ref().take(head.references).collect(),
        };
        rest = after;
        let is_last = rest.is_empty();
        let Head { actor, what, sender, needs, .. } = head;
        take(Letter { actor, what, sender, packed, needs }, is_last);
    }
    if blobs.len() == 0 && references.len() == 0 { Ok(()) } else { Err(corrupt()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::codec::Blob;
    use crate::rank::world::Rank;

    fn letter(number: u64, bytes: &[u8], blobs: usize) -> Letter {
        Letter {
            actor: ObjectId { home: Rank(1), maker: Rank(0), number: 9 },
            what: What::Cancel { number, reason: None },
            sender: 3,
            packed: Packed { bytes: bytes.to_vec(), blobs: vec![Blob::copy_of(b"x"); blobs], references: Vec::new() },
            needs: Vec::new(),
        }
    }

    fn three() -> Packed {
        let mut bundle = Packed::default();
        for letter in [letter(1, b"one", 1), letter(2, b"", 0), letter(3, b"three", 2)] {
            add(&mut bundle, letter).unwrap();
        }
        bundle
    }

    /// Number, arguments, blobs; whether it is the last.
    type Read = (u64, Vec<u8>, usize, bool);

    fn read(bundle: Packed) -> Result<Vec<Read>, TaskError> {
        let mut seen = Vec::new();
        each(bundle, |letter, is_last| {
            let What::Cancel { number, .. } = letter.what else { panic!("another letter: {:?}", letter.what) };
            seen.push((number, letter.packed.bytes, letter.packed.blobs.len(), is_last));
        })?;
        Ok(seen)
    }

    #[test]
    fn letters_come_out_of_a_bundle_in_their_order() {
        let expected = [(1, b"one".to_vec(), 1, false), (2, Vec::new(), 0, false), (3, b"three".to_vec(), 2, true)];
        assert_eq!(read(three()).unwrap(), expected);
        assert_eq!(read(Packed::default()).unwrap(), []);
    }

    #[test]
    fn a_bundle_that_is_not_whole_is_an_error() {
        let whole = read(three()).unwrap();
        for cut in 1..three().bytes.len() {
            let mut short = three();
            short.bytes.truncate(cut);
            // Also when it is cut between letters: their blobs are left over.
            assert!(read(short).unwrap_err().is_codec(), "cut at {cut}");
        }
        let mut fewer = three();
        fewer.blobs.pop();
        assert!(read(fewer).unwrap_err().is_codec());
        let mut state = 1_u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bad = three();
            let at = (state >> 33) as usize % bad.bytes.len();
            bad.bytes[at] ^= 1 << (state >> 29 & 7);
            let mut seen = Vec::new();
            let read = each(bad, |letter, _| seen.push(letter.packed.bytes.len()));
            assert!(read.is_err() || seen.len() <= 2 * whole.len());
        }
    }
}

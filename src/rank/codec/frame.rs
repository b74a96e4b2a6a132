//! The wire form of messages: the bytes of the value, then what the message is and what goes beside them.
//!
//! Blobs go beside the bytes, or, to ranks of the same host, by the address of the segment they are in, if they are large: the
//! sender keeps these until the other side has attached, and says so.

use serde::{Deserialize, Serialize};

use super::blob::{self, Blob, Lent};
use super::malformed;
use super::packed::Packed;
use crate::error::TaskError;
use crate::primitive::sync::Arc;
use crate::rank::data;
use crate::rank::message::{Kind, Message};
use crate::rank::object::{self, ObjectId};
use crate::rank::world::{Rank, Shared};

/// What a transport carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) blobs: Vec<Blob>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    kind: u8,
    ticket: u64,
    references: Vec<ObjectId>,
    blobs: Vec<Way>,
}

/// How a blob gets there.
#[derive(Serialize, Deserialize)]
enum Way {
    /// As the next one beside the bytes, which are so many.
    Beside(u64),
    /// By its address; the number says for which loan one is to thank.
    Mapped(u64, Lent),
}

/// The bytes at the end that say how many before them are the head.
type HeadLen = u32;

/// For the rank it goes to, which counts on what is referred to from now on.
pub(crate) fn to_frame(world: &Arc<Shared>, to: Rank, message: Message) -> Result<Frame, TaskError> {
    let Packed { bytes, blobs, references } = message.packed;
    let is_near = blob::are_ranks_near() && world.is_on_host_of(to);
    let mut beside = Vec::new();
    let mut ways = Vec::new();
    for blob in blobs {
        match is_near.then(|| blob.lend()).flatten() {
            Some((lent, kept)) => ways.push(Way::Mapped(data::lend(world, to, kept), lent)),
            None => {
                ways.push(Way::Beside(blob.len() as u64));
                beside.push(blob);
            }
        }
    }
    let references = references.into_iter().map(|reference| object::lent(world, to, reference)).collect();
    let head = Head { kind: message.kind as u8, ticket: message.ticket, references, blobs: ways };
    let start = bytes.len();
    let mut bytes = postcard::to_extend(&head, bytes).map_err(|why| malformed(why.to_string()))?;
    let len = HeadLen::try_from(bytes.len() - start).map_err(|_| malformed("too much beside a value"))?;
    bytes.extend(len.to_le_bytes());
    Ok(Frame { bytes, blobs: beside })
}

/// What has come from a rank.
pub(crate) fn from_frame(world: &Arc<Shared>, from: Rank, frame: Frame) -> Result<Message, TaskError> {
    let Frame { mut bytes, blobs } = frame;
    let (head, start) = head_of(&bytes).ok_or_else(|| malformed(format!("a message of {from} without a head")))?;
    bytes.truncate(start);
    let kind = Kind::of(head.kind).ok_or_else(|| malformed(format!("a message of {from} for nobody")))?;
    if head.references.iter().any(|id| id.home.index() >= world.size() || id.maker.index() >= world.size()) {
        return Err(malformed(format!("a message of {from} that refers to ranks that there are not")));
    }
    let blobs = blobs_of(world, from, blobs, head.blobs)?;
    let references = head.references.into_iter().map(|id| object::received(world, id)).collect();
    Ok(Message { kind, ticket: head.ticket, packed: Packed { bytes, blobs, references } })
}

fn head_of(bytes: &[u8]) -> Option<(Head, usize)> {
    let (rest, len) = bytes.split_last_chunk()?;
    let start = rest.len().checked_sub(HeadLen::from_le_bytes(*len) as usize)?;
    let (head, after) = postcard::take_from_bytes(&rest[start..]).ok()?;
    after.is_empty().then_some((head, start))
}

fn blobs_of(world: &Arc<Shared>, from: Rank, beside: Vec<Blob>, ways: Vec<Way>) -> Result<Vec<Blob>, TaskError> {
    let mut beside = beside.into_iter();
    let mut all = Vec::new();
    let mut loans = Vec::new();
    for way in ways {
        let blob = match way {
            Way::Beside(len) => beside.next().filter(|blob| blob.len() as u64 == len),
            Way::Mapped(loan, lent) => {
                loans.push(loan);
                Some(lent.attach()?)
            }
        };
        all.push(blob.ok_or_else(|| malformed(format!("a message of {from} that lacks some of its data")))?);
    }
    if beside.next().is_some() {
        return Err(malformed(format!("a message of {from} with more data than it says")));
    }
    if !loans.is_empty() {
        data::thank(world, from, loans);
    }
    Ok(all)
}

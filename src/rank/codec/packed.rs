//! A value on its way: bytes, and beside them what does not go into bytes.

use std::cell::RefCell;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::blob::Blob;
use super::malformed;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::rank::object::Reference;
use crate::rank::world::Shared;

/// A value as it travels; may be kept and passed on unopened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) references: Vec<Reference>,
}

/// The value that this thread packs or unpacks.
struct Open {
    blobs: Vec<Option<Blob>>,
    references: Vec<Option<Reference>>,
    /// Of who unpacks.
    world: Option<Arc<Shared>>,
}

thread_local! {
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// Closes what a panic left open.
struct Depth(usize);

impl Drop for Depth {
    fn drop(&mut self) {
        // What is dropped may itself be packed: a count that is given back.
        let left = OPEN.with_borrow_mut(|all| all.split_off(self.0.min(all.len())));
        drop(left);
    }
}

/// Opens a value for the values in it that put something beside its bytes. Values may be packed within others.
fn within<R>(open: Open, call: impl FnOnce() -> R) -> (R, Option<Open>) {
    let _depth = OPEN.with_borrow_mut(|all| {
        all.push(open);
        Depth(all.len() - 1)
    });
    let result = call();
    (result, OPEN.with_borrow_mut(Vec::pop))
}

fn failed(error: impl std::fmt::Display) -> TaskError {
    TaskError::new(TaskErrorKind::Codec(error.to_string()))
}

/// Bytes that a message begins with room for: most need no more, with their heads.
const ROOM: usize = 96;

/// The value as it travels.
pub(crate) fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Packed, TaskError> {
    let open = Open { blobs: Vec::new(), references: Vec::new(), world: None };
    let (bytes, open) = within(open, || postcard::to_extend(value, Vec::with_capacity(ROOM)));
    let bytes = bytes.map_err(failed)?;
    let (blobs, references) = open.map(|open| (open.blobs, open.references)).unwrap_or_default();
    Ok(Packed {
        bytes,
        blobs: blobs.into_iter().flatten().collect(),
        references: references.into_iter().flatten().collect(),
    })
}

impl Packed {
    /// Bytes in all, of those that go beside it too.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.blobs.iter().map(|blob| blob.len()).sum::<usize>()
    }

    /// The value, in this rank's world.
    pub(crate) fn unpack<T: DeserializeOwned>(self, world: &Arc<Shared>) -> Result<T, TaskError> {
        self.unpack_in(Some(world.clone()))
    }

    /// A value that refers to nothing.
    #[cfg(test)]
    pub(crate) fn unpack_alone<T: DeserializeOwned>(self) -> Result<T, TaskError> {
        self.unpack_in(None)
    }

    fn unpack_in<T: DeserializeOwned>(self, world: Option<Arc<Shared>>) -> Result<T, TaskError> {
        let open = Open {
            blobs: self.blobs.into_iter().map(Some).collect(),
            references: self.references.into_iter().map(Some).collect(),
            world,
        };
        let (value, _) = within(open, || postcard::take_from_bytes(&self.bytes));
        match value.map_err(failed)? {
            (value, []) => Ok(value),
            _ => Err(malformed("bytes after the end of a value")),
        }
    }
}

/// Puts a blob beside the value that is being packed; its place there. `None` outside of heist's messages.
pub(crate) fn lend_blob(blob: Blob) -> Option<u32> {
    OPEN.with_borrow_mut(|all| {
        let open = all.last_mut().filter(|open| open.world.is_none())?;
        open.blobs.push(Some(blob));
        u32::try_from(open.blobs.len() - 1).ok()
    })
}

/// As [`lend_blob`], of a reference.
pub(crate) fn lend_reference(reference: Reference) -> Option<u32> {
    OPEN.with_borrow_mut(|all| {
        let open = all.last_mut().filter(|open| open.world.is_none())?;
        open.references.push(Some(reference));
        u32::try_from(open.references.len() - 1).ok()
    })
}

/// The blob at a place beside the value that is being unpacked; once.
pub(crate) fn take_blob(place: u32) -> Option<Blob> {
    OPEN.with_borrow_mut(|all| all.last_mut()?.blobs.get_mut(place as usize)?.take())
}

/// As [`take_blob`], of a reference, with the world that it is unpacked in.
pub(crate) fn take_reference(place: u32) -> Option<(Reference, Arc<Shared>)> {
    OPEN.with_borrow_mut(|all| {
        let open = all.last_mut()?;
        let world = open.world.clone()?;
        Some((open.references.get_mut(place as usize)?.take()?, world))
    })
}

/// Whether this thread packs a value.
pub(crate) fn is_packing() -> bool {
    OPEN.with_borrow(|all| all.last().is_some_and(|open| open.world.is_none()))
}

/// The world of who unpacks the innermost value on this thread.
pub(crate) fn world_of_unpacker() -> Option<Arc<Shared>> {
    OPEN.with_borrow(|all| all.last()?.world.clone())
}

/// Whether this thread packs or unpacks one of heist's messages.
pub(crate) fn is_open() -> bool {
    OPEN.with_borrow(|all| !all.is_empty())
}

/// A packed value as part of another: its bytes go into the bytes, and the rest beside them.
impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outside = || S::Error::custom("packed values travel in heist's own messages only");
        let blobs: Option<Vec<u32>> = self.blobs.iter().cloned().map(lend_blob).collect();
        let references: Option<Vec<u32>> = self.references.iter().cloned().map(lend_reference).collect();
        (Raw(&self.bytes), blobs.ok_or_else(outside)?, references.ok_or_else(outside)?).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lacks = || D::Error::custom("a packed value that lacks a part");
        let (Raw(bytes), blobs, references) = <(Raw<'de>, Vec<u32>, Vec<u32>)>::deserialize(deserializer)?;
        let blobs: Option<_> = blobs.into_iter().map(take_blob).collect();
        let references: Option<_> = references.into_iter().map(|place| Some(take_reference(place)?.0)).collect();
        let (blobs, references) = (blobs.ok_or_else(lacks)?, references.ok_or_else(lacks)?);
        Ok(Self { bytes: bytes.to_vec(), blobs, references })
    }
}

/// Bytes that are written as one piece.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Raw)
    }
}

//! Values as bytes, and messages as frames.

mod answer;
#[allow(unsafe_code, reason = "an array keeps where its values are")]
mod array;
mod blob;
mod error;
mod frame;
#[allow(unsafe_code, reason = "the loaded segments of this program are read")]
mod image;
mod packed;
#[allow(unsafe_code, reason = "a function is called by its place in the image")]
pub(crate) mod ship;

pub(super) use answer::{pack_answer, unpack_answer};
pub use array::Array;
pub(crate) use blob::{Blob, Room, ranks_are_near};
#[cfg(test)]
pub(crate) use error::Passed;
pub(crate) use frame::Frame;
pub(crate) use frame::{from_frame, to_frame};
pub(crate) use image::Image;
pub(crate) use packed::{Packed, is_packing, lend_reference, pack, take_reference, world_of_unpacker};

use crate::error::{TaskError, TaskErrorKind};

/// Of what is not what it should be.
pub(crate) fn malformed(what: impl Into<String>) -> TaskError {
    TaskError::new(TaskErrorKind::Codec(what.into()))
}

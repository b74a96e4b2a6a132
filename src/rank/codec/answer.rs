//! Answers: a value, or the error in its place.

use super::error::Passed;
use super::malformed;
use super::packed::{Packed, pack};
use crate::error::TaskError;

const VALUE: u8 = 0;
const ERROR: u8 = 1;

/// One more byte says which it is.
pub(crate) fn pack_answer(what: Result<Packed, TaskError>) -> Packed {
    match what {
        Ok(mut packed) => {
            packed.bytes.push(VALUE);
            packed
        }
        Err(error) => {
            let mut packed = pack(&Passed(error)).unwrap_or_default();
            packed.bytes.push(ERROR);
            packed
        }
    }
}

pub(crate) fn unpack_answer(mut packed: Packed) -> Result<Packed, TaskError> {
    match packed.bytes.pop() {
        Some(VALUE) => Ok(packed),
        Some(ERROR) => match postcard::from_bytes(&packed.bytes) {
            Ok(Passed(error)) => Err(error),
            Err(why) => Err(malformed(format!("an error ({why})"))),
        },
        _ => Err(malformed("an answer without a value")),
    }
}

//! A segment that nobody else has yet.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use super::{Segment, address::Place, backing, frozen::Frozen, frozen::NotFrozen, shared::Own};
use crate::{error::Error, fault::Fault};

/// A segment that nobody else has yet: a slice of bytes, zero at first, to be written in place and then
/// [frozen](Draft::freeze), when peers may be told of it.
///
/// ```
/// use heist_numa::Draft;
///
/// let mut draft = Draft::create(1 << 20)?;
/// draft[..5].copy_from_slice(b"hello");
/// let ours = draft.freeze()?;
/// let theirs = heist_numa::Frozen::attach(&ours.address())?; // in another process
/// assert_eq!(&theirs[..5], b"hello");
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub struct Draft {
    bytes: Own,
    segment: Segment,
}

impl Draft {
    /// Makes one of `len` bytes.
    ///
    /// # Errors
    ///
    /// [`is_out_of_memory`](Error::is_out_of_memory) when there is no room, [`is_unavailable`](Error::is_unavailable) where
    /// the kernel has no memory to share but files.
    ///
    /// ```
    /// assert!(heist_numa::Draft::create(usize::MAX).unwrap_err().is_out_of_memory());
    /// ```
    pub fn create(len: usize) -> Result<Draft, Error> {
        let (file, address) = backing::create(len)?;
        let is_named = matches!(address.place, Place::File(_));
        let segment = Segment { file, shared: None, address, is_named, warnings: Vec::new() };
        if is_named {
            return Err(Fault::Unmapped { address: segment.address() }.into());
        }
        let bytes = Own::map(&segment.file, segment.file_bytes(), len).map_err(|source| {
            let (call, what) = ("mmap", format!("the segment `{}`", segment.address));
            Fault::Call { call, what, hint: "raise ulimit -v or vm.max_map_count", source }
        })?;
        Ok(Draft { bytes, segment })
    }

    /// Forbids all changes, for good.
    ///
    /// # Errors
    ///
    /// [`is_refused`](Error::is_refused) when the kernel has no room for a mapping. It comes back with the error, as a
    /// [`Segment`].
    ///
    /// ```
    /// let frozen = heist_numa::Draft::create(3)?.freeze()?;
    /// assert_eq!(frozen[..], [0, 0, 0]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn freeze(self) -> Result<Frozen, NotFrozen> {
        let Draft { bytes, segment } = self;
        match bytes.freeze(&segment.file) {
            Ok(Some(bytes)) => Ok(Frozen::of_draft(segment, bytes)),
            // The usual way, for which no mapping that writes may be left.
            Ok(None) | Err(_) => segment.freeze(),
        }
    }
}

impl Deref for Draft {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("address", &self.segment.address()).field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_to_what_was_frozen() {
        let mut draft = Draft::create(10_000).unwrap();
        draft.fill(7);
        let frozen = draft.freeze().unwrap();
        let writer = Segment::attach(&frozen.address());
        assert!(writer.is_err_and(|error| error.to_string().contains("Frozen::attach")));
        let theirs = Frozen::attach(&frozen.address()).unwrap();
        drop(frozen);
        assert!(theirs.iter().all(|&byte| byte == 7));
        assert!(Frozen::attach(&theirs.address()).is_ok(), "whoever has it can pass it on");
    }
}

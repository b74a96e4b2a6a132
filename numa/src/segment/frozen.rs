//! A segment that nobody can change any more.

use std::{fmt, ops::Deref};

use super::{
    Segment,
    address::{Address, Place},
    backing,
    shared::ReadOnly,
};
use crate::{error::Error, fault::Fault, sys_file};

/// Keeps a memfd's bytes as they are, and itself with them.
const FROZEN_SEALS: libc::c_int = libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;

/// A segment that no process can change: a slice, shared as it is. From [`Segment::freeze`] or, by a peer,
/// [`Frozen::attach`].
///
/// Of a segment that is a file it is a copy in this process's own memory, since no file can be kept from changes.
///
/// ```
/// use heist_numa::{Frozen, Segment};
///
/// let segment = Segment::create(100)?;
/// segment.write(0, b"for good")?;
/// let ours = segment.freeze()?;
/// let theirs = Frozen::attach(&ours.address())?; // in another process
/// assert_eq!(&theirs[..8], b"for good");
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub struct Frozen {
    /// Keeps the address good.
    segment: Segment,
    bytes: Bytes,
}

enum Bytes {
    Sealed(ReadOnly),
    Copied(Vec<u8>),
}

/// Why a segment is not frozen, with the segment. Turns into the [`Error`] by itself.
///
/// ```
/// use heist_numa::Segment;
///
/// let ours = Segment::create(100)?;
/// let theirs = Segment::attach(&ours.address())?;
/// if let Err(not_frozen) = ours.freeze() {
///     let ours = not_frozen.into_segment();
///     drop(theirs);
///     ours.freeze()?;
/// }
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug)]
pub struct NotFrozen {
    both: Box<(Error, Segment)>,
}

impl NotFrozen {
    /// Why.
    ///
    /// ```
    /// # use heist_numa::Segment;
    /// let ours = Segment::create(100)?;
    /// let theirs = Segment::attach(&ours.address())?;
    /// assert!(!ours.is_mapped() || ours.freeze().unwrap_err().error().is_busy());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.both.0
    }

    /// The segment, to try again.
    ///
    /// ```
    /// # use heist_numa::Segment;
    /// let ours = Segment::create(100)?;
    /// let theirs = Segment::attach(&ours.address())?;
    /// if let Err(not_frozen) = ours.freeze() {
    ///     not_frozen.into_segment().write(0, b"not frozen")?;
    /// }
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn into_segment(self) -> Segment {
        self.both.1
    }
}

impl From<NotFrozen> for Error {
    fn from(not_frozen: NotFrozen) -> Error {
        not_frozen.both.0
    }
}

impl fmt::Display for NotFrozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for NotFrozen {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().source()
    }
}

impl Segment {
    /// Forbids all processes to change it, for good.
    ///
    /// # Errors
    ///
    /// [`is_busy`](Error::is_busy) when another process, or another `Segment` of this one, still has it mapped to write;
    /// [`is_gone`](Error::is_gone) when it is a file that someone cut short; [`is_refused`](Error::is_refused) when the
    /// kernel has no room for a mapping. It comes back with the error, to try again.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(100)?;
    /// segment.write(98, &[1, 2])?;
    /// let bytes = segment.freeze()?;
    /// assert_eq!(bytes[97..], [0, 1, 2]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn freeze(mut self) -> Result<Frozen, NotFrozen> {
        if matches!(self.address.place, Place::File(_)) {
            return match self.copied() {
                Ok(bytes) => Ok(Frozen { segment: self, bytes }),
                Err(error) => Err(NotFrozen { both: Box::new((error, self)) }),
            };
        }
        // One's own mapping is one that writes, too.
        self.shared = None;
        let sealed = sys_file::add_seals(&self.file, FROZEN_SEALS).map_err(|source| match source.raw_os_error() {
            Some(libc::EBUSY) => Fault::Busy { address: self.address() }.into(),
            _ => refused(&self, "the seal", source),
        });
        match sealed.and_then(|()| self.sealed()) {
            Ok(bytes) => Ok(Frozen { segment: self, bytes }),
            Err(error) => {
                // Without a mapping it is read and written as a file is.
                self.shared = self.map().ok();
                Err(NotFrozen { both: Box::new((error, self)) })
            }
        }
    }

    fn copied(&self) -> Result<Bytes, Error> {
        let mut bytes = vec![0; self.len()];
        self.read(0, &mut bytes)?;
        Ok(Bytes::Copied(bytes))
    }

    fn sealed(&self) -> Result<Bytes, Error> {
        match ReadOnly::map(&self.file, self.file_bytes(), self.len()) {
            Ok(Some(bytes)) => Ok(Bytes::Sealed(bytes)),
            Ok(None) => Err(Fault::Busy { address: self.address() }.into()),
            Err(source) => Err(refused(self, "mmap", source)),
        }
    }
}

fn refused(segment: &Segment, call: &'static str, source: std::io::Error) -> Error {
    let what = format!("the segment `{}`", segment.address);
    Fault::Call { call, what, hint: "copy it out by Segment::read instead", source }.into()
}

impl Frozen {
    pub(super) fn of_draft(segment: Segment, bytes: ReadOnly) -> Frozen {
        Frozen { segment, bytes: Bytes::Sealed(bytes) }
    }

    /// Attaches to a frozen segment of a process, this or another, that told its address.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::attach`]; and [`is_busy`](Error::is_busy) when it is not frozen yet.
    ///
    /// ```
    /// use heist_numa::{Frozen, Segment};
    ///
    /// let segment = Segment::create(100)?;
    /// if segment.is_mapped() {
    ///     assert!(Frozen::attach(&segment.address()).unwrap_err().is_busy());
    /// }
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn attach(address: &str) -> Result<Frozen, Error> {
        let address: Address = address.parse()?;
        let file = backing::open(&address)?;
        let is_file = matches!(address.place, Place::File(_));
        let address = if is_file { address } else { address.held_by_this(&file) };
        let segment = Segment { file, shared: None, address, is_named: false, warnings: Vec::new() };
        let bytes = if is_file { segment.copied()? } else { segment.sealed()? };
        Ok(Frozen { segment, bytes })
    }

    /// What peers attach by: this process's own, of a memfd, so that it is good when whoever made it has let go of it.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(100)?;
    /// let address = segment.address();
    /// assert_eq!(segment.freeze()?.address(), address);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> String {
        self.segment.address()
    }

    /// The same for all who have the segment, and for no other segment of the host that there is at the same time.
    ///
    /// ```
    /// let ours = heist_numa::Segment::create(100)?.freeze()?;
    /// let theirs = heist_numa::Frozen::attach(&ours.address())?;
    /// assert_eq!(ours.number(), theirs.number());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn number(&self) -> u64 {
        self.segment.address.inode
    }
}

impl Deref for Frozen {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Sealed(bytes) => bytes,
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("segment", &self.segment).field("len", &self.len()).finish()
    }
}

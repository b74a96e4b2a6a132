//! Raw bytes that travel beside a message without being written into it.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::panic::Location;
use std::sync::{OnceLock, Weak};

use heist_numa::{Draft, Frozen, PageSize, Pod, Region};

use super::malformed;
use crate::data::copy_bytes;
use crate::error::TaskError;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;

/// Bytes from which memory that ranks of the host may come to read is a segment: below, a copy costs less than a mapping, and
/// every segment takes a file descriptor.
pub(crate) const WORTH_A_SEGMENT: usize = 1 << 20;

/// A part of some memory that nobody writes to. Clones share it.
#[derive(Clone)]
pub(crate) struct Blob {
    memory: Arc<Memory>,
    range: Range<usize>,
}

struct Memory {
    kept: Box<dyn Bytes>,
    /// The same in a segment, once that was asked for; none, if there is no room for one.
    shared: OnceLock<Option<Arc<Frozen>>>,
}

/// Whatever keeps bytes at one address, and does not change them.
trait Bytes: Any + Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl<T: Pod + Send + Sync> Bytes for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl Bytes for Region<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Bytes for Arc<Frozen> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Blob {
    fn new(kept: impl Bytes, shared: OnceLock<Option<Arc<Frozen>>>) -> Self {
        let range = 0..kept.bytes().len();
        Self { memory: Arc::new(Memory { kept: Box::new(kept), shared }), range }
    }

    /// The bytes of values, which stay where they are.
    pub(crate) fn of_vec<T: Pod + Send + Sync>(values: Vec<T>) -> Self {
        Self::new(values, OnceLock::new())
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self::of_vec(bytes.to_vec())
    }

    /// Memory that has a place.
    pub(crate) fn of_region(region: Region<u8>) -> Self {
        Self::new(region, OnceLock::new())
    }

    fn of_frozen(frozen: Arc<Frozen>) -> Self {
        let shared = OnceLock::from(Some(frozen.clone()));
        Self::new(frozen, shared)
    }

    /// A part of it, in the same memory.
    pub(crate) fn part(&self, range: Range<usize>) -> Option<Self> {
        let (start, end) = (self.range.start.checked_add(range.start)?, self.range.start.checked_add(range.end)?);
        (start <= end && end <= self.range.end).then(|| Self { memory: self.memory.clone(), range: start..end })
    }

    /// The vector that it was made of, if nobody else has it.
    pub(crate) fn into_vec<T: Pod + Send + Sync>(self) -> Result<Vec<T>, Self> {
        let Self { memory, range } = self;
        if range != (0..memory.kept.bytes().len()) || !(&*memory.kept as &dyn Any).is::<Vec<T>>() {
            return Err(Self { memory, range });
        }
        let memory = Arc::try_unwrap(memory).map_err(|memory| Self { memory, range: range.clone() })?;
        let kept: Box<dyn Any> = memory.kept;
        kept.downcast::<Vec<T>>().map(|values| *values).map_err(|_| Self::copy_of(&[]))
    }

    /// True when ranks of the host can map it as it is.
    pub(crate) fn is_in_segment(&self) -> bool {
        matches!(self.memory.shared.get(), Some(Some(_)))
    }

    /// How ranks of the host find it: in its segment, or in one that it is copied to; with the blob that is to be kept until
    /// they have it. None when it is too small for that to be worth it, or there is no room.
    pub(crate) fn lend(&self) -> Option<(Lent, Self)> {
        let there = self.in_segment(<[u8]>::copy_from_slice)?;
        let frozen = there.memory.shared.get()?.as_ref()?;
        let (start, len) = (there.range.start as u64, there.range.len() as u64);
        Some((Lent { address: frozen.address(), number: frozen.number(), start, len }, there))
    }

    /// The same bytes in a segment if other ranks of the host may map them and it is worth it: then theirs are no second copy.
    /// The workers do it.
    pub(crate) fn settled(self, registry: &Registry, location: &'static Location<'static>) -> Self {
        let copy = |to: &mut [u8], from: &[u8]| copy_bytes(registry, location, from, to);
        are_ranks_near().then(|| self.in_segment(copy)).flatten().unwrap_or(self)
    }

    /// The same bytes in a segment. A copy of most of its memory is made once for all that have it.
    fn in_segment(&self, copy: impl FnOnce(&mut [u8], &[u8])) -> Option<Self> {
        let (part, whole) = (self.range.len(), self.memory.kept.bytes());
        if self.is_in_segment() {
            let frozen = self.memory.shared.get()?.clone()?;
            return Some(Self { range: self.range.clone(), ..Self::of_frozen(frozen) });
        }
        if part < WORTH_A_SEGMENT {
            return None;
        }
        if part < whole.len() / 2 {
            return frozen_copy(self, copy).map(Self::of_frozen);
        }
        let frozen = self.memory.shared.get_or_init(|| frozen_copy(whole, copy)).clone()?;
        Some(Self { range: self.range.clone(), ..Self::of_frozen(frozen) })
    }
}

fn frozen_copy(bytes: &[u8], copy: impl FnOnce(&mut [u8], &[u8])) -> Option<Arc<Frozen>> {
    let mut draft = Draft::create(bytes.len()).ok()?;
    copy(&mut draft, bytes);
    let frozen = Arc::new(draft.freeze().ok()?);
    remember(ATTACHED.lock().get_or_insert_default(), &frozen);
    Some(frozen)
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory.kept.bytes()[self.range.clone()]
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_in_segment() { "in a segment" } else { "on the heap" };
        write!(f, "{} bytes {place}", self.range.len())
    }
}

/// A part of a segment, by its address.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Lent {
    pub(super) address: String,
    /// By which a process that has the segment already knows it.
    pub(super) number: u64,
    pub(super) start: u64,
    pub(super) len: u64,
}

/// The segments that this process has attached to, or made, so that each is mapped once.
static ATTACHED: Mutex<Option<Attached>> = Mutex::new(None);

type Attached = HashMap<u64, Weak<Frozen>>;

fn remember(attached: &mut Attached, frozen: &Arc<Frozen>) {
    if attached.len() == attached.capacity() {
        attached.retain(|_, frozen| frozen.strong_count() > 0);
    }
    attached.insert(frozen.number(), Arc::downgrade(frozen));
}

impl Lent {
    /// The same memory, in this process.
    pub(crate) fn attach(&self) -> Result<Blob, TaskError> {
        let mut attached = ATTACHED.lock();
        let known = attached.as_ref().and_then(|attached| attached.get(&self.number)?.upgrade());
        let frozen = match known {
            Some(frozen) => frozen,
            None => {
                let frozen = Arc::new(Frozen::attach(&self.address).map_err(|why| malformed(why.to_string()))?);
                remember(attached.get_or_insert_default(), &frozen);
                frozen
            }
        };
        drop(attached);
        let part = || Some(usize::try_from(self.start).ok()?..usize::try_from(self.start.checked_add(self.len)?).ok()?);
        let whole = Blob::of_frozen(frozen);
        part().and_then(|part| whole.part(part)).ok_or_else(|| malformed("more of a segment than there is"))
    }
}

/// Whether other ranks of this host may come to map what this one makes.
static ARE_NEAR: AtomicBool = AtomicBool::new(false);

/// This process is one of several ranks of its host: large arrays are made in segments from now on.
pub(crate) fn ranks_are_near() {
    // ORDERING: Relaxed; a hint.
    ARE_NEAR.store(true, Ordering::Relaxed);
}

pub(super) fn are_ranks_near() -> bool {
    // ORDERING: Relaxed; a hint.
    ARE_NEAR.load(Ordering::Relaxed)
}

/// Room for bytes that are to come, zero at first.
pub(crate) struct Room {
    len: usize,
    made: Made,
}

enum Made {
    /// Aligned for every type that has a name in the language.
    Small(Vec<u128>),
    Large(Region<u8>),
    Shared(Draft),
}

impl Room {
    /// For bytes that this rank alone will read.
    pub(crate) fn of(len: usize) -> Result<Self, heist_numa::Error> {
        let made = if len < WORTH_A_SEGMENT {
            Made::Small(vec![0; len.div_ceil(size_of::<u128>())])
        } else {
            Made::Large(Region::builder().pages(PageSize::Huge).allocate(len)?)
        };
        Ok(Self { len, made })
    }

    /// For bytes that other ranks of the host may read too, if there are any and it is worth it.
    pub(crate) fn for_ranks(len: usize) -> Result<Self, heist_numa::Error> {
        if len >= WORTH_A_SEGMENT && are_ranks_near() { Self::shared(len) } else { Self::of(len) }
    }

    /// In a segment, if there is room for one.
    pub(crate) fn shared(len: usize) -> Result<Self, heist_numa::Error> {
        Draft::create(len).map_or_else(|_| Self::of(len), |draft| Ok(Self { len, made: Made::Shared(draft) }))
    }

    /// No more is written to it.
    pub(crate) fn close(self) -> Result<Blob, heist_numa::Error> {
        let whole = match self.made {
            Made::Small(words) => Blob::of_vec(words),
            Made::Large(region) => Blob::of_region(region),
            Made::Shared(draft) => match draft.freeze() {
                Ok(frozen) => {
                    let frozen = Arc::new(frozen);
                    remember(ATTACHED.lock().get_or_insert_default(), &frozen);
                    Blob::of_frozen(frozen)
                }
                Err(not_frozen) => {
                    let segment = not_frozen.into_segment();
                    let mut room = Self::of(self.len)?;
                    segment.read(0, &mut room)?;
                    return room.close();
                }
            },
        };
        Ok(Blob { range: 0..self.len, ..whole })
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.made {
            Made::Small(words) => &bytemuck::cast_slice(words)[..self.len],
            Made::Large(region) => region,
            Made::Shared(draft) => draft,
        }
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.made {
            Made::Small(words) => &mut bytemuck::cast_slice_mut(words)[..self.len],
            Made::Large(region) => region,
            Made::Shared(draft) => draft,
        }
    }
}

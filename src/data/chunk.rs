//! A chunk: a placed piece of scattered data, lent to tasks as a slice.

use std::fmt;
use std::ops::{Deref, Range};

use super::partition::Part;
use super::raw::Placed;
use crate::counters::ledger::{Entry, Ledger};
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;
use crate::task::{Lies, Whereabouts};

/// One piece of [`Scattered`](crate::Scattered) data: a slice, with its place in the whole and on the host. Clones share
/// the memory.
///
/// ```
/// use heist::{Executor, Partition};
/// let ex = Executor::builder().workers(1).build()?;
/// let parts = ex.scatter_slice(&[1.5, 2.5, 3.5, 4.5], Partition::blocks(2))?;
/// let chunk = parts.iter().nth(1).unwrap().value()?;
/// assert_eq!((&chunk[..], chunk.range(), chunk.domain()), (&[3.5, 4.5][..], 2..4, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chunk<T>(Arc<Inner<T>>);

struct Inner<T> {
    memory: Arc<Memory<T>>,
    within: Range<usize>,
    part: Part,
    entry: Entry,
}

/// What chunks lie in.
pub(super) enum Memory<T> {
    /// Of its own.
    Placed(Placed<T>),
    /// The program's.
    Given(Vec<T>),
}

impl<T> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Placed(values) => values,
            Self::Given(values) => values,
        }
    }
}

impl<T> Chunk<T> {
    /// The values of `part`, which are those `within` a memory.
    pub(super) fn new(ledger: &Arc<Ledger>, memory: &Arc<Memory<T>>, within: Range<usize>, part: Part) -> Self {
        let entry = Entry::new(ledger, part.domain, part.len * size_of::<T>());
        Self(Arc::new(Inner { memory: memory.clone(), within, part, entry }))
    }

    /// Of a whole memory, which makes up `part`.
    pub(super) fn whole(ledger: &Arc<Ledger>, memory: Memory<T>, part: Part) -> Self {
        Self::new(ledger, &Arc::new(memory), 0..part.len, part)
    }

    /// The domain whose workers come first for tasks on it, numbered as by
    /// [`Executor::has_what`](crate::Executor::has_what).
    #[must_use]
    pub fn domain(&self) -> usize {
        self.0.entry.domain()
    }

    /// Its place in the whole: every value of this range, or each [`step`](Self::step)th from its start on.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.0.part.range()
    }

    /// How far its neighbours are apart in the whole: one, but for cyclic partitions.
    #[must_use]
    pub fn step(&self) -> usize {
        self.0.part.step
    }

    /// Whether it was scattered by the executor that has this ledger: a task may give one of another's as its value.
    pub(super) fn is_of(&self, ledger: &Arc<Ledger>) -> bool {
        self.0.entry.is_of(ledger)
    }

    /// The same for all handles of a chunk, and for no other chunk.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.entry.bytes()
    }

    pub(super) fn whereabouts(&self) -> Whereabouts {
        Whereabouts::on(self.domain(), self.bytes())
    }

    /// Its domain and its memory, if nobody else has the chunk.
    pub(super) fn into_memory(self) -> Option<(usize, Arc<Memory<T>>)> {
        let inner = Arc::into_inner(self.0)?;
        Some((inner.entry.domain(), inner.memory))
    }

    /// Moves the memory to another domain of the executor, which is the chunk's. False when it has to stay, with the others that lie in it.
    pub(super) fn move_to(&self, registry: &Registry, domain: usize) -> Result<bool, heist_numa::Error> {
        if let Some(id) = registry.settings.seating.memory[domain] {
            match &*self.0.memory {
                Memory::Placed(values) if self.0.within.len() == values.len() => values.migrate(id)?,
                _ => return Ok(false),
            }
        }
        self.0.entry.move_to(domain);
        Ok(true)
    }
}

impl<T> Clone for Chunk<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Chunk<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0.memory[self.0.within.clone()]
    }
}

impl<T> fmt::Debug for Chunk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("range", &self.range())
            .field("step", &self.step())
            .field("domain", &self.domain())
            .field("bytes", &self.bytes())
            .finish()
    }
}

/// Where tasks find it.
pub(super) struct InChunk;

impl<T> Lies<Chunk<T>> for InChunk {
    fn whereabouts(chunk: &Chunk<T>) -> Whereabouts {
        chunk.whereabouts()
    }
}

//! Puts slices onto the domains, chunk by chunk.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::Location;

use super::chunk::{Chunk, Memory};
use super::partition::{Part, Partition};
use super::raw::{Blank, Placed, Sink, fill};
use super::scattered::Scattered;
use crate::error::{Error, ErrorKind};
use crate::future::TaskFuture;
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;

/// Chunks smaller than this lie in one memory with their neighbours.
const SMALL: usize = 64 << 10;

/// What [`Executor::scatter_slice`](crate::Executor::scatter_slice) takes: slices, arrays and vectors, borrowed, or
/// vectors and boxed slices to be had.
///
/// ```
/// use heist::{Executor, Partition};
/// let ex = Executor::builder().workers(1).build()?;
/// let values = vec![1, 2, 3];
/// let copied = ex.scatter_slice(&values, Partition::per_domain())?;
/// let moved = ex.scatter_slice(values, Partition::per_domain())?;
/// assert_eq!(copied.gather()?, moved.gather()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait IntoChunks<'a, T: Clone> {
    #[doc(hidden)]
    fn into_values(self) -> Cow<'a, [T]>;
}

impl<'a, T: Clone> IntoChunks<'a, T> for &'a [T] {
    fn into_values(self) -> Cow<'a, [T]> {
        Cow::Borrowed(self)
    }
}

impl<'a, T: Clone, const N: usize> IntoChunks<'a, T> for &'a [T; N] {
    fn into_values(self) -> Cow<'a, [T]> {
        Cow::Borrowed(self)
    }
}

impl<'a, T: Clone> IntoChunks<'a, T> for &'a Vec<T> {
    fn into_values(self) -> Cow<'a, [T]> {
        Cow::Borrowed(self)
    }
}

impl<'a, T: Clone> IntoChunks<'a, T> for Vec<T> {
    fn into_values(self) -> Cow<'a, [T]> {
        Cow::Owned(self)
    }
}

impl<'a, T: Clone> IntoChunks<'a, T> for Box<[T]> {
    fn into_values(self) -> Cow<'a, [T]> {
        Cow::Owned(self.into_vec())
    }
}

/// The workers of each domain.
pub(super) fn workers(registry: &Registry) -> Vec<usize> {
    (0..registry.domain_count()).map(|domain| registry.workers_of(domain).len()).collect()
}

/// An error, if the executor takes nothing any more.
pub(super) fn admit(registry: &Registry) -> Result<(), Error> {
    registry.admit().map_err(|error| Error::new(ErrorKind::Closed(error)))
}

/// Chunks that lie in one memory: these parts, on their domain.
pub(super) struct Store {
    pub(super) domain: usize,
    pub(super) parts: Range<usize>,
    pub(super) len: usize,
}

/// Which chunks lie together: neighbours on a domain, while they are small.
pub(super) fn stores<T>(parts: &[Part]) -> Vec<Store> {
    let mut stores: Vec<Store> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        match stores.last_mut() {
            Some(last)
                if last.domain == part.domain && (last.len + part.len).saturating_mul(size_of::<T>()) <= SMALL =>
            {
                last.parts.end = number + 1;
                last.len += part.len;
            }
            _ => stores.push(Store { domain: part.domain, parts: number..number + 1, len: part.len }),
        }
    }
    stores
}

/// Memory for each store. That of a domain is mapped together, for a process may have only so many mappings.
pub(super) fn blanks<T>(registry: &Registry, stores: &[Store]) -> Result<Vec<(usize, Blank<T>)>, Error> {
    let mut blanks = Vec::with_capacity(stores.len());
    for stores in stores.chunk_by(|a, b| a.domain == b.domain) {
        let domain = stores[0].domain;
        let lens: Vec<usize> = stores.iter().map(|store| store.len).collect();
        let mapped = Blank::map_all(&lens, registry.settings.seating.memory[domain])?;
        blanks.extend(mapped.into_iter().map(|blank| (domain, blank)));
    }
    Ok(blanks)
}

/// What could not be done as asked for, each once.
pub(super) fn warnings<T>(blanks: &[(usize, Blank<T>)]) -> Vec<String> {
    let each: BTreeSet<_> = blanks.iter().flat_map(|(_, blank)| blank.warnings()).collect();
    each.into_iter().cloned().collect()
}

/// The chunks of filled memories.
pub(super) fn chunks<T>(
    registry: &Registry,
    parts: &[Part],
    stores: &[Store],
    memories: impl IntoIterator<Item = Memory<T>>,
) -> Vec<Chunk<T>> {
    let mut chunks = Vec::with_capacity(parts.len());
    for (store, memory) in stores.iter().zip(memories) {
        let memory = Arc::new(memory);
        let mut start = 0;
        for &part in &parts[store.parts.clone()] {
            chunks.push(Chunk::new(&registry.ledger, &memory, start..start + part.len, part));
            start += part.len;
        }
    }
    chunks
}

/// Cuts `values` into chunks on the domains.
pub(crate) fn scatter_slice<T: Copy + Send + Sync + 'static>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    values: Cow<'_, [T]>,
    partition: Partition,
) -> Result<Scattered<T>, Error> {
    admit(registry)?;
    let parts = partition.lay_out(values.len(), &workers(registry))?;
    let is_placed = registry.domain_count() > 1 && registry.settings.seating.memory.iter().any(Option::is_some);
    let values = match values {
        Cow::Owned(values) if !is_placed && parts.iter().all(|part| part.step == 1) => {
            let all = Arc::new(Memory::Given(values));
            let chunk = |&part: &Part| Chunk::new(&registry.ledger, &all, part.range(), part);
            let chunks = parts.iter().map(chunk).collect();
            return Ok(Scattered::of_chunks(registry, location, parts, chunks, Vec::new()));
        }
        values => values,
    };
    let stores = stores::<T>(&parts);
    let blanks = blanks::<T>(registry, &stores)?;
    Ok(write(registry, location, &values, parts, &stores, blanks))
}

/// Scatters `values` into the memory of old chunks, as far as nobody else has them.
pub(super) fn refill<T: Copy + Send + Sync + 'static>(
    old: Scattered<T>,
    location: &'static Location<'static>,
    values: &[T],
) -> Result<Scattered<T>, Error> {
    let Scattered { registry, chunks, parts, .. } = old;
    admit(&registry)?;
    let len: usize = parts.iter().map(|part| part.len).sum();
    if values.len() != len {
        let text = format!("{} values do not fill chunks for {len}; scatter them anew", values.len());
        return Err(Error::new(ErrorKind::Shape(text)));
    }
    let mut parts = parts.to_vec();
    let mut stores = stores::<T>(&parts);
    let mut chunks = chunks.into_iter();
    let mut old = Vec::with_capacity(stores.len());
    let mut missing = Vec::new();
    for store in &mut stores {
        let memory = memory_of(chunks.by_ref().take(store.parts.len()).collect());
        let memory = memory.filter(|(_, memory)| memory.len() == store.len);
        match &memory {
            Some((domain, _)) => {
                store.domain = *domain;
                parts[store.parts.clone()].iter_mut().for_each(|part| part.domain = *domain);
            }
            None => missing.push(Store { parts: store.parts.clone(), ..*store }),
        }
        old.push(memory.map(|(domain, memory)| (domain, Blank::reuse(memory))));
    }
    let mut new = blanks(&registry, &missing)?.into_iter();
    let blanks = old.into_iter().filter_map(|old| old.or_else(|| new.next())).collect();
    Ok(write(&registry, location, values, parts, &stores, blanks))
}

/// The memory that the last of some chunks lies in, with its domain, if nobody else has any of them. It is that of all when
/// it has room for all: chunks that were made one by one have one each.
fn memory_of<T: Send + Sync + 'static>(chunks: Vec<TaskFuture<Chunk<T>>>) -> Option<(usize, Placed<T>)> {
    let memory = |chunk: TaskFuture<Chunk<T>>| chunk.into_result().ok()?.ok()?.into_memory();
    let mut memories = chunks.into_iter().map(memory).collect::<Option<Vec<_>>>()?;
    let (domain, last) = memories.pop()?;
    drop(memories);
    match Arc::into_inner(last)? {
        Memory::Placed(values) => Some((domain, values)),
        Memory::Given(_) => None,
    }
}

/// Fills memory with the values of `parts`.
fn write<T: Copy + Send + Sync + 'static>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    values: &[T],
    parts: Vec<Part>,
    stores: &[Store],
    blanks: Vec<(usize, Blank<T>)>,
) -> Scattered<T> {
    let warnings = warnings(&blanks);
    let filled = fill(registry, location, blanks, |number, at, sink| {
        copy(values, &parts[stores[number].parts.clone()], at, sink);
    });
    let chunks = chunks(registry, &parts, stores, filled.into_iter().map(Memory::Placed));
    Scattered::of_chunks(registry, location, parts, chunks, warnings)
}

/// Copies what follows the first `at` values of some parts.
fn copy<T: Copy>(values: &[T], parts: &[Part], mut at: usize, sink: &mut Sink<'_, T>) {
    for part in parts {
        if at < part.len && part.step == 1 {
            sink.copy(&values[part.range()][at..]);
        } else if at < part.len {
            sink.extend(values[part.range()].iter().step_by(part.step).skip(at));
        }
        at = at.saturating_sub(part.len);
        if sink.missing() == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_chunks_lie_together_and_large_ones_alone() {
        let part = |domain, len| Part { domain, first: 0, step: 1, len };
        let lens =
            |parts: &[Part]| stores::<u8>(parts).iter().map(|store| (store.domain, store.len)).collect::<Vec<_>>();
        assert_eq!(lens(&[part(0, 10), part(0, 20), part(1, 30)]), [(0, 30), (1, 30)]);
        assert_eq!(lens(&[part(0, SMALL), part(0, 1), part(0, SMALL - 1)]), [(0, SMALL), (0, SMALL)]);
        assert_eq!(lens(&[part(0, 0), part(0, 0)]), [(0, 0)]);
    }
}

//! Chunks together with the edges of their neighbours.

use std::panic::Location;

use super::chunk::Chunk;
use super::partition::Part;
use super::scattered::{Scattered, futures};
use crate::error::{Error, ErrorKind};
use crate::future::{Inputs, TaskFuture};
use crate::primitive::sync::Arc;
use crate::task::{Anywhere, Whereabouts};

/// More than differences between chunks of a partition ask for, on any usual host.
const MOST_WEIGHT: usize = 16;

/// A chunk and what lies on both sides of it.
///
/// ```
/// use heist::{Executor, Halo, Partition};
/// let ex = Executor::new()?;
/// let parts = ex.scatter_slice(&[1, 2, 3, 4], Partition::blocks(2))?;
/// let edges = parts.halo(1)?.map(|Halo { left, right, .. }| (left.first().copied(), right.first().copied()));
/// assert_eq!(ex.gather(edges)?, [(None, Some(3)), (Some(2), None)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Halo<'a, T> {
    /// The last values of the chunk before; none before the first.
    pub left: &'a [T],
    /// The chunk.
    pub chunk: &'a [T],
    /// The first values of the chunk after; none after the last.
    pub right: &'a [T],
}

/// The chunks of [`Scattered`] data with their neighbours; from [`Scattered::halo`].
///
/// ```
/// use heist::{Executor, Partition};
/// let ex = Executor::new()?;
/// let parts = ex.scatter_slice(&[1, 2, 3, 4], Partition::blocks(2))?;
/// assert_eq!(parts.halo(2)?.map(|halo| halo.left.len() + halo.right.len())[0].result()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Halos<'a, T> {
    of: &'a Scattered<T>,
    width: usize,
}

type ChunkFuture<T> = TaskFuture<Chunk<T>>;

impl<'a, T: Send + Sync + 'static> Halos<'a, T> {
    pub(super) fn new(of: &'a Scattered<T>, width: usize) -> Result<Self, Error> {
        let error = |text| Err(Error::new(ErrorKind::Shape(text)));
        if of.parts.iter().any(|part| part.step != 1) {
            return error("the chunks of a cyclic partition have no edges; scatter by blocks".to_owned());
        }
        // The neighbour of a single chunk is nobody's.
        let shortest = of.parts.iter().map(|part| part.len).min().filter(|_| of.parts.len() > 1);
        if let Some(shortest) = shortest.filter(|&shortest| shortest < width) {
            return error(format!(
                "an edge of {width} values of a chunk that has {shortest}; scatter into fewer chunks"
            ));
        }
        Ok(Self { of, width })
    }

    /// Runs `task` on every chunk with its edges, on the chunk's domain. The futures come in the order of the chunks.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[1, 4, 9, 16], Partition::blocks(2))?;
    /// let steps = parts.halo(1)?.map(|halo| {
    ///     halo.chunk.iter().chain(halo.right).is_sorted()
    /// });
    /// assert_eq!(ex.gather(steps)?, [true, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<U, F>(&self, task: F) -> Vec<TaskFuture<U>>
    where
        F: Fn(Halo<'_, T>) -> U + Send + Sync + 'static,
        U: Send + 'static,
    {
        let location = Location::caller();
        let (task, width) = (Arc::new(task), self.width);
        let chunks = &self.of.chunks;
        let inputs = (0..chunks.len()).map(|number| {
            let sides = [number.checked_sub(1), Some(number + 1)];
            let sides =
                sides.map(|side| side.and_then(|side| chunks.get(side)).map_or(vec![], |chunk| vec![chunk.clone()]));
            let own = vec![chunks[number].clone(); weight(&self.of.parts, number, size_of::<T>())];
            let task = task.clone();
            type Inner<T> = (Vec<ChunkFuture<T>>, [Vec<ChunkFuture<T>>; 2]);
            let call = move |inputs: &<Inner<T> as Inputs>::Owned| {
                let (own, [left, right]) = Inner::<T>::refs(inputs);
                let left = left.first().map_or(&[][..], |left| &left[left.len() - width..]);
                let right = right.first().map_or(&[][..], |right| &right[..width]);
                Ok(task(Halo { left, chunk: own[0], right }))
            };
            ((own, sides).own(), call)
        });
        futures(self.of.registry.submit_all_after::<Anywhere, _, _, _>(location, inputs))
    }
}

/// How often a chunk is to be an input of its task, so that it outweighs its neighbours together. One that is far smaller
/// is not worth the way.
fn weight(parts: &[Part], number: usize, each: usize) -> usize {
    let bytes = |part: &Part| Whereabouts::on(0, part.len.saturating_mul(each)).bytes();
    let sides = [number.checked_sub(1), Some(number + 1)].into_iter().flatten().filter_map(|side| parts.get(side));
    (sides.map(bytes).sum::<usize>() / bytes(&parts[number]) + 1).min(MOST_WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_outweighs_both_neighbours() {
        let parts = |lens: [usize; 3]| lens.map(|len| Part { domain: 0, first: 0, step: 1, len });
        for lens in [[100_000_usize; 3], [1; 3], [4097, 4096, 4097], [30_000, 10_000, 30_000], [0, 0, 0], [1 << 20; 3]]
        {
            let pages = lens.map(|len| len.div_ceil(4096).max(1));
            let parts = parts(lens);
            assert!(weight(&parts, 1, 1) * pages[1] > pages[0] + pages[2], "{lens:?}");
            assert!(weight(&parts, 0, 1) * pages[0] > pages[1], "{lens:?}");
        }
        assert_eq!(weight(&parts([1 << 30, 1, 1 << 30]), 1, 1), MOST_WEIGHT);
        assert_eq!(weight(&parts([5; 3])[..1], 0, 1), 1);
    }
}

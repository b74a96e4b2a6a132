//! Into which chunks a slice is cut, and to which domains they go.

use std::ops::Range;

use crate::error::{Error, ErrorKind};

/// More chunks than any host has use for.
const MOST_PARTS: usize = 1 << 24;

/// How [`Executor::scatter_slice`](crate::Executor::scatter_slice) cuts a slice. Every domain gets as much as it has
/// workers for.
///
/// ```
/// use heist::{Executor, Partition};
/// let ex = Executor::builder().workers(2).build()?;
/// let parts = ex.scatter_slice(&[1, 2, 3, 4, 5], Partition::cyclic(2))?;
/// assert_eq!(parts.map(|chunk| chunk.to_vec())[1].result()?, [2, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PerDomain,
    PerWorker,
    Blocks(usize),
    Cyclic(usize),
}

/// One chunk to be: `len` values of a whole, from `first` on, each `step` further; and the domain it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) domain: usize,
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) len: usize,
}

impl Part {
    /// From the first of its values in the whole to behind the last.
    pub(super) fn range(&self) -> Range<usize> {
        let last = self.len.checked_sub(1).map_or(self.first, |steps| self.first + steps * self.step + 1);
        self.first..last
    }
}

impl Partition {
    /// One chunk for each domain.
    #[must_use]
    pub const fn per_domain() -> Self {
        Self(Kind::PerDomain)
    }

    /// One chunk for each worker.
    #[must_use]
    pub const fn per_worker() -> Self {
        Self(Kind::PerWorker)
    }

    /// So many chunks, each of neighbours. Their lengths differ by one at most.
    #[must_use]
    pub const fn blocks(chunks: usize) -> Self {
        Self(Kind::Blocks(chunks))
    }

    /// So many chunks, to which the values are dealt in turn: for work that grows along the slice.
    #[must_use]
    pub const fn cyclic(chunks: usize) -> Self {
        Self(Kind::Cyclic(chunks))
    }

    /// The chunks of `len` values, on domains that have so many workers.
    pub(super) fn lay_out(self, len: usize, workers: &[usize]) -> Result<Vec<Part>, Error> {
        let total: usize = workers.iter().sum();
        let domains = ends(workers);
        let block = |domain, values: Range<usize>| Part { domain, first: values.start, step: 1, len: values.len() };
        match self.0 {
            Kind::PerDomain => {
                let at = |worker| share(len, worker, total);
                let cut = |(domain, workers): (usize, Range<usize>)| block(domain, at(workers.start)..at(workers.end));
                Ok(domains.enumerate().map(cut).collect())
            }
            Kind::PerWorker => Self::blocks(total).lay_out(len, workers),
            Kind::Blocks(chunks) | Kind::Cyclic(chunks) if !(1..=MOST_PARTS).contains(&chunks) => {
                let text = format!("a partition into {chunks} chunks; it must have between 1 and {MOST_PARTS}");
                Err(Error::new(ErrorKind::Setting(text)))
            }
            Kind::Blocks(chunks) => {
                let cut = |(chunk, domain)| block(domain, share(len, chunk, chunks)..share(len, chunk + 1, chunks));
                Ok(dealt(chunks, workers).enumerate().map(cut).collect())
            }
            Kind::Cyclic(chunks) => {
                let cut = |(first, domain)| {
                    let len = len.saturating_sub(first).div_ceil(chunks);
                    Part { domain, first, step: chunks, len }
                };
                Ok(dealt(chunks, workers).enumerate().map(cut).collect())
            }
        }
    }
}

/// The workers of each domain, which are numbered through.
fn ends(workers: &[usize]) -> impl Iterator<Item = Range<usize>> {
    workers.iter().scan(0, |end, &count| {
        let start = *end;
        *end += count;
        Some(start..*end)
    })
}

/// Where the part with this number begins when `len` is cut into so many.
fn share(len: usize, number: usize, parts: usize) -> usize {
    (len as u128 * number as u128 / parts.max(1) as u128) as usize
}

/// The domain of each of so many chunks: neighbours on the same one.
fn dealt(chunks: usize, workers: &[usize]) -> impl Iterator<Item = usize> {
    let total: usize = workers.iter().sum();
    let ends: Vec<_> = ends(workers).map(|workers| workers.end).collect();
    (0..chunks).map(move |chunk| {
        let worker = share(total, chunk, chunks);
        ends.partition_point(|&end| end <= worker).min(ends.len() - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay_out(partition: Partition, len: usize, workers: &[usize]) -> Vec<(usize, usize, usize, usize)> {
        let parts = partition.lay_out(len, workers).unwrap();
        parts.into_iter().map(|part| (part.domain, part.first, part.step, part.len)).collect()
    }

    #[test]
    fn domains_get_what_they_have_workers_for() {
        assert_eq!(lay_out(Partition::per_domain(), 12, &[1, 3]), [(0, 0, 1, 3), (1, 3, 1, 9)]);
        let per_worker = lay_out(Partition::per_worker(), 10, &[1, 2]);
        assert_eq!(per_worker, [(0, 0, 1, 3), (1, 3, 1, 3), (1, 6, 1, 4)]);
        assert_eq!(lay_out(Partition::blocks(2), 5, &[1, 1, 1, 1]), [(0, 0, 1, 2), (2, 2, 1, 3)]);
        assert_eq!(lay_out(Partition::cyclic(2), 5, &[2, 2]), [(0, 0, 2, 3), (1, 1, 2, 2)]);
    }

    #[test]
    fn every_value_is_in_one_chunk() {
        let partitions = [Partition::per_domain(), Partition::per_worker()];
        let counted = [1, 2, 3, 7, 20].into_iter().flat_map(|n| [Partition::blocks(n), Partition::cyclic(n)]);
        for partition in partitions.into_iter().chain(counted) {
            for len in [0, 1, 2, 13, 100] {
                for workers in [&[1][..], &[2, 2], &[1, 3, 2]] {
                    let parts = partition.lay_out(len, workers).unwrap();
                    let mut seen: Vec<_> = parts
                        .iter()
                        .flat_map(|part| part.range().step_by(part.step).inspect(|&at| assert!(at < len)))
                        .collect();
                    assert_eq!(parts.iter().map(|part| part.len).sum::<usize>(), len);
                    seen.sort_unstable();
                    assert!(seen.into_iter().eq(0..len), "{partition:?} {len} {workers:?}");
                    assert!(parts.is_sorted_by_key(|part| part.domain));
                }
            }
        }
    }

    #[test]
    fn no_chunk_and_too_many_are_errors_that_say_so() {
        for chunks in [0, MOST_PARTS + 1, usize::MAX] {
            for partition in [Partition::blocks(chunks), Partition::cyclic(chunks)] {
                let error = partition.lay_out(1, &[1]).unwrap_err();
                assert!(error.is_setting() && error.to_string().contains(&format!("{chunks} chunks")), "{error}");
            }
        }
    }
}

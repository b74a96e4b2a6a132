//! Where data are, how much of them, and how to even that out.

use std::collections::HashMap;

use super::chunk::Chunk;
use super::scatter::workers;
use super::scattered::lies;
use crate::error::TaskError;
use crate::future::TaskFuture;
use crate::scheduler::Registry;

/// Some bytes on a domain; see [`Executor::who_has`](crate::Executor::who_has).
///
/// ```
/// let ex = heist::Executor::new()?;
/// let table = ex.scatter([0_u8; 5000]);
/// let held = &ex.who_has([&table])[0][0];
/// assert!(held.domain < ex.has_what().len() && held.bytes == 8192);
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The domain, numbered as by [`Executor::has_what`](crate::Executor::has_what).
    pub domain: usize,
    /// In whole pages of 4 KiB, one at least.
    pub bytes: usize,
}

/// A domain and what was scattered onto it; see [`Executor::has_what`](crate::Executor::has_what).
///
/// ```
/// let ex = heist::Executor::new()?;
/// for (domain, data) in ex.has_what().iter().enumerate() {
///     println!("domain {domain}: {} workers, {} bytes in {} entries", data.workers, data.bytes, data.entries);
/// }
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainData {
    /// The kernel's number of the domain; none where memory is not placed, because the workers are not pinned.
    pub id: Option<u32>,
    /// Workers on the domain.
    pub workers: usize,
    /// Values, chunks and copies that are held.
    pub entries: usize,
    /// Their bytes. Of a value that was scattered whole, its own: not what it points to.
    pub bytes: usize,
}

/// What [`Executor::rebalance`](crate::Executor::rebalance) has done.
///
/// ```
/// use heist::{Executor, Partition};
/// let ex = Executor::new()?;
/// let parts = ex.scatter_slice(&[0; 100], Partition::per_worker())?;
/// let done = ex.rebalance(parts.iter().take(1))?;
/// assert!(done.chunks <= 1 && done.warnings.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebalanced {
    /// Chunks that were moved.
    pub chunks: usize,
    /// Bytes that were moved.
    pub bytes: usize,
    /// Why some were not.
    pub warnings: Vec<String>,
}

pub(crate) fn who_has<T>(registry: &Registry, future: &TaskFuture<T>) -> Vec<Held> {
    if !future.handle().head().is_of(registry.id) {
        return Vec::new();
    }
    let at = lies(future);
    let held = |domain| Held { domain, bytes: at.bytes() };
    if at.is_everywhere() {
        return (0..registry.domain_count()).map(held).collect();
    }
    at.domain().map(held).into_iter().collect()
}

pub(crate) fn has_what(registry: &Registry) -> Vec<DomainData> {
    let data = |domain| DomainData {
        id: registry.settings.seating.memory[domain],
        workers: registry.workers_of(domain).len(),
        entries: registry.ledger.entries(domain),
        bytes: registry.ledger.bytes(domain),
    };
    (0..registry.domain_count()).map(data).collect()
}

/// Evens out what lies on the domains of these chunks, for the workers there.
pub(crate) fn rebalance<'a, T: Send + Sync + 'static>(
    registry: &Registry,
    futures: impl IntoIterator<Item = &'a TaskFuture<Chunk<T>>>,
) -> Result<Rebalanced, TaskError> {
    let mut chunks: Vec<(&Chunk<T>, Vec<_>)> = Vec::new();
    let mut numbers = HashMap::new();
    for future in futures {
        if !future.handle().head().is_of(registry.id) {
            continue;
        }
        let chunk = future.value()?;
        if chunk.is_of(&registry.ledger) {
            let number = *numbers.entry(chunk.identity()).or_insert(chunks.len());
            if number == chunks.len() {
                chunks.push((chunk, Vec::new()));
            }
            chunks[number].1.push(future);
        }
    }
    let sizes: Vec<_> = chunks.iter().map(|(chunk, _)| (chunk.domain(), chunk.bytes())).collect();
    let mut done = Rebalanced::default();
    for (number, domain) in moves(&sizes, &workers(registry)) {
        let (chunk, futures) = &chunks[number];
        let warning = match chunk.move_to(registry, domain) {
            Ok(true) => {
                futures.iter().for_each(|future| chunk.whereabouts().tell(future.handle().head()));
                done.chunks += 1;
                done.bytes += chunk.bytes();
                continue;
            }
            Ok(false) => "small chunks stay together, and those of a vector that was given in it".to_owned(),
            Err(error) => error.to_string(),
        };
        if !done.warnings.contains(&warning) {
            done.warnings.push(warning);
        }
    }
    Ok(done)
}

/// Which of some things, with their domains and sizes, are to go where: the largest that fit, from who has too much for his
/// workers to who has least.
fn moves(sizes: &[(usize, usize)], workers: &[usize]) -> Vec<(usize, usize)> {
    let all: u128 = sizes.iter().map(|&(_, bytes)| bytes as u128).sum();
    let total: u128 = workers.iter().map(|&workers| workers as u128).sum();
    let due: Vec<_> = workers.iter().map(|&workers| (all * workers as u128 / total.max(1)) as i128).collect();
    let mut too_much: Vec<i128> = due.iter().map(|due| -due).collect();
    sizes.iter().for_each(|&(domain, bytes)| too_much[domain] += bytes as i128);
    let mut order: Vec<_> = (0..sizes.len()).collect();
    order.sort_by_key(|&number| std::cmp::Reverse(sizes[number].1));
    let mut moves = Vec::new();
    for number in order {
        let (from, bytes) = (sizes[number].0, sizes[number].1 as i128);
        let Some(to) = (0..workers.len()).min_by_key(|&domain| too_much[domain]) else { break };
        // Worth it, if who takes it has less then than who gave it had.
        if bytes > 0 && too_much[from] - bytes > too_much[to] {
            too_much[from] -= bytes;
            too_much[to] += bytes;
            moves.push((number, to));
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sizes: &[(usize, usize)], workers: &[usize]) -> Vec<usize> {
        let mut domains: Vec<_> = sizes.iter().map(|&(domain, _)| domain).collect();
        for (number, to) in moves(sizes, workers) {
            assert_ne!(domains[number], to);
            domains[number] = to;
        }
        let held = |domain| sizes.iter().zip(&domains).filter(|&(_, &at)| at == domain).map(|(size, _)| size.1).sum();
        (0..workers.len()).map(held).collect()
    }

    #[test]
    fn bytes_go_where_the_workers_are() {
        assert_eq!(after(&[(0, 10); 8], &[1, 1]), [40, 40]);
        assert_eq!(after(&[(1, 10); 8], &[3, 1]), [60, 20]);
        assert_eq!(after(&[(0, 70), (0, 10), (0, 10), (0, 10)], &[1, 1, 1, 1]).iter().sum::<usize>(), 100);
    }

    #[test]
    fn what_is_even_or_cannot_be_better_stays() {
        assert!(moves(&[(0, 10), (1, 10)], &[1, 1]).is_empty());
        assert!(moves(&[(0, 100)], &[1, 1]).is_empty());
        assert!(moves(&[], &[1, 1]).is_empty());
        assert!(moves(&[(0, 0), (0, 0)], &[1, 1]).is_empty());
    }
}

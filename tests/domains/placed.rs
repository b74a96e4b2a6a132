//! Memory is on the domain it was asked to be on, as the kernel tells; on a host of one domain that is not much.

use std::sync::{Mutex, MutexGuard, PoisonError};

use heist::{Chunk, Executor, Partition, Scattered, TaskFuture};
use heist_numa::residency_of;

/// One executor at a time has the cores, so that its workers are pinned.
pub(crate) fn pinned() -> (MutexGuard<'static, ()>, Executor) {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ex = Executor::new().unwrap();
    assert!(ex.warnings().is_empty(), "{:?}", ex.warnings());
    (guard, ex)
}

fn values(len: usize) -> Vec<u64> {
    (1..=len as u64).collect()
}

/// Whether the memory of a domain is its own. The cores of one that has none have the nearest; which of several, when nobody
/// says it, is the kernel's choice.
fn has_its_own(ex: &Executor, domain: usize) -> bool {
    let domains = ex.has_what();
    domains.iter().filter(|other| other.id == domains[domain].id).count() == 1
}

/// All pages of some memory are on one domain of the executor.
#[track_caller]
fn is_on<T>(ex: &Executor, memory: &[T], domain: usize) {
    let id = ex.has_what()[domain].id.expect("the workers are pinned");
    let found = residency_of(memory).unwrap();
    assert!(found.is_all_on(id), "{found:?}: domain {domain} is {id} to the kernel");
}

#[track_caller]
fn chunks_are_placed<T: Send + Sync + 'static>(ex: &Executor, parts: &Scattered<T>) {
    assert!(parts.warnings().is_empty(), "{:?}", parts.warnings());
    for (chunk, held) in parts.iter().zip(ex.who_has(parts)) {
        let chunk = chunk.value().unwrap();
        assert_eq!(held[0].domain, chunk.domain());
        is_on(ex, chunk, chunk.domain());
    }
}

/// How many chunks each domain has.
fn spread<'a, T: Send + Sync + 'static>(
    ex: &Executor,
    parts: impl IntoIterator<Item = &'a TaskFuture<Chunk<T>>>,
) -> Vec<usize> {
    let mut counts = vec![0; ex.has_what().len()];
    parts.into_iter().for_each(|chunk| counts[chunk.value().unwrap().domain()] += 1);
    counts
}

#[test]
fn chunks_are_on_their_domains() {
    let (_alone, ex) = pinned();
    let domains = ex.has_what().len();
    for len in [1000, 3_000_000] {
        let values = values(len);
        for partition in
            [Partition::per_domain(), Partition::per_worker(), Partition::blocks(21), Partition::cyclic(2 * domains)]
        {
            let parts = ex.scatter_slice(&values, partition).unwrap();
            chunks_are_placed(&ex, &parts);
            assert!(spread(&ex, &parts).iter().all(|&chunks| chunks > 0), "each domain has some");
            assert_eq!(parts.gather().unwrap(), values);
        }
    }
}

#[test]
fn a_vector_given_away_comes_to_the_domains() {
    let (_alone, ex) = pinned();
    if ex.has_what().len() == 1 {
        let parts = ex.scatter_slice(values(100_000), Partition::per_worker()).unwrap();
        return is_on(&ex, parts.iter().next().unwrap().value().unwrap(), 0);
    }
    chunks_are_placed(&ex, &ex.scatter_slice(values(1_000_000), Partition::per_worker()).unwrap());
}

#[test]
fn a_task_scatters_to_all_domains() {
    let (_alone, ex) = pinned();
    let inner = ex.clone();
    let parts = ex.submit(move || inner.scatter_slice(values(500_000), Partition::per_domain()).unwrap());
    chunks_are_placed(&ex, parts.value().unwrap());
}

#[test]
fn files_are_read_to_the_domains() {
    let (_alone, ex) = pinned();
    let path = std::env::temp_dir().join(format!("heist-domains-{}", std::process::id()));
    let bytes: Vec<u8> = values(200_000).iter().flat_map(|value| value.to_ne_bytes()).collect();
    std::fs::write(&path, bytes).unwrap();
    let parts = ex.scatter_file::<u64>(&path, Partition::per_domain());
    std::fs::remove_file(&path).unwrap();
    let parts = parts.unwrap();
    chunks_are_placed(&ex, &parts);
    assert_eq!(parts.gather().unwrap(), values(200_000));
}

#[test]
fn every_domain_has_a_copy_and_reads_it() {
    let (_alone, ex) = pinned();
    let table = ex.replicate_slice(&values(300_000)).unwrap();
    let copies: Vec<&Chunk<u64>> = table.value().unwrap().copies().collect();
    assert_eq!(copies.len(), ex.has_what().len());
    for (domain, copy) in copies.iter().enumerate() {
        is_on(&ex, copy, domain);
        assert_eq!(copy[..], values(300_000));
    }
    let domains: Vec<_> = ex.stats().per_worker.iter().map(|worker| worker.domain).collect();
    let read = ex.map_after([&table; 200], |table| (heist::current().unwrap().worker(), table.domain()));
    for (worker, domain) in ex.gather(read).unwrap() {
        assert_eq!(domain, domains[worker], "worker {worker}");
    }
}

#[test]
fn clones_are_made_on_their_domains() {
    let (_alone, ex) = pinned();
    // Large enough to be mapped anew for each clone.
    let table = ex.replicate(vec![7_u8; 48 << 20]);
    for (domain, copy) in table.value().unwrap().copies().enumerate() {
        // A huge page at either end may be shared with another copy.
        let huge = 2 << 20;
        if has_its_own(&ex, domain) {
            is_on(&ex, &copy[huge..copy.len() - huge], domain);
        }
    }
}

#[test]
fn chunks_that_were_made_are_where_their_task_ran() {
    let (_alone, ex) = pinned();
    let parts = ex.scatter_slice(values(4_000_000), Partition::per_domain()).unwrap();
    let narrow = parts.map_into(|chunk, narrow: &mut [f32]| {
        narrow.iter_mut().zip(chunk).for_each(|(narrow, x)| *narrow = *x as f32);
    });
    heist::wait_all(&narrow.iter().cloned().collect::<Vec<_>>());
    chunks_are_placed(&ex, &narrow);
    // The allocator may have pages that somebody else once took.
    let narrow = parts.map_chunks(|chunk| chunk.iter().map(|x| *x as f32).collect::<Vec<_>>());
    for chunk in &narrow {
        let chunk = chunk.value().unwrap();
        let found = residency_of(chunk).unwrap();
        let id = ex.has_what()[chunk.domain()].id.unwrap();
        let is_placed = found.pages_on(id) * 100 >= found.pages() * 99;
        assert!(is_placed || !has_its_own(&ex, chunk.domain()), "{found:?}: domain {id}");
    }
}

#[test]
fn chunks_are_moved_to_where_there_are_few() {
    let (_alone, ex) = pinned();
    // Of less than a huge page, and of one that is full and one that is not.
    for len in [100_000, 400_000] {
        some_are_moved(&ex, len);
    }
}

/// Moves some of the chunks of the first domain, of so many values each.
fn some_are_moved(ex: &Executor, each: usize) {
    let domains = ex.has_what().len();
    let len = 4 * each * domains;
    let parts = ex.scatter_slice(values(len), Partition::blocks(4 * domains)).unwrap();
    let first: Vec<_> = parts.iter().filter(|chunk| chunk.value().unwrap().domain() == 0).cloned().collect();
    let before = spread(ex, &first);
    let moved = ex.rebalance(&first).unwrap();
    assert!(moved.warnings.is_empty(), "{:?}", moved.warnings);
    let after = spread(ex, &first);
    // Every domain has as much as it has workers for.
    let workers: Vec<_> = ex.has_what().iter().map(|domain| domain.workers).collect();
    let share = |chunks: usize, domain: usize| (chunks * workers[domain]).div_ceil(ex.workers());
    assert!(before[0].abs_diff(share(4 * domains, 0)) <= 1, "{before:?}");
    for (domain, chunks) in after.iter().enumerate() {
        assert!(chunks.abs_diff(share(first.len(), domain)) <= 1, "{after:?} for {workers:?} workers");
    }
    chunks_are_placed(ex, &parts);
    assert_eq!(parts.gather().unwrap(), values(len));
    let bytes: Vec<_> = ex.has_what().iter().map(|domain| domain.bytes).collect();
    assert_eq!(bytes.iter().sum::<usize>(), 8 * len);
    assert_eq!(bytes[0], 8 * len / (4 * domains) * after[0]);
}

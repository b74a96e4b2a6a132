//! Tasks run where their data lies, as long as all domains have as much to do; and nobody is idle beside work. Counted in
//! tasks, not in time: on a host of one domain that is not much, and a guest's clock is not to be trusted.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heist::{Chunk, Executor, Partition, Scattered, TaskFuture};

use crate::placed::pinned;

const TASKS_PER_WORKER: usize = 64;
const ROUNDS: usize = 5;

/// Some time of a core.
fn work(steps: u64) {
    for step in 0..steps {
        black_box(step);
    }
}

fn worker() -> usize {
    heist::current().expect("within a task").worker()
}

fn domains(ex: &Executor) -> Vec<usize> {
    ex.stats().per_worker.iter().map(|worker| worker.domain).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn chunks(ex: &Executor) -> Scattered<u64> {
    let chunks = TASKS_PER_WORKER * ex.workers();
    ex.scatter_slice(vec![1_u64; 1024 * chunks], Partition::blocks(chunks)).unwrap()
}

fn home(chunk: &TaskFuture<Chunk<u64>>) -> usize {
    chunk.value().unwrap().domain()
}

/// Keeps the domains in step, so that they are as fast as each other, whatever the host does to their cores.
struct Step {
    domain_of: Vec<usize>,
    run: Vec<AtomicUsize>,
    started: AtomicUsize,
    tasks: usize,
}

impl Step {
    /// How many tasks each worker of one domain may be ahead of those of another.
    const AHEAD: f64 = 2.0;

    fn new(ex: &Executor, tasks: usize) -> Arc<Self> {
        let run = ex.has_what().iter().map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { domain_of: domains(ex), run, started: AtomicUsize::new(0), tasks })
    }

    /// What each worker of a domain has run, on average.
    fn progress(&self, domain: usize) -> f64 {
        let workers = self.domain_of.iter().filter(|&&other| other == domain).count();
        self.run[domain].load(Ordering::Relaxed) as f64 / workers as f64
    }

    /// By every task: waits for the domains that are behind, unless there is nothing left for them.
    fn keep(&self) {
        let own = self.domain_of[worker()];
        self.run[own].fetch_add(1, Ordering::Relaxed);
        self.started.fetch_add(1, Ordering::Relaxed);
        let is_ahead = || (0..self.run.len()).any(|other| self.progress(other) + Self::AHEAD < self.progress(own));
        while self.started.load(Ordering::Relaxed) < self.tasks && is_ahead() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn tasks_run_where_their_chunks_lie() {
    let (_alone, ex) = pinned();
    let domains = domains(&ex);
    let parts = chunks(&ex);
    let share = || {
        let step = Step::new(&ex, parts.parts());
        let ran = ex.gather(parts.map(move |_| {
            step.keep();
            work(20_000);
            worker()
        }));
        let at_home = ran.unwrap().into_iter().zip(parts.iter());
        at_home.filter(|(worker, chunk)| domains[*worker] == home(chunk)).count() as f64 / parts.parts() as f64
    };
    let shares: Vec<_> = (0..ROUNDS).map(|_| share()).collect();
    assert!(median(&shares) >= 0.95, "at home: {shares:.3?}");
}

#[test]
fn a_domain_with_four_times_the_load_is_helped() {
    let (_alone, ex) = pinned();
    let domains = domains(&ex);
    let parts = chunks(&ex);
    let imbalance = || {
        let load = |chunk| std::iter::repeat_n(chunk, if home(chunk) == 0 { 4 } else { 1 });
        let ran = ex.map_after(parts.iter().flat_map(load), |_| {
            work(20_000);
            worker()
        });
        let ran = ex.gather(ran).unwrap();
        let mean = ran.len() as f64 / domains.len() as f64;
        let of = |domain: &usize| {
            let run = ran.iter().filter(|&&worker| domains[worker] == *domain).count();
            run as f64 / domains.iter().filter(|other| *other == domain).count() as f64 / mean
        };
        domains.iter().map(of).fold(0.0, f64::max)
    };
    let imbalances: Vec<_> = (0..ROUNDS).map(|_| imbalance()).collect();
    assert!(median(&imbalances) <= 1.15, "most of a domain for each of its workers, over the mean: {imbalances:.3?}");
}

/// A tree of tasks, each of which makes two, so deep.
fn grow(ex: &Executor, depth: usize) {
    work(50_000);
    if depth > 0 {
        for _ in 0..2 {
            let inner = ex.clone();
            ex.submit(move || grow(&inner, depth - 1)).detach();
        }
    }
}

#[test]
fn thieves_stay_in_their_domains() {
    let (_alone, ex) = pinned();
    // With few workers in each domain, little of what comes from others is then stolen inside.
    if ex.has_what().iter().any(|domain| domain.workers < 4) && ex.has_what().len() > 1 {
        return;
    }
    let share = || {
        let before = ex.stats();
        grow(&ex, 11);
        while ex.stats().finished < ex.stats().submitted {
            std::thread::yield_now();
        }
        let stats = ex.stats();
        let afar = |stats: &heist::Stats| stats.per_worker.iter().map(|worker| worker.stolen_afar).sum::<u64>();
        let (stolen, afar) = (stats.stolen - before.stolen, afar(&stats) - afar(&before));
        if stolen == 0 { 1.0 } else { 1.0 - afar as f64 / stolen as f64 }
    };
    let shares: Vec<_> = (0..ROUNDS).map(|_| share()).collect();
    assert!(median(&shares) >= 0.9, "stolen within the domain: {shares:.3?}");
}

#[test]
fn what_a_thread_submits_runs_on_the_domain_it_is_on() {
    let (_alone, ex) = pinned();
    let workers = ex.stats().per_worker;
    for domain in 0..ex.has_what().len() {
        let here = workers.iter().find(|worker| worker.domain == domain).and_then(|worker| worker.cpu).unwrap();
        let _pinned = heist_numa::Pinned::to(here).unwrap();
        let near = (0..100).filter(|_| workers[ex.submit(worker).result().unwrap()].domain == domain).count();
        assert!(near >= 90, "domain {domain}: {near} of 100");
    }
}

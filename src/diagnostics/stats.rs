//! Sums over the counters of an executor, made when somebody asks.

use std::time::Duration;

use crate::scheduler::Registry;

/// What an executor has done so far. Counters are read one after the other while the workers go on, so sums may be off by
/// what happened meanwhile.
///
/// ```
/// let ex = heist::Executor::builder().workers(1).build()?;
/// heist::wait_all(&ex.map(0..100, |i| i));
/// ex.shutdown(heist::Shutdown::Wait);
/// let stats = ex.stats();
/// assert_eq!((stats.submitted, stats.finished, stats.executed), (100, 100, 100));
/// assert_eq!(stats.per_worker.len(), 1);
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks made, promises included.
    pub submitted: u64,
    /// Tasks that have a value or an error.
    pub finished: u64,
    /// Closures run.
    pub executed: u64,
    /// Tasks that a worker took from another one.
    pub stolen: u64,
    /// Results that came after their task was cancelled.
    pub discarded: u64,
    /// Threads made beyond one a worker, because a worker waited.
    pub spare_threads: usize,
    /// Times that a thread of another rank, which slept, was woken for what this one sent.
    pub ranks_woken: u64,
    /// Time since the executor was built.
    pub uptime: Duration,
    /// The workers in order.
    pub per_worker: Vec<WorkerStats>,
}

/// What one worker has done so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Closures run.
    pub executed: u64,
    /// Entries taken from other workers: tasks, or parts of a `map`.
    pub stolen: u64,
    /// Entries of those that came from other domains.
    pub stolen_afar: u64,
    /// Times it went to sleep.
    pub parked: u64,
    /// Time without a task, up to the last time it found one.
    pub idle: Duration,
    /// The PU its threads are pinned to, if they are.
    pub cpu: Option<usize>,
    /// The domain it sits on, one of those that the executor has workers on.
    pub domain: usize,
}

impl Stats {
    pub(crate) fn of(registry: &Registry) -> Self {
        let sum = |of: fn(&crate::counters::Counters) -> u64| registry.counters().map(of).sum();
        Self {
            submitted: sum(|counters| counters.created.read()),
            finished: sum(|counters| counters.finished.read()),
            executed: sum(|counters| counters.executed.read()),
            stolen: sum(|counters| counters.stolen.read()),
            discarded: sum(|counters| counters.discarded.read()),
            spare_threads: registry.spare_threads(),
            ranks_woken: registry.ranks_woken(),
            uptime: registry.started.elapsed(),
            per_worker: registry
                .counters()
                .zip(registry.settings.seating.cpus.iter().enumerate())
                .map(|(counters, (worker, &cpu))| WorkerStats {
                    executed: counters.executed.read(),
                    stolen: counters.stolen.read(),
                    stolen_afar: counters.stolen_afar.read(),
                    parked: counters.parked.read(),
                    idle: Duration::from_nanos(counters.idle_ns.read()),
                    cpu,
                    domain: registry.domain_of_worker(worker),
                })
                .collect(),
        }
    }
}

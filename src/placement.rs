//! Which cores an executor's workers get: the process's ledger of cores in use.

use std::collections::BTreeSet;

use crate::config::Host;
use crate::primitive::lock::Mutex;

/// First PUs of the cores that executors of this process have pinned workers to.
static IN_USE: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// Where workers run, and how near they are to each other.
pub(crate) struct Placement {
    pub(crate) cpus: Vec<Option<usize>>,
    /// By PU, the worker that is pinned to its core; empty when none is pinned.
    pub(crate) worker_at: Vec<Option<usize>>,
    pub(crate) rings: Vec<Vec<Vec<usize>>>,
    pub(crate) lease: CoreLease,
    pub(crate) warning: Option<String>,
}

/// The cores of one executor; back in the ledger when dropped.
#[derive(Debug, Default)]
pub(crate) struct CoreLease(Vec<usize>);

impl Drop for CoreLease {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock();
        for pu in &self.0 {
            in_use.remove(pu);
        }
    }
}

/// The cores, by their number in `host`, that no executor of this process has pinned a worker to.
fn unused(host: &Host, in_use: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    host.cores
        .iter()
        .enumerate()
        .filter_map(|(number, core)| Some((number, core.pus().first()?)))
        .filter(|(_, pu)| !in_use.contains(pu))
        .collect()
}

/// By PU, the worker of its core, where the workers have the cores `numbers`.
fn worker_at(host: &Host, numbers: &[usize]) -> Vec<Option<usize>> {
    let mut table = Vec::new();
    for (worker, &number) in numbers.iter().enumerate() {
        for pu in host.cores.as_slice()[number].pus().iter() {
            table.resize(table.len().max(pu + 1), None);
            table[pu] = Some(worker);
        }
    }
    table
}

/// How many workers an executor gets by default: one for each unused core, or, if all are used, for each core; no more
/// than the quota.
pub(crate) fn default_workers(host: &Host) -> usize {
    let free = unused(host, &IN_USE.lock()).len();
    let cores = if free == 0 { host.cores.len() } else { free };
    host.quota.map_or(cores, |quota| quota.min(cores)).max(1)
}

/// Gives each worker a core of its own, if there are enough that no other executor uses; else none is pinned.
pub(crate) fn place(host: &Host, workers: usize, pin: bool) -> Placement {
    let mut in_use = IN_USE.lock();
    let free = unused(host, &in_use);
    if pin && host.real && workers <= free.len() {
        let (numbers, cpus): (Vec<_>, Vec<_>) = free.into_iter().take(workers).unzip();
        in_use.extend(&cpus);
        return Placement {
            cpus: cpus.iter().copied().map(Some).collect(),
            worker_at: worker_at(host, &numbers),
            rings: host.cores.rings(&numbers),
            lease: CoreLease(cpus),
            warning: None,
        };
    }
    let warning = (pin && host.real).then(|| {
        if workers > host.cores.len() {
            format!("{workers} workers on {} cores: the workers are not pinned", host.cores.len())
        } else {
            "other executors of this process have pinned the cores: the workers of this one are not pinned".to_owned()
        }
    });
    Placement {
        cpus: vec![None; workers],
        worker_at: Vec::new(),
        rings: host.cores.rings(&vec![usize::MAX; workers]),
        lease: CoreLease::default(),
        warning,
    }
}

//! The domains of the host that the tests run on.

use std::{fs, thread};

use heist_numa::{CpuSet, affinity, pin};

/// Pages of 2 MiB are the largest that a page of the tests can be.
pub(crate) const HUGE: usize = 2 << 20;

pub(crate) struct Domain {
    pub(crate) id: u32,
    /// Those that this process may use; none for a domain of memory only.
    pub(crate) pus: CpuSet,
}

/// The domains that have memory.
pub(crate) fn domains() -> Vec<Domain> {
    let allowed = affinity().unwrap();
    let list = |path: &str| fs::read_to_string(format!("/sys/devices/system/node/{path}"));
    let Ok(ids) = list("has_memory") else {
        return vec![Domain { id: 0, pus: allowed }];
    };
    let ids: CpuSet = ids.trim().parse().unwrap();
    let pus = |id| list(&format!("node{id}/cpulist")).unwrap().trim().parse::<CpuSet>().unwrap();
    ids.iter().map(|id| Domain { id: id.try_into().unwrap(), pus: pus(id).intersection(&allowed) }).collect()
}

/// Runs `work` in a thread of its own that is pinned to `pu`.
pub(crate) fn pinned<R: Send>(pu: usize, work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|s| {
        let thread = s.spawn(|| {
            pin(pu).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// True when all memory may come in huge pages, so that a page's neighbours share its place.
pub(crate) fn all_is_huge() -> bool {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    enabled.is_ok_and(|enabled| enabled.contains("[always]"))
}

/// True in a guest that `scripts/numa-vm` started, which a test may set up as it likes.
pub(crate) fn is_guest() -> bool {
    std::env::var_os("NUMA_VM").is_some()
}

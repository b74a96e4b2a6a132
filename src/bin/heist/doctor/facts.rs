//! What the findings go by: gathered once, so that they can be made up for tests.

use std::fs;
use std::thread;

use heist::numa::{self, CpuSet, Pinned, Policy, Region, Topology};

use super::ranks::Ranks;
use crate::fail::Fail;
use crate::host::{self, Host};

/// What is known of the host and of this process on it.
pub(super) struct Facts {
    pub(super) host: Topology,
    /// The mask that the process was started with.
    pub(super) mask: CpuSet,
    /// What the mask could be widened to: the control group's cpuset, as far as it is online.
    pub(super) cpuset: CpuSet,
    pub(super) quota: Option<usize>,
    /// The domains that have memory, none of it for this process.
    pub(super) closed: Vec<u32>,
    /// As `HEIST_WORKERS` has it.
    pub(super) workers: Option<usize>,
    /// The variable that makes heist plan for another host than this one.
    pub(super) pretended: Option<&'static str>,
    pub(super) ranks: Option<Ranks>,
    /// Of `/dev/shm`, where it is a file system.
    pub(super) shared_memory: Option<Room>,
    /// Bytes of the host's memory.
    pub(super) memory: Option<u64>,
    /// Whether the kernel moves pages to where they are used.
    pub(super) balances: bool,
    /// Why threads cannot be pinned.
    pub(super) pin_refusal: Option<String>,
    /// Why memory cannot be placed.
    pub(super) place_refusal: Option<String>,
    /// What killed processes left behind, and was removed.
    pub(super) leftovers: Leftovers,
}

/// The bytes of a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) size: u64,
    pub(super) free: u64,
}

/// Files of segments whose owners were killed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leftovers {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Facts {
    /// Asks the host. What it does not tell, or is not there, counts as harmless.
    pub(super) fn gather() -> Result<Facts, Fail> {
        // At once, as long as the other ranks are there.
        let ranks = Ranks::of_this_process();
        let Host { topology: host, mask, .. } = Host::own()?;
        let workers = host::workers()?;
        host::check_workers("HEIST_WORKERS", workers)?;
        let (cpuset, pin_refusal) = try_masks(&mask, host.online());
        let swept = numa::sweep();
        let closed = host.domains().iter().filter(|domain| !domain.is_allowed() && domain.memory() != Some(0));
        Ok(Facts {
            closed: closed.map(numa::Domain::id).collect(),
            quota: host.quota().map(usize::from),
            workers,
            pretended: ["HEIST_TOPOLOGY", "HEIST_SYSFS_ROOT"].into_iter().find(|name| host::variable(name).is_some()),
            ranks,
            shared_memory: room("/dev/shm"),
            memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            balances: is_on(&fs::read_to_string("/proc/sys/kernel/numa_balancing").unwrap_or_default()),
            place_refusal: try_to_place(&host),
            leftovers: Leftovers { files: swept.removed().len(), bytes: swept.bytes() },
            host,
            mask,
            cpuset,
            pin_refusal,
        })
    }

    /// Ranks on this host, this process being one of them or alone.
    pub(super) fn ranks_here(&self) -> usize {
        self.ranks.as_ref().map_or(1, |ranks| ranks.count.max(1))
    }

    /// How many cores have a PU in `pus`.
    pub(super) fn cores_of(&self, pus: &CpuSet) -> usize {
        self.host.cores().iter().filter(|core| !core.pus().intersection(pus).is_empty()).count()
    }
}

/// The widest mask that the kernel gives a thread, and why it does not let one be pinned.
fn try_masks(mask: &CpuSet, online: &CpuSet) -> (CpuSet, Option<String>) {
    let (mask, online) = (mask.clone(), online.clone());
    let (narrow, fallback) = (mask.first(), mask.clone());
    let tried = thread::spawn(move || {
        let pinned = narrow.map_or(Ok(()), |pu| Pinned::to(pu).map(drop));
        // Refused, the mask is as wide as can be had.
        let widened = numa::set_affinity(&online).and_then(|()| numa::affinity());
        (widened.unwrap_or(mask), pinned.err().map(|error| error.to_string()))
    });
    tried.join().unwrap_or((fallback, None))
}

/// Why memory cannot be placed, where there is more than one place for it.
fn try_to_place(host: &Topology) -> Option<String> {
    let allowed: Vec<u32> = host.domains().iter().filter(|domain| domain.is_allowed()).map(numa::Domain::id).collect();
    if allowed.len() < 2 {
        return None;
    }
    match Region::<u8>::builder().policy(Policy::Interleaved(allowed)).allocate(1) {
        Ok(region) => region.warnings().first().cloned(),
        Err(error) => Some(error.to_string()),
    }
}

fn room(folder: &str) -> Option<Room> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Room { size: bytes(found.f_blocks), free: bytes(found.f_bavail) })
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Of a kernel setting: 0 is off, and so is a file that is not there.
fn is_on(text: &str) -> bool {
    text.trim().parse::<u32>().is_ok_and(|value| value != 0)
}

#[cfg(test)]
impl Facts {
    /// A host that is well, of which all is allowed.
    pub(super) fn well(text: &str) -> Facts {
        let host = Topology::synthetic(text).unwrap();
        Facts {
            mask: host.online().clone(),
            cpuset: host.online().clone(),
            quota: None,
            closed: Vec::new(),
            workers: None,
            pretended: None,
            ranks: None,
            shared_memory: Some(Room { size: 32 << 30, free: 30 << 30 }),
            memory: Some(64 << 30),
            balances: false,
            pin_refusal: None,
            place_refusal: None,
            leftovers: Leftovers::default(),
            host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:       16 kB\n"), Some(16 << 10));
        assert_eq!((memory(""), memory("MemTotal: much\n")), (None, None));
        assert!(is_on("1\n") && is_on("2\n") && !is_on("0\n") && !is_on(""));
    }

    #[test]
    fn trying_masks_leaves_this_thread_as_it_is() {
        let before = numa::affinity().unwrap();
        let narrow: CpuSet = before.iter().take(1).collect();
        let (widest, refusal) = try_masks(&narrow, &before);
        assert_eq!((widest, refusal), (before.clone(), None));
        assert_eq!(numa::affinity().unwrap(), before);
    }
}

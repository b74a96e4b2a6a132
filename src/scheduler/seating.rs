//! Where the workers of an executor sit.

use std::ops::Range;

use heist_numa::{Plan, PlanDomain, Topology};

/// The workers, numbered so that those of a domain follow each other, and how near they are to each other.
#[derive(Debug)]
pub(crate) struct Seating {
    /// The PU of each worker, none for those that are not pinned.
    pub(crate) cpus: Vec<Option<usize>>,
    pub(super) domains: Vec<Range<usize>>,
    /// The kernel's numbers of the domains that memory for each comes from, or none where it is not placed.
    pub(crate) memory: Vec<Option<u32>>,
    /// The domain of each PU; empty when nobody is pinned.
    pub(super) domain_at: Box<[Option<u16>]>,
    /// The worker of each PU's core; empty when nobody is pinned.
    worker_at: Vec<Option<u32>>,
    /// The others of each worker, ring by ring.
    pub(super) rings: Vec<Vec<Vec<Range<usize>>>>,
}

impl Seating {
    /// As planned on `topology`. Threads and memory are bound if it is this host's.
    pub(crate) fn of(plan: &Plan, topology: &Topology) -> Self {
        let real = topology.is_this_host();
        let seats = plan.seats();
        let cpus = seats.iter().map(|seat| seat.pu().filter(|_| real)).collect();
        let domains = plan.domains();
        let pinned = real && seats.iter().all(|seat| seat.pu().is_some());
        let pus = || topology.online().iter().filter(|_| pinned);
        let last = pus().next_back().map_or(0, |pu| pu + 1);
        let domain_of = |pu| domains.iter().position(|domain| Some(domain.index()) == topology.domain_of(pu));
        let mut domain_at = vec![None; last];
        let mut worker_at = vec![None; last];
        for pu in pus() {
            domain_at[pu] = domain_of(pu).and_then(|domain| u16::try_from(domain).ok());
            worker_at[pu] = plan.worker_of(pu).and_then(|worker| u32::try_from(worker).ok());
        }
        Self {
            cpus,
            domains: domains.iter().map(PlanDomain::workers).collect(),
            memory: domains
                .iter()
                .map(|domain| if pinned { memory_for(domain.index(), topology) } else { None })
                .collect(),
            domain_at: domain_at.into(),
            worker_at,
            rings: (0..seats.len()).map(|worker| plan.rings(worker)).collect(),
        }
    }

    /// The worker that is pinned to the core of `pu`.
    pub(super) fn worker_at(&self, pu: usize) -> Option<usize> {
        self.worker_at.get(pu)?.map(|worker| worker as usize)
    }

    /// Whether it is of use to ask where a thread runs.
    pub(super) fn is_pinned(&self) -> bool {
        !self.worker_at.is_empty()
    }
}

/// Where memory for a domain comes from: itself, or the nearest that gives some, if possible one with cores.
fn memory_for(domain: usize, topology: &Topology) -> Option<u32> {
    let domains = topology.domains().iter().enumerate().filter(|(_, domain)| domain.is_allowed());
    let nearest = domains.min_by_key(|(index, other)| {
        (*index != domain, other.pus().is_empty(), topology.distance(domain, *index), *index)
    });
    nearest.map(|(_, domain)| domain.id())
}

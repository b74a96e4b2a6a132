//! What a source found out about a host, and how that becomes a description that does not contradict itself.

use std::{collections::BTreeMap, num::NonZeroUsize};

use super::{Core, Domain, Topology};
use crate::{CpuSet, error::Error};

/// The distance of a domain to itself, in the unit of [`Topology::distance`].
pub(super) const LOCAL: u32 = 10;
/// The distance of two domains where nothing is told.
pub(super) const REMOTE: u32 = 20;

/// A host with more to warn of has one trouble many times.
const MOST_WARNINGS: usize = 16;

/// A host as its source tells it.
#[derive(Default)]
pub(super) struct Findings {
    /// The PUs of all `cores`.
    pub(super) online: CpuSet,
    /// Without PUs in common, the one with the lowest PU first; their domains are still to be told.
    pub(super) cores: Vec<Core>,
    /// In ascending order of their ids, with any PUs.
    pub(super) domains: Vec<Domain>,
    /// From each domain to each; none or a square matrix by rows.
    pub(super) distances: Option<Vec<u32>>,
    pub(super) warnings: Vec<String>,
}

impl Findings {
    /// The value, or a warning in its place.
    pub(super) fn accept<T>(&mut self, read: Result<Option<T>, Error>) -> Option<T> {
        read.unwrap_or_else(|error| {
            self.warnings.push(error.to_string());
            None
        })
    }

    /// The description: each online PU in exactly one domain, each core in one domain, all distances known.
    pub(super) fn settle(mut self, allowed: CpuSet, quota: Option<NonZeroUsize>, this_host: bool) -> Topology {
        self.settle_domains();
        self.settle_cores();
        let more = self.warnings.len().saturating_sub(MOST_WARNINGS);
        if more > 0 {
            self.warnings.truncate(MOST_WARNINGS);
            self.warnings.push(format!("{more} more of the host's files make no sense or contradict others"));
        }
        let Findings { online, cores, domains, distances, warnings } = self;
        let made_up = || (0..domains.len().pow(2)).map(|at| made_up_distance(at, domains.len())).collect();
        let distances = distances.unwrap_or_else(made_up);
        Topology { domains, cores, online, allowed, quota, distances, this_host, warnings }
    }

    /// Gives each online PU to the first domain that claims it, else to the first that has PUs at all.
    fn settle_domains(&mut self) {
        if self.domains.is_empty() {
            self.domains.push(Domain { id: 0, pus: self.online.clone(), memory: None, allowed: true });
        }
        let mut free = self.online.clone();
        for domain in &mut self.domains {
            let claimed = domain.pus.intersection(&self.online);
            domain.pus = claimed.intersection(&free);
            free = free.difference(&domain.pus);
            let lost = claimed.difference(&domain.pus);
            if !lost.is_empty() {
                let id = domain.id;
                self.warnings
                    .push(format!("domain {id} claims the PUs {lost} of a domain before it, which keeps them"));
            }
        }
        let home = self.domains.iter().position(|domain| !domain.pus.is_empty()).unwrap_or(0);
        if !free.is_empty()
            && let Some(home) = self.domains.get_mut(home)
        {
            self.warnings.push(format!("no domain claims the PUs {free}; they are taken to be in domain {}", home.id));
            home.pus = home.pus.union(&free);
        }
    }

    /// Puts each core in the domain of its lowest PU, and its other PUs too.
    fn settle_cores(&mut self) {
        let mut homes = BTreeMap::new();
        for (index, domain) in self.domains.iter().enumerate() {
            homes.extend(domain.pus.iter().map(|pu| (pu, index)));
        }
        for core in &mut self.cores {
            let home = core.pus.first().and_then(|pu| homes.get(&pu).copied()).unwrap_or(0);
            core.domain = home;
            for pu in core.pus.iter().filter(|pu| homes[pu] != home) {
                self.domains[homes[&pu]].pus.remove(pu);
                self.domains[home].pus.insert(pu);
                let id = self.domains[home].id;
                self.warnings.push(format!("PU {pu} is taken to be in domain {id}, as its core's first PU is"));
            }
        }
    }
}

/// The distance at place `at` of a matrix of `count` domains of which none is told.
pub(super) fn made_up_distance(at: usize, count: usize) -> u32 {
    if at / count == at % count { LOCAL } else { REMOTE }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixture::Random;

    /// Some of the PUs below 20.
    fn some(random: &mut Random) -> CpuSet {
        let density = random.below(9);
        (0..20).filter(|_| random.below(8) < density).collect()
    }

    /// A host whose cores are a partition of its PUs, and whose domains are anything.
    fn host(random: &mut Random) -> Findings {
        let mut online = some(random);
        online.insert(random.below(20));
        let mut cores = Vec::new();
        let mut free = online.clone();
        while let Some(first) = free.first() {
            let mut pus = some(random).intersection(&free);
            pus.insert(first);
            free = free.difference(&pus);
            cores.push(Core { pus, package: None, l3: Arc::default(), domain: 0 });
        }
        let domain = |id, pus| Domain { id, pus, memory: None, allowed: true };
        let domains = (0..random.below(4) as u32).map(|id| domain(3 * id, some(random))).collect();
        Findings { online, cores, domains, ..Findings::default() }
    }

    #[test]
    fn whatever_was_found_each_pu_is_in_one_core_and_one_domain() {
        let mut random = Random::new(0x0dd);
        let mut clean = 0;
        for _ in 0..2_000 {
            let found = host(&mut random);
            let told = found.domains.clone();
            let host = found.settle(CpuSet::new(), None, false);
            let in_domains: Vec<_> = host.domains().iter().flat_map(|domain| domain.pus().iter()).collect();
            assert_eq!(in_domains.len(), host.online().len());
            assert_eq!(in_domains.into_iter().collect::<CpuSet>(), *host.online());
            for core in host.cores() {
                assert!(core.pus().iter().all(|pu| host.domain_of(pu) == Some(core.domain())));
            }
            if host.warnings().is_empty() && !told.is_empty() {
                clean += 1;
                let same = |(told, kept): (&Domain, &Domain)| kept.pus == told.pus.intersection(host.online());
                assert!(told.iter().zip(host.domains()).all(same), "changed without a warning");
            }
        }
        assert!(clean > 20, "{clean} without a contradiction");
    }
}

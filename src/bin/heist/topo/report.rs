//! The host and the plan as one JSON object.

use heist::numa::CpuSet;
use serde::Serialize;

use super::Seats;
use crate::fail::Fail;
use crate::host::Host;

/// Sets of PUs are in the kernel's notation, as `0-3,8`.
#[derive(Serialize)]
pub(super) struct Report {
    source: String,
    is_this_host: bool,
    online: String,
    mask: String,
    quota: Option<usize>,
    domains: Vec<Domain>,
    cores: Vec<Core>,
    warnings: Vec<String>,
    plan: Plan,
}

#[derive(Serialize)]
struct Domain {
    id: u32,
    pus: String,
    memory_bytes: Option<u64>,
    memory_allowed: bool,
    /// To each domain, itself included.
    distances: Vec<u32>,
}

#[derive(Serialize)]
struct Core {
    pus: String,
    /// By the kernel's number.
    domain: u32,
    package: Option<u32>,
    l3: Option<String>,
}

#[derive(Serialize)]
struct Plan {
    /// Why the workers are not pinned.
    refusal: Option<String>,
    reasons: Vec<String>,
    workers: Vec<Worker>,
}

#[derive(Serialize)]
struct Worker {
    pu: Option<usize>,
    /// By the kernel's number; none of a worker that is not pinned.
    domain: Option<u32>,
    /// Whom it steals from, from near to far: the workers of each ring.
    rings: Vec<String>,
}

impl Report {
    pub(super) fn new(host: &Host, seats: &Seats) -> Report {
        let (topology, plan) = (&host.topology, &seats.plan);
        let id = |index: usize| topology.domains()[index].id();
        let domains = topology.domains().iter().enumerate().map(|(index, domain)| Domain {
            id: domain.id(),
            pus: domain.pus().to_string(),
            memory_bytes: domain.memory(),
            memory_allowed: domain.is_allowed(),
            distances: (0..topology.domains().len()).map(|other| topology.distance(index, other)).collect(),
        });
        let cores = topology.cores().iter().map(|core| Core {
            pus: core.pus().to_string(),
            domain: id(core.domain()),
            package: core.package(),
            l3: (!core.l3().is_empty()).then(|| core.l3().to_string()),
        });
        let ring = |ring: Vec<std::ops::Range<usize>>| ring.into_iter().flatten().collect::<CpuSet>().to_string();
        let workers = plan.seats().iter().enumerate().map(|(worker, seat)| Worker {
            pu: seat.pu(),
            domain: seat.pu().map(|_| plan.domains()[seat.domain()].id()),
            rings: plan.rings(worker).into_iter().map(ring).collect(),
        });
        Report {
            source: host.source.clone(),
            is_this_host: topology.is_this_host(),
            online: topology.online().to_string(),
            mask: host.mask.to_string(),
            quota: topology.quota().map(usize::from),
            domains: domains.collect(),
            cores: cores.collect(),
            warnings: topology.warnings().to_vec(),
            plan: Plan { refusal: seats.refusal.clone(), reasons: plan.reasons().to_vec(), workers: workers.collect() },
        }
    }

    pub(super) fn json(&self) -> Result<String, Fail> {
        let object =
            serde_json::to_string(self).map_err(|error| Fail::new(format!("cannot write the report: {error}")))?;
        Ok(object + "\n")
    }
}

//! Which PU each worker gets: a pure function of the host, the mask and what is wished for, with its reasons in words.

mod choice;
#[cfg(test)]
mod tests;
mod wishes;

use std::ops::Range;

use crate::{
    CpuSet, Topology,
    error::{Error, Kind},
};
use choice::{Candidate, LEVELS, Place};
pub use wishes::{Order, Per, Wishes};

/// Which PU each worker gets, and how near the workers are to each other.
///
/// Workers are numbered by locality: those of a core, of an L3 cache, of a package and of a domain each are a
/// contiguous range. Equal input gives an equal plan.
///
/// ```
/// use heist_numa::{Plan, Topology, Wishes};
///
/// let host = Topology::synthetic("2 domains × 4 cores × 2 threads")?;
/// let plan = Plan::new(&host, &"0-3,8-11".parse()?, &Wishes::default())?;
/// let pus: Vec<_> = plan.seats().iter().map(|seat| seat.pu()).collect();
/// assert_eq!(pus, [Some(0), Some(2), Some(8), Some(10)]);
/// assert_eq!(plan.rings(0), [vec![1..2], vec![2..4]]);
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    seats: Vec<Seat>,
    domains: Vec<PlanDomain>,
    /// From each of `domains` to each.
    distances: Vec<u32>,
    /// By PU, the worker it belongs to, or [`NOBODY`].
    workers: Vec<u32>,
    reasons: Vec<String>,
}

/// In [`Plan::workers`], a PU of no worker.
const NOBODY: u32 = u32::MAX;

/// Where one worker sits.
///
/// ```
/// use heist_numa::{Plan, Topology, Wishes};
///
/// let host = Topology::synthetic("2 domains × 1 core")?;
/// let plan = Plan::new(&host, host.allowed(), &Wishes::default())?;
/// assert_eq!((plan.seats()[1].pu(), plan.seats()[1].domain()), (Some(1), 1));
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pu: Option<usize>,
    domain: usize,
    /// The workers of the same domain, package, L3 cache and core, itself included.
    around: [Range<u32>; LEVELS],
}

impl Seat {
    /// The PU to pin the worker to; `None` in a plan that pins nobody.
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(2).seats()[1].pu(), None);
    /// ```
    #[must_use]
    pub fn pu(&self) -> Option<usize> {
        self.pu
    }

    /// The worker's domain, as an index into [`Plan::domains`].
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(2).seats()[1].domain(), 0);
    /// ```
    #[must_use]
    pub fn domain(&self) -> usize {
        self.domain
    }
}

/// A domain that has workers.
///
/// ```
/// use heist_numa::{Plan, Topology, Wishes};
///
/// let host = Topology::synthetic("3 domains × 2 cores")?;
/// let plan = Plan::new(&host, &"0-1,4-5".parse()?, &Wishes::default())?;
/// let second = &plan.domains()[1];
/// assert_eq!((second.index(), second.id(), second.workers()), (2, 2, 2..4));
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDomain {
    index: usize,
    id: u32,
    workers: Range<usize>,
}

impl PlanDomain {
    /// The domain's index in [`Topology::domains`].
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(2).domains()[0].index(), 0);
    /// ```
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The kernel's number for the domain.
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(2).domains()[0].id(), 0);
    /// ```
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The workers of the domain, one or more.
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(2).domains()[0].workers(), 0..2);
    /// ```
    #[must_use]
    pub fn workers(&self) -> Range<usize> {
        self.workers.clone()
    }
}

impl Plan {
    /// Plans for the PUs of `mask` that `topology` allows, and for no other.
    ///
    /// Without a wish for a number there is one worker for each core, or PU, that is allowed and not left free, cut to
    /// the CPU quota.
    ///
    /// # Errors
    ///
    /// [`is_unavailable`](Error::is_unavailable) when a wish cannot be met: more workers than cores or PUs, a PU of a
    /// list that is not allowed, no core but those to leave free. [`Plan::unpinned`] is the way on for any number of
    /// workers.
    ///
    /// ```
    /// use heist_numa::{Plan, Topology, Wishes};
    ///
    /// let host = Topology::synthetic("2 domains × 4 cores")?;
    /// let plan = Plan::new(&host, host.allowed(), &Wishes::default().leave_free(1))?;
    /// assert_eq!(plan.seats().len(), 7);
    /// assert!(Plan::new(&host, host.allowed(), &Wishes::default().workers(9)).unwrap_err().is_unavailable());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn new(topology: &Topology, mask: &CpuSet, wishes: &Wishes) -> Result<Plan, Error> {
        let mut reasons = Vec::new();
        let candidates = available(topology, mask, wishes, &mut reasons)?;
        let workers = number(&candidates, topology, wishes, &mut reasons)?;
        let counts = choice::choose(&candidates, wishes.per, &wishes.order, workers);
        let mut plan =
            Plan { seats: Vec::new(), domains: Vec::new(), distances: Vec::new(), workers: Vec::new(), reasons };
        plan.seat(topology, &candidates, &counts);
        for domain in &plan.domains {
            let pus: CpuSet = plan.seats[domain.workers()].iter().filter_map(Seat::pu).collect();
            let workers = span(&domain.workers);
            plan.reasons.push(format!("domain {} seats {workers} on the PUs {pus}", domain.id));
        }
        Ok(plan)
    }

    /// A plan that pins nobody: so many workers in one domain, all equally near.
    ///
    /// ```
    /// let plan = heist_numa::Plan::unpinned(3);
    /// assert_eq!(plan.rings(1), [[0..1, 2..3]]);
    /// ```
    #[must_use]
    pub fn unpinned(workers: usize) -> Plan {
        let alone = |worker| worker as u32..worker as u32 + 1;
        let around = |worker| [0..workers as u32, alone(worker), alone(worker), alone(worker)];
        let domain = PlanDomain { index: 0, id: 0, workers: 0..workers };
        Plan {
            seats: (0..workers).map(|worker| Seat { pu: None, domain: 0, around: around(worker) }).collect(),
            domains: if workers == 0 { Vec::new() } else { vec![domain] },
            distances: vec![0; workers.min(1)],
            workers: Vec::new(),
            reasons: vec![format!("no worker of {workers} is pinned")],
        }
    }

    /// The seats, one a worker: worker 0's first.
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(3).seats().len(), 3);
    /// ```
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Why so many workers, and why there: sentences for a person to read.
    ///
    /// ```
    /// use heist_numa::{Plan, Topology, Wishes};
    ///
    /// let host = Topology::synthetic("2 domains × 4 cores")?;
    /// let plan = Plan::new(&host, &"4-7".parse()?, &Wishes::default())?;
    /// assert_eq!(plan.reasons(), [
    ///     "the mask allows the PUs 4-7: 4 of 8 cores",
    ///     "4 workers, one a core",
    ///     "domain 1 seats workers 0-3 on the PUs 4-7",
    /// ]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// The domains that have workers, ascending.
    ///
    /// ```
    /// assert_eq!(heist_numa::Plan::unpinned(3).domains().len(), 1);
    /// ```
    #[must_use]
    pub fn domains(&self) -> &[PlanDomain] {
        &self.domains
    }

    /// The other workers around `worker`, in rings from near to far: on the same core, behind the same L3 cache, in the
    /// same package, in the same domain, then in other domains by distance, where equally far ones are one ring.
    ///
    /// Each other worker is in exactly one ring, and no ring is empty; a `worker` that the plan does not have has no
    /// rings. At most two ranges for a ring of the same domain, and one for each other domain.
    ///
    /// ```
    /// use heist_numa::{Per, Plan, Topology, Wishes};
    ///
    /// let host = Topology::synthetic("2 packages × 2 domains × 2 cores × 2 threads")?;
    /// let plan = Plan::new(&host, host.allowed(), &Wishes::default().per(Per::Pu))?;
    /// assert_eq!(plan.rings(5), [vec![4..5], vec![6..8], vec![0..4], vec![8..16]]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn rings(&self, worker: usize) -> Vec<Vec<Range<usize>>> {
        let Some(seat) = self.seats.get(worker) else {
            return Vec::new();
        };
        let mut rings = Vec::new();
        let mut inner = worker..worker + 1;
        for outer in seat.around.iter().rev() {
            let outer = outer.start as usize..outer.end as usize;
            rings.push(vec![outer.start..inner.start, inner.end..outer.end]);
            inner = outer;
        }
        let count = self.domains.len();
        let distance = |other: usize| self.distances[seat.domain * count + other];
        let mut others: Vec<_> = (0..count).filter(|&other| other != seat.domain).collect();
        others.sort_by_key(|&other| distance(other));
        for equal in others.chunk_by(|&a, &b| distance(a) == distance(b)) {
            rings.push(equal.iter().map(|&other| self.domains[other].workers()).collect());
        }
        for ring in &mut rings {
            ring.retain(|range| !range.is_empty());
            ring.dedup_by(|next, range| {
                let adjacent = range.end == next.start;
                range.end = if adjacent { next.end } else { range.end };
                adjacent
            });
        }
        rings.retain(|ring| !ring.is_empty());
        rings
    }

    /// The worker that `pu` belongs to: the one pinned to it, else the first that is pinned to its core.
    ///
    /// ```
    /// use heist_numa::{Plan, Topology, Wishes};
    ///
    /// let host = Topology::synthetic("4 cores × 2 threads")?;
    /// let plan = Plan::new(&host, host.allowed(), &Wishes::default().leave_free(1))?;
    /// assert_eq!((plan.worker_of(4), plan.worker_of(5), plan.worker_of(6)), (Some(2), Some(2), None));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn worker_of(&self, pu: usize) -> Option<usize> {
        self.workers.get(pu).filter(|&&worker| worker != NOBODY).map(|&worker| worker as usize)
    }

    /// Seats `counts[i]` workers on the core `candidates[i]`.
    fn seat(&mut self, topology: &Topology, candidates: &[Candidate], counts: &[usize]) {
        let mut places: Vec<Place> = Vec::new();
        for (candidate, &count) in candidates.iter().zip(counts) {
            let first = places.len();
            for (worker, pu) in candidate.pus.iter().take(count).enumerate() {
                places.push(candidate.place);
                self.seats.push(Seat { pu: Some(pu), domain: 0, around: Default::default() });
                self.belong(pu, first + worker);
            }
            let all = topology.cores()[candidate.core].pus();
            let seated: CpuSet = candidate.pus.iter().take(count).collect();
            for pu in all.difference(&seated).iter().filter(|_| count > 0) {
                self.belong(pu, first);
            }
        }
        for level in 0..LEVELS {
            let mut start = 0;
            for near in places.chunk_by(|a, b| a[..=level] == b[..=level]) {
                let end = start + near.len();
                for seat in &mut self.seats[start..end] {
                    seat.around[level] = start as u32..end as u32;
                    seat.domain = if level == 0 { self.domains.len() } else { seat.domain };
                }
                if level == 0 {
                    let index = near[0][0];
                    self.domains.push(PlanDomain { index, id: topology.domains()[index].id(), workers: start..end });
                }
                start = end;
            }
        }
        let pairs = self.domains.iter().flat_map(|a| self.domains.iter().map(|b| (a.index, b.index)));
        self.distances = pairs.map(|(a, b)| topology.distance(a, b)).collect();
    }

    fn belong(&mut self, pu: usize, worker: usize) {
        self.workers.resize(self.workers.len().max(pu + 1), NOBODY);
        self.workers[pu] = worker as u32;
    }
}

/// The cores to choose from, by place.
fn available(
    topology: &Topology,
    mask: &CpuSet,
    wishes: &Wishes,
    reasons: &mut Vec<String>,
) -> Result<Vec<Candidate>, Error> {
    let mut usable = mask.intersection(topology.allowed());
    if usable.is_empty() {
        let wish = format!("the mask `{mask}` has no PU that is allowed");
        return Err(unmet(wish, format!("allowed are `{}`", topology.allowed())));
    }
    let cores = topology.cores().len();
    let mut candidates = choice::candidates(topology, &usable);
    if usable == *topology.online() {
        reasons.push(format!("all {} are allowed", of(cores, "core")));
    } else {
        reasons.push(format!("the mask allows the PUs {usable}: {} of {}", candidates.len(), of(cores, "core")));
    }
    if let Order::List(list) = &wishes.order {
        let absent = list.difference(&usable);
        if list.is_empty() || !absent.is_empty() {
            let wish = format!("of the PUs `{list}` that were asked for, `{absent}` are not allowed");
            return Err(unmet(wish, format!("list some of `{usable}`")));
        }
        usable = list.clone();
        candidates = choice::candidates(topology, &usable);
        reasons.push(format!("the PUs {usable} were asked for: {}", of(candidates.len(), "core")));
    }
    if wishes.leave_free >= candidates.len() {
        let wish = format!("{} cannot be left free of {}", of(wishes.leave_free, "core"), candidates.len());
        return Err(unmet(wish, "leave at least one to work on".to_owned()));
    }
    let left: CpuSet = candidates
        .drain(candidates.len() - wishes.leave_free..)
        .flat_map(|c| c.pus.iter().collect::<Vec<_>>())
        .collect();
    if !left.is_empty() {
        reasons.push(format!("{} left free as asked for: the PUs {left}", of(wishes.leave_free, "core")));
    }
    Ok(candidates)
}

/// How many workers.
fn number(
    candidates: &[Candidate],
    topology: &Topology,
    wishes: &Wishes,
    reasons: &mut Vec<String>,
) -> Result<usize, Error> {
    let room = choice::room(candidates, wishes.per);
    let unit = match wishes.per {
        Per::Core => "core",
        Per::Pu => "PU",
    };
    let quota = topology.quota().map(usize::from);
    let workers = match (wishes.workers, quota) {
        (Some(0), _) => return Err(unmet("no worker was asked for".to_owned(), "ask for at least one".to_owned())),
        (Some(workers), _) if workers > room => {
            let smt = choice::room(candidates, Per::Pu);
            let wish = format!("{} were asked for, and {} can be had", of(workers, "worker"), of(room, unit));
            let smt_helps = smt >= workers && wishes.per == Per::Core;
            let more = if smt_helps { ", or one a PU" } else { ", widen the mask" };
            return Err(unmet(wish, format!("ask for {room} or less{more}, or run unpinned")));
        }
        (Some(workers), Some(quota)) if workers > quota => {
            reasons.push(format!(
                "{} share a quota of {}: it will hold them up",
                of(workers, "worker"),
                of(quota, "CPU")
            ));
            workers
        }
        (Some(workers), _) => workers,
        (None, Some(quota)) if quota < room => {
            reasons.push(format!("the quota of {} cuts {} to as many workers", of(quota, "CPU"), of(room, unit)));
            quota
        }
        (None, _) => room,
    };
    let spread = if workers < room && wishes.order == Order::Spread { ", spread evenly" } else { "" };
    reasons.push(format!("{}, one a {unit}{spread}", of(workers, "worker")));
    Ok(workers)
}

fn unmet(wish: String, way_out: String) -> Error {
    Kind::Unmet { wish, way_out }.into()
}

/// `1 core`, `2 cores`.
fn of(count: usize, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// `worker 4`, `workers 4-7`.
fn span(workers: &Range<usize>) -> String {
    let last = workers.end - 1;
    if workers.start == last { format!("worker {last}") } else { format!("workers {}-{last}", workers.start) }
}

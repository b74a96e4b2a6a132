//! Which cores an executor's workers get: the plan, over what the process's ledger of cores says is unused.

use heist_numa::{CpuSet, Order, Per, Plan, Topology, Wishes};

use crate::builder::PinPolicy;
use crate::primitive::lock::Mutex;
use crate::scheduler::Seating;

/// The PUs of the cores that executors of this process have pinned workers to.
static IN_USE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) workers: Option<usize>,
    pub(crate) pin: PinPolicy,
    pub(crate) order: Order,
    pub(crate) leave_free: usize,
}

/// Where workers run.
pub(crate) struct Placement {
    pub(crate) seating: Seating,
    pub(crate) lease: CoreLease,
    /// In words.
    pub(crate) reasons: Vec<String>,
    pub(crate) warning: Option<String>,
}

/// The cores of one executor; back in the ledger when dropped.
#[derive(Debug, Default)]
pub(crate) struct CoreLease(Vec<usize>);

impl Drop for CoreLease {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock();
        in_use.retain(|pu| !self.0.contains(pu));
    }
}

impl Wanted {
    fn wishes(&self, workers: Option<usize>) -> Wishes {
        let mut wishes = Wishes::default();
        wishes.workers = workers;
        wishes.per = if self.pin == PinPolicy::Pus { Per::Pu } else { Per::Core };
        wishes.order = self.order.clone();
        wishes.leave_free = self.leave_free;
        wishes
    }

    /// The PUs of cores that are not in use; with a worker for each PU, those that are not in use themselves.
    fn unused(&self, host: &Topology, in_use: &[usize]) -> CpuSet {
        let is_used = |pu: usize| match host.cores().iter().find(|core| core.pus().contains(pu)) {
            Some(core) if self.pin != PinPolicy::Pus => in_use.iter().any(|&other| core.pus().contains(other)),
            _ => in_use.contains(&pu),
        };
        host.allowed().iter().filter(|&pu| in_use.is_empty() || !is_used(pu)).collect()
    }

    /// Gives each worker a core, or PU, of its own, if the kernel lets threads be pinned and there are enough that no other
    /// executor uses; else none is pinned.
    pub(crate) fn place(&self, host: &Topology) -> Result<Placement, heist_numa::Error> {
        if self.pin != PinPolicy::None && host.is_this_host() {
            // The mask it has: nothing changes, but a filter of system calls answers as it will to every worker.
            let tried = heist_numa::affinity().and_then(|mask| heist_numa::set_affinity(&mask));
            if let Err(refused) = tried {
                let planned = Plan::new(host, host.allowed(), &self.wishes(self.workers));
                let warning = Some(format!("{refused}: the workers are not pinned"));
                return Ok(Placement { warning, ..self.unpinned(host, planned)? });
            }
        }
        loop {
            // Planned without the lock, which would block a child that is forked meanwhile.
            let in_use = IN_USE.lock().clone();
            let free = if host.is_this_host() { self.unused(host, &in_use) } else { host.allowed().clone() };
            let plan = match Plan::new(host, &free, &self.wishes(self.workers)) {
                Ok(plan) if self.pin != PinPolicy::None => plan,
                planned => return self.unpinned(host, planned),
            };
            let seating = Seating::of(&plan, host);
            let pus: Vec<_> = seating.cpus.iter().flatten().copied().collect();
            let mut now = IN_USE.lock();
            if *now == in_use {
                now.extend(&pus);
                let reasons = plan.reasons().to_vec();
                return Ok(Placement { seating, lease: CoreLease(pus), reasons, warning: None });
            }
        }
    }

    fn unpinned(
        &self,
        host: &Topology,
        planned: Result<Plan, heist_numa::Error>,
    ) -> Result<Placement, heist_numa::Error> {
        let count = |plan: Plan| plan.seats().len();
        let on_all = |workers| Plan::new(host, host.allowed(), &self.wishes(workers)).map(count);
        let workers = match (self.workers, &planned) {
            (Some(workers), _) => workers,
            (None, Ok(plan)) => plan.seats().len(),
            (None, Err(_)) => on_all(None)?,
        };
        let warning = (self.pin != PinPolicy::None).then(|| match on_all(Some(workers)) {
            Err(error) => format!("{error}: the workers are not pinned"),
            Ok(_) => "other executors of this process have pinned the cores: the workers of this one are not pinned"
                .to_owned(),
        });
        let plan = Plan::unpinned(workers);
        Ok(Placement {
            seating: Seating::of(&plan, host),
            lease: CoreLease::default(),
            reasons: plan.reasons().to_vec(),
            warning,
        })
    }
}

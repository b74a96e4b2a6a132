//! The domains of an executor: whose workers sit there, what is queued for them, who of them sleeps.

use std::ops::Range;

use super::context::{Local, SHARDS, local};
use super::entry::Entry;
use super::idle::{GROUP, Idle, Sleeps, Workers};
use super::inbox::Inbox;
use super::registry::Registry;
use super::shelf::Shelf;
use super::slot::Slot;
use super::worker::Worker;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::sync::Arc;

/// The workers of one domain, whose indices follow each other, and what is theirs together.
pub(super) struct Domain {
    pub(super) workers: Range<usize>,
    /// One for every [`GROUP`] workers.
    pub(super) inboxes: Box<[Inbox]>,
    /// As many, for tasks of a class other than normal, and such that must run off a shelf.
    pub(super) shelves: Box<[Shelf]>,
    /// As many, for what only these workers may run.
    pub(super) bound: Box<[Shelf]>,
    pub(super) idle: Idle,
}

/// All domains of an executor, at least one.
pub(super) struct Domains {
    /// At hand for the many hosts that have no other.
    first: Domain,
    others: Box<[Domain]>,
    /// Whether a task may have to go elsewhere than where its maker queues: there are other domains, or classes and rules
    /// are in use. Never cleared.
    routed: AtomicBool,
    /// The domain of each PU, for those who come from outside.
    at: Box<[Option<u16>]>,
    sleeps: Arc<Sleeps>,
}

/// A worker near whom something is queued: a domain and a number of its own there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Near {
    pub(super) domain: usize,
    pub(super) worker: usize,
}

impl Near {
    pub(super) fn group(self) -> usize {
        self.worker / GROUP
    }
}

impl Domain {
    fn new(workers: Range<usize>, sleeps: Option<Arc<Sleeps>>) -> Self {
        let count = workers.len();
        Self {
            workers,
            inboxes: (0..count.div_ceil(GROUP)).map(|_| Inbox::new()).collect(),
            shelves: (0..count.div_ceil(GROUP)).map(|_| Shelf::new()).collect(),
            bound: (0..count.div_ceil(GROUP)).map(|_| Shelf::new()).collect(),
            idle: Idle::new(count, sleeps),
        }
    }

    /// The inbox of a group, which is one of this domain's.
    #[inline]
    pub(super) fn inbox(&self, group: usize) -> &Inbox {
        &self.inboxes[group]
    }

    /// The group whose inbox `local`'s thread, which is no worker here, pushes to.
    #[inline]
    pub(super) fn group_of_outsider(&self, local: &Local) -> usize {
        local.shard() * self.inboxes.len() / SHARDS
    }
}

impl Domains {
    /// Of the workers of each domain, one range after the other, and the domain of each PU.
    pub(super) fn new(workers: &[Range<usize>], at: Box<[Option<u16>]>) -> Self {
        let sleeps = Arc::new(Sleeps::new());
        let shared = || (workers.len() > 1).then(|| sleeps.clone());
        let mut all = workers.iter().map(|workers| Domain::new(workers.clone(), shared()));
        let first = all.next().unwrap_or_else(|| Domain::new(0..0, None));
        let others = all.collect();
        Self { first, others, routed: AtomicBool::new(workers.len() > 1), at, sleeps }
    }

    fn are_many(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether a ready task is to be looked at before it is queued.
    #[inline]
    pub(super) fn are_routed(&self) -> bool {
        // ORDERING: Relaxed; who has a task that this is about has it from the one who set it.
        self.routed.load(Ordering::Relaxed)
    }

    pub(super) fn use_routes(&self) {
        if !self.are_routed() {
            // ORDERING: Relaxed; as above.
            self.routed.store(true, Ordering::Relaxed);
        }
    }

    /// The domain, when there is no other, and nothing to be looked at.
    #[inline]
    pub(super) fn only(&self) -> Option<&Domain> {
        if self.are_routed() { None } else { Some(&self.first) }
    }

    pub(super) fn count(&self) -> usize {
        1 + self.others.len()
    }

    #[inline]
    pub(super) fn get(&self, domain: usize) -> &Domain {
        if domain == 0 { &self.first } else { &self.others[domain - 1] }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Domain> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Registry {
    /// Near whom the calling thread queues.
    #[inline]
    pub(super) fn near(&self, local: &Local, worker: Option<&Worker>) -> Near {
        match worker {
            Some(worker) => worker.near,
            None => self.near_on(local, self.domain_of_outsider(local)),
        }
    }

    /// Near whom the calling thread, which is no worker of `domain`, queues for it.
    pub(super) fn near_on(&self, local: &Local, domain: usize) -> Near {
        Near { domain, worker: self.domains.get(domain).group_of_outsider(local) * GROUP }
    }

    /// Near a worker.
    pub(super) fn near_worker(&self, worker: usize) -> Near {
        let domain = self.domain_of_worker(worker);
        let workers = self.workers_of(domain);
        Near { domain, worker: (worker - workers.start).min(workers.len() - 1) }
    }

    /// The domain that the calling thread, which is no worker, queues for: the one it is on, if it is on one.
    pub(super) fn domain_of_outsider(&self, local: &Local) -> usize {
        let domains = &self.domains;
        let here = || domains.at.get(heist_numa::current_pu()?)?.map(usize::from);
        if domains.are_many() { here().unwrap_or_else(|| local.shard() * domains.count() / SHARDS) } else { 0 }
    }

    /// The number of domains that workers sit on.
    pub(crate) fn domain_count(&self) -> usize {
        self.domains.count()
    }

    /// The workers of a domain.
    pub(crate) fn workers_of(&self, domain: usize) -> Range<usize> {
        self.domains.get(domain).workers.clone()
    }

    /// The domain of a worker.
    pub(crate) fn domain_of_worker(&self, worker: usize) -> usize {
        self.domains.iter().position(|domain| domain.workers.contains(&worker)).unwrap_or(0)
    }

    /// Wakes a worker, if it sleeps. Behind a fence.
    pub(super) fn rouse(&self, worker: usize) -> bool {
        let number = self.domain_of_worker(worker);
        let domain = self.domains.get(number);
        let sleeps = domain.idle.rouse(worker - domain.workers.start, self.view(number));
        if sleeps {
            self.slots[worker].parker.wake();
        }
        sleeps
    }

    /// The domain of the calling thread.
    pub(crate) fn domain_here(&self, local: &Local) -> usize {
        self.near(local, local.worker_of(self)).domain
    }

    #[inline]
    pub(super) fn view(&self, domain: usize) -> View<'_> {
        View { registry: self, domain }
    }

    #[inline]
    pub(super) fn idle(&self, near: Near) -> &Idle {
        &self.domains.get(near.domain).idle
    }

    /// After something was pushed on a queue of `near` or its group.
    #[inline]
    pub(super) fn notify(&self, near: Near) {
        self.idle(near).notify(near.worker, self.view(near.domain));
    }

    pub(super) fn inbox(&self, near: Near) -> &Inbox {
        self.domains.get(near.domain).inbox(near.group())
    }

    /// The other inboxes of the same domain.
    pub(super) fn inboxes_beside(&self, near: Near) -> impl Iterator<Item = &Inbox> {
        let inboxes = &self.domains.get(near.domain).inboxes;
        (1..inboxes.len()).map(move |step| &inboxes[(near.group() + step) % inboxes.len()])
    }

    /// Takes one entry out of the inboxes of a domain, for a worker of another.
    pub(super) fn take_one_of(&self, domain: usize) -> Option<Entry> {
        self.domains.get(domain).inboxes.iter().enumerate().find_map(|(group, inbox)| {
            if inbox.is_empty() {
                return None;
            }
            let found = inbox.take_one();
            // The others were out of sight.
            if !inbox.is_empty() {
                self.notify(Near { domain, worker: group * GROUP });
            }
            found
        })
    }

    pub(super) fn inboxes(&self) -> impl Iterator<Item = &Inbox> {
        self.domains.iter().flat_map(|domain| &domain.inboxes)
    }

    /// Whether any queue or shelf holds something.
    pub(super) fn has_work(&self) -> bool {
        (0..self.domains.count()).any(|domain| self.view(domain).has_work()) || self.has_shelved()
    }

    /// Whether any queue or shelf holds something that this worker may take.
    pub(super) fn has_work_for(&self, worker: &Worker) -> bool {
        let view = self.view(worker.near.domain);
        self.slots[worker.index].bound().classes() != 0
            || view.has_work()
            || has_any(&view.here().bound)
            || view.others().any(View::has_work)
    }

    /// How many workers have nothing to do, as far as can be told from here.
    #[cfg(feature = "ranks")]
    pub(crate) fn idle_workers(&self) -> usize {
        self.domains.iter().map(|domain| domain.idle.count()).sum()
    }

    /// Has somebody woken in every domain that has work.
    pub(super) fn notify_if_work(&self) {
        for domain in 0..self.domains.count() {
            let view = self.view(domain);
            let group = (0..view.here().inboxes.len()).find(|&group| view.has_work_in(group));
            group.into_iter().for_each(|group| self.notify(Near { domain, worker: group * GROUP }));
        }
    }
}

/// The workers of one domain, by their numbers there.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    registry: &'a Registry,
    domain: usize,
}

impl<'a> View<'a> {
    fn here(self) -> &'a Domain {
        self.registry.domains.get(self.domain)
    }

    fn slots(self) -> &'a [Slot] {
        &self.registry.slots[self.here().workers.clone()]
    }

    /// Whether any queue of the domain holds something that every worker may take.
    fn has_work(self) -> bool {
        self.here().inboxes.iter().any(|inbox| !inbox.is_empty())
            || self.slots().iter().any(Slot::has_work)
            || has_any(&self.here().shelves)
    }

    /// The same, where there are no other domains: for what only these workers may take.
    pub(super) fn alone(self) -> Alone<'a> {
        Alone(self)
    }

    fn others(self) -> impl Iterator<Item = View<'a>> {
        let count = self.registry.domains.count();
        (1..count).map(move |step| self.registry.view((self.domain + step) % count))
    }
}

impl Workers for View<'_> {
    fn has_work_in(&self, group: usize) -> bool {
        let Some(inbox) = self.here().inboxes.get(group) else {
            return self.others().any(View::has_work);
        };
        let slots = self.slots();
        let members = group * GROUP..slots.len().min((group + 1) * GROUP);
        let shelves = [&self.here().shelves[group], &self.here().bound[group]];
        !inbox.is_empty()
            || slots[members].iter().any(Slot::has_work)
            || shelves.into_iter().any(|shelf| shelf.classes() != 0)
    }
    fn wake(&self, worker: usize) {
        let slot = &self.slots()[worker];
        if self.beside() == Some(worker) {
            slot.set_crowded();
        }
        slot.parker.wake();
    }
    fn beside(&self) -> Option<usize> {
        let seating = &self.registry.settings.seating;
        let pu = if seating.is_pinned() { heist_numa::current_pu()? } else { return None };
        let worker = seating.worker_at(pu)?;
        worker.checked_sub(self.here().workers.start).filter(|&worker| worker < self.here().workers.len())
    }
    fn pass_on(&self) {
        local(|local| {
            // Behind the pusher's fence, and before the look.
            let seen = (self.registry.id, self.registry.domains.sleeps.read());
            if local.found_nobody.get() != seen && !self.others().any(|other| other.here().idle.notify_from_afar(other))
            {
                local.found_nobody.set(seen);
            }
        });
    }
}

/// The workers of one domain, as if there were no others.
#[derive(Clone, Copy)]
pub(super) struct Alone<'a>(View<'a>);

impl Workers for Alone<'_> {
    fn has_work_in(&self, group: usize) -> bool {
        self.0.has_work_in(group)
    }
    fn wake(&self, worker: usize) {
        self.0.wake(worker);
    }
    fn beside(&self) -> Option<usize> {
        self.0.beside()
    }
    fn pass_on(&self) {}
}

fn has_any(shelves: &[Shelf]) -> bool {
    shelves.iter().any(|shelf| shelf.classes() != 0)
}

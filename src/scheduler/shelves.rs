//! Tasks that are more or less urgent than others, or that not everybody may run: where they lie and who takes them.

use super::context::{Local, local};
use super::domain::Near;
use super::entry::Entry;
use super::registry::Registry;
use super::shelf::{Shelf, above, bit};
use super::slot::{BOUND, SHELVES, Slot};
use super::worker::Worker;
use crate::task::{self, Finisher, Priority, Ready, Rule, Schedule, Started, Where};

/// Where a ready task goes that does not simply go where the calling thread queues.
pub(super) struct Route {
    near: Near,
    to: To,
}

/// What it is put on there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Inbox,
    /// The shelf that every worker may take from.
    Open,
    /// The shelf that the workers of the domain may take from.
    Domain,
    /// The worker's own shelf.
    Worker,
}

// ---- where they lie

impl Registry {
    /// From here on, tasks are looked at before they are queued.
    fn use_routes(&self) {
        self.domains.use_routes();
    }

    /// From here on, workers look at the shelves between two tasks.
    pub(super) fn use_shelves(&self) {
        self.use_routes();
        if self.slots.iter().any(|slot| slot.attention() & SHELVES == 0) {
            self.slots.iter().for_each(|slot| slot.ask(SHELVES, true));
        }
    }

    /// To be called before a task with such a class and rule is made.
    pub(super) fn prepare_for(&self, class: Priority, rule: &Rule) {
        if class != Priority::NORMAL || rule.needs.is_some() {
            self.use_shelves();
        } else if rule.place != Where::Anywhere {
            self.use_routes();
        }
    }

    /// Where a ready task goes, unless it goes where the calling thread queues. Of use where there are several domains,
    /// or tasks with classes or rules.
    #[inline(never)]
    pub(super) fn route(&self, local: &Local, worker: Option<&Worker>, task: &Ready) -> Option<Route> {
        let head = task.head();
        let rule = head.rule();
        let place = rule.map_or(Where::Anywhere, |rule| rule.place);
        let near = self.near_of(local, worker, task, place);
        let to = match place {
            Where::Worker { strict: true, .. } => To::Worker,
            Where::Domain { strict: true, .. } => To::Domain,
            _ if head.priority() != Priority::NORMAL || rule.is_some_and(|rule| rule.needs.is_some()) => To::Open,
            _ if near.is_none_or(|near| worker.is_some_and(|worker| worker.near == near)) => return None,
            _ => To::Inbox,
        };
        Some(Route { near: near.unwrap_or_else(|| self.near(local, worker)), to })
    }

    /// Near whom a task wants to be, if anywhere in particular.
    fn near_of(&self, local: &Local, worker: Option<&Worker>, task: &Ready, place: Where) -> Option<Near> {
        let domain = match place {
            Where::Worker { worker, .. } => return Some(self.near_worker(worker as usize)),
            Where::Domain { domain, .. } => domain as usize,
            Where::Anywhere => task::affinity(task, self.near(local, worker).domain)?,
        };
        if domain >= self.domain_count() {
            return None;
        }
        let seated = worker.filter(|worker| worker.near.domain == domain);
        Some(seated.map_or_else(|| self.near_on(local, domain), |worker| worker.near))
    }

    /// Queues a task where it is to go, `first` or last of its class.
    #[inline(never)]
    pub(super) fn put_on_route(&self, route: Route, first: bool, task: Ready) {
        let Route { near, to } = route;
        if to == To::Inbox {
            return self.push_near(near, Entry::of(task));
        }
        let class = task.head().priority();
        self.shelve(near, to, class, first, std::iter::once(task));
        let idle = self.idle(near);
        let view = self.view(near.domain);
        match to {
            To::Worker => idle.notify_worker(near.worker, view),
            To::Domain => idle.notify(near.worker, view.alone()),
            To::Open | To::Inbox => idle.notify(near.worker, view),
        }
    }

    /// An entry that the calling thread is to put elsewhere, unless it was put on a shelf: tasks made within one of a class
    /// other than normal are of the same. Nobody is told. What comes of the executor's own tasks is put before the others of
    /// its class, what comes from outside behind them.
    #[cold]
    pub(super) fn shelve_if_classed(&self, local: &Local, near: Near, entry: Entry) -> Option<Entry> {
        let class = entry.priority();
        if class == Priority::NORMAL {
            return Some(entry);
        }
        let tasks: Vec<_> = entry.tasks().collect();
        self.shelve(near, To::Open, class, local.serves(self), tasks.into_iter());
        None
    }

    /// Puts tasks on a shelf, before or behind the others of their class.
    fn shelve(&self, near: Near, to: To, class: Priority, first: bool, tasks: impl DoubleEndedIterator<Item = Ready>) {
        if to != To::Worker {
            self.use_shelves();
        }
        let domain = self.domains.get(near.domain);
        match to {
            To::Worker => self.slots[domain.workers.start + near.worker].bind(class, first, tasks),
            To::Domain => domain.bound[near.group()].put(class, first, tasks, |_| {}),
            To::Open | To::Inbox => domain.shelves[near.group()].put(class, first, tasks, |_| {}),
        }
    }

    /// Whether a ready task may be run by the calling worker ahead of all that is queued.
    #[inline]
    pub(super) fn is_next(&self, local: &Local, worker: &Worker, task: &Ready) -> bool {
        !self.domains.are_routed() || self.is_next_here(local, worker, task)
    }

    #[cold]
    #[inline(never)]
    fn is_next_here(&self, local: &Local, worker: &Worker, task: &Ready) -> bool {
        self.route(local, Some(worker), task).is_none() && !worker.is_pressed(self, Priority::NORMAL)
    }

    /// Has `worker` run a task at its next task boundary, before everything else.
    pub(super) fn call(&self, worker: usize, task: Ready) {
        let domain = self.domain_of_worker(worker);
        self.slots[worker].bind(Priority::HIGHEST, false, std::iter::once(task));
        self.domains.get(domain).idle.notify_worker(worker - self.workers_of(domain).start, self.view(domain));
    }

    /// Every shelf that belongs to no worker.
    fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.domains.iter().flat_map(|domain| domain.shelves.iter().chain(&domain.bound))
    }

    /// Takes everything off the shelves.
    pub(super) fn clear_shelves(&self) -> impl Iterator<Item = Ready> {
        let bound = self.slots.iter().flat_map(Slot::take_bound);
        self.shelves().flat_map(|shelf| shelf.take_all(|_| {})).chain(bound)
    }

    /// Whether any shelf holds something.
    pub(super) fn has_shelved(&self) -> bool {
        self.shelves().any(|shelf| shelf.classes() != 0) || self.slots.iter().any(|slot| slot.bound().classes() != 0)
    }
}

// ---- who takes them

impl Worker {
    /// The classes of which this worker may take something.
    fn shelved(&self, registry: &Registry, attention: u32) -> u8 {
        let own = registry.slots[self.index].bound().classes();
        if attention & SHELVES == 0 {
            return own;
        }
        let domain = registry.domains.get(self.near.domain);
        let bound = domain.bound.iter().chain(registry.domains.iter().flat_map(|domain| &domain.shelves));
        bound.fold(own, |bits, shelf| bits | shelf.classes())
    }

    /// Whether something waits that is more urgent than `class`.
    pub(super) fn is_pressed(&self, registry: &Registry, class: Priority) -> bool {
        self.shelved(registry, registry.slots[self.index].attention()) & above(class) != 0
    }

    /// What comes before the worker's own queues: what is urgent, and in turn what lies on a shelf for other reasons.
    #[cold]
    pub(super) fn take_first(&self, registry: &Registry) -> Option<Ready> {
        let attention = registry.slots[self.index].attention();
        if attention & (BOUND | SHELVES) == 0 {
            return None;
        }
        let there = self.shelved(registry, attention);
        let wanted = if self.takes_turns() { above(Priority::LOW) } else { above(Priority::NORMAL) };
        self.take_of(registry, there & wanted)
    }

    /// Nothing is left in the queues of this domain. Something off a shelf is kept at hand, and `Some(None)` given; what
    /// lies in other domains comes before what is less urgent.
    pub(super) fn take_last(&self, registry: &Registry) -> Option<Option<Entry>> {
        let attention = registry.slots[self.index].attention();
        if attention & (BOUND | SHELVES) == 0 {
            return None;
        }
        let there = self.shelved(registry, attention);
        if there == 0 {
            return None;
        }
        if there & above(Priority::LOW) == 0
            && let Some(entry) = self.find_afar(registry, true)
        {
            return Some(Some(entry));
        }
        let task = self.take_of(registry, there)?;
        self.keep_at_hand(task);
        Some(None)
    }

    /// A task of one of these classes, the most urgent one.
    fn take_of(&self, registry: &Registry, classes: u8) -> Option<Ready> {
        let wanted = |class: &Priority| classes & bit(*class) != 0;
        Priority::ALL.into_iter().filter(wanted).find_map(|class| self.take_class(registry, class))
    }

    /// A task of a class: off the own shelf, else those of the domain, the own group's first, else of others.
    fn take_class(&self, registry: &Registry, class: Priority) -> Option<Ready> {
        let domain = registry.domains.get(self.near.domain);
        let groups = domain.shelves.len();
        let from = self.near.group();
        let beside = (from..from + groups).flat_map(|group| {
            let group = group % groups;
            [&domain.bound[group], &domain.shelves[group]]
        });
        let afar = self.domains_afar().flat_map(|domain| &registry.domains.get(domain).shelves);
        let own = std::iter::from_fn(|| registry.slots[self.index].take_bound_of(class));
        let open = beside.chain(afar).flat_map(|shelf| std::iter::from_fn(|| shelf.take(class, |_| {})));
        // What finds too little of what it needs waits for that elsewhere.
        own.chain(open).find_map(|task| registry.resources.take(task))
    }

    /// Lets go of the entries on shelves near this worker whose tasks are taken or done.
    pub(super) fn purge_shelves(&self, registry: &Registry) {
        registry.slots[self.index].purge_bound();
        let domain = registry.domains.get(self.near.domain);
        let near = [&domain.bound, &domain.shelves].map(|shelves| &shelves[self.near.group()]);
        near.into_iter().filter(|shelf| shelf.classes() != 0).for_each(|shelf| shelf.purge(|_| {}));
    }

    /// Entries on the shelves that [`purge_shelves`](Self::purge_shelves) looks through.
    pub(super) fn count_shelved(&self, registry: &Registry) -> usize {
        let domain = registry.domains.get(self.near.domain);
        let group = self.near.group();
        domain.bound[group].len() + domain.shelves[group].len() + registry.slots[self.index].bound().len()
    }
}

// ---- how they run

/// Runs a task off a shelf, as one of its class.
#[cold]
pub(super) fn run_shelved(registry: &Registry, task: Ready) {
    let Some(started) = task::start(task) else { return };
    if registry.may_run(&started) {
        registry.run_in_class(started);
    } else {
        registry.refuse(started);
    }
}

impl Registry {
    /// As [`run`](Self::run), for a task whose class is not that of the calling thread: what it makes is of its class.
    #[cold]
    #[inline(never)]
    pub(super) fn run_in_class(&self, started: Started) {
        let _before = Before { registry: self, class: local(Local::class) };
        local(|local| local.enter(self, started.head().priority()));
        self.run(started, &mut Queueing(self));
    }
}

/// Ends a task that is run as one of its class: what follows is queued. (A type of its own keeps the plain paths of waits
/// inlined.)
struct Queueing<'a>(&'a Registry);

impl Finisher for Queueing<'_> {
    fn ready(&mut self, task: Ready) {
        self.0.queue(task);
    }
    fn finished(&mut self) {
        local(|local| self.0.count_for(local, local.worker_of(self.0), |counters| &counters.finished, 1));
    }
    fn discarded(&mut self) {
        self.0.discarded();
    }
}

/// Makes the thread one of its former class again.
struct Before<'a> {
    registry: &'a Registry,
    class: Priority,
}

impl Drop for Before<'_> {
    fn drop(&mut self) {
        local(|local| local.enter(self.registry, self.class));
    }
}

impl Local {
    fn enter(&self, registry: &Registry, class: Priority) {
        self.set_class(class);
        if let Some(worker) = self.worker_of(registry) {
            worker.enter(class);
        }
    }
}

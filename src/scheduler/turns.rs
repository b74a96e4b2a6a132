//! Turns of those who handle messages: queued when the first one comes, and taken by whoever waits for one of them.

use std::cell::Cell;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::context::{Local, local};
use super::ending::Phase;
use super::entry::{Entry, Opened};
use super::inbox::Inbox;
use super::registry::Registry;
use super::wait::run_here;
use crate::task::{self, Handle, Header, Ready, Where};

/// How many of the entries a worker has queued last a waiter looks at.
const NEAR: usize = 8;

/// Messages that are handled in one turn while others wait for the worker.
const MESSAGES: u32 = 64;
/// How long they may take.
const TIME: Duration = Duration::from_micros(100);

thread_local! {
    /// The executor, if any, of which this thread sweeps what came after its end.
    static SWEEPING: Cell<*const Registry> = const { Cell::new(std::ptr::null()) };
}

/// Takes the turn of `subject`, up to `message`, if this worker was to take it soon; false if not. Who `waits_next`
/// looks for it everywhere, if no thread is left that could take it meanwhile.
pub(super) fn take_turn(subject: NonNull<Header>, message: &Handle, waits_next: bool) -> bool {
    local(|local| {
        let Some(registry) = local.registry().filter(|_| local.may_help()) else { return false };
        let deep = || if waits_next { find_deep(local, registry, subject) } else { None };
        let found = find(local, registry, subject).or_else(deep);
        let Some(started) = found.and_then(task::start) else { return false };
        // SAFETY: the turn, which is taken, keeps its subject.
        unsafe { subject.as_ref() }.end_turn_after(message);
        run_here(registry, started);
        true
    })
}

/// Takes the entry of a turn out of the calling worker's own queues, unless it lies deep.
fn find(local: &Local, registry: &Registry, subject: NonNull<Header>) -> Option<Ready> {
    let worker = local.worker_of(registry)?;
    let slot = &registry.slots[worker.index];
    let is_it = |entry: Entry| match entry.open() {
        Opened::Task(task) if task.0 == subject => Ok(task),
        other => Err(other.close()),
    };
    let mut above = Vec::new();
    let mut found = None;
    match slot.take_next().map(is_it) {
        Some(Ok(turn)) => return Some(turn),
        Some(Err(other)) => above.push(other),
        None => {}
    }
    while found.is_none() && above.len() < NEAR {
        match worker.deque.pop().map(is_it) {
            Some(Ok(turn)) => found = Some(turn),
            Some(Err(other)) => above.push(other),
            None => break,
        }
    }
    let is_moved = !above.is_empty();
    above.into_iter().rev().for_each(|entry| worker.deque.push(entry));
    if is_moved {
        registry.notify(worker.near);
    }
    found
}

/// As [`find`], however deep it lies, and in the inboxes too, if no spare thread is left.
fn find_deep(local: &Local, registry: &Registry, subject: NonNull<Header>) -> Option<Ready> {
    let worker = local.worker_of(registry).filter(|_| registry.spares.are_used_up())?;
    let inboxes = std::iter::once(registry.inbox(worker.near)).chain(registry.inboxes_beside(worker.near));
    let mut arrived: Vec<_> = inboxes.flat_map(Inbox::take).collect();
    arrived.reverse();
    let next = registry.slots[worker.index].take_next();
    let own = next.into_iter().chain(std::iter::from_fn(|| worker.deque.pop()));
    let mut all: Vec<_> = arrived.into_iter().chain(own).flat_map(Entry::tasks).collect();
    let found = all.iter().position(|task| task.0 == subject).map(|at| all.remove(at));
    all.into_iter().rev().for_each(|task| worker.deque.push(Entry::of(task)));
    registry.notify(worker.near);
    found
}

impl Registry {
    /// Counts a turn that is to be taken, and queues it: at `place`, or near the caller. It counts as unfinished until [`end_turn`](Self::end_turn).
    ///
    /// # Safety
    /// The caller has the turn of `subject`, and gives it up.
    #[inline]
    pub(crate) unsafe fn begin_turn(&self, subject: NonNull<Header>, place: Where) {
        self.count_created(1);
        // SAFETY: the caller's promise.
        unsafe { self.queue_turn(subject, place) };
        self.sweep_if_ended();
    }

    /// Queues a turn that is under way, ahead of what the caller has queued.
    ///
    /// # Safety
    /// As of [`begin_turn`](Self::begin_turn).
    pub(crate) unsafe fn queue_turn(&self, subject: NonNull<Header>, place: Where) {
        // SAFETY: the caller's promise.
        let turn = unsafe { task::turn(subject) };
        if self.phase() == Phase::Ended {
            // The queues of workers are looked at no more.
            return local(|local| self.push_near(self.near(local, None), Entry::of(turn)));
        }
        local(|local| {
            if self.is_here(local, place) {
                self.put_next(Entry::of(turn));
            } else {
                self.put_at(local, place, Entry::of(turn));
            }
        });
    }

    /// Queues a turn that is under way, behind what waits for the caller's worker.
    ///
    /// # Safety
    /// As of [`begin_turn`](Self::begin_turn).
    pub(crate) unsafe fn yield_turn(&self, subject: NonNull<Header>, place: Where) {
        // SAFETY: the caller's promise.
        let turn = unsafe { task::turn(subject) };
        local(|local| self.put_at(local, place, Entry::of(turn)));
    }

    /// Whether the calling thread is where something is to be.
    #[inline]
    pub(crate) fn is_here(&self, local: &Local, place: Where) -> bool {
        match place {
            Where::Anywhere => true,
            Where::Domain { domain, .. } => self.domain_count() == 1 || self.domain_here(local) == domain as usize,
            Where::Worker { worker, .. } => local.worker_of(self).is_some_and(|seated| seated.index == worker as usize),
        }
    }

    fn put_at(&self, local: &Local, place: Where, entry: Entry) {
        match place {
            Where::Anywhere => self.put_on(local, self.domain_here(local), entry),
            Where::Domain { domain, .. } => self.put_on(local, domain as usize, entry),
            Where::Worker { worker, .. } => self.push_near(self.near_worker(worker as usize), entry),
        }
    }

    /// The turn has been given up with nothing left to do. The executor may end from then on.
    pub(crate) fn end_turn(&self) {
        self.count(|counters| &counters.finished);
    }

    /// What came to an executor that had ended meanwhile is let go of. Turns that this ends in turn are left to the first
    /// call on the stack, however many follow one from the other.
    fn sweep_if_ended(&self) {
        if self.phase() != Phase::Ended || std::ptr::eq(SWEEPING.get(), self) {
            return;
        }
        let before = SWEEPING.replace(self);
        while self.inboxes().any(|inbox| !inbox.is_empty()) {
            self.cancel_inboxes();
        }
        SWEEPING.set(before);
    }
}

/// How long a turn lasts: while nothing else waits for the worker, and at least for some messages.
pub(crate) struct Budget {
    messages: u32,
    since: Option<Instant>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { messages: 0, since: None }
    }

    /// Asked after each message. The clock is read after 2, 4, 8 … messages: one alone does without.
    pub(crate) fn is_over(&mut self, registry: &Registry) -> bool {
        self.messages += 1;
        let is_time_up = self.messages.is_power_of_two() && self.messages > 1 && self.is_time_up();
        if self.messages < MESSAGES && !is_time_up {
            return false;
        }
        *self = Self::new();
        local(|local| local.worker_of(registry).is_none_or(|worker| !worker.is_alone(registry)))
    }

    fn is_time_up(&mut self) -> bool {
        let now = Instant::now();
        now.duration_since(*self.since.get_or_insert(now)) >= TIME
    }
}

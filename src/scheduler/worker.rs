//! A worker: what it looks through for work, and the loop of the thread that drives it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::context::{Local, local};
use super::ending::Phase;
use super::registry::Registry;
use super::spare::Spare;
use super::victim::{Random, Victims};
use crate::primitive::deque::{Deque, Steal};
use crate::primitive::hint::spin_loop;
use crate::primitive::sync::Arc;
use crate::task::{self, Ready};

/// Dependents that run one after the other without a look at the queues (a chain never ends by itself).
const DIRECT: u32 = 64;
/// Finds between two looks at what has waited longest, in the inbox or the own deque (a LIFO deque may never empty).
const FAIR: u32 = 64;
/// Looks through all queues before a worker sleeps, and pauses between two of them.
const SEARCHES: u32 = 40;
const PAUSES: u32 = 24;
/// How often a race for the same victim is run again.
const RETRIES: u32 = 4;
/// How often a sleeper looks whether a closing executor has ended.
const CLOSING_LOOK: Duration = Duration::from_millis(2);

/// The private side of a worker. It moves from thread to thread; one thread drives it at a time.
pub(crate) struct Worker {
    pub(super) index: usize,
    pub(super) deque: Deque<Ready>,
    victims: Victims,
    random: Random,
    finds: Cell<u32>,
}

impl Worker {
    pub(super) fn new(index: usize, deque: Deque<Ready>, victims: Victims, seed: u64) -> Box<Self> {
        Box::new(Self { index, deque, victims, random: Random::new(seed, index), finds: Cell::new(0) })
    }

    /// The next task: own next-task slot and deque, own inbox, victims from near to far, other inboxes.
    #[inline]
    fn find(&self, registry: &Registry) -> Option<Ready> {
        let finds = self.finds.get().wrapping_add(1);
        self.finds.set(finds);
        if finds.is_multiple_of(FAIR)
            && let Some(task) = self.find_oldest(registry, finds)
        {
            return Some(task);
        }
        registry.slots[self.index].take_next().or_else(|| self.deque.pop()).or_else(|| self.find_far(registry))
    }

    /// What the newest would keep waiting for ever: in turn what is in the inbox and the oldest of the own deque.
    #[cold]
    fn find_oldest(&self, registry: &Registry, finds: u32) -> Option<Ready> {
        if finds.is_multiple_of(2 * FAIR)
            && let Steal::Success(task) = registry.slots[self.index].stealer.steal()
        {
            return Some(task);
        }
        self.take_inbox(registry, registry.inbox_of(self.index))
    }

    #[inline(never)]
    fn find_far(&self, registry: &Registry) -> Option<Ready> {
        // Nothing waits in the own queues. Counted from here, not from idle searches, whose number is a matter of time:
        // one worker repeats itself.
        self.finds.set(0);
        let own = registry.inbox_of(self.index);
        self.take_inbox(registry, own)
            .or_else(|| self.steal(registry))
            .or_else(|| registry.inboxes_after(own).find_map(|inbox| self.take_inbox(registry, inbox)))
    }

    fn take_inbox(&self, registry: &Registry, inbox: usize) -> Option<Ready> {
        let inbox = &registry.inboxes[inbox];
        if inbox.is_empty() {
            return None;
        }
        let mut tasks = inbox.take().peekable();
        while let Some(task) = tasks.next() {
            if tasks.peek().is_none() {
                if !self.deque.is_empty() {
                    registry.notify();
                }
                return Some(task);
            }
            self.deque.push(task);
        }
        None
    }

    /// Lets go of the entries in its queues whose tasks are taken or done.
    pub(super) fn purge(&self, registry: &Registry) {
        let own: Vec<_> = std::iter::from_fn(|| self.deque.pop()).filter_map(task::if_open).collect();
        let inbox = registry.inboxes[registry.inbox_of(self.index)].take().filter_map(task::if_open);
        own.into_iter().rev().chain(inbox).for_each(|task| self.deque.push(task));
    }

    fn steal(&self, registry: &Registry) -> Option<Ready> {
        self.victims.order(self.random.next()).find_map(|victim| {
            let slot = &registry.slots[victim];
            // A look first: a steal costs a fence and an exchange even when there is nothing.
            if !slot.has_work() {
                return None;
            }
            let task = self.steal_from(registry, victim)?;
            registry.slots[self.index].counters.stolen.bump(1 + self.deque.len() as u64);
            Some(task)
        })
    }

    fn steal_from(&self, registry: &Registry, victim: usize) -> Option<Ready> {
        let slot = &registry.slots[victim];
        for _ in 0..RETRIES {
            match slot.stealer.steal_into(&self.deque) {
                Steal::Success(task) => return Some(task),
                Steal::Empty => break,
                Steal::Retry => spin_loop(),
            }
        }
        slot.take_next()
    }

    /// Nothing was found: searches for a while, then sleeps. `None` when the seat is to be left.
    #[cold]
    fn idle(&self, registry: &Registry) -> Option<Ready> {
        let since = Instant::now();
        let found = self.search_and_sleep(registry);
        let idle = since.elapsed().as_nanos();
        registry.slots[self.index].counters.idle_ns.bump(u64::try_from(idle).unwrap_or(u64::MAX));
        found
    }

    fn search_and_sleep(&self, registry: &Registry) -> Option<Ready> {
        let slot = &registry.slots[self.index];
        let wake = |worker| registry.wake(worker);
        let mut searching = registry.idle.start_search();
        loop {
            for _ in 0..if searching { SEARCHES } else { 1 } {
                if let Some(task) = self.find(registry) {
                    if searching {
                        registry.idle.end_search(|| registry.has_work(), wake);
                    }
                    return Some(task);
                }
                if self.must_leave(registry) {
                    if searching {
                        registry.idle.end_search(|| registry.has_work(), wake);
                    }
                    return None;
                }
                for _ in 0..PAUSES {
                    spin_loop();
                }
            }
            if registry.idle.park(self.index, searching, || registry.has_work() || self.must_leave(registry)) {
                slot.counters.parked.bump(1);
                self.sleep(registry);
            }
            searching = true;
        }
    }

    /// Sleeps until woken, counted as searching by the waker. While the executor closes, wakes by itself now and then
    /// to see whether the last task has ended on a thread that is no worker.
    fn sleep(&self, registry: &Registry) {
        let slot = &registry.slots[self.index];
        loop {
            if registry.phase() == Phase::Open {
                return slot.parker.sleep();
            }
            if slot.parker.sleep_until(Instant::now() + CLOSING_LOOK) {
                return;
            }
            registry.end_if_quiescent();
        }
    }

    /// Whether the thread must look at its seat before it goes on.
    fn must_leave(&self, registry: &Registry) -> bool {
        if registry.phase() != Phase::Open {
            registry.end_if_quiescent();
        }
        registry.phase() == Phase::Ended || registry.slots[self.index].is_wanted_back()
    }
}

impl Drop for Worker {
    /// What lies in the deque at the end are entries of tasks that are done.
    fn drop(&mut self) {
        while let Some(task) = self.deque.pop() {
            task::skip(task);
        }
    }
}

/// How a thread left its seat.
enum Left {
    /// Somebody else has it.
    ToAnother,
    /// The executor has ended.
    Ended,
}

/// The life of a thread of an executor, from the worker it was made for to the executor's end. To the hooks it is a
/// thread like any other, on the core of its worker.
pub(super) fn live(registry: &Arc<Registry>, first: Box<Worker>) {
    let spare = Spare::new();
    let index = first.index;
    registry.pin(index);
    if let Some(hook) = &registry.settings.on_start {
        crate::panics::catch_drop(|| hook(index));
    }
    local(|local| local.join(registry, registry.settings.stack_size));
    let mut next = Some(first);
    let mut pinned_to = index;
    while let Some(worker) = next {
        if worker.index != pinned_to {
            pinned_to = worker.index;
            registry.pin(pinned_to);
        }
        local(|local| local.sit(worker));
        next = match drive(registry) {
            Left::Ended => None,
            Left::ToAnother => registry.spares.wait(&spare),
        };
    }
    drop(local(Local::stand));
    local(Local::leave);
    if let Some(hook) = &registry.settings.on_stop {
        crate::panics::catch_drop(|| hook(index));
    }
}

/// Runs tasks until the seat is left.
fn drive(registry: &Registry) -> Left {
    loop {
        // The seat may have been given away within the last task.
        if local(|local| local.worker().is_none()) && !retake(registry) {
            return Left::ToAnother;
        }
        if registry.slots[local(Local::slot)].is_wanted_back() && vacate(registry) {
            return Left::ToAnother;
        }
        let found = local(|local| {
            let worker = local.worker()?;
            worker.find(registry).or_else(|| worker.idle(registry))
        });
        match found {
            Some(task) => execute(registry, task),
            None if registry.phase() == Phase::Ended => return Left::Ended,
            None => {}
        }
    }
}

/// The thread is at the end of a task without its seat: takes it back if it is free.
fn retake(registry: &Registry) -> bool {
    local(|local| {
        let slot = &registry.slots[local.slot()];
        let worker = if local.returning.replace(false) { slot.stop_returning() } else { None };
        let taken = worker.is_some();
        if let Some(worker) = worker {
            local.sit(worker);
        }
        taken
    })
}

/// Leaves the seat to the thread that is back on this core, after a wait, in the middle of a task.
fn vacate(registry: &Registry) -> bool {
    local(|local| {
        if registry.phase() == Phase::Ended {
            return false;
        }
        let Some(worker) = local.stand() else { return false };
        match registry.slots[local.slot()].vacate(worker) {
            Ok(()) => {
                // A wake that was meant for this seat must not be lost with it.
                registry.notify_if_work();
                true
            }
            Err(worker) => {
                local.sit(worker);
                false
            }
        }
    })
}

/// Runs a task, then a dependent that it made ready, and so on; further ones are queued.
fn execute(registry: &Registry, first: Ready) {
    let mut next = Some(first);
    let mut direct = 0;
    while let Some(entry) = next.take() {
        if registry.phase() >= Phase::Cancelling {
            task::cancel_queued(entry, registry.closed_error());
            continue;
        }
        let Some(started) = task::start(entry) else { continue };
        direct += 1;
        registry.run(started, |ready| {
            if next.is_none() && direct < DIRECT && local(|local| local.worker().is_some()) {
                next = Some(ready);
            } else {
                registry.queue(ready);
            }
        });
    }
}

//! What a thread does with a worker: takes what it finds, runs it, leaves the seat when it is wanted.

use super::context::{Local, local};
use super::ending::Phase;
use super::entry::{Batch, Entry, Opened};
use super::registry::Registry;
use super::secede::move_to;
use super::shelves::run_shelved;
use super::slot::{AWAITED, RETURNING, TIMED};
use super::spare::Spare;
use super::worker::Worker;
use crate::primitive::sync::Arc;
use crate::task::{self, Finisher, Pooled, Ready, Schedule, Started};

/// Dependents that run one after the other without a look at the queues (a chain never ends by itself).
const DIRECT: u32 = 64;

/// How a thread left its seat.
enum Left {
    /// Somebody else has it.
    ToAnother,
    /// The executor has ended.
    Ended,
}

/// What came of a look at what a worker was to see to.
enum Attended {
    Nothing,
    /// A task was run that came first.
    Ran,
    /// The seat is somebody else's now.
    Left,
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
    crate::panics::serve();
    local(|local| local.sit(first));
    while let Left::ToAnother = drive(registry)
        && let Some(worker) = local(|local| local.asleep(|| registry.spares.wait(&spare)))
    {
        local(|local| move_to(local, registry, worker));
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
        if registry.slots[local(Local::slot)].attention() != 0 {
            match attend(registry) {
                Attended::Nothing => {}
                Attended::Ran => continue,
                Attended::Left => return Left::ToAnother,
            }
        }
        let found = local(|local| {
            let worker = local.worker()?;
            worker.find(registry).or_else(|| worker.idle(registry))
        });
        match found {
            Some(entry) => run_entry(registry, entry),
            None if registry.phase() == Phase::Ended => return Left::Ended,
            None => run_at_hand(registry),
        }
    }
}

/// Sees to whatever the seat asks attention for.
#[cold]
fn attend(registry: &Registry) -> Attended {
    let attention = registry.slots[local(Local::slot)].attention();
    if attention & (RETURNING | AWAITED) != 0 && vacate(registry) {
        return Attended::Left;
    }
    if attention & TIMED != 0 {
        local(|local| local.worker().map(|worker| worker.look_at_clock(registry, 1)));
    }
    match local(|local| local.worker()?.take_first(registry)) {
        Some(task) => {
            run_shelved(registry, task);
            Attended::Ran
        }
        None => Attended::Nothing,
    }
}

/// Runs what an idle worker has taken off a shelf.
#[cold]
fn run_at_hand(registry: &Registry) {
    if let Some(task) = local(|local| local.worker()?.take_at_hand()) {
        run_shelved(registry, task);
    }
}

/// The thread is at the end of a task without its seat: takes it back if it is free.
fn retake(registry: &Registry) -> bool {
    local(|local| {
        local.end_any_secession();
        let slot = &registry.slots[local.slot()];
        let worker = if local.returning.replace(false) { slot.stop_returning() } else { None };
        let taken = worker.is_some();
        if let Some(worker) = worker {
            local.sit(worker);
        }
        taken
    })
}

/// Leaves the seat to the thread that is back on this core, after a wait, in the middle of a task; else to the first in
/// the line of those who wait for a seat.
fn vacate(registry: &Registry) -> bool {
    local(|local| {
        if registry.phase() == Phase::Ended {
            return false;
        }
        let Some(worker) = local.stand() else { return false };
        match registry.slots[local.slot()].vacate(worker).or_else(|worker| registry.serve(worker)) {
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

#[inline]
fn run_entry(registry: &Registry, entry: Entry) {
    match entry.open() {
        Opened::Task(task) => {
            if let Some(task) = task::start(task) {
                execute(registry, task);
            }
        }
        Opened::Batch(batch) => run_batch(registry, batch),
    }
}

/// Runs the tasks of a batch. While one runs, the others can be stolen: they lie in the next-task slot. Ends early when
/// the worker's turn has come to look elsewhere.
fn run_batch(registry: &Registry, batch: Pooled<Batch>) {
    let mut batch = Some(batch);
    while let Some(all) = batch.take() {
        let (task, rest) = Batch::pop(all);
        // What a waiter has run needs no turn of its own.
        let Some(task) = task::start(task) else {
            batch = rest;
            continue;
        };
        let is_last = rest.is_none();
        if let Some(rest) = rest {
            registry.keep_next(Entry::of_batch(rest));
        }
        execute(registry, task);
        if is_last {
            return;
        }
        batch = local(|local| local.worker_of(registry)?.go_on(registry));
    }
}

/// As [`run_batch`], within a wait for all its tasks, by `run`, as long as `patient`; gives how many are settled. No other
/// batch is touched, whatever lies in the slot after one of the tasks.
pub(super) fn run_own_batch(
    registry: &Registry,
    batch: Pooled<Batch>,
    run: impl Fn(Started),
    mut patient: impl FnMut() -> bool,
) -> usize {
    let mut settled = 0;
    let mut batch = Some(batch);
    while let Some(all) = batch.take() {
        let (task, rest) = Batch::pop(all);
        settled += 1;
        let Some(task) = task::start(task) else {
            batch = rest;
            continue;
        };
        let next = rest.as_ref().map(|rest| rest.first());
        if let Some(rest) = rest {
            registry.keep_next(Entry::of_batch(rest));
        }
        run(task);
        let Some(next) = next else { return settled };
        batch = local(|local| {
            let worker = local.worker_of(registry)?;
            match registry.slots[worker.index].take_next()?.open() {
                Opened::Batch(rest) if rest.first() == next && patient() => Some(rest),
                other => {
                    registry.put(local, Some(worker), other.close());
                    None
                }
            }
        });
    }
    settled
}

/// Runs a task, then a dependent that it made ready, and so on; further ones are queued.
#[inline]
pub(super) fn execute(registry: &Registry, first: Started) {
    let mut direct = Direct { registry, next: None, left: DIRECT };
    let mut next = Some(first);
    while let Some(started) = next {
        if !registry.may_run(&started) {
            registry.refuse(started);
        } else {
            direct.left -= 1;
            local(|local| {
                registry.count_for(local, local.worker(), |counters| &counters.executed, 1);
            });
            Local::within(started.task(), || started.run()).end(&mut direct);
        }
        next = direct.next.take().and_then(task::start);
    }
}

/// Ends what a worker runs; keeps one of the tasks that get ready, to run it next.
struct Direct<'a> {
    registry: &'a Registry,
    next: Option<Ready>,
    /// How many more may run without a look at the queues.
    left: u32,
}

impl Direct<'_> {
    /// Whether a dependent may run at once: a chain never ends by itself, so now and then the queues are looked at.
    #[inline]
    fn may_go_on(&mut self, worker: &Worker) -> bool {
        if self.left == 0 && worker.is_alone(self.registry) {
            self.left = DIRECT;
        }
        worker.watch_time(self.registry);
        self.left > 0
    }
}

impl Finisher for Direct<'_> {
    #[inline]
    fn ready(&mut self, task: Ready) {
        let is_free = self.next.is_none();
        let is_mine = |local: &Local| {
            let worker = local.worker();
            worker.is_some_and(|worker| self.may_go_on(worker) && self.registry.is_next(local, worker, &task))
        };
        if is_free && local(is_mine) {
            self.next = Some(task);
        } else {
            self.registry.queue(task);
        }
    }
    #[inline]
    fn finished(&mut self) {
        local(|local| self.registry.count_for(local, local.worker(), |counters| &counters.finished, 1));
    }
    fn discarded(&mut self) {
        self.registry.discarded();
    }
}

//! Waiting for a task: a thread of the executor runs it itself, or what it waits for, or lends its core meanwhile.

use std::time::Instant;

use super::blocked;
use super::context::{Local, local};
use super::drive::run_own_batch;
use super::ending::Phase;
use super::entry::{Batch, Opened};
use super::registry::Registry;
use super::spare::HandOver;
use super::worker::Worker;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::hint::spin_loop;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::task::{self, Action, Finisher, Handle, Help, Listener, Ready, Schedule, Started};

/// Looks at a task that runs elsewhere before the core is lent: a few microseconds, less than a hand-over costs.
const SPINS: u32 = 400;

/// Unfinished inputs of inputs that a waiter climbs while another thread could have the core: as many as cost what a
/// hand-over costs.
const TALL: usize = 64;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waited {
    /// What was waited for is there.
    Done,
    /// The deadline came first.
    TimedOut,
    /// Every worker waits, and no further thread may be made.
    Stalled { cap: usize },
    /// The wait could never end.
    Deadlock,
    /// The workers are in another process.
    Forked,
}

impl Waited {
    /// What a wait that ended so reports.
    pub(crate) fn error(self) -> Option<TaskError> {
        let kind = match self {
            Self::Done => return None,
            Self::TimedOut => TaskErrorKind::Timeout,
            Self::Stalled { cap } => TaskErrorKind::Stalled { cap },
            Self::Deadlock => TaskErrorKind::Deadlock,
            Self::Forked => TaskErrorKind::Forked,
        };
        Some(TaskError::new(kind))
    }
}

/// Waits until `task` is done. Without a deadline, a thread of the task's executor runs the task, if nobody has begun
/// it, or in turn the inputs it misses: these and nothing else.
#[inline]
pub(crate) fn wait(task: &Handle, deadline: Option<Instant>) -> Waited {
    if task.head().state.load().is_done() { Waited::Done } else { wait_long(task, deadline) }
}

#[inline(never)]
fn wait_long(task: &Handle, deadline: Option<Instant>) -> Waited {
    if is_elsewhere(task) {
        return Waited::Forked;
    }
    let helps = deadline.is_none() && local(|local| local.registry().is_some_and(|own| own.id == task.head().executor));
    if !helps {
        return block_on(task, deadline);
    }
    help_ready(task);
    wait_helping(task)
}

/// On a thread of its executor: runs `task`, if it is ready and nobody has begun it.
#[inline]
pub(crate) fn help_ready(task: &Handle) {
    local(|local| {
        if let Some(registry) = local.registry()
            && registry.id == task.head().executor
            && local.may_help()
            && !registry.is_forked()
            && let Help::Run(started) = task::help(task)
        {
            run_claimed(registry, started);
        }
    });
}

/// On a worker: runs what it has queued last, if that is the end of a list of which the caller awaits all. `from_end`
/// gives the task that is so far from the list's end. Goes on after each task as long as `patient`; gives how many are
/// settled.
pub(crate) fn help_newest<'a>(from_end: impl Fn(usize) -> Option<&'a Handle>, patient: impl FnMut() -> bool) -> usize {
    local(|local| {
        let Some(registry) = local.registry().filter(|own| local.may_help() && !own.is_forked()) else { return 0 };
        let Some(worker) = local.worker() else { return 0 };
        let next = registry.slots[worker.index].take_next();
        let Some(entry) = next.or_else(|| worker.deque.pop()) else { return 0 };
        match entry.open() {
            Opened::Task(task) if from_end(0).map(Handle::task) == Some(task.0) => {
                if let Some(task) = task::start(task) {
                    run_here(registry, task);
                }
                1
            }
            Opened::Batch(batch) if is_end(&batch, &from_end) => {
                run_own_batch(registry, batch, |task| run_here(registry, task), patient)
            }
            other => {
                registry.put(local, local.worker(), other.close());
                0
            }
        }
    })
}

fn is_end<'a>(batch: &Batch, from_end: impl Fn(usize) -> Option<&'a Handle>) -> bool {
    let count = batch.len();
    batch.iter().enumerate().all(|(index, task)| from_end(count - 1 - index).map(Handle::task) == Some(task))
}

/// Whether the workers of an unfinished task are in another process, so that it will never end here.
pub(crate) fn is_elsewhere(task: &Handle) -> bool {
    task::generation(task.head()) != crate::fork::generation() && !task.head().state.load().is_done()
}

/// A tower of tasks, each an unfinished input of the one below; the top is run, or waited for, first. A tall tower is
/// left to a thread that comes to its tasks from the other end, if one can be had for this core.
fn wait_helping(task: &Handle) -> Waited {
    if task.head().state.load().is_done() {
        return Waited::Done;
    }
    let mut tallest = TALL;
    let mut inputs: Vec<Handle> = Vec::new();
    loop {
        let top = inputs.last().unwrap_or(task);
        if top.head().state.load().is_done() {
            if inputs.pop().is_none() {
                return Waited::Done;
            }
            continue;
        }
        if !local(Local::may_help) {
            inputs.clear();
            return block_on(task, None);
        }
        match task::help(top) {
            Help::Run(started) => local(|local| {
                if let Some(registry) = local.registry() {
                    run_claimed(registry, started);
                }
            }),
            Help::Input(_) if inputs.len() >= tallest => {
                inputs.clear();
                match lend_until(task) {
                    Some(waited) => return waited,
                    None => tallest = usize::MAX,
                }
            }
            Help::Input(input) => inputs.push(input),
            Help::Again => spin_loop(),
            Help::Wait => match block_on(top, None) {
                Waited::Done => {}
                other => return other,
            },
        }
    }
}

/// Runs `task`, if nobody has begun it, or an input that it misses; false when there is nothing to run.
pub(crate) fn help_once(task: &Handle) -> bool {
    local(|local| {
        let own = local.registry().filter(|own| own.id == task.head().executor && local.may_help());
        own.is_some_and(|registry| help_one(registry, task))
    })
}

fn help_one(registry: &Registry, task: &Handle) -> bool {
    let mut inputs: Vec<Handle> = Vec::new();
    loop {
        let top = inputs.last().unwrap_or(task);
        if top.head().state.load().is_done() {
            return !inputs.is_empty();
        }
        match task::help(top) {
            Help::Run(started) => {
                run_claimed(registry, started);
                return true;
            }
            Help::Input(input) => inputs.push(input),
            Help::Again => spin_loop(),
            Help::Wait => return false,
        }
    }
}

/// Runs a task that a waiter has claimed: its queue entry is left behind.
fn run_claimed(registry: &Registry, started: Started) {
    run_here(registry, started);
    local(|local| local.worker_of(registry).map(|worker| worker.leaves_entry(registry)));
}

/// Runs a task within the wait for it. A closing executor starts nothing any more.
fn run_here(registry: &Registry, started: Started) {
    if registry.phase() == Phase::Cancelling {
        started.cancel(registry.closed_error());
    } else {
        registry.run(started, &mut Helping(registry));
    }
}

/// Ends a task that is run within a wait: what follows is queued.
struct Helping<'a>(&'a Registry);

impl Finisher for Helping<'_> {
    fn ready(&mut self, task: Ready) {
        self.0.queue(task);
    }
    #[inline]
    fn finished(&mut self) {
        local(|local| self.0.count_for(local, local.worker_of(self.0), |counters| &counters.finished, 1));
    }
    fn discarded(&mut self) {
        self.0.discarded();
    }
}

/// Blocks until `task` is done, or the deadline.
fn block_on(task: &Handle, deadline: Option<Instant>) -> Waited {
    let done = || task.head().state.load().is_done();
    if spin(done) {
        return Waited::Done;
    }
    block(task, deadline, |parker| Some(sleep(parker, deadline, done))).unwrap_or(Waited::Done)
}

/// Blocks until `task` is done while another thread has this core; `None` when there can be none.
fn lend_until(task: &Handle) -> Option<Waited> {
    block(task, None, |parker| {
        local(|local| {
            let registry = local.registry()?;
            if let Some(worker) = leave_seat(local, registry) {
                local.sit(worker);
                return None;
            }
            let waited = doze(parker, None);
            come_back(local, registry);
            Some(waited)
        })
    })
}

/// Has a parker woken at the end of `task`, and sleeps.
fn block(task: &Handle, deadline: Option<Instant>, sleep: impl FnOnce(&Parker) -> Option<Waited>) -> Option<Waited> {
    let done = || task.head().state.load().is_done();
    // A wait with a deadline ends by itself, so it closes no circle.
    let note = match deadline {
        Some(_) => None,
        None => match blocked::enter(std::iter::once(task.task())) {
            None => return Some(Waited::Deadlock),
            note => note,
        },
    };
    let parker = Arc::new(Parker::new());
    let listener = Listener::new(Action::Unpark(parker.clone()));
    let waited = match task::listen(task.head(), &listener) {
        Err(_) => Some(Waited::Done),
        Ok(()) => sleep(&parker),
    };
    if waited != Some(Waited::Done) && listener.cancel() {
        task::withdraw(task.head());
    }
    drop(note);
    if done() { Some(Waited::Done) } else { waited }
}

fn spin(done: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        spin_loop();
        done()
    })
}

/// Sleeps until `parker` is woken; a thread of an executor lends its core meanwhile.
pub(crate) fn sleep(parker: &Parker, deadline: Option<Instant>, done: impl Fn() -> bool) -> Waited {
    local(|local| match local.registry() {
        None => doze(parker, deadline),
        Some(registry) => {
            let Some(worker) = leave_seat(local, registry) else {
                let waited = doze(parker, deadline);
                come_back(local, registry);
                return waited;
            };
            // The cap is reached: the wait stays where it is, with the seat.
            local.sit(worker);
            match deadline {
                Some(_) => doze(parker, deadline),
                None => registry.stuck.sleep(registry, parker, done),
            }
        }
    })
}

fn doze(parker: &Parker, deadline: Option<Instant>) -> Waited {
    match deadline {
        None => parker.sleep(),
        Some(deadline) => {
            if !parker.sleep_until(deadline) {
                return Waited::TimedOut;
            }
        }
    }
    Waited::Done
}

/// Gives the seat to a spare thread. The worker comes back when there can be none.
fn leave_seat(local: &Local, registry: &Registry) -> Option<Box<Worker>> {
    let worker = match local.stand() {
        Some(worker) => worker,
        // Away from the seat already: no longer coming back; if the seat is free, somebody else is to have it.
        None if local.returning.replace(false) => registry.slots[local.slot()].stop_returning()?,
        None => return None,
    };
    match registry.spares.hand_over(worker) {
        HandOver::Done => None,
        HandOver::Refused(worker) => Some(worker),
        HandOver::Make(worker) => registry.make_spare(worker),
    }
}

/// The wait is over and the task goes on at once: on its seat if that is free, else beside whoever has it, who leaves it
/// at the end of the task he is in.
fn come_back(local: &Local, registry: &Registry) {
    match registry.slots[local.slot()].come_back() {
        Some(worker) => local.sit(worker),
        None => local.returning.set(true),
    }
}

//! Waiting for a task: a thread of the executor runs it itself, or what it waits for, or lends its core meanwhile.

use std::time::Instant;

use super::blocked;
use super::context::{Local, local};
use super::drive::run_own_batch;
use super::entry::{Batch, Opened};
use super::progress::{Attending, Stayed, stay};
use super::registry::Registry;
use super::slot::TIMED;
use super::spare::HandOver;
use super::turns::take_turn;
use super::worker::Worker;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::hint::spin_loop;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
#[cfg(feature = "ranks")]
use crate::task::Phase;
use crate::task::{self, Action, Finisher, Handle, Help, Listener, Ready, Schedule, Started, Where};

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
            Self::Deadlock => return Some(blocked::error()),
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
    let helps = deadline.is_none() && local(|local| local.registry().is_some_and(|own| task.head().is_of(own.id)));
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
            && task.head().is_of(registry.id)
            && local.may_help()
            && !registry.is_forked()
            && !is_pressed(local, registry, task)
        {
            match task::help(task, is_at) {
                Help::Run(started) => run_claimed(registry, started),
                Help::Turn(subject) => {
                    take_turn(subject, task, false);
                }
                _ => {}
            }
        }
    });
}

/// On a worker: runs what it has queued last, if that is the end of a list of which the caller awaits all. `from_end`
/// gives the task that is so far from the list's end. Goes on after each task as long as `patient`; gives how many are
/// settled.
pub(crate) fn help_newest<'a>(
    from_end: impl Fn(usize) -> Option<&'a Handle>,
    mut patient: impl FnMut() -> bool,
) -> usize {
    local(|local| {
        let Some(registry) = local.registry().filter(|own| local.may_help() && !own.is_forked()) else { return 0 };
        let Some(worker) = local.worker() else { return 0 };
        let Some(last) = from_end(0) else { return 0 };
        if is_pressed(local, registry, last) {
            return 0;
        }
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
                let patient = || patient() && !is_pressed(local, registry, last);
                run_own_batch(registry, batch, |task| run_here(registry, task), patient)
            }
            other => {
                registry.put(local, local.worker(), other.close());
                0
            }
        }
    })
}

/// Whether something waits that is more urgent than what this thread is in and what it waits for: the core is rather lent
/// to that than used to help.
#[inline]
fn is_pressed(local: &Local, registry: &Registry, task: &Handle) -> bool {
    registry.domains.are_routed() && is_pressed_now(local, registry, task)
}

#[inline(never)]
fn is_pressed_now(local: &Local, registry: &Registry, task: &Handle) -> bool {
    let class = local.class().max(task.head().priority());
    local.worker_of(registry).is_some_and(|worker| worker.is_pressed(registry, class))
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
    let mut may_yield = true;
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
        if may_yield && local(|local| local.registry().is_some_and(|own| is_pressed(local, own, task))) {
            inputs.clear();
            match lend_until(task) {
                Some(waited) => return waited,
                None => may_yield = false,
            }
            continue;
        }
        match task::help(top, is_at) {
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
            Help::Turn(subject) if take_turn(subject, top, true) => {}
            #[cfg(feature = "ranks")]
            Help::Wait if top.head().is_afar() => match await_supply(top) {
                Waited::Done => {}
                other => return other,
            },
            Help::Turn(_) | Help::Wait => match block_on(top, None) {
                Waited::Done => {}
                other => return other,
            },
        }
    }
}

/// Whether this thread may run tasks of the executor of `task` while it waits.
pub(crate) fn may_help(task: &Handle) -> bool {
    local(|local| local.registry().is_some_and(|own| task.head().is_of(own.id) && local.may_help()))
}

/// Runs `task`, if nobody has begun it, or an input that it misses; false when there is nothing to run.
pub(crate) fn help_once(task: &Handle) -> bool {
    may_help(task) && local(|local| local.registry().is_some_and(|registry| help_one(registry, task)))
}

fn help_one(registry: &Registry, task: &Handle) -> bool {
    let mut inputs: Vec<Handle> = Vec::new();
    loop {
        let top = inputs.last().unwrap_or(task);
        if top.head().state.load().is_done() {
            return !inputs.is_empty();
        }
        match task::help(top, is_at) {
            Help::Run(started) => {
                run_claimed(registry, started);
                return true;
            }
            Help::Input(input) => inputs.push(input),
            Help::Again => spin_loop(),
            Help::Turn(subject) => return take_turn(subject, top, true),
            Help::Wait => return false,
        }
    }
}

/// Whether this thread drives a worker of such a place.
fn is_at(place: Where) -> bool {
    local(|local| {
        local.worker().is_some_and(|worker| match place {
            Where::Anywhere => true,
            Where::Domain { domain, .. } => worker.near.domain == domain as usize,
            Where::Worker { worker: index, .. } => worker.index == index as usize,
        })
    })
}

/// Runs a task that a waiter has claimed: its queue entry is left behind.
fn run_claimed(registry: &Registry, started: Started) {
    run_here(registry, started);
    local(|local| local.worker_of(registry).map(|worker| worker.leaves_entry(registry)));
}

#[cold]
fn look_at_clock(local: &Local, registry: &Registry) {
    match local.worker() {
        Some(worker) => worker.look_at_clock(registry, 1),
        None => _ = local.look_at_clock(),
    }
}

/// Runs a task within the wait for it. A closing executor starts nothing any more.
pub(super) fn run_here(registry: &Registry, started: Started) {
    local(|local| {
        if registry.slots[local.slot()].attention() & TIMED != 0 {
            look_at_clock(local, registry);
        }
    });
    if !registry.may_run(&started) {
        registry.refuse(started);
    } else if local(|local| local.is_in_class_of(started.head())) {
        registry.run(started, &mut Helping(registry));
    } else {
        registry.run_in_class(started);
    }
}

/// Ends a task that is run within a wait: what follows is queued.
pub(crate) struct Helping<'a>(pub(crate) &'a Registry);

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

/// Blocks until `task` is done, or has what it lacked and may be run. If this thread sees to the message that brings it, the
/// task is run right here.
#[cfg(feature = "ranks")]
fn await_supply(task: &Handle) -> Waited {
    let is_settled = || task.head().state.load().phase() != Phase::Running;
    local(|local| local.awaited.set(Some(task.task())));
    let waited = block(task, None, |parker| Some(sleep(parker, None, is_settled))).unwrap_or(Waited::Done);
    let supplied = local(|local| {
        local.awaited.set(None);
        local.supplied.take()
    });
    if let Some(task) = supplied {
        local(|local| match local.registry() {
            Some(registry) => {
                if let Some(started) = task::start(task) {
                    run_here(registry, started);
                }
            }
            None => task::schedule(task),
        });
    }
    waited
}

/// Blocks until `task` is done, or the deadline.
fn block_on(task: &Handle, deadline: Option<Instant>) -> Waited {
    let done = || task.head().state.load().is_done();
    if spin_attending(done) {
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
    if (waited != Some(Waited::Done) || !done()) && listener.cancel() {
        task::withdraw(task.head());
    }
    drop(note);
    if done() { Some(Waited::Done) } else { waited }
}

pub(super) fn spin(done: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        spin_loop();
        done()
    })
}

/// As [`spin`]; a thread on its seat sees to what comes from other ranks meanwhile.
fn spin_attending(done: impl Fn() -> bool) -> bool {
    local(|local| match local.registry().and_then(Registry::progress).filter(|_| local.worker().is_some()) {
        None => spin(done),
        Some(progress) => {
            let _attending = Attending::new(progress);
            spin(|| progress.has_some() && progress.poll() && done() || done())
        }
    })
}

/// Sleeps until `parker` is woken; a thread of an executor lends its core meanwhile.
pub(crate) fn sleep(parker: &Parker, deadline: Option<Instant>, done: impl Fn() -> bool) -> Waited {
    local(|local| match local.registry() {
        None => doze(parker, deadline),
        Some(_) if local.has_seceded() => doze(parker, deadline),
        Some(registry) => {
            if let Stayed::Over(waited) = stay(local, registry, parker, deadline, &done) {
                return waited;
            }
            let Some(worker) = leave_seat(local, registry) else {
                let waited = doze(parker, deadline);
                come_back(local, registry);
                return waited;
            };
            // The cap is reached: the wait stays where it is, with the seat.
            local.sit(worker);
            // A wake that was meant for this worker must not be lost with it.
            registry.notify_if_work();
            match deadline {
                Some(_) => doze(parker, deadline),
                None => local.asleep(|| registry.stuck.sleep(registry, parker, done)),
            }
        }
    })
}

fn doze(parker: &Parker, deadline: Option<Instant>) -> Waited {
    local(|local| {
        local.asleep(|| match deadline {
            Some(deadline) if !parker.sleep_until(deadline) => Waited::TimedOut,
            Some(_) => Waited::Done,
            None => {
                parker.sleep();
                Waited::Done
            }
        })
    })
}

/// Gives the seat to whoever waits for one, else to a spare thread. The worker comes back when there can be none.
pub(super) fn leave_seat(local: &Local, registry: &Registry) -> Option<Box<Worker>> {
    let worker = match local.stand() {
        Some(worker) => worker,
        // Away from the seat already: no longer coming back; if the seat is free, somebody else is to have it.
        None if local.returning.replace(false) => registry.slots[local.slot()].stop_returning()?,
        None => return None,
    };
    let worker = registry.serve(worker).err()?;
    match registry.spares.hand_over(worker) {
        HandOver::Done => None,
        HandOver::Refused(worker) => Some(worker),
        HandOver::Make(worker) => registry.make_spare(worker),
    }
}

/// The wait is over and the task goes on at once: on its seat if that is free, else beside whoever has it, who leaves it
/// at the end of the task he is in.
pub(super) fn come_back(local: &Local, registry: &Registry) {
    match registry.slots[local.slot()].come_back() {
        Some(worker) => local.sit(worker),
        None => local.returning.set(true),
    }
}

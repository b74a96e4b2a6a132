//! Waiting for a task: a thread of the executor runs it itself, or what it waits for, or lends its core meanwhile.

use std::time::Instant;

use super::blocked;
use super::context::{Local, local};
use super::ending::Phase;
use super::registry::Registry;
use super::spare::HandOver;
use super::worker::Worker;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::hint::spin_loop;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::task::{self, Action, Handle, Help, Listener, Started};

/// Looks at a task that runs elsewhere before the core is lent: a few microseconds, less than a hand-over costs.
const SPINS: u32 = 400;

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
pub(crate) fn wait(task: &Handle, deadline: Option<Instant>) -> Waited {
    if task.head().state.load().is_done() {
        return Waited::Done;
    }
    if is_elsewhere(task) {
        return Waited::Forked;
    }
    let helps = deadline.is_none() && local(|local| local.registry().is_some_and(|own| own.id == task.head().executor));
    if helps { wait_helping(task) } else { block_on(task, deadline) }
}

/// Whether the workers of an unfinished task are in another process, so that it will never end here.
pub(crate) fn is_elsewhere(task: &Handle) -> bool {
    task.head().generation != crate::fork::generation() && !task.head().state.load().is_done()
}

/// A tower of tasks, each an unfinished input of the one below; the top is run, or waited for, first.
fn wait_helping(task: &Handle) -> Waited {
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
                    run_here(registry, started);
                }
            }),
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
                run_here(registry, started);
                return true;
            }
            Help::Input(input) => inputs.push(input),
            Help::Again => spin_loop(),
            Help::Wait => return false,
        }
    }
}

/// Runs a task within the wait for it. A closing executor starts nothing any more.
fn run_here(registry: &Registry, started: Started) {
    if registry.phase() == Phase::Cancelling {
        started.cancel(registry.closed_error());
    } else {
        registry.run(started, |ready| registry.queue(ready));
    }
}

/// Blocks until `task` is done, or the deadline.
fn block_on(task: &Handle, deadline: Option<Instant>) -> Waited {
    let done = || task.head().state.load().is_done();
    if spin(done) {
        return Waited::Done;
    }
    // A wait with a deadline ends by itself, so it closes no circle.
    let note = match deadline {
        Some(_) => None,
        None => match blocked::enter(std::iter::once(task.task())) {
            None => return Waited::Deadlock,
            note => note,
        },
    };
    let parker = Arc::new(Parker::new());
    let listener = Listener::new(Action::Unpark(parker.clone()));
    let waited = match task::listen(task.head(), &listener) {
        Err(_) => Waited::Done,
        Ok(()) => sleep(&parker, deadline, done),
    };
    if waited != Waited::Done && listener.cancel() {
        task::withdraw(task.head());
    }
    drop(note);
    if done() { Waited::Done } else { waited }
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

//! Waits for what no task of the executor stands for, such as a lock: they end early when the task that waits is
//! cancelled, or its executor.

use std::collections::BTreeMap;
use std::time::Instant;

use super::context::local;
use super::ending::Phase;
use super::wait::{Waited, sleep, spin};
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::task::{Action, Header, Listener, listen, withdraw};

/// The threads of an executor that sleep so.
#[derive(Default)]
pub(super) struct Interrupts(Mutex<Sleepers>);

#[derive(Default)]
struct Sleepers {
    parkers: BTreeMap<u64, Arc<Parker>>,
    next: u64,
}

/// A thread among them; taken out when dropped.
struct Listed<'a>(&'a Interrupts, u64);

impl Interrupts {
    fn enlist(&self, parker: &Arc<Parker>) -> Listed<'_> {
        let mut sleepers = self.0.lock();
        let number = sleepers.next;
        sleepers.next += 1;
        sleepers.parkers.insert(number, parker.clone());
        Listed(self, number)
    }

    /// Wakes all of them, so that they look why.
    pub(super) fn wake_all(&self) {
        self.0.lock().parkers.values().for_each(|parker| parker.wake());
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.0.lock().parkers.remove(&self.1);
    }
}

/// Has a parker woken when `task` is cancelled; taken back when dropped.
struct Cancel<'a> {
    task: &'a Header,
    listener: Option<Arc<Listener>>,
}

impl<'a> Cancel<'a> {
    fn of(task: &'a Header, parker: &Arc<Parker>) -> Self {
        let listener = Listener::new(Action::Unpark(parker.clone()));
        let listener = listen(task, &listener).is_ok().then_some(listener);
        Self { task, listener }
    }

    /// Whether the task, whose closure runs, is over.
    fn has_come(&self) -> bool {
        self.task.state.load().is_done()
    }
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take()
            && listener.cancel()
        {
            withdraw(self.task);
        }
    }
}

/// Sleeps until `done`; whoever makes it so wakes `parker` then. A thread of an executor lends its core meanwhile.
///
/// # Errors
/// When the current task, or its executor, is cancelled first; when the deadline comes first; when no thread is left that
/// could make it so.
pub(crate) fn sleep_unless_cancelled(
    parker: &Arc<Parker>,
    deadline: Option<Instant>,
    done: impl Fn() -> bool,
) -> Result<(), TaskError> {
    if spin(|| parker.has_token()) && done() {
        return Ok(());
    }
    local(|local| {
        let Some(registry) = local.registry() else {
            return until(parker, deadline, &done, || None);
        };
        if registry.is_forked() {
            return Err(TaskError::new(TaskErrorKind::Forked));
        }
        let _listed = registry.interrupts.enlist(parker);
        let cancel = local.current().map(|task| Cancel::of(task, parker));
        until(parker, deadline, &done, || {
            if registry.phase() >= Phase::Cancelling {
                return Some(registry.closed_error());
            }
            let cancelled = cancel.as_ref().is_some_and(Cancel::has_come);
            cancelled.then(|| TaskError::new(TaskErrorKind::Cancelled(CancelReason::WHILE_WAITING)))
        })
    })
}

fn until(
    parker: &Parker,
    deadline: Option<Instant>,
    done: &impl Fn() -> bool,
    interrupted: impl Fn() -> Option<TaskError>,
) -> Result<(), TaskError> {
    loop {
        if done() {
            return Ok(());
        }
        if let Some(error) = interrupted() {
            return Err(error);
        }
        match sleep(parker, deadline, || done() || interrupted().is_some()) {
            Waited::Done => {}
            _ if done() => return Ok(()),
            early => return early.error().map_or(Ok(()), Err),
        }
    }
}

//! A task leaves its seat to others and goes on without one; later it waits in line for another.

use std::ops::Range;

use super::context::{Local, local};
use super::ending::Phase;
use super::line::Place;
use super::registry::Registry;
use super::wait::{come_back, leave_seat};
use super::worker::Worker;
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::primitive::atomic::{Ordering, fence};
use crate::task::{self, Action, Header, Listener, Where};

/// A thread has left its seat in the middle of a task; which time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secession(pub(super) u64);

/// Leaves the seat of the current task to another thread. `None` when there is no seat to be left: outside of tasks, or
/// when that was done before.
pub(crate) fn secede() -> Result<Option<Secession>, TaskError> {
    local(|local| {
        let Some(registry) = local.registry().filter(|_| local.current().is_some() && !local.has_seceded()) else {
            return Ok(None);
        };
        if registry.is_forked() {
            return Err(TaskError::new(TaskErrorKind::Forked));
        }
        if let Some(worker) = leave_seat(local, registry) {
            local.sit(worker);
            return Err(TaskError::new(TaskErrorKind::Stalled { cap: registry.spares.cap }));
        }
        Ok(Some(local.begin_secession()))
    })
}

/// The task goes on as after any wait: beside whoever has its seat, who leaves it at the end of the task he is in.
pub(crate) fn come_home(secession: Secession) {
    local(|local| {
        if local.end_secession(secession)
            && let Some(registry) = local.registry()
        {
            come_back(local, registry);
        }
    });
}

/// Waits in line for a seat.
pub(crate) fn rejoin(secession: Secession) -> Result<(), TaskError> {
    local(|local| {
        let Some(registry) = local.registry().filter(|_| local.is_in(secession)) else { return Ok(()) };
        let Some(task) = local.current() else { return Ok(()) };
        if registry.is_forked() {
            return Err(TaskError::new(TaskErrorKind::Forked));
        }
        let seats = seats_for(local, registry);
        let place = Place::new(seats.clone());
        let listener = Listener::new(Action::Unpark(place.parker.clone()));
        if task::listen(task, &listener).is_ok() {
            registry.line.enter(&place, |seat| registry.slots[seat].set_awaited(true));
            registry.call_a_seat(seats, local.slot());
            while registry.refuses_rejoin(task).is_none() && !place.is_served() {
                local.asleep(|| place.parker.sleep());
            }
            registry.line.leave(&place);
            if listener.cancel() {
                task::withdraw(task);
            }
        }
        let refused = registry.refuses_rejoin(task);
        local.end_secession(secession);
        match place.take() {
            Some(worker) => move_to(local, registry, worker),
            None => come_back(local, registry),
        }
        refused.map_or(Ok(()), Err)
    })
}

/// The seats that will do for every task on this stack.
fn seats_for(local: &Local, registry: &Registry) -> Range<usize> {
    let all = 0..registry.slots.len();
    local.heads().filter_map(|task| Some(task.rule()?.place)).fold(all, |seats, place| {
        let bound = match place {
            Where::Domain { domain, strict: true } => registry.workers_of(domain as usize),
            Where::Worker { worker, strict: true } => worker as usize..worker as usize + 1,
            _ => return seats,
        };
        seats.start.max(bound.start)..seats.end.min(bound.end)
    })
}

/// Sits down on a seat, which may be another than before.
pub(super) fn move_to(local: &Local, registry: &Registry, worker: Box<Worker>) {
    if worker.index != local.slot() {
        registry.pin(worker.index);
    }
    local.sit(worker);
}

impl Registry {
    /// Why a task need not wait for a seat any more.
    fn refuses_rejoin(&self, task: &Header) -> Option<TaskError> {
        if self.phase() >= Phase::Cancelling {
            return Some(self.closed_error());
        }
        // Its own reason lies with the handles, which may go.
        let reason = || TaskError::new(TaskErrorKind::Cancelled(CancelReason::WHILE_WAITING));
        task.state.load().is_done().then(reason)
    }

    /// Leaves a seat to the first in line whom it suits. The worker comes back when that is nobody.
    pub(super) fn serve(&self, worker: Box<Worker>) -> Result<(), Box<Worker>> {
        let slot = &self.slots[worker.index];
        if !slot.is_awaited() {
            return Err(worker);
        }
        self.line.serve(worker.index, worker, || slot.set_awaited(false))
    }

    /// The calling thread, which sleeps on its seat, leaves it to whoever waits for one.
    pub(super) fn serve_from(&self, local: &Local) -> bool {
        let Some(worker) = local.stand() else { return false };
        match self.serve(worker) {
            Ok(()) => true,
            Err(worker) => {
                local.sit(worker);
                false
            }
        }
    }

    /// Has one of these seats looked at whose worker sleeps, `own` first. Workers that are awake see by themselves that
    /// somebody waits, before they begin another task or sleep.
    fn call_a_seat(&self, seats: Range<usize>, own: usize) {
        // Pairs with fence B of the idle protocol: either a worker that goes to sleep sees that its seat is awaited, or its
        // bit is seen here.
        fence(Ordering::SeqCst);
        let others = seats.clone().filter(|&seat| seat > own).chain(seats.clone().filter(|&seat| seat < own));
        Some(own).filter(|own| seats.contains(own)).into_iter().chain(others).find(|&seat| self.rouse(seat));
    }
}

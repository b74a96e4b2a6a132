//! Room in a bounded mailbox: who finds none waits in line.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::take;
use std::ptr::NonNull;
use std::task::{Poll, Waker};

use super::core::{Core, Over};
use crate::error::{TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::scheduler::{blocked, sleep_unless_cancelled};

/// Room for so many messages.
pub(super) struct Room {
    bound: usize,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    used: usize,
    is_closed: bool,
    /// Those who wait, first come first.
    waiting: VecDeque<Arc<Waiting>>,
}

/// One in line. A place is handed over to it, or it is sent away.
struct Waiting(Mutex<Standing>);

enum Standing {
    Thread(Arc<Parker>),
    Task(Waker),
    /// Has a place.
    Served,
    /// The actor has ended.
    SentAway,
}

impl Waiting {
    fn become_(&self, standing: Standing) {
        let before = std::mem::replace(&mut *self.0.lock(), standing);
        match before {
            Standing::Thread(parker) => parker.wake(),
            Standing::Task(waker) => panics::catch_drop(|| waker.wake()),
            Standing::Served | Standing::SentAway => {}
        }
    }

    /// Whether there is a place; none while it waits.
    fn outcome(&self) -> Option<bool> {
        match &*self.0.lock() {
            Standing::Served => Some(true),
            Standing::SentAway => Some(false),
            _ => None,
        }
    }
}

/// A place in the room of an actor, which its message gives back when it is taken out of the mailbox.
pub(super) struct Place(NonNull<Core>);

// SAFETY: it leads to what is behind a lock, in an actor that its message, or a reference, keeps.
unsafe impl Send for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: a message is dropped, or run, by who has the turn of the actor; before it is sent, its sender has a
        // reference.
        if let Some(room) = unsafe { self.0.as_ref() }.room() {
            room.give_back();
        }
    }
}

impl Room {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, line: Mutex::default() }
    }

    fn try_enter(&self, core: &Core, over_bound: bool) -> Option<Place> {
        let mut line = self.line.lock();
        if !over_bound && !line.is_closed && (line.used >= self.bound || !line.waiting.is_empty()) {
            return None;
        }
        line.used += 1;
        Some(Place(NonNull::from(core)))
    }

    /// Gets in line, unless there is room now.
    fn line_up(&self, standing: Standing) -> Arc<Waiting> {
        let mut line = self.line.lock();
        if line.is_closed || line.used < self.bound && line.waiting.is_empty() {
            line.used += 1;
            return Arc::new(Waiting(Mutex::new(Standing::Served)));
        }
        let waiting = Arc::new(Waiting(Mutex::new(standing)));
        line.waiting.push_back(waiting.clone());
        waiting
    }

    fn give_back(&self) {
        let next = {
            let mut line = self.line.lock();
            // What the actor's own handlers have told beyond the bound goes first.
            let next = if line.used > self.bound { None } else { line.waiting.pop_front() };
            if next.is_none() {
                line.used -= 1;
            }
            next
        };
        if let Some(next) = next {
            next.become_(Standing::Served);
        }
    }

    /// Gets out of line; a place that came meanwhile goes to the next.
    fn leave(&self, waiting: &Arc<Waiting>) {
        let was_in_line = {
            let mut line = self.line.lock();
            let before = line.waiting.len();
            line.waiting.retain(|other| !Arc::ptr_eq(other, waiting));
            line.waiting.len() != before
        };
        if !was_in_line && waiting.outcome() == Some(true) {
            self.give_back();
        }
    }

    /// The actor ends: there is room for everybody from now on, whose messages are refused.
    pub(super) fn close(&self) {
        let waiting = {
            let mut line = self.line.lock();
            line.is_closed = true;
            take(&mut line.waiting)
        };
        waiting.iter().for_each(|waiting| waiting.become_(Standing::SentAway));
    }
}

fn ended(core: &Core) -> TaskError {
    TaskError::new(core.over().unwrap_or(Over::Left).refusal())
}

/// A place, if there is one now. A handler of the actor itself always has one: it cannot wait for itself.
pub(super) fn try_enter(room: &Room, core: &Core) -> Option<Place> {
    let is_own = crate::scheduler::local(|local| local.tasks().any(|task| task == core.subject()));
    room.try_enter(core, is_own)
}

/// Waits for a place.
pub(super) fn enter(room: &Room, core: &Core) -> Result<Place, TaskError> {
    if let Some(place) = try_enter(room, core) {
        return Ok(place);
    }
    let Some(_note) = blocked::enter(std::iter::once(core.subject())) else { return Err(blocked::error()) };
    let parker = Arc::new(Parker::new());
    let waiting = room.line_up(Standing::Thread(parker.clone()));
    let slept = sleep_unless_cancelled(&parker, None, || waiting.outcome().is_some());
    match (waiting.outcome(), slept) {
        (Some(true), _) => Ok(Place(NonNull::from(core))),
        (Some(false), _) => Err(ended(core)),
        (None, slept) => {
            room.leave(&waiting);
            Err(slept.err().unwrap_or_else(|| TaskError::new(TaskErrorKind::MailboxFull)))
        }
    }
}

/// One in line for as long as its future lives.
struct InLine<'a> {
    room: &'a Room,
    waiting: Option<Arc<Waiting>>,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.room.leave(&waiting);
        }
    }
}

/// As [`enter`], for async tasks.
pub(super) async fn enter_async(room: &Room, core: &Core) -> Result<Place, TaskError> {
    if let Some(place) = try_enter(room, core) {
        return Ok(place);
    }
    let mut line = InLine { room, waiting: None };
    let is_served = poll_fn(|context| {
        let waiting = line.waiting.get_or_insert_with(|| room.line_up(Standing::Task(context.waker().clone())));
        let mut other = context.waker().clone();
        let mut standing = waiting.0.lock();
        match &mut *standing {
            Standing::Served => Poll::Ready(true),
            Standing::SentAway => Poll::Ready(false),
            Standing::Thread(_) => Poll::Pending,
            Standing::Task(waker) => {
                std::mem::swap(waker, &mut other);
                // The other waker is dropped after the lock: that is user code.
                drop(standing);
                Poll::Pending
            }
        }
    })
    .await;
    line.waiting = None;
    if is_served { Ok(Place(NonNull::from(core))) } else { Err(ended(core)) }
}

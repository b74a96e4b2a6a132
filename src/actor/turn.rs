//! The turn of an actor: its messages are handled one after the other, until there are none, or others are due.

use std::ptr::NonNull;

use super::core::{Core, Over};
use super::house;
use super::later::Polled;
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::primitive::atomic::Ordering;
use crate::primitive::hint::prefetch;
use crate::scheduler::{Budget, Helping, Local, Phase, Registry, local};
use crate::task::{Header, Message};

/// The right to handle the messages of an actor, which is there for as long as it is somebody's.
#[must_use]
pub(super) struct Turn(NonNull<Core>);

/// What came of a look at the async handler that is under way.
enum Later {
    None,
    /// It waits; whoever wakes it has the turn now.
    Waits,
    /// It was woken while it was polled, and would go on.
    Woken,
    Ended(Result<(), Over>),
}

impl Turn {
    /// # Safety
    /// The caller has the turn, and gives it to this.
    pub(super) unsafe fn of(core: NonNull<Core>) -> Self {
        Self(core)
    }

    pub(super) fn core(&self) -> &Core {
        // SAFETY: who has the turn keeps the actor.
        unsafe { self.0.as_ref() }
    }

    /// Handles messages, up to the one that a waiter has asked for, or as many as are due.
    pub(super) fn take(self) {
        local(|local| {
            let Some(registry) = local.registry() else { return self.stop() };
            let until = self.core().head.end_of_turn();
            self.core().is_at(registry, local);
            let mut budget = Budget::new();
            loop {
                if !registry.may_go_on(&self.core().head) {
                    let _ = local.step_out();
                    return self.stop();
                }
                let later = self.go_on_later(local);
                let is_woken = matches!(later, Later::Woken);
                let handled = match later {
                    Later::Waits => return,
                    Later::Woken => Ok(()),
                    Later::Ended(handled) => handled,
                    Later::None => match self.next() {
                        Some(message) => self.handle(registry, message),
                        None if self.core().is_left.get() => Err(Over::Left),
                        None => {
                            let out = local.step_out();
                            if self.give_up(registry) {
                                return registry.end_turn();
                            }
                            local.step_in(out);
                            continue;
                        }
                    },
                };
                if let Err(over) = handled {
                    let _ = local.step_out();
                    return self.end(registry, over);
                }
                // SAFETY: the waiter has a handle, and takes the turn on this stack.
                let is_done = until.is_some_and(|message| unsafe { message.as_ref() }.state.load().is_done());
                let is_over = is_done || (until.is_none() || is_woken) && budget.is_over(registry);
                if is_over && (is_woken || self.has_more()) {
                    let _ = local.step_out();
                    return self.pass_on(registry, until.is_some() && !is_woken);
                }
            }
        });
    }

    /// Queues the rest.
    fn pass_on(self, registry: &Registry, is_next: bool) {
        let place = self.core().place();
        // SAFETY: the turn is given up.
        unsafe {
            if is_next {
                registry.queue_turn(self.0.cast(), place);
            } else {
                registry.yield_turn(self.0.cast(), place);
            }
        }
    }

    /// Ends a turn that was not queued: with nothing left to do, or by queueing the rest.
    pub(super) fn release(self, registry: &Registry) {
        let (place, subject) = (self.core().place(), self.0.cast());
        if !self.give_up(registry) {
            // SAFETY: the turn is given up.
            unsafe { registry.begin_turn(subject, place) };
        }
    }

    /// Whether the turn is nobody's now; not if something has come. The actor may be gone then.
    #[inline]
    fn give_up(&self, registry: &Registry) -> bool {
        let id = self.core().head.id();
        if !self.core().mailbox.release() {
            return false;
        }
        if registry.was_restarted_since(id) {
            house::end_old(registry);
        }
        true
    }

    fn has_more(&self) -> bool {
        !self.core().todo.get().is_null() || self.core().mailbox.has_more()
    }

    /// The next message.
    #[inline]
    fn next(&self) -> Option<Message> {
        let core = self.core();
        let first = NonNull::new(core.todo.get()).or_else(|| {
            let taken = core.mailbox.take();
            core.is_left.set(core.is_left.get() | taken.is_left);
            // ORDERING: Relaxed; for those who ask how many wait.
            core.taken.store(u32::try_from(taken.count).unwrap_or(u32::MAX), Ordering::Relaxed);
            taken.oldest
        })?;
        // SAFETY: the messages are whose turn it is.
        let next = unsafe { first.as_ref() }.link.get().cast::<Header>();
        prefetch(next);
        core.todo.set(next);
        // ORDERING: Relaxed; as above.
        core.taken.store(core.taken.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        // SAFETY: it came out of the mailbox, once.
        Some(unsafe { Message::from_raw(first) })
    }

    /// Handles a message; says if the actor ends with it, and why.
    #[inline]
    fn handle(&self, registry: &Registry, message: Message) -> Result<(), Over> {
        let mut by = Helping(registry);
        if !message.is_wanted() {
            message.refuse(TaskErrorKind::Unwanted, &mut by);
            self.core().head.end_part_of_turn();
            return Ok(());
        }
        let begun = message.begin();
        // SAFETY: the turn is this one.
        let replied = Local::within(begun.task(), || unsafe { begun.run() });
        let outcome = match replied.panic() {
            None => Ok(()),
            Some(error) => self.after_panic(error),
        };
        replied.end(&mut by);
        outcome
    }

    /// Whether the actor goes on.
    #[cold]
    pub(super) fn after_panic(&self, error: TaskError) -> Result<(), Over> {
        let core = self.core();
        if !core.is_born.get() {
            return Err(Over::Unborn(error));
        }
        // SAFETY: the turn is this one.
        let survives = unsafe { core.survives() };
        core.head.end_part_of_turn();
        match survives {
            Ok(true) => Ok(()),
            Ok(false) => Err(Over::Panicked(error)),
            Err(kind) => Err(Over::Panicked(core.head.failure(kind))),
        }
    }

    /// Goes on with the async handler that is under way.
    fn go_on_later(&self, local: &Local) -> Later {
        let Some(mut later) = self.core().later.take() else { return Later::None };
        let alarm = later.alarm.clone();
        match later.poll() {
            Polled::Waits => {
                self.core().later.set(Some(later));
                let out = local.step_out();
                if alarm.rest() {
                    return Later::Waits;
                }
                local.step_in(out);
                Later::Woken
            }
            Polled::Done => Later::Ended(Ok(())),
            Polled::Stopped => Later::Ended(Err(Over::Left)),
            Polled::Panicked(error) => {
                drop(later);
                Later::Ended(self.after_panic(error))
            }
        }
    }

    /// Ends an actor whose executor starts nothing any more, or was restarted.
    pub(super) fn stop(self) {
        let registry = self.core().registry.clone();
        let is_restart = registry.phase() < Phase::Cancelling && registry.is_old(&self.core().head);
        let reason = if is_restart { CancelReason::EXECUTOR_RESTARTED } else { CancelReason::EXECUTOR_CLOSED };
        self.end(&registry, Over::Closed(reason));
    }

    /// As [`stop`](Self::stop), with a turn that was not counted.
    pub(super) fn count_and_stop(self) {
        self.core().registry.count_created(1);
        self.stop();
    }

    /// Ends the actor: its state goes, what waits in its mailbox is refused, whoever waits for the end is told.
    pub(super) fn end(self, registry: &Registry, over: Over) {
        let core = self.core();
        let mut by = Helping(registry);
        let tell = core.note_end(over.clone());
        // As part of the turn: what is dropped may talk to this actor.
        let within = |call: &mut dyn FnMut()| {
            Local::within(core.subject(), call);
            core.head.end_part_of_turn();
        };
        within(&mut || {
            // It borrows from the state.
            drop(core.later.take());
            // SAFETY: the turn is this one.
            unsafe { core.drop_state() };
        });
        core.house.leave(core);
        if let Some(room) = core.room() {
            room.close();
        }
        // The core stays until all are told.
        core.clone_weak();
        loop {
            within(&mut || {
                while let Some(message) = self.next() {
                    message.refuse(over.clone().refusal(), &mut by);
                }
            });
            let is_left = core.is_left.get();
            if core.mailbox.end() {
                if is_left {
                    // SAFETY: the references are gone, and their weak count is this turn's.
                    unsafe { Core::drop_weak(self.0) };
                }
                break;
            }
        }
        tell();
        core.tell_users(over);
        // SAFETY: the count that was taken above.
        unsafe { Core::drop_weak(self.0) };
        registry.end_turn();
    }
}

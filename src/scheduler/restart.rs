//! Everything that was submitted so far is cancelled, and the executor goes on: what is old is told by its number.

use std::time::{Duration, Instant};

use super::context::{Local, fresh_number, local};
use super::ending::Phase;
use super::entry::Entry;
use super::inbox::Inbox;
use super::observe::heavy_fence;
use super::registry::Registry;
use super::slot::Slot;
use crate::error::{CancelReason, Error, ErrorKind, TaskError, TaskErrorKind, TaskId};
use crate::panics;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::deque::Steal;
use crate::primitive::hint::spin_loop;
use crate::primitive::light_fence;
use crate::task::{self, Header, Ready, Started};

/// How long threads that are between two tasks are given to put down what they have in hand.
const PATIENCE: Duration = Duration::from_millis(5);

/// Tasks with lower numbers are old.
pub(super) struct Mark(AtomicU64);

impl Mark {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn read(&self) -> u64 {
        // ORDERING: Acquire; pairs with `advance`.
        self.0.load(Ordering::Acquire)
    }

    fn advance(&self) {
        // ORDERING: AcqRel; pairs with `read`. Who knows of the restart sees its mark, or a later one.
        self.0.fetch_max(fresh_number(), Ordering::AcqRel);
    }
}

fn restarted() -> TaskError {
    TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_RESTARTED))
}

impl Registry {
    /// Whether a task was submitted before a restart.
    #[cold]
    pub(crate) fn is_old(&self, task: &Header) -> bool {
        task.id().0 < self.mark.read()
    }

    /// Whether a claimed task may be run.
    #[inline]
    pub(super) fn may_run(&self, started: &Started) -> bool {
        self.may_go_on(started.head())
    }

    /// As [`may_run`](Self::may_run), of a turn under way.
    #[inline]
    pub(crate) fn may_go_on(&self, task: &Header) -> bool {
        self.ending.runs_all() || self.may_still_run(task)
    }

    #[cold]
    fn may_still_run(&self, task: &Header) -> bool {
        self.phase() < Phase::Cancelling && !self.is_old(task)
    }

    /// Whether a restart came after the task with this number was made. Asked by a thread that has just let others see
    /// something: either they have seen it when the restart looks for it, or this is true.
    #[inline]
    pub(crate) fn was_restarted_since(&self, task: TaskId) -> bool {
        // Pairs with the heavy fence of `restart`.
        light_fence();
        !self.ending.runs_all() && task.0 < self.mark.read()
    }

    /// Ends a claimed task that may not be run.
    #[cold]
    pub(super) fn refuse(&self, started: Started) {
        let is_closing = self.phase() >= Phase::Cancelling;
        started.cancel(if is_closing { self.closed_error() } else { restarted() });
    }

    /// Tasks that this thread makes from here on are newer than the last restart.
    #[cold]
    pub(super) fn keep_up(&self, local: &Local) {
        local.take_no_number_below(self.mark.read());
    }

    /// Cancels every task that was submitted before.
    ///
    /// In this order: what is submitted from now on has a higher number than the mark; what has a lower number and is
    /// claimed from now on is cancelled by whoever claims it; then all such tasks are sought out: those that run, promises, and
    /// those that lie queued. Those that wait for inputs end with their inputs.
    pub(crate) fn restart(&self) -> Result<(), Error> {
        if self.is_forked() {
            return Err(Error::new(ErrorKind::Closed(TaskError::new(TaskErrorKind::Forked))));
        }
        if self.phase() >= Phase::Cancelling {
            return Err(Error::new(ErrorKind::Closed(self.closed_error())));
        }
        heavy_fence()?;
        self.mark.advance();
        self.ending.restarted();
        // From here on nobody begins to submit, or to run a task, who has not seen it.
        heavy_fence()?;
        let error = restarted();
        let deadline = Instant::now() + PATIENCE;
        loop {
            // First: a closure whose wait ends by what follows has been cancelled before.
            let are_settled = self.cancel_running(&error)?;
            self.outstanding.cancel(&error, |task| self.is_old(task));
            self.cancel_queued(&error);
            if are_settled || Instant::now() >= deadline {
                return Ok(());
            }
            std::thread::yield_now();
        }
    }

    /// Cancels old tasks on the stacks of threads. Whether no thread was on its way from one task to the next, with more
    /// of them in hand.
    fn cancel_running(&self, error: &TaskError) -> Result<bool, Error> {
        let mut recipes = Vec::new();
        let seen = self.roster.look(|task, _| {
            let keep = |recipe| recipes.push(recipe);
            // SAFETY: a task on a stack is kept by its runner, which keeps its frame now.
            unsafe { self.is_old(task.as_ref()).then(|| task::fail_running(task, error.clone(), keep)).flatten() }
        })?;
        let here = local(|local| std::ptr::from_ref(&local.shown).addr());
        let are_settled = seen.iter().all(|thread| !thread.tasks.is_empty() || thread.waits || thread.address == here);
        // Behind the look: closures and callbacks are the user's.
        recipes.into_iter().for_each(|recipe| panics::catch_drop(|| drop(recipe)));
        for list in seen.into_iter().flat_map(|thread| thread.tasks).flatten() {
            task::fire(list, Some(error.clone()), task::schedule);
        }
        Ok(are_settled)
    }

    /// Cancels old tasks in all queues; others are queued anew.
    fn cancel_queued(&self, error: &TaskError) {
        let next = self.slots.iter().filter_map(Slot::take_next);
        let deques = self.slots.iter().flat_map(|slot| {
            std::iter::from_fn(|| {
                loop {
                    match slot.stealer.steal() {
                        Steal::Success(entry) => return Some(entry),
                        Steal::Empty => return None,
                        Steal::Retry => spin_loop(),
                    }
                }
            })
        });
        let inboxes = self.inboxes().flat_map(Inbox::take);
        let queued = next.chain(deques).chain(inboxes).flat_map(Entry::tasks).chain(self.clear_shelves());
        let (old, new): (Vec<Ready>, Vec<Ready>) = queued.partition(|task| self.is_old(task.head()));
        let parked = self.resources.take_waiting(|task| self.is_old(task));
        new.into_iter().for_each(|task| self.accept(task));
        old.into_iter().chain(parked).for_each(|task| task::cancel_queued(task, error.clone()));
    }
}

//! Runs a task and ends it: the value or error is stored, those who waited are told.

use std::ptr::NonNull;

use super::cell;
use super::dependents::{error_of, fail, fire, give_back};
use super::handle::{Handle, drop_result, schedule};
use super::header::{Header, Ready, edges};
use super::state::{Claim, Entry, Finish, Outcome, Unclaim};
use super::{home, nest};
use crate::error::TaskError;
use crate::primitive::atomic::Ordering;

/// A claimed task on its way through its closure. [`Started::run`] ends it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Started {
    task: NonNull<Header>,
    /// Whether the runtime's reference is the runner's; else he has a handle.
    held: bool,
}

/// Claims the task of a queue entry; an entry whose task is taken or done is let go of.
#[inline]
pub(crate) fn start(task: Ready) -> Option<Started> {
    // SAFETY: a queue entry holds its task, until the word says otherwise.
    let entry = unsafe { task.0.as_ref() }.state.start();
    use_entry(task, entry).map(|task| Started { task: task.0, held: true })
}

/// The queue entry again, if its task is still to be started; else it is let go of.
pub(crate) fn if_open(task: Ready) -> Option<Ready> {
    // SAFETY: as in `start`.
    let entry = unsafe { task.0.as_ref() }.state.skip_unless_open();
    use_entry(task, entry)
}

#[inline]
fn use_entry(task: Ready, entry: Entry) -> Option<Ready> {
    match entry {
        Entry::Open => Some(task),
        Entry::Skipped => None,
        Entry::Free => {
            // SAFETY: nobody else has a reference, and the result is dropped.
            unsafe { cell::free(task.0) };
            None
        }
    }
}

impl Started {
    pub(crate) fn task(&self) -> NonNull<Header> {
        self.task
    }

    /// Cancels the task before its closure runs.
    pub(crate) fn cancel(self, error: TaskError) {
        // SAFETY: a `Started` has the closure and a reference; the closure goes first, as if it had run.
        unsafe {
            (self.task.as_ref().vtable.drop_closure)(self.task);
            finish(self.task, Outcome::Error(error.into_word()), self.held, schedule);
        }
    }

    /// Runs the closure, stores what came of it and tells those who waited; ready dependents go to `ready`.
    #[inline]
    pub(crate) fn run(self, ready: impl FnMut(Ready)) {
        // SAFETY: a `Started` has the closure and a reference.
        unsafe {
            let outcome = nest::afresh(|| (self.task.as_ref().vtable.run)(self.task));
            finish(self.task, outcome, self.held, ready);
        }
    }
}

/// Ends a task whose closure is consumed.
///
/// # Safety
/// The caller has claimed `task`; `outcome` is its own, and, if it is a value, written. With `held` the runtime's
/// reference is given to this call, else the caller has a handle.
pub(crate) unsafe fn finish(task: NonNull<Header>, outcome: Outcome, held: bool, ready: impl FnMut(Ready)) {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    let home = head.home;
    // For the dependents, taken while the task is surely there: its own may be dropped with it.
    let error = match outcome {
        Outcome::Value => None,
        // SAFETY: the word is the caller's until `finish` takes it.
        Outcome::Error(word) => Some((*std::mem::ManuallyDrop::new(unsafe { TaskError::from_word(word) })).clone()),
    };
    match head.state.finish(outcome, held) {
        Finish::Finished { list, unwanted } => {
            if unwanted {
                // SAFETY: neither handles nor the runtime have a reference any more.
                unsafe {
                    drop_result(task);
                    cell::free(task);
                }
            }
            if !list.0.is_null() {
                fire(list, error, ready);
            }
            // SAFETY: until this call the task counted as unfinished, which keeps its scheduler.
            unsafe { (*(*home).0).finished() };
        }
        Finish::Discarded => {
            // SAFETY: who has a closure is a thread or a promise of the scheduler, and those hold it.
            unsafe { (*(*home).0).discarded() };
            match outcome {
                // SAFETY: the value was made by this claim and nobody else knows of it.
                Outcome::Value => unsafe { (head.vtable.drop_value)(task) },
                // SAFETY: the word was not taken.
                Outcome::Error(word) => drop(unsafe { TaskError::from_word(word) }),
            }
            if held {
                // SAFETY: the runtime's reference is this call's.
                unsafe { give_back(task) };
            }
        }
    }
}

/// Cancels a task: its future ends at once; a closure that runs is left to itself. False when it was done.
pub(crate) fn cancel(task: &Handle, error: TaskError) -> bool {
    // Its dependents may end at any time, and with them what else keeps the scheduler.
    let home = home::keep(task.head());
    // SAFETY: the handle keeps the task.
    let Some(list) = (unsafe { fail(task.task(), error.clone()) }) else { return false };
    fire(list, Some(error), |task| home.ready(task));
    true
}

/// Ends the task of a queue entry with `error`, if nobody has started it, and lets go of the entry.
pub(crate) fn cancel_queued(task: Ready, error: TaskError) {
    if let Some(started) = start(task) {
        started.cancel(error);
    }
}

/// What a waiter can do about a task that is not done.
#[derive(Debug)]
pub(crate) enum Help {
    /// Run it.
    Run(Started),
    /// See to this input of it first.
    Input(Handle),
    /// Wait: somebody else runs it, or nobody can before something outside happens.
    Wait,
    /// Look again: it is done, or changing hands.
    Again,
}

/// Claims `task` for a waiter who has a handle of it, or finds the first input that keeps it from being ready.
pub(crate) fn help(task: &Handle) -> Help {
    let head = task.head();
    // ORDERING: Acquire; pairs with the Release of `settle`: the values of all inputs are there.
    let missing = head.pending.load(Ordering::Acquire) != 0;
    if head.state.claim() == Claim::Taken {
        return if head.state.load().is_done() { Help::Again } else { Help::Wait };
    }
    if !missing {
        return Help::Run(Started { task: task.task(), held: false });
    }
    // SAFETY: with the closure claimed, nobody drops the inputs' handles that it holds.
    let input = unsafe { edges(task.task()).as_ref() }.iter().find_map(|edge| {
        // SAFETY: as above.
        let unfinished = !unsafe { edge.input.as_ref() }.state.load().is_done();
        // SAFETY: as above.
        unfinished.then(|| unsafe { Handle::of(edge.input) })
    });
    put_back(task.task());
    input.map_or(Help::Again, Help::Input)
}

/// Puts a claimed closure back, and makes good for what was missed meanwhile.
fn put_back(task: NonNull<Header>) {
    // SAFETY: the caller has a handle, or has not given the runtime's reference away yet.
    let head = unsafe { task.as_ref() };
    match head.state.unclaim() {
        Unclaim::Done => {}
        Unclaim::Queue => schedule(Ready(task)),
        // SAFETY: who claims a closure disposes of it.
        Unclaim::Dispose => unsafe { (head.vtable.drop_closure)(task) },
    }
}

/// Puts the edges of a new task into the lists of its inputs. Gives it back when none is missing.
///
/// A task with one input is born OPEN with `pending` 1; one with more is born RUNNING, so that nobody drops its closure
/// (and with it the inputs) before the last edge is in, with `pending` one above their number.
///
/// # Safety
/// `task` was born so, the caller has a handle of it and calls this once.
pub(crate) unsafe fn register(task: NonNull<Header>, tolerant: bool) -> Option<Ready> {
    let edges = edges(task);
    let count = edges.len();
    let mut done = 0;
    let mut error = None;
    for index in 0..count {
        // SAFETY: the edge is in bounds and in no list. Its input is alive: the closure holds it, which nobody else may
        // drop yet. (A single edge that is taken ends the loop before the closure can matter again.)
        let pushed =
            unsafe { super::dependents::Edge::push(NonNull::new_unchecked(&raw mut (*edges.as_ptr())[index])) };
        if let Err(snapshot) = pushed {
            done += 1;
            // SAFETY: as above.
            error = error.or_else(|| unsafe { error_of(snapshot) });
        }
    }
    if let Some(error) = error.filter(|_| !tolerant) {
        // SAFETY: the caller's handle.
        if let Some(list) = unsafe { fail(task, error.for_dependents()) } {
            fire(list, Some(error.for_dependents()), schedule);
        }
    }
    if count > 1 {
        put_back(task);
        done += 1;
    }
    if done == 0 {
        return None;
    }
    // SAFETY: those inputs are settled here and nowhere else.
    unsafe { super::dependents::settle(task, done) }
}

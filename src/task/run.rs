//! Runs a task and ends it: the value or error is stored, those who waited are told.

use std::ptr::NonNull;

use super::cell;
use super::dependents::{Node, error_of, fail, fire, fire_done, give_back, settle};
use super::handle::{Handle, drop_result, schedule};
use super::header::{Header, Ready, Role, Schedule, edges};
use super::home::{self, Home, Kept};
use super::message::waiting_for;
use super::nest;
use super::rule::Where;
use super::state::{Claim, Entry, Finish, Outcome, Phase, Snapshot, Unclaim};
use super::whereabouts::Whereabouts;
use crate::error::TaskError;
use crate::primitive::atomic::Ordering;

/// Who ends a task, and sees to what follows.
pub(crate) trait Finisher {
    /// A dependent that misses nothing any more.
    fn ready(&mut self, task: Ready);
    /// The task is done.
    fn finished(&mut self);
    /// The task was cancelled while its closure ran.
    fn discarded(&mut self);
}

/// Who ends a task without being a thread of its scheduler.
pub(super) struct Elsewhere {
    /// None for a task that does not count.
    home: Option<NonNull<Home>>,
    kept: Option<Kept>,
}

impl Elsewhere {
    /// # Safety
    /// `task` is unfinished, and stays so until [`Finisher::finished`].
    pub(super) unsafe fn of(task: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise.
        let home = unsafe { (task.as_ref().vtable.role != Role::Aside).then(|| home::of(task.as_ref())) };
        Self { home, kept: None }
    }

    /// As [`of`](Self::of), when what becomes ready may be all that keeps the scheduler.
    ///
    /// # Safety
    /// As of [`of`](Self::of).
    pub(super) unsafe fn keeping(task: NonNull<Header>, kept: Kept) -> Self {
        // SAFETY: the caller's promise.
        Self { kept: Some(kept), ..unsafe { Self::of(task) } }
    }

    fn scheduler(&self) -> Option<&dyn Schedule> {
        // SAFETY: the task counts as unfinished, which keeps its scheduler (`of`).
        self.home.map(|home| unsafe { &*home.as_ref().0 })
    }
}

impl Finisher for Elsewhere {
    fn ready(&mut self, task: Ready) {
        match &self.kept {
            Some(kept) => kept.ready(task),
            None => schedule(task),
        }
    }
    fn finished(&mut self) {
        if let Some(scheduler) = self.scheduler() {
            scheduler.finished();
        }
    }
    fn discarded(&mut self) {
        if let Some(scheduler) = self.scheduler() {
            scheduler.discarded();
        }
    }
}

/// A claimed task on its way through its closure. [`Started::run`] ends it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Started {
    task: NonNull<Header>,
    /// Whether the runtime's reference is the runner's; else he has a handle.
    held: bool,
}

/// A task whose closure has run. [`Ran::end`] ends it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ran {
    task: Started,
    outcome: Outcome,
}

impl Ran {
    /// Stores what came of the closure and tells those who waited. The task may be gone then.
    #[inline]
    pub(crate) fn end(self, by: &mut impl Finisher) {
        // SAFETY: the closure was claimed and has run; the reference of a `Started` ends here.
        unsafe { finish(self.task.task, self.outcome, self.task.held, by) };
    }
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

    pub(crate) fn head(&self) -> &Header {
        // SAFETY: a `Started` has a reference.
        unsafe { self.task.as_ref() }
    }

    /// Cancels the task before its closure runs. A turn does so for all that it would have run.
    pub(crate) fn cancel(self, error: TaskError) {
        // SAFETY: a `Started` has the closure and a reference; the closure goes first, as if it had run.
        unsafe {
            let is_turn = self.task.as_ref().vtable.role == Role::Turn;
            (self.task.as_ref().vtable.drop_closure)(self.task);
            if is_turn {
                return;
            }
            finish(self.task, Outcome::Error(error.into_word()), self.held, &mut Elsewhere::of(self.task));
        }
    }

    /// Runs the closure.
    #[inline]
    pub(crate) fn run(self) -> Ran {
        // SAFETY: a `Started` has the closure and a reference.
        let outcome = nest::afresh(|| unsafe { (self.task.as_ref().vtable.run)(self.task) });
        Ran { task: self, outcome }
    }
}

/// Ends a task whose closure is consumed.
///
/// # Safety
/// The caller has claimed `task`; `outcome` is its own, and, if it is a value, written. With `held` the runtime's
/// reference is given to this call, else the caller has a handle.
#[inline]
pub(super) unsafe fn finish(task: NonNull<Header>, outcome: Outcome, held: bool, by: &mut impl Finisher) {
    if !matches!(outcome, Outcome::Value) {
        // SAFETY: the caller's promise.
        return unsafe { finish_failed(task, outcome, held, by) };
    }
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    // For the dependents, taken while the task is surely there.
    let at = Whereabouts::of_done(head);
    match head.state.finish(outcome, held) {
        Finish::Finished { list, unwanted } => {
            if unwanted {
                // SAFETY: neither handles nor the runtime have a reference any more.
                unsafe { bury(task) };
            }
            if !list.0.is_null() {
                fire_done(list, at, |task| by.ready(task));
            }
            by.finished();
        }
        // SAFETY: the caller's promise; the outcome was not taken.
        Finish::Discarded => unsafe { discard(task, outcome, held, by) },
    }
}

/// # Safety
/// As of [`finish`], with an error.
#[cold]
unsafe fn finish_failed(task: NonNull<Header>, outcome: Outcome, held: bool, by: &mut impl Finisher) {
    if matches!(outcome, Outcome::Left) {
        return;
    }
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    // For the dependents, taken while the task is surely there: its own may be dropped with it.
    let error = match outcome {
        // SAFETY: the caller's promise.
        Outcome::Again => return unsafe { run_again(task, held, by) },
        Outcome::Value | Outcome::Left => None,
        // SAFETY: the word is the caller's until `finish` takes it.
        Outcome::Error(word) => Some((*std::mem::ManuallyDrop::new(unsafe { TaskError::from_word(word) })).clone()),
    };
    if error.as_ref().is_some_and(TaskError::is_cancelled) {
        head.forget_recipe();
    }
    match head.state.finish(outcome, held) {
        Finish::Finished { list, unwanted } => {
            if unwanted {
                // SAFETY: neither handles nor the runtime have a reference any more.
                unsafe { bury(task) };
            }
            fire(list, error, |task| by.ready(task));
            by.finished();
        }
        // SAFETY: the caller's promise; the outcome was not taken.
        Finish::Discarded => unsafe { discard(task, outcome, held, by) },
    }
}

/// Queues a task anew whose closure has run and lies there again.
///
/// # Safety
/// As of [`finish`].
unsafe fn run_again(task: NonNull<Header>, held: bool, by: &mut impl Finisher) {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    // SAFETY: closures run on threads of their scheduler, which hold it.
    let scheduler = unsafe { &*home::of(head).as_ref().0 };
    match head.state.unclaim() {
        // A waiter ran it; its entry is still in a queue.
        Unclaim::Done if !held => {}
        Unclaim::Done | Unclaim::Queue => scheduler.again(Ready(task)),
        Unclaim::Dispose => {
            by.discarded();
            // SAFETY: who claims a closure disposes of it; the runtime's reference, if it is the caller's, ends last.
            unsafe {
                (head.vtable.drop_closure)(task);
                if held {
                    give_back(task);
                }
            }
        }
    }
}

/// # Safety
/// The task is done, and nobody has a reference to it any more.
#[cold]
unsafe fn bury(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    unsafe {
        drop_result(task);
        cell::free(task);
    }
}

/// # Safety
/// As of [`finish`], for a task that had been cancelled.
#[cold]
unsafe fn discard(task: NonNull<Header>, outcome: Outcome, held: bool, by: &mut impl Finisher) {
    by.discarded();
    match outcome {
        // SAFETY: the value was made by this claim and nobody else knows of it.
        Outcome::Value => unsafe { (task.as_ref().vtable.drop_value)(task) },
        // SAFETY: the word was not taken.
        Outcome::Error(word) => drop(unsafe { TaskError::from_word(word) }),
        Outcome::Again | Outcome::Left => {}
    }
    if held {
        // SAFETY: the runtime's reference is this call's.
        unsafe { give_back(task) };
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
    /// Take the turn of this subject, up to it.
    Turn(NonNull<Header>),
    /// Wait: somebody else runs it, or nobody can before something outside happens.
    Wait,
    /// Look again: it is done, or changing hands.
    Again,
}

/// Claims `task` for a waiter who has a handle of it and of whom `is_at` says whether he is at a place, or finds the first
/// input that keeps it from being ready.
pub(crate) fn help(task: &Handle, is_at: impl FnOnce(Where) -> bool) -> Help {
    let head = task.head();
    // ORDERING: Acquire; pairs with the Release of `settle`: the values of all inputs are there.
    let missing = head.pending.load(Ordering::Acquire) != 0;
    if !missing && head.vtable.rule.is_some() && head.must_be_queued(is_at) {
        return if head.state.load().is_done() { Help::Again } else { Help::Wait };
    }
    if head.state.claim() == Claim::Taken {
        return match head.state.load().is_done() {
            true => Help::Again,
            // SAFETY: the caller's handle.
            false => unsafe { waiting_for(task.task()) }.map_or(Help::Wait, Help::Turn),
        };
    }
    if !missing {
        return Help::Run(Started { task: task.task(), held: false });
    }
    let mut input = None;
    let mut look = |handle: &Handle| {
        if input.is_none() && !handle.head().state.load().is_done() {
            input = Some(handle.clone());
        }
    };
    // SAFETY: the closure is claimed.
    unsafe { (head.vtable.show_inputs)(task.task(), &mut look) };
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
/// `task` was born so, with so many `inputs`, which its closure holds; the caller has a handle of it and calls this once.
pub(crate) unsafe fn register(task: NonNull<Header>, tolerant: bool, inputs: &[NonNull<Header>]) -> Option<Ready> {
    let edges = edges(task).cast::<Node>();
    let count = inputs.len();
    let mut done = 0;
    let mut error = None;
    for (index, input) in inputs.iter().enumerate() {
        // SAFETY: the edge is in bounds and in no list. Its input is alive: the closure holds it, which nobody else may
        // drop yet. (A single edge that is taken ends the loop before the closure can matter again.)
        if let Err(snapshot) = unsafe { Node::push(edges.add(index), input.as_ref()) } {
            done += 1;
            // SAFETY: as above. A task that waits for several inputs is not settled before all of them are seen to.
            unsafe {
                Node::mark(edges.add(index).as_ptr(), whereabouts(input.as_ref(), snapshot));
                error = error.or_else(|| error_of(snapshot));
            }
        }
    }
    if !tolerant && let Some(error) = error {
        // SAFETY: the caller's handle.
        unsafe { fail_newborn(task, &error) };
    }
    if count > 1 {
        put_back(task);
        done += 1;
    }
    if done == 0 {
        return None;
    }
    // SAFETY: those inputs are settled here and nowhere else.
    unsafe { settle(task, done) }
}

/// As [`register`], for a task with one input.
///
/// # Safety
/// As of [`register`].
#[inline]
pub(crate) unsafe fn register_one(task: NonNull<Header>, tolerant: bool, input: NonNull<Header>) -> Option<Ready> {
    // SAFETY: the edge is in no list. Its input is alive when it is pushed: the closure holds it, which nobody drops
    // before the edge is in the list.
    match unsafe { Node::push(edges(task).cast(), input.as_ref()) } {
        Ok(()) => None,
        // SAFETY: the edge was not pushed, so the input is alive and is settled here.
        Err(done) => unsafe {
            Node::mark(edges(task).cast().as_ptr(), whereabouts(input.as_ref(), done));
            settle_newborn(task, tolerant, done)
        },
    }
}

/// Where the value of a done task lies.
fn whereabouts(task: &Header, done: Snapshot) -> Whereabouts {
    if done.phase() == Phase::Value { Whereabouts::of_done(task) } else { Whereabouts::NOWHERE }
}

/// # Safety
/// As of [`register_one`]; `done` is what its input, which is alive, has come to.
#[inline(never)]
unsafe fn settle_newborn(task: NonNull<Header>, tolerant: bool, done: Snapshot) -> Option<Ready> {
    // SAFETY: the caller's promise.
    unsafe {
        if !tolerant && let Some(error) = error_of(done) {
            fail_newborn(task, &error);
        }
        settle(task, 1)
    }
}

/// # Safety
/// The caller has a handle of `task`, one of whose inputs has ended with `error`.
unsafe fn fail_newborn(task: NonNull<Header>, error: &TaskError) {
    // SAFETY: the caller's promise.
    if let Some(list) = unsafe { fail(task, error.for_dependents()) } {
        fire(list, Some(error.for_dependents()), schedule);
    }
}

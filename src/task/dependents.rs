//! Who waits for a task: the nodes of its list, what happens to them when it ends, and the sweep of withdrawn ones.

use std::ptr::NonNull;

use super::cell;
use super::handle::finished;
#[cfg(feature = "ranks")]
use super::header::Afar;
use super::header::{Header, Ready};
use super::home;
use super::listener::Listener;
use super::rule::KeptRecipe;
use super::state::{Cancel, List, Phase, Snapshot};
use super::whereabouts::Whereabouts;
use crate::error::TaskError;
use crate::panics;
use crate::primitive::atomic::Ordering;
use crate::primitive::cell::Cell;
use crate::primitive::sync::Arc;

/// Withdrawals a list takes before it is swept, unless more nodes than this live in it.
pub(crate) const SLACK: i32 = if cfg!(heist_loom) { 1 } else { 32 };

const TOLERANT: usize = 1;

/// An element of a task's list: an edge to a dependent, or the head of a [`Listener`].
#[derive(Debug)]
#[repr(C, align(16))]
pub(crate) struct Node {
    /// The next in the list; in an edge whose input is done, the mark of its whereabouts.
    next: Cell<*const Node>,
    /// The dependent's address, with a flag in its lowest bit; 0 for a listener.
    dependent: usize,
}

impl Node {
    pub(crate) fn of_listener() -> Self {
        Self { next: Cell::new(std::ptr::null()), dependent: 0 }
    }

    /// For one input of `dependent`, in whose cell it lies. A tolerant edge lets its dependent run when the input has
    /// failed.
    pub(crate) fn of_edge(dependent: NonNull<Header>, tolerant: bool) -> Self {
        let dependent = dependent.as_ptr().expose_provenance() | if tolerant { TOLERANT } else { 0 };
        Self { next: Cell::new(std::ptr::null()), dependent }
    }

    /// Puts the node into the list of `task`.
    ///
    /// # Safety
    /// The node is alive until it is fired, in no list, and not pushed again.
    #[inline]
    pub(crate) unsafe fn push(node: NonNull<Self>, task: &Header) -> Result<(), Snapshot> {
        let node = node.as_ptr().cast_const();
        // SAFETY: the caller's promise.
        task.state.push(node, |next| unsafe { (*node).next.set(next) })
    }

    /// Notes in an edge, which is in no list any more, where the value of its input lies.
    ///
    /// # Safety
    /// The edge is alive, and its input is not settled yet.
    #[inline]
    pub(super) unsafe fn mark(node: *const Self, at: Whereabouts) {
        if !at.is_nowhere() {
            // SAFETY: the caller's promise.
            unsafe { (*node).next.set(at.into_mark()) };
        }
    }

    /// Where the input of an edge lies; all inputs of its task are settled.
    pub(super) fn whereabouts(&self) -> Whereabouts {
        Whereabouts::of_mark(self.next.get())
    }

    fn dependent(&self) -> Option<(NonNull<Header>, bool)> {
        let header = std::ptr::with_exposed_provenance_mut(self.dependent & !TOLERANT);
        NonNull::new(header).map(|header| (header, self.dependent & TOLERANT != 0))
    }
}

/// Puts a listener into the list of `task`; the list owns one count of it until it fires or is swept.
pub(crate) fn listen(task: &Header, listener: &Arc<Listener>) -> Result<(), Snapshot> {
    #[cfg(feature = "ranks")]
    task.want();
    let node = Listener::into_node(listener.clone());
    // SAFETY: `into_node` gave the list a count, so the node outlives its stay there.
    task.state.push(node, |next| unsafe { (*node).next.set(next) }).inspect_err(|_| {
        // SAFETY: the list did not take the count that `into_node` gave.
        drop(unsafe { Listener::from_node(node) });
    })
}

/// The error a done task hands to its dependents.
///
/// # Safety
/// `done` is a reading of a task that the caller keeps from being freed.
pub(crate) unsafe fn error_of(done: Snapshot) -> Option<TaskError> {
    if done.phase() != Phase::Error || done.error_word() == 0 {
        return None;
    }
    // SAFETY: the task owns one count of the error while it is not freed; this borrows it to clone.
    let error = std::mem::ManuallyDrop::new(unsafe { TaskError::from_word(done.error_word()) });
    Some(TaskError::clone(&error))
}

/// Fires every node of `list`, in the order they came: dependents that miss nothing more go to `ready`, those of a
/// failed input fail in turn, without recursion.
pub(crate) fn fire(list: List, error: Option<TaskError>, mut ready: impl FnMut(Ready)) {
    let mut failed = Vec::new();
    fire_one(list, error.as_ref(), &mut failed, &mut ready);
    while let Some((list, error)) = failed.pop() {
        fire_one(list, Some(&error), &mut failed, &mut ready);
    }
}

/// As [`fire`], of a task that has a value, which lies at `at`.
#[inline]
pub(crate) fn fire_done(list: List, at: Whereabouts, mut ready: impl FnMut(Ready)) {
    let mut node = list.0;
    // SAFETY: as in `fire_one`.
    if !unsafe { (*node).next.get() }.is_null() {
        node = oldest_first(list);
    }
    while !node.is_null() {
        // SAFETY: as in `fire_one`.
        let (next, dependent) = unsafe { ((*node).next.get(), (*node).dependent()) };
        match dependent {
            // SAFETY: as in `fire_one`.
            None => unsafe { Listener::from_node(node) }.fire(),
            Some((dependent, _)) => {
                // SAFETY: its edge was in the list, so the dependent is held until this, once.
                let task = unsafe {
                    Node::mark(node, at);
                    settle(dependent, 1)
                };
                if let Some(task) = task {
                    ready(task);
                }
            }
        }
        node = next;
    }
}

fn fire_one(list: List, error: Option<&TaskError>, failed: &mut Vec<(List, TaskError)>, ready: &mut impl FnMut(Ready)) {
    let mut inherited = None;
    let mut node = oldest_first(list);
    while !node.is_null() {
        // SAFETY: a node of a closed list is whoever closed it's, and alive until it is fired.
        let (next, dependent) = unsafe { ((*node).next.get(), (*node).dependent()) };
        match dependent {
            // SAFETY: as above; `of_listener` marks exactly the heads of listeners.
            None => unsafe { Listener::from_node(node) }.fire(),
            Some((dependent, tolerant)) => {
                if let Some(error) = error.filter(|_| !tolerant) {
                    let error = inherited.get_or_insert_with(|| error.for_dependents());
                    // SAFETY: its edge was in the list, so the dependent is held until `settle`.
                    if let Some(list) = unsafe { fail(dependent, error.clone()) } {
                        failed.push((list, error.clone()));
                    }
                }
                // SAFETY: as above; this edge is settled once.
                if let Some(task) = unsafe { settle(dependent, 1) } {
                    ready(task);
                }
            }
        }
        node = next;
    }
}

fn oldest_first(list: List) -> *const Node {
    let (mut node, mut reversed) = (list.0, std::ptr::null());
    while !node.is_null() {
        // SAFETY: as in `fire_one`.
        let next = unsafe { (*node).next.replace(reversed) };
        reversed = node;
        node = next;
    }
    reversed
}

/// Ends an unfinished task with `error`; gives the list of those who waited for it.
///
/// # Safety
/// The caller keeps `task` from being freed.
pub(crate) unsafe fn fail(task: NonNull<Header>, error: TaskError) -> Option<List> {
    // SAFETY: the caller's promise.
    unsafe { fail_giving(task, error, |recipe| panics::catch_drop(|| drop(recipe))) }
}

/// As [`fail`]; how to make a cancelled task anew is given to `recipe`. Of a task that has begun no code of the user's runs
/// in here but that.
///
/// # Safety
/// As of [`fail`].
pub(crate) unsafe fn fail_giving(
    task: NonNull<Header>,
    error: TaskError,
    recipe: impl FnOnce(KeptRecipe),
) -> Option<List> {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    let is_cancelled = head.vtable.rule.is_some() && error.is_cancelled();
    #[cfg(feature = "ranks")]
    let told = head.is_afar().then(|| error.clone());
    let word = error.into_word();
    let (done, untaken) = match head.state.cancel(word) {
        Cancel::Cancelled { list, started, unwanted } => {
            if !started {
                // SAFETY: the task never starts now, and its closure is the canceller's to drop.
                unsafe { (head.vtable.drop_closure)(task) };
            }
            (Some(list), unwanted)
        }
        Cancel::Done => (None, true),
    };
    if untaken {
        // SAFETY: the word was not taken.
        drop(unsafe { TaskError::from_word(word) });
    }
    let list = done?;
    if is_cancelled && let Some(kept) = head.take_recipe() {
        recipe(kept);
    }
    #[cfg(feature = "ranks")]
    if let Some(error) = told {
        // SAFETY: as below.
        unsafe { home::tell_afar(head, Afar::Ended(&error)) };
    }
    // SAFETY: until this call the task counts as unfinished.
    unsafe { finished(head) };
    Some(list)
}

/// `count` inputs of `task` are done or given up: after the last one it is ready, or, if it ended before, let go of.
///
/// # Safety
/// The caller accounts for `count` of the pending inputs, none of which is touched again.
#[inline]
pub(crate) unsafe fn settle(task: NonNull<Header>, count: u32) -> Option<Ready> {
    // SAFETY: an unsettled input holds the task.
    let head = unsafe { task.as_ref() };
    // ORDERING: Acquire; pairs with the Release of the other inputs' `fetch_sub`: the runner sees all their values.
    if head.pending.load(Ordering::Acquire) == count {
        // The last ones need no read-modify-write: nobody else counts any more.
        // ORDERING: Release; pairs with the Acquire of a waiter that looks whether it may claim.
        head.pending.store(0, Ordering::Release);
    // ORDERING: AcqRel; as above, in both directions.
    } else if head.pending.fetch_sub(count, Ordering::AcqRel) != count {
        return None;
    }
    if head.state.load().is_done() {
        // SAFETY: the runtime's reference is the last settler's.
        unsafe { give_back(task) };
        return None;
    }
    Some(Ready(task))
}

/// Ends the runtime's reference to a task that it will not run.
///
/// # Safety
/// The reference is the caller's.
pub(crate) unsafe fn give_back(task: NonNull<Header>) {
    // SAFETY: the caller's promise; `give_back` says when nobody else has a reference.
    unsafe {
        if task.as_ref().state.give_back() {
            cell::free(task);
        }
    }
}

/// Notes that one node of the task's list is of no use any more; sweeps when such nodes may outnumber the live ones.
pub(crate) fn withdraw(task: &Header) {
    // ORDERING: Relaxed; the count only says when to look.
    if task.slack.fetch_sub(1, Ordering::Relaxed) == 1 {
        sweep(task);
    }
}

#[cold]
fn sweep(task: &Header) {
    let (mut top, live) = without_dead(task.state.take());
    // ORDERING: Relaxed; as in `withdraw`.
    task.slack.store(live.max(SLACK), Ordering::Relaxed);
    while !top.is_null() {
        match task.state.put_back(top) {
            Ok(()) => return,
            Err(done) if done.is_done() => {
                // SAFETY: the caller's handle keeps `task`.
                let error = unsafe { error_of(done) };
                // The list's dependents may end at any time, and with them what else keeps the scheduler.
                let home = home::keep(task);
                return fire(List(top), error, |task| home.ready(task));
            }
            // Nodes have come since; they stay above the older ones.
            Err(_) => top = join(task.state.take(), top),
        }
    }
}

/// Lets go of the nodes of a taken list that are of no use any more; gives the others, in the same order, and how many.
fn without_dead(list: List) -> (*const Node, i32) {
    let (mut top, mut bottom, mut live) = (std::ptr::null::<Node>(), std::ptr::null::<Node>(), 0_i32);
    let mut node = list.0;
    while !node.is_null() {
        // SAFETY: a taken node is the taker's, and alive until it is put back or let go of.
        let (next, dependent) = unsafe { ((*node).next.replace(std::ptr::null()), (*node).dependent()) };
        let dead = match dependent {
            // SAFETY: as above; a node without dependent is a listener's.
            None => unsafe { Listener::is_withdrawn(node) },
            // SAFETY: an edge in a list holds its dependent.
            Some((dependent, _)) => unsafe { dependent.as_ref() }.state.load().is_done(),
        };
        if !dead {
            if top.is_null() {
                top = node;
            } else {
                // SAFETY: `bottom` is a taken node too.
                unsafe { (*bottom).next.set(node) };
            }
            bottom = node;
            live = live.saturating_add(1);
        } else if let Some((dependent, _)) = dependent {
            // SAFETY: this edge is out of its list and settled once; the dependent is done, so it does not get ready.
            let ready = unsafe { settle(dependent, 1) };
            debug_assert!(ready.is_none());
        } else {
            // SAFETY: the list's count of the listener.
            drop(unsafe { Listener::from_node(node) });
        }
        node = next;
    }
    (top, live)
}

/// The nodes of a taken list, then those from `below`.
fn join(list: List, below: *const Node) -> *const Node {
    if list.0.is_null() {
        return below;
    }
    let mut bottom = list.0;
    loop {
        // SAFETY: a taken node is the taker's.
        let next = unsafe { (*bottom).next.get() };
        if next.is_null() {
            // SAFETY: as above.
            unsafe { (*bottom).next.set(below) };
            return list.0;
        }
        bottom = next;
    }
}

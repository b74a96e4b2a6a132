//! Those who wait for a task without being one: a thread, a waker, a callback, a group of futures.

// A roll is reached by its trait, which loom's cannot be.
use std::sync::Arc as Shared;
use std::task::Waker;

use super::dependents::{Node, listen};
use super::handle::Handle;
use crate::panics;
use crate::primitive::atomic::{AtomicU8, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;

const WAITING: u8 = 0;
const WITHDRAWN: u8 = 1;

/// A counted node of a task's list. It fires once, when the task ends, unless it is withdrawn before.
#[repr(C)]
pub(crate) struct Listener {
    node: Node,
    state: AtomicU8,
    action: Mutex<Option<Action>>,
}

/// What a listener does when it fires.
pub(crate) enum Action {
    /// Wakes an async task.
    Wake(Waker),
    /// Wakes a thread.
    Unpark(Arc<Parker>),
    /// Takes a detached task off its roll.
    Unlist(Shared<dyn Roll>, u32),
    /// Calls a closure, once.
    Call(Box<dyn FnOnce() + Send>),
}

/// Where detached tasks are listed. It keeps a handle of each until it is told that the task has ended.
pub(crate) trait Roll: Send + Sync {
    /// Takes a handle in; gives its place.
    fn put(&self, task: Handle) -> u32;
    /// Lets go of the handle in a place.
    fn ended(&self, place: u32);
}

// SAFETY: `node` is written by the pusher before the list publishes it and by whoever has taken the list after; the
// rest is `Sync` by itself.
unsafe impl Sync for Listener {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Listener {}

impl Listener {
    pub(crate) fn new(action: Action) -> Arc<Self> {
        Arc::new(Self { node: Node::of_listener(), state: AtomicU8::new(WAITING), action: Mutex::new(Some(action)) })
    }

    /// Keeps the task of `handle` wanted until it is done, with nobody but `roll` holding on to it.
    pub(crate) fn detach(handle: Handle, roll: Shared<dyn Roll>) {
        let task = handle.task();
        let place = roll.put(handle);
        let listener = Self::new(Action::Unlist(roll, place));
        // SAFETY: the roll keeps the task until the listener fires, after the push or right here.
        if listen(unsafe { task.as_ref() }, &listener).is_err() {
            listener.fire();
        }
    }

    /// Replaces the waker; false when it has fired. No waker is cloned or dropped under the lock: that is user code.
    pub(crate) fn renew(&self, waker: &Waker) -> bool {
        let mut other = waker.clone();
        let mut action = self.action.lock();
        let Some(Action::Wake(own)) = &mut *action else { return false };
        std::mem::swap(own, &mut other);
        drop(action);
        true
    }

    /// Takes the action away; false when it has fired. The caller tells the list with `withdraw`.
    pub(crate) fn cancel(&self) -> bool {
        // ORDERING: Release; pairs with the Acquire of `is_withdrawn`.
        self.state.store(WITHDRAWN, Ordering::Release);
        let action = self.action.lock().take();
        action.is_some()
    }

    /// Does what it is for, unless that was done or taken away.
    pub(crate) fn fire(&self) {
        let action = self.action.lock().take();
        match action {
            None => {}
            Some(Action::Wake(waker)) => panics::catch_drop(|| waker.wake()),
            Some(Action::Unpark(thread)) => thread.wake(),
            Some(Action::Unlist(roll, place)) => roll.ended(place),
            Some(Action::Call(call)) => panics::catch_drop(call),
        }
    }

    pub(super) fn into_node(this: Arc<Self>) -> *const Node {
        // The node is the first field of a `repr(C)` struct.
        Arc::into_raw(this).cast()
    }

    /// # Safety
    /// `node` came from [`into_node`](Self::into_node), whose count is given to this call.
    pub(super) unsafe fn from_node(node: *const Node) -> Arc<Self> {
        // SAFETY: the caller's promise.
        unsafe { Arc::from_raw(node.cast()) }
    }

    /// # Safety
    /// `node` came from [`into_node`](Self::into_node) and its count is not given up.
    pub(super) unsafe fn is_withdrawn(node: *const Node) -> bool {
        // SAFETY: the caller's promise.
        let listener = unsafe { &*node.cast::<Self>() };
        // ORDERING: Acquire; pairs with the Release of `cancel`.
        listener.state.load(Ordering::Acquire) == WITHDRAWN
    }
}

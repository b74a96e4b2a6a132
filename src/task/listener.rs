//! Those who wait for a task without being one: a thread, a waker, a callback, a group of futures.

use std::task::Waker;

use super::dependents::Node;
use super::handle::Handle;
use crate::primitive::atomic::{AtomicU8, Ordering};
use crate::primitive::park::{Parker, lock};
use crate::primitive::sync::{Arc, Mutex};

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
    /// Drops a handle.
    Release(Handle),
    /// Calls a closure, once.
    Call(Box<dyn FnOnce() + Send>),
}

// SAFETY: `node` is written by the pusher before the list publishes it and by whoever has taken the list after; the
// rest is `Sync` by itself.
unsafe impl Sync for Listener {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Listener {}

impl Listener {
    pub(crate) fn new(action: Action) -> Arc<Self> {
        Arc::new(Self {
            node: Node::of_listener(),
            state: AtomicU8::new(WAITING),
            action: Mutex::new(Some(action)),
        })
    }

    /// Replaces the waker; false when it has fired.
    pub(crate) fn renew(&self, waker: &Waker) -> bool {
        match &mut *lock(&self.action) {
            Some(Action::Wake(old)) => {
                old.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    /// Takes the action away; false when it has fired. The caller tells the list with `withdraw`.
    pub(crate) fn cancel(&self) -> bool {
        // ORDERING: Release; pairs with the Acquire of `is_withdrawn`.
        self.state.store(WITHDRAWN, Ordering::Release);
        let action = lock(&self.action).take();
        action.is_some()
    }

    /// Does what it is for, unless that was done or taken away.
    pub(crate) fn fire(&self) {
        let action = lock(&self.action).take();
        match action {
            None => {}
            Some(Action::Wake(waker)) => waker.wake(),
            Some(Action::Unpark(thread)) => thread.wake(),
            Some(Action::Release(handle)) => drop(handle),
            Some(Action::Call(call)) => call(),
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

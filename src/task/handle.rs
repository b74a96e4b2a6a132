//! Counted references of users and dependents to a task, and the release of a task that nobody wants any more.

use std::ptr::NonNull;

use super::cell;
use super::dependents::{fire, give_back};
use super::header::{Header, Ready};
use super::home;
use super::nest::{self, Deferred};
use super::state::{Abandon, Phase};
use crate::error::TaskError;
use crate::primitive::atomic::Ordering;

/// More handles than memory holds, unless they are leaked.
const MOST_HANDLES: u32 = u32::MAX / 2;

/// One counted reference to a task; while there is one, the task's result stays.
#[derive(Debug)]
pub struct Handle(NonNull<Header>);

// SAFETY: through a handle a thread reaches atomics, and results only by the typed future, which asks for their bounds.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// # Safety
    /// One count of `task` is given to the handle.
    #[inline]
    pub(crate) unsafe fn from_counted(task: NonNull<Header>) -> Self {
        Self(task)
    }

    /// A further handle.
    ///
    /// # Safety
    /// Somebody keeps a handle of `task` during the call.
    #[inline]
    pub(crate) unsafe fn of(task: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise.
        // ORDERING: Relaxed; the caller's handle already orders everything before (as in `Arc`).
        let before = unsafe { task.as_ref() }.handles.fetch_add(1, Ordering::Relaxed);
        if before > MOST_HANDLES {
            // Only leaked handles get here; one more might free the task under the others.
            std::process::abort();
        }
        Self(task)
    }

    /// Whether there is no other handle; then there will be none but clones of this.
    #[inline]
    pub(super) fn is_sole(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of the others' drops: what they did is seen.
        self.head().handles.load(Ordering::Acquire) == 1
    }

    #[inline]
    pub(crate) fn task(&self) -> NonNull<Header> {
        self.0
    }

    #[inline]
    pub(crate) fn head(&self) -> &Header {
        // SAFETY: a handle keeps its task.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` is a handle.
        unsafe { Self::of(self.0) }
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        let head = self.head();
        // ORDERING: Release; what was done through this handle comes before what the last one does. Acquire: for that one.
        if self.is_sole() || head.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            if !head.vtable.value_needs_drop && head.state.load().is_value_only() {
                // SAFETY: no handle is left, the runtime is out, and the value needs no drop.
                unsafe { cell::free(self.0) };
            } else {
                release(self.0);
            }
        }
    }
}

/// The last handle of `task` is gone. What goes with it (inputs, futures within its value) is let go of in turn.
#[inline(never)]
fn release(task: NonNull<Header>) {
    // SAFETY: a handle's drop comes here once, and last.
    let head = unsafe { task.as_ref() };
    if !head.vtable.value_needs_drop && head.state.load().phase() == Phase::Value {
        if head.state.retire() {
            // SAFETY: no handle is left and the runtime is out.
            unsafe { cell::free(task) };
        }
        return;
    }
    // SAFETY: a handle's drop comes here once, and last.
    nest::run(|| unsafe { release_one(task) }, || Deferred::Release(task));
}

/// # Safety
/// `task` has no handle left, and this is called once.
pub(super) unsafe fn release_one(task: NonNull<Header>) {
    // SAFETY: `retire`, below, is what gives the memory up.
    let head = unsafe { task.as_ref() };
    match head.state.abandon() {
        Abandon::Running => return,
        Abandon::Released(list) => {
            // SAFETY: the task never starts now; the closure is the releaser's.
            unsafe { (head.vtable.drop_closure)(task) };
            fire(list, None, schedule);
            // SAFETY: until this call the task counts as unfinished.
            unsafe { finished(head) };
        }
        // SAFETY: no handle is left.
        Abandon::Done => unsafe { drop_result(task) },
    }
    if head.state.retire() {
        // SAFETY: `retire` says that the runtime is out too.
        unsafe { cell::free(task) };
    }
}

/// # Safety
/// `task` is done and its result is the caller's alone.
pub(crate) unsafe fn drop_result(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    let done = head.state.load();
    match done.phase() {
        // SAFETY: a done task in this phase has a value.
        Phase::Value => unsafe { (head.vtable.drop_value)(task) },
        Phase::Error if done.error_word() != 0 => {
            // SAFETY: the task's own count of its error.
            drop(unsafe { TaskError::from_word(done.error_word()) });
        }
        _ => {}
    }
}

/// Has the scheduler of a task queue it.
pub(crate) fn schedule(task: Ready) {
    // SAFETY: a task that is ready is unfinished, which keeps its scheduler.
    unsafe { (*home::of(task.0.as_ref()).as_ref().0).ready(task) }
}

/// Tells the scheduler of `task` that it is done.
///
/// # Safety
/// Until this call the task counts as unfinished, and its memory stays.
pub(super) unsafe fn finished(task: &Header) {
    // SAFETY: the caller's promise, which keeps the scheduler.
    unsafe { (*home::of(task).as_ref().0).finished() };
}

/// Lets go of a queue entry whose task is done.
pub(crate) fn skip(task: Ready) {
    // SAFETY: a `Ready` is the runtime's reference.
    unsafe { give_back(task.0) };
}

//! Counted references of users and dependents to a task, and the release of a task that nobody wants any more.

use std::ptr::NonNull;

use super::cell;
use super::dependents::{error_of, fire, give_back};
#[cfg(feature = "ranks")]
use super::header::Afar;
use super::header::{Header, Ready, Role};
use super::home;
use super::nest::{self, Deferred};
use super::state::{Abandon, Phase};
use crate::error::TaskError;
use crate::primitive::atomic::Ordering;

/// More handles than memory holds, unless they are leaked.
const MOST_HANDLES: u32 = u32::MAX / 2;

/// In the count of handles: a keeper has a reference of its own (`keys`). It is set before a second handle is made, and
/// taken away under the keeper's lock.
const KEPT: u32 = 1 << 30;

/// Looks at the count of handles before a task of a keeper is taken to be shared.
const MOMENTS: usize = if cfg!(heist_loom) { 1 } else { 64 };

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

    /// Whether there is no other handle; then there will be none but clones of this. A keeper forgets the task then.
    #[inline]
    pub(super) fn is_sole(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of the others' drops: what they did is seen.
        let handles = self.head().handles.load(Ordering::Acquire);
        handles == 1 || self.head().vtable.rule.is_some() && self.leave_keeper()
    }

    /// Becomes the sole handle of a task that has, or had, a keeper. Who got a handle from there for a moment, to run the
    /// task, is waited for.
    #[cold]
    fn leave_keeper(&self) -> bool {
        let head = self.head();
        let Some(keeper) = head.rule().and_then(|rule| rule.keeper.as_ref()) else { return false };
        for _ in 0..MOMENTS {
            // ORDERING: Acquire; as in `is_sole`.
            match head.handles.load(Ordering::Acquire) {
                1 => return true,
                // ORDERING: Acquire; as in `is_sole`.
                handles if handles == KEPT + 1 => keeper.end_handle(head, &mut || {
                    head.handles.compare_exchange(KEPT + 1, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
                }),
                _ => std::thread::yield_now(),
            }
        }
        // ORDERING: Acquire; as in `is_sole`.
        head.handles.load(Ordering::Acquire) == 1
    }

    /// Adds a keeper's reference, under its lock.
    pub(super) fn keep(&self) {
        // ORDERING: Relaxed; as in `of`.
        self.head().handles.fetch_add(KEPT, Ordering::Relaxed);
    }

    /// Takes a keeper's reference away, under its lock.
    pub(super) fn unkeep(task: &Header) {
        // ORDERING: Release; what the keeper did comes before what the last handle's drop does.
        task.handles.fetch_sub(KEPT, Ordering::Release);
    }

    /// Whether the task, or an input of it, was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.error().is_some_and(|error| error.is_cancelled())
    }

    /// What type its values have.
    pub(crate) fn value_name(&self) -> &'static str {
        (self.head().vtable.value_name)()
    }

    /// The error, if the task has ended with one.
    pub(crate) fn error(&self) -> Option<TaskError> {
        // SAFETY: the handle keeps the task.
        unsafe { error_of(self.head().state.load()) }
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
        // ORDERING: Acquire; pairs with the Release of the others' drops.
        let handles = head.handles.load(Ordering::Acquire);
        let is_last = handles == 1
            || if handles < KEPT {
                // ORDERING: Release; what was done through this handle comes before what the last one does. Acquire: for
                // that one.
                head.handles.fetch_sub(1, Ordering::AcqRel) == 1
            } else {
                // SAFETY: this handle ends here.
                unsafe { drop_kept(self.0) }
            };
        if is_last {
            if !head.vtable.value_needs_drop && head.state.load().is_value_only() {
                // SAFETY: no handle is left, the runtime is out, and the value needs no drop.
                unsafe { cell::free(self.0) };
            } else {
                release(self.0);
            }
        }
    }
}

/// Ends a handle of a task that has, or had, a keeper; whether it was the last.
///
/// # Safety
/// The handle is the caller's.
#[cold]
unsafe fn drop_kept(task: NonNull<Header>) -> bool {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    // ORDERING: Relaxed; a guess for the exchange.
    let mut now = head.handles.load(Ordering::Relaxed);
    while now > KEPT + 1 {
        // ORDERING: Release; as in `drop`. It is not the last.
        match head.handles.compare_exchange_weak(now, now - 1, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return false,
            Err(seen) => now = seen,
        }
    }
    let mut is_last = false;
    let mut end = || {
        // ORDERING: AcqRel; as in `drop`.
        let before = head.handles.fetch_sub(1, Ordering::AcqRel);
        is_last = before == 1 || before == KEPT + 1;
        before == KEPT + 1
    };
    match head.rule().and_then(|rule| rule.keeper.clone()) {
        Some(keeper) => keeper.end_handle(head, &mut end),
        None => drop(end()),
    }
    is_last
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
    #[cfg(feature = "ranks")]
    let afar = (head.is_afar() && !head.state.load().is_done()).then(|| (head.id(), home::keep(head)));
    match head.state.abandon() {
        Abandon::Running => {
            #[cfg(feature = "ranks")]
            if let Some((id, home)) = afar {
                home.afar(id, Afar::Abandoned);
            }
            return;
        }
        Abandon::Released(list) => {
            // SAFETY: the task never starts now; the closure is the releaser's.
            unsafe { (head.vtable.drop_closure)(task) };
            head.forget_recipe();
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
            head.forget_recipe();
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
    if task.vtable.role != Role::Aside {
        // SAFETY: the caller's promise, which keeps the scheduler.
        unsafe { (*home::of(task).as_ref().0).finished() };
    }
}

/// Lets go of a queue entry whose task is done.
pub(crate) fn skip(task: Ready) {
    // SAFETY: a `Ready` is the runtime's reference.
    unsafe { give_back(task.0) };
}

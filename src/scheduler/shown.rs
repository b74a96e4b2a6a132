//! What other threads may see of a thread: the tasks on its stack, and whether it sleeps. See the README, "Looking on".

use crate::primitive::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::primitive::light_fence;

/// One task on a thread's stack; the innermost is the current one.
#[derive(Debug)]
pub(crate) struct Frame<T> {
    pub(super) task: T,
    below: *const Self,
    /// When it began, by the clock of its thread.
    pub(super) since: u64,
}

/// The public side of a thread.
#[derive(Debug)]
pub(super) struct Shown<T> {
    top: AtomicPtr<Frame<T>>,
    /// Somebody looks on: no frame may go.
    frozen: AtomicBool,
    /// The seat it drives, or drove last.
    pub(super) slot: AtomicUsize,
    pub(super) asleep: AtomicBool,
    pub(super) seceded: AtomicBool,
}

impl<T> Shown<T> {
    #[cfg(not(heist_loom))]
    pub(super) const fn new() -> Self {
        Self {
            top: AtomicPtr::new(std::ptr::null_mut()),
            frozen: AtomicBool::new(false),
            slot: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            seceded: AtomicBool::new(false),
        }
    }

    #[cfg(heist_loom)]
    pub(super) fn new() -> Self {
        Self {
            top: AtomicPtr::new(std::ptr::null_mut()),
            frozen: AtomicBool::new(false),
            slot: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            seceded: AtomicBool::new(false),
        }
    }

    // ---- by the thread itself

    /// A frame for a task that begins.
    #[inline]
    pub(super) fn frame(&self, task: T, since: u64) -> Frame<T> {
        Frame { task, below: self.top(), since }
    }

    #[inline]
    pub(super) fn top(&self) -> *const Frame<T> {
        // ORDERING: Relaxed; this thread wrote it.
        self.top.load(Ordering::Relaxed)
    }

    /// Shows a frame, which stays where it is until [`pop`](Self::pop).
    #[inline]
    pub(super) fn push(&self, frame: &Frame<T>) {
        // ORDERING: Release; pairs with the Acquire of `each`: who sees the frame sees what is in it, and its task.
        self.top.store(std::ptr::from_ref(frame).cast_mut(), Ordering::Release);
    }

    /// Takes the innermost frame, above `below`, from sight. True: somebody may still look at it, and it has to stay until
    /// he has ended.
    #[inline]
    #[must_use]
    pub(super) fn pop(&self, below: *const Frame<T>) -> bool {
        // ORDERING: Release; as in `push`, for the frames below.
        self.top.store(below.cast_mut(), Ordering::Release);
        // Pairs with the heavy fence between `freeze` and `each`: either the looker does not see the frame any more, or
        // this thread sees that he looks.
        light_fence();
        // ORDERING: Acquire; pairs with the Release of `thaw`: he has read what he read.
        self.frozen.load(Ordering::Acquire)
    }

    // ---- by one who looks on; one at a time

    /// Has the thread keep its frames. A heavy fence has to follow.
    pub(super) fn freeze(&self) {
        // ORDERING: Relaxed; the heavy fence orders it.
        self.frozen.store(true, Ordering::Relaxed);
    }

    pub(super) fn thaw(&self) {
        // ORDERING: Release; pairs with the Acquire of `pop`.
        self.frozen.store(false, Ordering::Release);
    }

    /// Shows the frames, the innermost first.
    ///
    /// # Safety
    /// The thread was frozen, a heavy fence has been passed since, it was not thawed, and has not ended.
    #[allow(unsafe_code, reason = "frames lie on the stack of another thread")]
    pub(super) unsafe fn each(&self, mut look: impl FnMut(&Frame<T>)) {
        // ORDERING: Acquire; pairs with the Release of `push` and `pop`.
        let mut frame = self.top.load(Ordering::Acquire).cast_const();
        // SAFETY: a frame that is seen here stays, and so do those below: `pop` tells its thread to wait.
        while let Some(this) = unsafe { frame.as_ref() } {
            look(this);
            frame = this.below;
        }
    }
}

impl<T> Frame<T> {
    pub(super) fn below(&self) -> *const Self {
        self.below
    }
}

//! Keeps what follows from a drop, and from the drops that follow from that, from piling up on the stack.

use std::cell::Cell;
use std::ptr::NonNull;

use super::handle::release_one;
use super::header::Header;
use super::home::Kept;
use super::run::{Elsewhere, finish};
use super::state::Outcome;
use crate::primitive::local;

/// How deep drops run one within the other, in the order a program would expect. What lies deeper waits its turn.
const DEEPEST: u32 = 32;

/// Something that waits for the drops that are under way on this thread.
pub(super) enum Deferred {
    /// The release of a task whose last handle is gone.
    Release(NonNull<Header>),
    /// The end of a promise's task.
    End(NonNull<Header>, Outcome, Kept),
}

impl Deferred {
    fn run(self) {
        match self {
            // SAFETY: `release` queues a task without handles, once.
            Self::Release(task) => unsafe { release_one(task) },
            // SAFETY: `Unkept` queues its claim and its reference, once.
            Self::End(task, outcome, kept) => unsafe {
                finish(task, outcome, true, &mut Elsewhere::keeping(task, kept));
            },
        }
    }
}

local! {
    static DEPTH: Cell<u32> = Cell::new(0);
}
local! {
    /// The queue of the deepest level, in its frame.
    static QUEUE: Cell<*mut Vec<Deferred>> = Cell::new(std::ptr::null_mut());
}

/// Restores the level also when a drop unwinds.
struct Level {
    has_queue: bool,
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
        if self.has_queue {
            QUEUE.with(|queue| queue.set(std::ptr::null_mut()));
        }
    }
}

/// Runs a task, which begins at the top again: it may wait for what it has itself released or fulfilled.
#[inline]
pub(super) fn afresh<R>(run: impl FnOnce() -> R) -> R {
    if DEPTH.with(Cell::get) == 0 {
        return run();
    }
    let depth = DEPTH.with(|depth| depth.replace(0));
    let queue = QUEUE.with(|queue| queue.replace(std::ptr::null_mut()));
    let result = run();
    DEPTH.with(|now| now.set(depth));
    QUEUE.with(|now| now.set(queue));
    result
}

/// Does something that drops or calls what belongs to the user: `now`, or, deep within others, what `later` says, when
/// those have ended.
pub(super) fn run(now: impl FnOnce(), later: impl FnOnce() -> Deferred) {
    let waiting = QUEUE.with(Cell::get);
    if !waiting.is_null() {
        // SAFETY: a queue that is set lies in a frame further down this stack, which is in a `now`.
        return unsafe { (*waiting).push(later()) };
    }
    let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
    let mut queue = Vec::new();
    let queue = &raw mut queue;
    let _level = Level { has_queue: depth == DEEPEST };
    if depth == DEEPEST {
        QUEUE.with(|waiting| waiting.set(queue));
    }
    now();
    // SAFETY: the queue is this frame's; no reference to it is kept across what pushes to it.
    while let Some(next) = unsafe { (*queue).pop() } {
        next.run();
    }
}

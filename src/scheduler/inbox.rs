//! Where tasks from outside the workers arrive: a stack linked through the tasks themselves, taken whole.

use std::ptr::NonNull;

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::task::{Header, Ready};

/// Many push, whoever swaps takes everything. Never popped one by one, so reuse of addresses does no harm.
#[derive(Debug)]
pub(crate) struct Inbox(Padded<AtomicPtr<Header>>);

/// A chain of ready tasks, linked newest to oldest, that enters an inbox in one step.
#[derive(Debug)]
pub(crate) struct Chain {
    newest: NonNull<Header>,
    oldest: NonNull<Header>,
}

impl Chain {
    pub(crate) fn of(task: Ready) -> Self {
        Self { newest: task.0, oldest: task.0 }
    }

    /// Adds a task behind all others.
    pub(crate) fn push(&mut self, task: Ready) {
        // SAFETY: the link of a ready task is its holder's.
        unsafe { task.0.as_ref() }.link.set(self.newest.as_ptr());
        self.newest = task.0;
    }
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self(Padded(AtomicPtr::new(std::ptr::null_mut())))
    }

    #[inline]
    pub(crate) fn push(&self, chain: Chain) {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the link of a ready task is its holder's.
            unsafe { chain.oldest.as_ref() }.link.set(head);
            // ORDERING: Release; pairs with the Acquire of `take`: publishes the tasks.
            match self.0.compare_exchange_weak(head, chain.newest.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // ORDERING: Relaxed; the fences of the idle protocol order this look where it must not miss a push.
        self.0.load(Ordering::Relaxed).is_null()
    }

    /// Takes all tasks, newest first; so pushed on a LIFO deque, the oldest comes out first.
    pub(crate) fn take(&self) -> impl Iterator<Item = Ready> {
        // ORDERING: Acquire; pairs with the Release of `push`.
        let mut next = self.0.swap(std::ptr::null_mut(), Ordering::Acquire).cast_const();
        std::iter::from_fn(move || {
            let task = NonNull::new(next.cast_mut())?;
            // SAFETY: a taken task is the taker's.
            next = unsafe { task.as_ref() }.link.get();
            Some(Ready(task))
        })
    }
}

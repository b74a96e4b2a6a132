//! Where tasks from outside the workers arrive: a stack linked through the entries themselves, taken whole.

use std::ptr::NonNull;

use super::entry::Entry;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicPtr, Ordering};

/// Many push, whoever swaps takes everything. Never popped one by one, so reuse of addresses does no harm.
#[derive(Debug)]
pub(crate) struct Inbox(Padded<AtomicPtr<u8>>);

impl Inbox {
    pub(crate) fn new() -> Self {
        Self(Padded(AtomicPtr::new(std::ptr::null_mut())))
    }

    #[inline]
    pub(crate) fn push(&self, entry: Entry) {
        let word = entry.into_word();
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: until the exchange the entry is the caller's.
            unsafe { Entry::link(word) }.set(head);
            // ORDERING: Release; pairs with the Acquire of `take`: publishes the tasks.
            match self.0.compare_exchange_weak(head, word.as_ptr(), Ordering::Release, Ordering::Relaxed) {
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

    /// Takes the newest entry. The others are out of sight for a moment.
    pub(crate) fn take_one(&self) -> Option<Entry> {
        let null = std::ptr::null_mut;
        // ORDERING: Acquire; pairs with the Release of `push`.
        let first = NonNull::new(self.0.swap(null(), Ordering::Acquire))?;
        // SAFETY: a taken entry is the taker's, and so are those it is linked to.
        let mut rest = unsafe { Entry::link(first).get() };
        // ORDERING: Release; publishes the links, and the tasks once more.
        while !rest.is_null() && self.0.compare_exchange(null(), rest, Ordering::Release, Ordering::Relaxed).is_err() {
            // Some came meanwhile: they go on top.
            // ORDERING: Acquire; as above.
            let newer = self.0.swap(null(), Ordering::Acquire);
            let mut last = NonNull::new(newer);
            while let Some(entry) = last {
                // SAFETY: as above.
                let link = unsafe { Entry::link(entry) };
                last = NonNull::new(link.get());
                if last.is_none() {
                    link.set(rest);
                    rest = newer;
                }
            }
        }
        // SAFETY: the word is taken out of the list and used once.
        unsafe { Entry::from_word(first.as_ptr()) }
    }

    /// Takes all entries, newest first; so pushed on a LIFO deque, the oldest comes out first.
    pub(crate) fn take(&self) -> impl Iterator<Item = Entry> {
        // ORDERING: Acquire; pairs with the Release of `push`.
        let mut next = self.0.swap(std::ptr::null_mut(), Ordering::Acquire);
        std::iter::from_fn(move || {
            let word = NonNull::new(next)?;
            // SAFETY: a taken entry is the taker's, and its word is used once.
            unsafe {
                next = Entry::link(word).get();
                Entry::from_word(word.as_ptr())
            }
        })
    }
}

//! Wakers that wait for one thing to happen, any number of times.

use std::collections::BTreeMap;
use std::task::Waker;

/// Whose waker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Those who wait. A waker that is put in or comes out belongs to the user: the caller clones and drops it where no lock
/// is held.
#[derive(Default)]
pub(super) struct Waiting {
    wakers: BTreeMap<Ticket, Waker>,
    next: u64,
}

impl Waiting {
    /// Puts `waker` in, in place of the one of `ticket` if that waits still; what is to be dropped comes back.
    pub(super) fn put(&mut self, ticket: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        if let Some(own) = ticket.and_then(|ticket| self.wakers.get_mut(&ticket)) {
            return Some(std::mem::replace(own, waker));
        }
        let new = Ticket(self.next);
        self.next += 1;
        *ticket = Some(new);
        self.wakers.insert(new, waker)
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        self.wakers.remove(&ticket)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// All of them, oldest first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.wakers).into_values()
    }
}

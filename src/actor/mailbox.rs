//! The mailbox of an actor: a stack of messages linked through themselves. Anybody pushes; who has the actor's turn takes
//! all at once.

use std::ptr::NonNull;

use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::task::{Header, Message};

/// Nobody has the turn, and there is no message.
const IDLE: usize = 1;
/// Nobody has a reference to the actor any more, so nothing will be pushed.
const LEFT: usize = 2;
/// The actor has ended.
const ENDED: usize = 4;
const FLAGS: usize = IDLE | LEFT | ENDED;

/// Bits of an address; those above count the messages. No system hands out addresses beyond unasked.
const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = ((1_u64 << ADDRESS_BITS) - 1) as usize & !FLAGS;
/// One message; 0 where addresses fill the word, and nothing is counted.
const ONE: usize = (1_u64 << ADDRESS_BITS) as usize;
const MOST: usize = !(ADDRESS | FLAGS);

/// One word: newest message, how many there are, flags. 0: somebody has the turn, and nothing has come since he looked.
#[derive(Debug)]
pub(super) struct Mailbox(AtomicUsize);

/// What became of a push.
#[derive(Debug)]
#[must_use]
pub(super) enum Pushed {
    /// Who has the turn will see it.
    Queued,
    /// As `Queued`, and the turn is the caller's.
    Turn,
    /// The actor has ended; the message is the caller's again.
    Ended(Message),
}

/// What became of the last reference.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Left {
    /// Who has the turn will see it.
    Seen,
    /// The turn is the caller's.
    Turn,
    /// The actor has ended before.
    Ended,
}

/// What was in the mailbox.
#[derive(Debug)]
#[must_use]
pub(super) struct Taken {
    /// Linked, oldest first.
    pub(super) oldest: Option<NonNull<Header>>,
    pub(super) count: usize,
    /// Whether it was the last that will ever come.
    pub(super) is_left: bool,
}

impl Mailbox {
    /// Of an actor whose turn its maker has.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline]
    pub(super) fn push(&self, message: Message) -> Pushed {
        let raw = message.into_raw();
        let address = raw.expose_provenance().get();
        debug_assert!(address & !ADDRESS == 0);
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if now & ENDED != 0 {
                // SAFETY: it was not pushed.
                return Pushed::Ended(unsafe { Message::from_raw(raw) });
            }
            // SAFETY: until the exchange the message is the caller's.
            unsafe { raw.as_ref() }.link.set(std::ptr::with_exposed_provenance_mut(now & ADDRESS));
            let count = now & MOST;
            let new = address | now & LEFT | if count == MOST { count } else { count + ONE };
            // ORDERING: Release; publishes the message to the Acquire of `take`. Acquire; pairs with the Release of
            // `release`: with the turn comes all that was done in the one before.
            match self.0.compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if now & IDLE != 0 => return Pushed::Turn,
                Ok(_) => return Pushed::Queued,
                Err(seen) => now = seen,
            }
        }
    }

    /// Takes all there is, by who has the turn.
    #[inline]
    pub(super) fn take(&self) -> Taken {
        // ORDERING: Relaxed; only a look, to spare the exchange.
        if self.0.load(Ordering::Relaxed) == 0 {
            return Taken { oldest: None, count: 0, is_left: false };
        }
        // ORDERING: Acquire; pairs with the Release of `push` and `leave`.
        let taken = self.0.swap(0, Ordering::Acquire);
        Taken { oldest: oldest_first(taken), count: count(taken), is_left: taken & LEFT != 0 }
    }

    /// Whether something has come since who has the turn looked.
    pub(super) fn has_more(&self) -> bool {
        // ORDERING: Relaxed; a look.
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Gives the turn up, unless something has come.
    #[inline]
    pub(super) fn release(&self) -> bool {
        // ORDERING: Release; pairs with the Acquire of whoever gets the turn next: `push`, `leave`, `claim`.
        self.0.compare_exchange(0, IDLE, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Takes the turn of an idle actor.
    #[inline]
    pub(super) fn claim(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of `release`.
        self.0.compare_exchange(IDLE, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The last reference is gone.
    pub(super) fn leave(&self) -> Left {
        // ORDERING: Release; what was done through the references comes before the end. Acquire: as in `push`.
        match self.0.fetch_or(LEFT, Ordering::AcqRel) {
            IDLE => Left::Turn,
            ENDED => Left::Ended,
            _ => Left::Seen,
        }
    }

    /// Gives the turn up for good, unless something has come. Nothing comes any more.
    pub(super) fn end(&self) -> bool {
        // ORDERING: Release; who sees the end sees why. AcqRel, as `leave` may come next and free the actor.
        self.0.compare_exchange(0, ENDED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// How many messages were not taken yet; beyond 65,535 they are not counted.
    pub(super) fn len(&self) -> usize {
        // ORDERING: Relaxed; a look.
        count(self.0.load(Ordering::Relaxed))
    }
}

fn count(word: usize) -> usize {
    word.checked_div(ONE).unwrap_or(0)
}

/// The oldest of the messages of a word, which are linked the other way round from then on.
fn oldest_first(taken: usize) -> Option<NonNull<Header>> {
    let mut next = NonNull::new(std::ptr::with_exposed_provenance_mut::<Header>(taken & ADDRESS));
    let mut newer = std::ptr::null_mut();
    let mut oldest = None;
    while let Some(message) = next {
        // SAFETY: the messages of a mailbox are whose turn it is.
        let older = unsafe { message.as_ref() }.link.replace(newer);
        newer = message.as_ptr().cast();
        oldest = Some(message);
        next = NonNull::new(older.cast());
    }
    oldest
}

#[cfg(all(test, heist_loom))]
#[path = "mailbox_models.rs"]
mod models;

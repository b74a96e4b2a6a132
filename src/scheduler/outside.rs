//! Counters for threads that are no workers: a set of their own for some, so that they count as cheaply as workers do.

use crate::counters::Counters;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicUsize, Ordering};

/// Sets of counters that belong to one thread each.
const OWN: usize = 15;

/// The sets of one executor.
pub(super) struct Outside {
    own: Box<[Own]>,
    /// For all other threads.
    shared: Padded<Counters>,
}

struct Own {
    /// Whose it is: what names a thread among those alive. A thread named as one that has ended takes over its set.
    owner: AtomicUsize,
    counters: Padded<Counters>,
}

impl Outside {
    pub(super) fn new() -> Self {
        let own = || Own { owner: AtomicUsize::new(0), counters: Counters::new() };
        Self { own: (0..OWN).map(|_| own()).collect(), shared: Counters::new() }
    }

    /// The set of the thread named `thread`, if there is one left.
    pub(super) fn claim(&self, thread: usize) -> Option<&Counters> {
        // ORDERING: Relaxed; a thread finds its own name if it has written it, and names are not passed on while in use.
        let mine = |own: &&Own| own.owner.load(Ordering::Relaxed) == thread;
        let free = |own: &&Own| own.owner.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.own.iter().find(mine).or_else(|| self.own.iter().find(free)).map(|own| &*own.counters)
    }

    pub(super) fn shared(&self) -> &Counters {
        &self.shared
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Counters> {
        self.own.iter().map(|own| &*own.counters).chain(std::iter::once(&*self.shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_set_until_there_are_no_more() {
        let outside = Outside::new();
        let claim = |thread| outside.claim(thread).map(std::ptr::from_ref);
        let first = claim(1);
        assert!(first.is_some() && claim(2) != first && claim(1) == first);
        assert!((3..=OWN).all(|thread| claim(thread).is_some()));
        assert_eq!((claim(OWN + 1), claim(1)), (None, first));
    }
}

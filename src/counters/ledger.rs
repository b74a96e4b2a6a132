//! How much of what was scattered is held on each domain.

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::sync::Arc;

/// What is held, by domain. It outlives its executor while something is.
#[derive(Debug)]
pub(crate) struct Ledger {
    domains: Box<[Padded<Held>]>,
    /// The domains, each as often as it has workers, and spread evenly.
    turns: Box<[u16]>,
    turn: Padded<AtomicUsize>,
}

// ORDERING: Relaxed throughout; sums for people, and a guess for the next place.
#[derive(Debug)]
struct Held {
    workers: usize,
    bytes: AtomicUsize,
    entries: AtomicUsize,
}

impl Ledger {
    /// For domains that have so many workers each.
    pub(crate) fn new(workers: &[usize]) -> Arc<Self> {
        let held = |&workers| Padded(Held { workers, bytes: AtomicUsize::new(0), entries: AtomicUsize::new(0) });
        Arc::new(Self {
            domains: workers.iter().map(held).collect(),
            turns: spread(workers),
            turn: Padded(AtomicUsize::new(0)),
        })
    }

    /// The domains of the next `count` things that are dealt out in turn.
    pub(crate) fn deal(&self, count: usize) -> impl Iterator<Item = usize> {
        let first = self.turn.fetch_add(count, Ordering::Relaxed);
        (0..count).map(move |step| usize::from(self.turns[first.wrapping_add(step) % self.turns.len()]))
    }

    /// The domain that holds least for its workers; of several such, the one whose turn it is.
    pub(crate) fn least_loaded(&self) -> usize {
        if self.domains.len() == 1 {
            return 0;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut least = usize::from(self.turns[turn % self.turns.len()]);
        for domain in 0..self.domains.len() {
            if self.is_less_loaded(domain, least) {
                least = domain;
            }
        }
        least
    }

    fn is_less_loaded(&self, a: usize, b: usize) -> bool {
        let load = |domain: usize, of: usize| self.bytes(domain) as u128 * self.domains[of].workers as u128;
        load(a, b) < load(b, a)
    }

    pub(crate) fn bytes(&self, domain: usize) -> usize {
        self.domains[domain].bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn entries(&self, domain: usize) -> usize {
        self.domains[domain].entries.load(Ordering::Relaxed)
    }

    fn add(&self, domain: usize, bytes: usize) {
        self.domains[domain].bytes.fetch_add(bytes, Ordering::Relaxed);
        self.domains[domain].entries.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, domain: usize, bytes: usize) {
        self.domains[domain].bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.domains[domain].entries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Each domain as often as it has workers, so that any few in a row have their share.
fn spread(workers: &[usize]) -> Box<[u16]> {
    let mut turns: Vec<_> = workers
        .iter()
        .enumerate()
        .flat_map(|(domain, &count)| (0..count).map(move |worker| (domain, 2 * worker + 1, 2 * count)))
        .collect();
    turns.sort_by(|&(a, at, of), &(b, bt, bf)| (at * bf, a).cmp(&(bt * of, b)));
    turns.into_iter().map(|(domain, ..)| domain as u16).collect()
}

/// Some bytes that are held on a domain, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    ledger: Arc<Ledger>,
    domain: AtomicUsize,
    bytes: usize,
}

impl Entry {
    pub(crate) fn new(ledger: &Arc<Ledger>, domain: usize, bytes: usize) -> Self {
        ledger.add(domain, bytes);
        Self { ledger: ledger.clone(), domain: AtomicUsize::new(domain), bytes }
    }

    pub(crate) fn domain(&self) -> usize {
        self.domain.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it counts in this ledger, by whose executor its domains are numbered.
    pub(crate) fn is_of(&self, ledger: &Arc<Ledger>) -> bool {
        Arc::ptr_eq(&self.ledger, ledger)
    }

    /// The bytes are on another domain from now on.
    pub(crate) fn move_to(&self, domain: usize) {
        self.ledger.add(domain, self.bytes);
        self.ledger.take(self.domain.swap(domain, Ordering::Relaxed), self.bytes);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger.take(self.domain(), self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_weighted_by_workers_and_spread() {
        assert_eq!(*spread(&[2, 2]), [0, 1, 0, 1]);
        assert_eq!(*spread(&[1, 3]), [1, 0, 1, 1]);
        assert_eq!(*spread(&[3]), [0, 0, 0]);
        let ledger = Ledger::new(&[1, 3]);
        let dealt: Vec<_> = ledger.deal(8).collect();
        assert_eq!(dealt.iter().filter(|&&domain| domain == 1).count(), 6);
    }

    #[test]
    fn who_holds_least_for_its_workers_is_next() {
        let ledger = Ledger::new(&[1, 3]);
        let one = Entry::new(&ledger, 1, 290);
        let zero = Entry::new(&ledger, 0, 100);
        assert_eq!(ledger.least_loaded(), 1);
        let more = Entry::new(&ledger, 1, 20);
        assert_eq!(ledger.least_loaded(), 0);
        drop((one, zero));
        assert_eq!((ledger.bytes(0), ledger.bytes(1), ledger.entries(0), ledger.entries(1)), (0, 20, 0, 1));
        more.move_to(0);
        assert_eq!((ledger.bytes(0), ledger.bytes(1), ledger.entries(0), ledger.entries(1)), (20, 0, 1, 0));
    }

    #[test]
    fn without_load_the_turn_decides() {
        let ledger = Ledger::new(&[2, 2]);
        let chosen: Vec<_> = (0..4).map(|_| ledger.least_loaded()).collect();
        assert_eq!(chosen, [0, 1, 0, 1]);
    }
}

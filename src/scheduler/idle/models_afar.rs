//! Models of two domains: what nobody in the one can take is not slept through in the other.

use std::sync::Arc;

use super::{Idle, Sleeps, Workers};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::model::{explore, explore_to, thread};
use crate::primitive::sync::Arc as Shared;

/// Domains of one or two workers, and a queue each, of which only the length is kept.
struct Host<const DOMAINS: usize> {
    idle: [Idle; DOMAINS],
    sleeps: Shared<Sleeps>,
    queued: [AtomicUsize; DOMAINS],
    woken: std::sync::Mutex<Vec<usize>>,
    /// What pushers of the first domain remember, if they do: there is one.
    found_nobody: Option<std::sync::Mutex<Option<u64>>>,
}

type Pair = Host<2>;

struct View<'a, const DOMAINS: usize>(&'a Host<DOMAINS>, usize);

impl<const DOMAINS: usize> Clone for View<'_, DOMAINS> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<const DOMAINS: usize> Copy for View<'_, DOMAINS> {}

impl<const DOMAINS: usize> Host<DOMAINS> {
    fn new() -> Arc<Self> {
        Self::with(false)
    }

    fn with(memory: bool) -> Arc<Self> {
        let sleeps = Shared::new(Sleeps::new());
        Arc::new(Self {
            idle: std::array::from_fn(|_| Idle::new(2, Some(sleeps.clone()))),
            sleeps,
            queued: std::array::from_fn(|_| AtomicUsize::new(0)),
            woken: Default::default(),
            found_nobody: memory.then(Default::default),
        })
    }

    fn has_work(&self, domain: usize) -> bool {
        // ORDERING: Relaxed, as the looks of the protocol are.
        self.queued[domain].load(Ordering::Relaxed) != 0
    }

    fn push(&self, domain: usize) {
        // ORDERING: Release, as a deque and an inbox publish.
        self.queued[domain].fetch_add(1, Ordering::Release);
        self.idle[domain].notify(0, View(self, domain));
    }

    fn end_search(&self, domain: usize) {
        self.idle[domain].end_search(View(self, domain));
    }

    /// Whether a worker of a domain goes to sleep.
    fn park(&self, domain: usize) -> bool {
        self.idle[domain].park(0, false, || (0..DOMAINS).any(|domain| self.has_work(domain)))
    }

    fn is_woken(&self, domain: usize) -> bool {
        self.woken.lock().unwrap().contains(&domain)
    }
}

impl<const DOMAINS: usize> Workers for View<'_, DOMAINS> {
    fn has_work_in(&self, group: usize) -> bool {
        if group == 0 { self.0.has_work(self.1) } else { self.others().any(|other| self.0.has_work(other.1)) }
    }
    fn wake(&self, _worker: usize) {
        self.0.woken.lock().unwrap().push(self.1);
    }
    fn beside(&self) -> Option<usize> {
        None
    }
    fn pass_on(&self) {
        let memory = self.0.found_nobody.as_ref().filter(|_| self.1 == 0);
        let seen = Some(self.0.sleeps.read());
        if memory.is_some_and(|memory| *memory.lock().unwrap() == seen) {
            return;
        }
        let found = self.others().any(|other| self.0.idle[other.1].notify_from_afar(other));
        if let Some(memory) = memory.filter(|_| !found) {
            *memory.lock().unwrap() = seen;
        }
    }
}

impl<'a, const DOMAINS: usize> View<'a, DOMAINS> {
    fn others(self) -> impl Iterator<Item = View<'a, DOMAINS>> {
        (1..DOMAINS).map(move |step| View(self.0, (self.1 + step) % DOMAINS))
    }
}

/// The worker of the first domain is busy and queues something; that of the second goes to sleep.
#[test]
fn loom_push_beside_a_sleeper_of_another_domain() {
    explore(10, || {
        let pair = Pair::new();
        let sleeper = {
            let pair = pair.clone();
            thread::spawn(move || pair.park(1))
        };
        pair.push(0);
        assert!(!sleeper.join().unwrap() || pair.is_woken(1), "slept through a push");
    });
}

/// The worker of the first domain searches, and leaves with other work, while something is queued for it.
#[test]
fn loom_silent_push_beside_a_sleeper_of_another_domain() {
    explore(10, || {
        let pair = Pair::new();
        assert!(pair.park(1) && pair.idle[0].start_search());
        let pusher = {
            let pair = pair.clone();
            thread::spawn(move || pair.push(0))
        };
        pair.end_search(0);
        pusher.join().unwrap();
        assert!(pair.is_woken(1), "slept through a push");
    });
}

/// As above, while the worker of the second domain goes to sleep.
#[test]
fn loom_silent_push_beside_one_who_goes_to_sleep_in_another_domain() {
    explore(100, || {
        let pair = Pair::new();
        assert!(pair.idle[0].start_search());
        let pusher = {
            let pair = pair.clone();
            thread::spawn(move || pair.push(0))
        };
        let sleeper = {
            let pair = pair.clone();
            thread::spawn(move || pair.park(1))
        };
        pair.end_search(0);
        pusher.join().unwrap();
        assert!(!sleeper.join().unwrap() || pair.is_woken(1), "slept through a push");
    });
}

/// The worker of the second domain searches, is told of work in the first, and leaves with other work: the word goes on
/// to whoever sleeps by then in the first.
#[test]
fn loom_word_from_afar_beside_one_who_leaves() {
    explore(10, || {
        let pair = Pair::new();
        assert!(pair.idle[1].start_search());
        let sleeper = {
            let pair = pair.clone();
            thread::spawn(move || pair.park(0))
        };
        let pusher = {
            let pair = pair.clone();
            thread::spawn(move || pair.push(0))
        };
        pair.end_search(1);
        pusher.join().unwrap();
        assert!(!sleeper.join().unwrap() || pair.is_woken(0), "slept through a push");
    });
}

/// Somebody is on his way through the domains with a task that is taken by then, and the bit he has left keeps a second
/// pusher from nothing.
#[test]
fn loom_word_from_afar_beside_another_pusher() {
    explore_to(3, 10, || {
        let host = Host::<3>::new();
        assert!(host.idle[1].start_search());
        let first = {
            let host = host.clone();
            thread::spawn(move || host.push(2))
        };
        let second = {
            let host = host.clone();
            thread::spawn(move || {
                if host.has_work(2) {
                    host.queued[2].fetch_sub(1, Ordering::AcqRel);
                }
                let parked = host.park(2);
                host.push(0);
                parked
            })
        };
        host.end_search(1);
        first.join().unwrap();
        assert!(!second.join().unwrap() || host.is_woken(2), "slept through a push");
    });
}

/// Who has found nobody idle before finds one who goes to sleep beside another who begins to search and ends it.
#[test]
fn loom_push_of_one_who_found_nobody_before() {
    explore(100, || {
        let pair = Pair::with(true);
        pair.push(0);
        let searcher = {
            let pair = pair.clone();
            thread::spawn(move || {
                if pair.idle[1].start_search() {
                    pair.end_search(1);
                }
            })
        };
        let sleeper = {
            let pair = pair.clone();
            thread::spawn(move || {
                // What was pushed before is taken.
                pair.queued[0].fetch_sub(1, Ordering::AcqRel);
                pair.park(1)
            })
        };
        pair.push(0);
        searcher.join().unwrap();
        let slept = sleeper.join().unwrap();
        assert!(!slept || pair.is_woken(1) || !pair.has_work(0), "slept through a push");
    });
}

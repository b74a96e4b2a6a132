//! What is to happen at which time: kept by all threads, looked through by the loop.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

use crate::panics;
use crate::primitive::lock::Mutex;

/// When, and which of those at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    at: Instant,
    number: u64,
}

/// What happens then.
pub(super) enum Action {
    Wake(Waker),
    Call(Box<dyn FnOnce() + Send>),
}

impl Action {
    fn fire(self) {
        panics::catch_drop(|| match self {
            Self::Wake(waker) => waker.wake(),
            Self::Call(call) => call(),
        });
    }
}

pub(super) struct Timers(Mutex<Queue>);

struct Queue {
    actions: BTreeMap<Key, Action>,
    next: u64,
    /// Until when the loop sleeps, unless it is woken.
    planned: Option<Instant>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Queue { actions: BTreeMap::new(), next: 0, planned: None }))
    }

    /// Has `action` fired at `at`; says too whether the loop must be woken for it. O(log timers).
    pub(super) fn add(&self, at: Instant, action: Action) -> (Key, bool) {
        let mut queue = self.0.lock();
        let key = Key { at, number: queue.next };
        queue.next += 1;
        queue.actions.insert(key, action);
        let is_sooner = queue.planned.is_none_or(|planned| at < planned);
        if is_sooner {
            queue.planned = Some(at);
        }
        (key, is_sooner)
    }

    /// Takes an action back; false when it has fired.
    pub(super) fn cancel(&self, key: Key) -> bool {
        let action = self.0.lock().actions.remove(&key);
        let is_there = action.is_some();
        // Not under the lock: it is the user's.
        panics::catch_drop(|| drop(action));
        is_there
    }

    /// Has `waker` woken in place of the one that is there; false when that was woken.
    pub(super) fn renew(&self, key: Key, waker: &Waker) -> bool {
        match self.0.lock().actions.get(&key) {
            None => return false,
            Some(Action::Wake(own)) if own.will_wake(waker) => return true,
            Some(_) => {}
        }
        // No waker is cloned or dropped under the lock: that is user code.
        let mut other = Action::Wake(waker.clone());
        let mut queue = self.0.lock();
        let Some(own) = queue.actions.get_mut(&key) else { return false };
        std::mem::swap(own, &mut other);
        drop(queue);
        true
    }

    /// When the loop is to look again.
    pub(super) fn plan(&self) -> Option<Instant> {
        let mut queue = self.0.lock();
        queue.planned = queue.actions.first_key_value().map(|(key, _)| key.at);
        queue.planned
    }

    /// Fires what is due.
    pub(super) fn fire(&self) {
        let mut due = Vec::new();
        let now = Instant::now();
        let mut queue = self.0.lock();
        while let Some(first) = queue.actions.first_entry().filter(|first| first.key().at <= now) {
            due.push(first.remove());
        }
        drop(queue);
        due.into_iter().for_each(Action::fire);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn count(to: &Arc<AtomicUsize>) -> Action {
        let to = to.clone();
        Action::Call(Box::new(move || {
            to.fetch_add(1, Ordering::Relaxed);
        }))
    }

    #[test]
    fn only_what_is_due_fires_and_only_what_comes_first_wakes_the_loop() {
        let (timers, fired) = (Timers::new(), Arc::new(AtomicUsize::new(0)));
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let (_, wakes) = timers.add(now + hour, count(&fired));
        assert!(wakes);
        let (later, wakes) = timers.add(now + 2 * hour, count(&fired));
        assert!(!wakes);
        let (_, wakes) = timers.add(now, count(&fired));
        assert!(wakes);
        timers.fire();
        assert_eq!((fired.load(Ordering::Relaxed), timers.plan()), (1, Some(now + hour)));
        assert!(timers.cancel(later) && !timers.cancel(later));
    }

    #[test]
    fn a_panic_in_an_action_does_no_harm_to_the_next() {
        let (timers, fired) = (Timers::new(), Arc::new(AtomicUsize::new(0)));
        let now = Instant::now();
        timers.add(now, Action::Call(Box::new(|| panic!("in a timer"))));
        timers.add(now, count(&fired));
        timers.fire();
        assert_eq!(fired.load(Ordering::Relaxed), 1);
    }
}

//! Watching many futures at once: whoever ends puts its number into one queue.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use crate::panics;
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::scheduler::{Waited, sleep};
use crate::task::{Action, Handle, Listener, listen, withdraw};

/// The queue of those that have ended, and who is to be told.
pub(super) struct Watch {
    ended: Mutex<Ended>,
    parker: Parker,
}

#[derive(Default)]
struct Ended {
    queue: VecDeque<u64>,
    waker: Option<Waker>,
}

/// One future's place in the queue; taken back when dropped.
pub(super) struct Entry(Option<Arc<Listener>>);

impl Entry {
    /// Takes the place back: `task` has not ended, or nobody wants to know any more.
    pub(super) fn withdraw(&mut self, task: &Handle) {
        if let Some(listener) = self.0.take()
            && listener.cancel()
        {
            withdraw(task.head());
        }
    }
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { ended: Mutex::new(Ended::default()), parker: Parker::new() })
    }

    /// Has `number` queued when `task` ends, or now if it has.
    pub(super) fn add(self: &Arc<Self>, task: &Handle, number: u64) -> Entry {
        let watch = self.clone();
        let listener = Listener::new(Action::Call(Box::new(move || watch.end(number))));
        if listen(task.head(), &listener).is_err() {
            listener.fire();
            return Entry(None);
        }
        Entry(Some(listener))
    }

    fn end(&self, number: u64) {
        let waker = {
            let mut ended = self.ended.lock();
            ended.queue.push_back(number);
            ended.waker.take()
        };
        self.parker.wake();
        if let Some(waker) = waker {
            panics::catch_drop(|| waker.wake());
        }
    }

    /// The next that has ended.
    pub(super) fn pop(&self) -> Option<u64> {
        self.ended.lock().queue.pop_front()
    }

    /// How many have ended and were not popped.
    pub(super) fn len(&self) -> usize {
        self.ended.lock().queue.len()
    }

    /// As [`pop`](Self::pop); when there is none, `waker` is woken by the next.
    pub(super) fn pop_or_wake(&self, waker: &Waker) -> Option<u64> {
        let mut other = Some(waker.clone());
        let mut ended = self.ended.lock();
        let number = ended.queue.pop_front();
        if number.is_none() {
            std::mem::swap(&mut ended.waker, &mut other);
        }
        // The other waker is dropped after the lock: that is user code.
        drop(ended);
        number
    }

    /// Blocks until one has ended. May return early.
    pub(super) fn sleep(&self, deadline: Option<Instant>) -> Waited {
        sleep(&self.parker, deadline, || self.len() != 0)
    }
}

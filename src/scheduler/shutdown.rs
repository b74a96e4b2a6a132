//! The end of an executor: what is cancelled, when everything is done, who leaves when.

use super::context::local;
use super::ending::Phase;
#[cfg(feature = "ranks")]
use super::ending::quiescent;
use super::idle::Workers;
use super::registry::Registry;
use crate::panics;
use crate::primitive::atomic::{Ordering, fence};
use crate::task;

impl Registry {
    /// Begins the end. From `Draining` on no task is taken from outside; from `Cancelling` on none is started.
    pub(crate) fn close(&self, phase: Phase) {
        if self.is_forked() || !self.ending.advance(phase) {
            return;
        }
        // Pairs with the fence of `Idle::notify` in `queue`: either the submitter sees the phase, or `quiescent` sees
        // the task he counted.
        fence(Ordering::SeqCst);
        if phase == Phase::Cancelling {
            self.outstanding.cancel_all(&self.closed_error());
            self.line.wake_all();
            self.interrupts.wake_all();
            self.cancel_parked();
        }
        self.wake_all();
        self.end_if_quiescent();
    }

    /// Whether the end must not be waited for here.
    pub(crate) fn may_not_wait(&self) -> bool {
        self.is_forked() || local(|local| local.serves(self)) || panics::is_aside()
    }

    /// Whether every task that was made is done, for now.
    #[cfg(feature = "ranks")]
    pub(crate) fn is_quiet(&self) -> bool {
        quiescent(|| self.counters())
    }

    /// Waits until every task is done and every thread has left. From one of the executor's own threads, or from what
    /// heist has called in the middle of a task's end: returns at once, since that is itself waited for.
    pub(crate) fn join(&self) {
        if self.may_not_wait() {
            return;
        }
        let mut ended = self.ended.lock();
        while !*ended {
            ended = self.ended_now.wait(ended);
        }
        drop(ended);
        // Held while threads are joined, so that a second caller does not return before they have left.
        let _joining = self.joining.lock();
        loop {
            let threads = self.take_threads();
            if threads.is_empty() {
                // There may be no worker left that would.
                return task::rest();
            }
            for thread in threads {
                let _ = thread.join();
            }
        }
    }

    /// Ends a closing executor whose tasks are all done.
    pub(super) fn end_if_quiescent(&self) {
        if self.ending.end_if_quiescent(|| self.counters()) {
            // Pairs with the fence of who queues something and looks at the phase then: either he sees that this has ended,
            // or what he queued is seen here.
            fence(Ordering::SeqCst);
            self.cancel_inboxes();
            self.spares.close();
            self.wake_all();
            drop(self.kept.lock().take());
            self.extensions.clear();
            *self.ended.lock() = true;
            self.ended_now.notify_all();
        }
    }

    fn wake_all(&self) {
        for domain in 0..self.domains.count() {
            let (here, view) = (self.domains.get(domain), self.view(domain));
            (0..here.workers.len()).filter(|&worker| here.idle.unpark(worker)).for_each(|worker| view.wake(worker));
        }
        // A push may have seen the counts that were only raised for the look.
        fence(Ordering::SeqCst);
        self.notify_if_work();
    }
}

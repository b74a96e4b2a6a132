//! The end of an executor: what is cancelled, when everything is done, who leaves when.

use super::context::local;
use super::registry::{Phase, Registry};
use crate::primitive::atomic::{Ordering, fence};

impl Registry {
    /// Begins the end. From `Draining` on no task is taken from outside; from `Cancelling` on none is started.
    pub(crate) fn close(&self, phase: Phase) {
        if self.is_forked() || !self.advance(phase) {
            return;
        }
        // Pairs with the fence of `Idle::notify` in `queue`: either the submitter sees the phase, or `quiescent` sees
        // the task he counted.
        fence(Ordering::SeqCst);
        if phase == Phase::Cancelling {
            self.outstanding.cancel_all(&self.closed_error());
        }
        self.wake_all();
        self.end_if_quiescent();
    }

    /// Waits until every task is done and every thread has left. From one of the executor's own threads: returns at
    /// once, since that thread itself is waited for.
    pub(crate) fn join(&self) {
        if self.is_forked() || local(|local| local.serves(self)) {
            return;
        }
        let mut ended = self.ended.lock();
        while !*ended {
            ended = self.ended_now.wait(ended);
        }
        drop(ended);
        loop {
            let threads = self.take_threads();
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                let _ = thread.join();
            }
        }
    }

    /// Whether every task that was made is done.
    fn quiescent(&self) -> bool {
        // The finished are summed first. Every task counted there was counted as created before, and the sum of the
        // created is read later, so equality means: at the moment between, none was unfinished.
        let finished: u64 = self.counters().map(|counters| counters.finished.read()).sum();
        let created: u64 = self.counters().map(|counters| counters.created.read()).sum();
        finished == created
    }

    /// Ends a closing executor whose tasks are all done.
    pub(super) fn end_if_quiescent(&self) {
        if self.phase() != Phase::Ended && self.quiescent() && self.advance(Phase::Ended) {
            self.spares.close();
            self.wake_all();
            drop(self.kept.lock().take());
            *self.ended.lock() = true;
            self.ended_now.notify_all();
        }
    }

    fn wake_all(&self) {
        for worker in 0..self.slots.len() {
            if self.idle.unpark(worker) {
                self.wake(worker);
            }
        }
    }
}

//! Threads without a seat: made when a wait hands a core over, kept for the next one.

use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;

use super::worker::Worker;

/// A thread's place in the pool.
pub(super) struct Spare {
    worker: Mutex<Option<Box<Worker>>>,
    parker: Parker,
}

impl Spare {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { worker: Mutex::new(None), parker: Parker::new() })
    }
}

/// The pool of one executor.
pub(super) struct Spares {
    state: Mutex<State>,
    pub(super) cap: usize,
}

struct State {
    idle: Vec<Arc<Spare>>,
    /// Threads made beyond the workers' own.
    made: usize,
    closed: bool,
}

/// What became of a worker that was to be handed over.
pub(super) enum HandOver {
    /// A parked thread has it.
    Done,
    /// A new thread is to be made for it.
    Make(Box<Worker>),
    /// The cap is reached.
    Refused(Box<Worker>),
}

impl Spares {
    pub(super) fn new(cap: usize) -> Self {
        Self { state: Mutex::new(State { idle: Vec::new(), made: 0, closed: false }), cap }
    }

    /// Threads made so far.
    pub(super) fn made(&self) -> usize {
        self.state.lock().made
    }

    /// Whether a worker that is handed over would be refused.
    pub(super) fn are_used_up(&self) -> bool {
        let state = self.state.lock();
        state.idle.is_empty() && state.made >= self.cap
    }

    pub(super) fn hand_over(&self, worker: Box<Worker>) -> HandOver {
        let mut state = self.state.lock();
        if let Some(spare) = state.idle.pop() {
            drop(state);
            *spare.worker.lock() = Some(worker);
            spare.parker.wake();
            return HandOver::Done;
        }
        if state.made >= self.cap {
            return HandOver::Refused(worker);
        }
        state.made += 1;
        HandOver::Make(worker)
    }

    /// A thread could not be made after all.
    pub(super) fn unmake(&self) {
        self.state.lock().made -= 1;
    }

    /// Sleeps until there is a worker to drive; `None` when the executor has ended.
    pub(super) fn wait(&self, spare: &Arc<Spare>) -> Option<Box<Worker>> {
        {
            let mut state = self.state.lock();
            if state.closed {
                return None;
            }
            state.idle.push(spare.clone());
        }
        spare.parker.sleep();
        spare.worker.lock().take()
    }

    /// Sends every parked thread home, now and later.
    pub(super) fn close(&self) {
        let idle = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.idle)
        };
        for spare in idle {
            spare.parker.wake();
        }
    }
}

//! The seat of a worker: one thread at most drives it; others, back from a wait, go on beside it until it is left to them.

use crate::primitive::lock::Mutex;

/// Who drives a worker, `W`. When no thread has it, it lies here, for one that is back on the core.
pub(super) struct Seat<W>(Mutex<State<W>>);

struct State<W> {
    vacant: Option<W>,
    /// Threads that run on this core without the seat.
    returning: u32,
}

impl<W> Seat<W> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { vacant: None, returning: 0 }))
    }

    /// Leaves the seat to a thread that is back; gives the worker back when there is none any more.
    pub(super) fn vacate(&self, worker: W) -> Result<(), W> {
        let mut seat = self.0.lock();
        if seat.returning == 0 {
            return Err(worker);
        }
        seat.vacant = Some(worker);
        Ok(())
    }

    /// A thread is back from a wait: it gets the seat if that is free, else it is counted as returning. `tell` is told,
    /// in order, whether there are such threads.
    pub(super) fn come_back(&self, tell: impl FnOnce(bool)) -> Option<W> {
        let mut seat = self.0.lock();
        let worker = seat.vacant.take();
        if worker.is_none() {
            seat.returning += 1;
            tell(true);
        }
        worker
    }

    /// A returning thread gets the seat if that is free; else it goes on returning.
    pub(super) fn take_back(&self, tell: impl FnOnce(bool)) -> Option<W> {
        let mut seat = self.0.lock();
        let worker = seat.vacant.take()?;
        seat.returning -= 1;
        tell(seat.returning != 0);
        Some(worker)
    }

    /// A returning thread leaves its core again; it gets the seat if that is free.
    pub(super) fn stop_returning(&self, tell: impl FnOnce(bool)) -> Option<W> {
        let mut seat = self.0.lock();
        seat.returning -= 1;
        tell(seat.returning != 0);
        seat.vacant.take()
    }
}

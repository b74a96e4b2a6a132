//! The line of threads without a seat that wait for one: first come, first served, by whoever comes to the end of a task.

use std::collections::VecDeque;
use std::ops::Range;

use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;

/// All who wait for a seat of one executor.
pub(super) struct Line<W>(Mutex<VecDeque<Arc<Place<W>>>>);

/// A thread's place in the line.
pub(super) struct Place<W> {
    /// The seats that will do.
    seats: Range<usize>,
    given: Mutex<Option<W>>,
    pub(super) parker: Arc<Parker>,
}

impl<W> Place<W> {
    pub(super) fn new(seats: Range<usize>) -> Arc<Self> {
        Arc::new(Self { seats, given: Mutex::new(None), parker: Arc::new(Parker::new()) })
    }

    /// Whether somebody left a seat to this thread.
    pub(super) fn is_served(&self) -> bool {
        self.given.lock().is_some()
    }

    /// The seat that was left to this thread.
    pub(super) fn take(&self) -> Option<W> {
        self.given.lock().take()
    }
}

impl<W> Line<W> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    /// Goes to the end. `tell` tells the seats that somebody waits.
    pub(super) fn enter(&self, place: &Arc<Place<W>>, tell: impl Fn(usize)) {
        let mut line = self.0.lock();
        line.push_back(place.clone());
        place.seats.clone().for_each(tell);
    }

    /// Gives seat number `seat` to the first whom it suits. When that was nobody the worker comes back, and `tell` tells
    /// the seat that nobody waits for it.
    pub(super) fn serve(&self, seat: usize, worker: W, tell: impl FnOnce()) -> Result<(), W> {
        let mut line = self.0.lock();
        let first = line.iter().position(|place| place.seats.contains(&seat));
        let Some(place) = first.and_then(|first| line.remove(first)) else {
            tell();
            return Err(worker);
        };
        *place.given.lock() = Some(worker);
        place.parker.wake();
        Ok(())
    }

    /// Leaves the line. From then on the place is not served.
    pub(super) fn leave(&self, place: &Arc<Place<W>>) {
        if !place.is_served() {
            self.0.lock().retain(|other| !Arc::ptr_eq(other, place));
        }
    }

    /// Has everybody look up.
    pub(super) fn wake_all(&self) {
        self.0.lock().iter().for_each(|place| place.parker.wake());
    }
}

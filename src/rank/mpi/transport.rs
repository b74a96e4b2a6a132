//! The engine as a transport: what comes is kept by its thread until somebody polls.

use super::MpiError;
use super::engine::{Engine, Hear};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::sync::Arc;
use crate::rank::bell::{Bell, Futex};
use crate::rank::codec::Frame;
use crate::rank::transport::Transport;
use crate::rank::world::Rank;

/// Frames handed over by one poll.
const AT_ONCE: usize = 64;

/// A rank's end of all ways over MPI.
pub(crate) struct Mpi {
    engine: Arc<Engine>,
    bell: Arc<Bell<Futex>>,
    polling: AtomicBool,
}

impl Mpi {
    /// Rings `bell` when something has come. `failed` is told once that nothing comes any more, on the engine's thread.
    pub(crate) fn new(
        engine: Arc<Engine>,
        bell: Arc<Bell<Futex>>,
        failed: impl Fn(&MpiError) + Send + Sync + 'static,
    ) -> Self {
        let rung = bell.clone();
        engine.hear(Hear { arrived: Box::new(move || rung.ring()), failed: Box::new(failed) });
        Self { engine, bell, polling: AtomicBool::new(false) }
    }
}

impl Transport for Mpi {
    fn send(&self, to: Rank, frame: Frame) {
        self.engine.send(to.0, frame);
    }

    fn poll(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        // ORDERING: Acquire, with the Release below: polls come one after the other.
        if !self.has_some() || self.polling.swap(true, Ordering::Acquire) {
            return 0;
        }
        let mut seen = 0;
        while seen < AT_ONCE
            && let Some((from, frame)) = self.engine.take()
        {
            handle(Rank(from), frame);
            seen += 1;
        }
        self.polling.store(false, Ordering::Release);
        seen
    }

    fn has_some(&self) -> bool {
        self.engine.has_some()
    }

    fn bell(&self) -> &Arc<Bell<Futex>> {
        &self.bell
    }

    fn wakes(&self) -> u64 {
        self.engine.wakes()
    }
}

//! The transports of a rank together: memory to ranks of its host, another to those of other hosts.

use super::Transport;
use super::shmem::Shmem;
use crate::primitive::sync::Arc;
use crate::rank::bell::{Bell, Futex};
use crate::rank::codec::{self, Frame};
use crate::rank::world::Rank;

/// Which ranks are reached how.
pub(crate) struct Fabric {
    near: Shmem,
    /// To the ranks of other hosts; it rings the bell of `near`.
    far: Option<Box<dyn Transport>>,
}

impl Fabric {
    pub(crate) fn new(near: Shmem, far: Option<Box<dyn Transport>>) -> Self {
        if near.ranks() > 1 {
            codec::ranks_are_near();
        }
        Self { near, far }
    }
}

impl Transport for Fabric {
    fn send(&self, to: Rank, frame: Frame) {
        match &self.far {
            Some(far) if !self.near.reaches(to) => far.send(to, frame),
            _ => self.near.send(to, frame),
        }
    }

    fn poll(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        self.near.poll(handle) + self.far.as_ref().map_or(0, |far| far.poll(handle))
    }

    fn has_some(&self) -> bool {
        self.near.has_some() || self.far.as_ref().is_some_and(|far| far.has_some())
    }

    fn bell(&self) -> &Arc<Bell<Futex>> {
        self.near.bell()
    }

    fn wakes(&self) -> u64 {
        self.near.wakes() + self.far.as_ref().map_or(0, |far| far.wakes())
    }
}

//! How frames get from rank to rank.

#[cfg(all(test, not(heist_loom)))]
mod conformance;
#[cfg(not(heist_loom))]
pub(crate) mod fabric;
#[cfg(not(heist_loom))]
pub(crate) mod local;
pub(crate) mod shmem;

#[cfg(not(heist_loom))]
use super::bell::{Bell, Futex};
#[cfg(not(heist_loom))]
use super::codec::Frame;
#[cfg(not(heist_loom))]
use super::world::Rank;
#[cfg(not(heist_loom))]
use crate::primitive::sync::Arc;

/// Carries frames between ranks. Those of one thread to one rank arrive in the order they were sent; so do those of several
/// threads, where one was sent before another by the program's own order.
#[cfg(not(heist_loom))]
pub(crate) trait Transport: Send + Sync {
    /// Sends, or keeps what the other side has no room for until a later [`poll`](Self::poll). Never blocks on the other side.
    fn send(&self, to: Rank, frame: Frame);

    /// Hands over what has come, and gives how much that was: at most so much that others get their turn. One caller at a
    /// time; to another it gives 0. A peer that has written what makes no sense has sent an empty frame.
    fn poll(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize;

    /// Whether a poll would find something. Plain reads.
    fn has_some(&self) -> bool;

    /// What is rung when something has come to this rank.
    fn bell(&self) -> &Arc<Bell<Futex>>;

    /// How often a sleeper of another rank was woken.
    fn wakes(&self) -> u64;
}

//! Frames between ranks of one host, through rings in memory that they share.
//!
//! Each rank has a segment, its [`Home`], with a ring for every rank of the host. Threads of one rank take turns to write a
//! ring, by a lock of their own; so there is one writer, and what they send stays in order. What finds no room waits in the
//! sender's memory, and is pushed on by whoever polls; the reader rings the sender's bell when it has made room. Large
//! frames pass through the ring in parts.

#[cfg(not(heist_loom))]
mod end;
#[cfg(not(heist_loom))]
mod home;
#[cfg(all(test, heist_loom))]
mod models;
mod ring;
mod stream;
#[cfg(all(test, not(heist_loom)))]
mod tests;

#[cfg(not(heist_loom))]
pub(crate) use end::Shmem;
#[cfg(not(heist_loom))]
pub(crate) use home::Home;

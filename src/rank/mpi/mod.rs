//! MPI, the engine between hosts: opened at run time, driven by one thread of this process and by no other.
//!
//! `library` finds the MPI that the launcher speaks to, `abi` says what its binary expects, `calls` is the safe face over
//! its functions, which one thread can have. That thread is in `engine`: it starts MPI or joins the program's own, passes
//! on frames (`traffic`, `transport`), drives `collective`s, and sleeps where there is nothing to do (`patience`).

mod abi;
#[allow(unsafe_code, reason = "MPI's functions are C's")]
mod calls;
mod collective;
pub(crate) mod engine;
#[cfg(test)]
#[allow(unsafe_code, reason = "a test is a program that uses MPI itself")]
mod joined;
#[cfg(test)]
mod launched;
#[allow(unsafe_code, reason = "a library is opened, its symbols are looked up")]
mod library;
mod patience;
mod traffic;
mod transport;

use std::fmt;

pub(crate) use abi::Op;
pub(crate) use collective::Group;
pub(crate) use engine::{Engine, Job};
pub(crate) use library::Family;
pub(crate) use transport::Mpi;

/// Why MPI could not be started or used, in words.
#[derive(Clone, Debug)]
pub(crate) struct MpiError(String);

impl MpiError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for MpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MpiError {}

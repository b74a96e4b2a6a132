//! Memory is where it was asked to be, read back from the kernel: on any host, and on many domains in the guests of
//! `scripts/numa-vm`. A binary of its own because it pins threads and starts itself as another process.
#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

mod host;
mod peer;
mod refused;
mod regions;
mod segments;

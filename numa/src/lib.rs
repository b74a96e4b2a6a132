//! What a thread needs to know of its host: which processing units it may use, which of them are one
//! physical core, how near two cores are, how to stay on one of them, and how much CPU time the
//! control group grants.
//!
//! The crate reads Linux's `sysfs` and `/proc` and makes Linux's affinity calls; it links no system
//! library and works for any number of CPUs. It knows threads and cores, nothing of what runs on them.
//!
//! ```
//! use std::{path::Path, thread};
//!
//! // The order matters: a pinned thread sees, and hands to the threads it starts, only its own mask.
//! let allowed = heist_numa::affinity()?;
//! let cores = heist_numa::Cores::read(Path::new("/"), &allowed)?;
//!
//! let pus = cores.iter().filter_map(|core| core.pus().first());
//! let threads: Vec<_> = pus.map(|pu| thread::spawn(move || heist_numa::pin(pu))).collect();
//! for thread in threads {
//!     thread.join().unwrap()?;
//! }
//! # Ok::<(), heist_numa::Error>(())
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | PU | processing unit: what the kernel calls a CPU and numbers from 0, with gaps; one hardware thread |
//! | core | a physical core: the PUs that share its execution units (SMT siblings) |
//! | package | what sits in a socket; cores of one package share its memory controllers |
//! | mask, affinity | the PUs a thread may run on; inherited by the threads and processes it starts |
//! | pinning | narrowing a thread's mask to one PU |
//! | ring | the threads at equal [distance](Ring) from a given one |
//! | quota | CPU time per period granted by a control group, in CPUs; says nothing about which |
//! | root | the directory that stands for `/`: `/` itself, or a recorded host's copy of `/sys` and `/proc` |
#![deny(unsafe_code)]

mod cores;
mod cpuset;
mod error;
#[cfg(test)]
mod fixture;
mod pin;
mod quota;
mod ring;
#[allow(unsafe_code, reason = "the two affinity system calls and the question where a thread runs")]
mod sys;
mod sysfs;
mod topology;

pub use cores::{Cores, online};
pub use cpuset::CpuSet;
pub use error::Error;
pub use pin::{affinity, current_pu, pin, set_affinity};
pub use quota::cpu_quota;
pub use ring::Ring;
pub use topology::{Core, Domain, Topology};

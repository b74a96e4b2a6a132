//! What threads need to know of their host: its domains of memory, its cores and caches, which processing units they
//! may use and how near these are to each other, where to sit, how to stay there, and how much CPU time the control
//! group grants. And memory with a place: of its own in a [`Region`], shared with other processes of the host in a
//! [`Segment`].
//!
//! The crate reads Linux's `sysfs` and `/proc` and makes Linux's affinity and memory policy calls; it links no system
//! library, unless its feature `hwloc` is on, and works for any number of CPUs. It knows threads and cores, nothing of
//! what runs on them.
//!
//! ```
//! use heist_numa::{Plan, Topology, Wishes};
//! use std::thread;
//!
//! // The order matters: a pinned thread sees, and hands to the threads it starts, only its own mask.
//! let mask = heist_numa::affinity()?;
//! let host = Topology::of_host(&mask)?;
//! let plan = Plan::new(&host, &mask, &Wishes::default())?;
//!
//! let pus = plan.seats().iter().filter_map(|seat| seat.pu());
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
//! | package | what sits in a socket |
//! | domain | memory that is equally near to some cores, what the kernel calls a NUMA node; may have no core |
//! | mask, affinity | the PUs a thread may run on; inherited by the threads and processes it starts |
//! | pinning | narrowing a thread's mask to one PU |
//! | worker | a thread to be pinned |
//! | seat | the PU of a worker |
//! | ring | the workers that are equally near to a given one |
//! | quota | CPU time per period granted by a control group, in CPUs; says nothing about which |
//! | region | memory of this process whose pages are on the domains asked for |
//! | segment | memory that processes of one host share |
//! | root | the directory that stands for `/`: `/` itself, or a recorded host's copy of `/sys` and `/proc` |
#![deny(unsafe_code)]

mod cpuset;
mod error;
mod fault;
#[cfg(test)]
mod fixture;
mod pin;
mod plan;
mod quota;
mod region;
mod segment;
#[allow(unsafe_code, reason = "the two affinity system calls and the question where a thread runs")]
mod sys;
#[allow(unsafe_code, reason = "the system calls behind memory that has a descriptor")]
mod sys_file;
#[allow(unsafe_code, reason = "the system calls that place memory and tell where it is")]
mod sys_memory;
mod sysfs;
mod topology;

pub use bytemuck::Pod;
pub use cpuset::CpuSet;
pub use error::Error;
pub use pin::{Pinned, affinity, current_pu, pin, set_affinity};
pub use plan::{Order, Per, Plan, PlanDomain, Seat, Wishes};
pub use quota::cpu_quota;
pub use region::{
    PageSize, Region, RegionBuilder,
    policy::Policy,
    residency::{Residency, residency_of},
};
pub use segment::{Draft, Frozen, NotFrozen, Segment, Swept, sweep, sweep_in};
pub use topology::{Core, Domain, Topology};

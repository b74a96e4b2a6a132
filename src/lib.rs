//! An embedded work-stealing executor for HPC nodes: futures that depend on futures, on pinned workers.
//!
//! ```
//! use heist::prelude::*;
//!
//! let ex = Executor::new()?;                            // one pinned worker per physical core
//! let a = ex.submit(|| 10);                             // TaskFuture<i32>, starts at once
//! let b = ex.submit(|| 20);
//! let c = ex.submit_after((&a, &b), |(a, b)| a + b);    // runs when both are done; borrows the values
//! assert_eq!(c.result()?, 30);
//!
//! let squares = ex.map(0..1_000_u64, |i| i * i);        // in batches
//! assert_eq!(ex.gather(squares)?.iter().sum::<u64>(), 332_833_500);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | [`Executor`] | the handle on a pool: owns workers, hands out futures |
//! | worker | runs tasks on one core; a thread drives it, another one while that waits |
//! | task | one unit of work |
//! | [`TaskFuture`] | the handle on a task's result, there or to come |
//! | input, dependent | a future a task waits for; a task that waits for it |
//! | [`Promise`] | the writing side of a future that somebody else fulfils |
//! | domain | memory and the cores near it: a NUMA domain; numbered from 0 by [`Executor::has_what`] |
//! | chunk, replica | one placed piece of scattered data; one of the copies of a value |
//! | key, priority, place, resource | what [`Executor::task`] lets be said about a task before it is submitted |
//! | actor, ask, tell | a state that handles one message at a time ([`ActorRef`]); a message with an answer, and one without |
//! | secede, rejoin | what a task does that blocks for long: it leaves its worker to others, and waits in line for one |
//! | rank, world | feature `ranks`: a process of a job, numbered from 0; the ranks of a job, as one of them sees them |
//! | release | what the drop of the last handle does to a task that has not started: it never runs |
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `HEIST_WORKERS` | workers of an executor whose builder does not say |
//! | `HEIST_SEED` | seed of an executor whose builder does not say |
//! | `HEIST_TOPOLOGY` | a made-up host to plan for, such as `2 domains × 4 cores`; nothing is pinned then, and no memory placed |
//! | `HEIST_SYSFS_ROOT` | root of a recorded host to plan for, likewise |
//! | `HEIST_LAUNCHER` | feature `ranks`: what has started the ranks (`openmpi`, `mpich`, `slurm` …), where `auto` finds the wrong one; `none`: this process is alone |
//! | `HEIST_MPI_LIB` | feature `ranks`: the `libmpi` to open, where the launcher's own is not found |
//! | `HEIST_LOST_AFTER` | feature `ranks`: seconds after which a rank that has been stopped, or a host that has not been heard of, ends the job; by default 30, and 0 for never |
//!
//! # Promised, and not
//!
//! A ready task runs if every running task of its priority, and all that is more urgent, returns. A task runs at most once,
//! unless it may run [again](TaskBuilder::retries); its result is stored once, its closure and its value are dropped once.
//! Nothing a program does with this API panics by itself: panics of tasks are results. A wait for futures that would close
//! a circle of blocked tasks or actors is an error, as is one that no thread is left to end; circles through locks are not
//! found. Not promised: the order in which ready tasks of one priority run. With `panic = "abort"` a panic of a task ends
//! the process, as everywhere.
#![deny(unsafe_code)]
// A model (`--cfg heist_loom`) has what lies below the threads, and uses not all of it.
#![cfg_attr(heist_loom, allow(dead_code, unreachable_pub, unused_imports))]

mod actor;
#[cfg(not(heist_loom))]
mod builder;
#[cfg(not(heist_loom))]
mod config;
mod counters;
#[cfg(not(heist_loom))]
mod current;
#[cfg(not(heist_loom))]
mod data;
#[cfg(not(heist_loom))]
mod diagnostics;
#[allow(unsafe_code, reason = "an error travels in a task's state word")]
mod error;
#[cfg(not(heist_loom))]
mod executor;
#[allow(unsafe_code, reason = "forks are noticed by pthread_atfork")]
mod fork;
#[cfg(not(heist_loom))]
mod future;
#[cfg(not(heist_loom))]
mod global;
#[cfg(all(feature = "io", not(heist_loom)))]
pub mod io;
mod panics;
#[cfg(not(heist_loom))]
mod placement;
#[cfg(not(heist_loom))]
pub mod prelude;
mod primitive;
#[cfg(any(feature = "ranks", heist_loom))]
mod rank;
mod scheduler;
#[cfg(not(heist_loom))]
mod secede;
mod sync;
#[allow(unsafe_code, reason = "one erased allocation per task, shared by counted references")]
mod task;

#[cfg(all(feature = "io", not(heist_loom)))]
pub use actor::ActorTimer;
#[cfg(not(heist_loom))]
pub use actor::{ActorInfo, ActorOptions, ActorRef, OnPanic, WeakRef};
#[cfg(not(heist_loom))]
pub use builder::{Builder, PinPolicy, Profile};
#[cfg(not(heist_loom))]
pub use current::{CancelToken, Current, cancelled, current};
#[cfg(not(heist_loom))]
pub use data::{Chunk, DomainData, Halo, Halos, Held, IntoChunks, Partition, Rebalanced, Replicas, Scattered};
#[cfg(not(heist_loom))]
pub use diagnostics::{Stats, WorkerStats};
pub use error::{CancelReason, Error, TaskError, TaskId};
#[cfg(all(feature = "io", not(heist_loom)))]
pub use executor::ShutdownOnSignals;
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub use executor::launch;
#[cfg(not(heist_loom))]
pub use executor::{Bounded, CallStack, Detached, Executor, Running, Shutdown, TaskBuilder};
#[cfg(not(heist_loom))]
pub use future::{
    AsCompleted, Await, AwaitRef, Batches, DoneNotDone, Gather, GatherOk, Inputs, Promise, Reschedule, Status,
    TaskFuture, as_completed, wait_all, wait_all_async, wait_all_timeout, wait_any, wait_any_async, wait_any_timeout,
    wait_n, wait_n_async, wait_n_timeout,
};
/// The host: topology, plan, pinning, placed memory.
pub use heist_numa as numa;
/// Plain old data: any bytes are a value.
pub use heist_numa::Pod;
pub use panics::{PanicReport, drop_panics, set_drop_panic_hook};
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub use rank::{All, Arg, Args, RankData, RemoteTask, Replicated, all};
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub use rank::{Array, Rank, RemoteRef, World, detach_command, with_mpi};
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub use rank::{Collective, Max, Min, Number, Prod, Reduction, Sum};
#[cfg(all(feature = "ranks", not(heist_loom)))]
pub use rank::{
    WorldBarrier, WorldEvent, WorldLock, WorldLockGuard, WorldPermit, WorldQueue, WorldQueueIter, WorldSemaphore,
    WorldVariable,
};
#[cfg(not(heist_loom))]
pub use scheduler::Resource;
#[cfg(not(heist_loom))]
pub use secede::{Seceded, secede};
#[cfg(not(heist_loom))]
pub use sync::{
    Barrier, Event, Lock, LockGuard, MultiLock, MultiLockGuard, Permit, PutError, Queue, QueueIter, QueueStream,
    Semaphore, Subscription, Variable, Watch,
};
#[cfg(not(heist_loom))]
pub use task::{Key, Place, Priority};

/// The README's programs are run as tests.
#[cfg(all(doctest, feature = "ranks"))]
#[doc = include_str!("../README.md")]
struct Readme;

//! Coordination: locks, semaphores, events, barriers, queues, variables, topics. What waits is a thread or a task, never a
//! core.
#![doc = include_str!("README.md")]

#[cfg(not(heist_loom))]
mod barrier;
#[cfg(not(heist_loom))]
mod datasets;
#[cfg(not(heist_loom))]
mod event;
mod line;
#[cfg(not(heist_loom))]
mod lock;
#[cfg(all(test, heist_loom))]
mod models;
#[cfg(not(heist_loom))]
mod multi_lock;
#[cfg(not(heist_loom))]
mod names;
#[allow(unsafe_code, reason = "handles and permits that are out keep what they lead to, in one word")]
mod permits;
#[cfg(not(heist_loom))]
mod queue;
#[cfg(not(heist_loom))]
mod semaphore;
#[cfg(not(heist_loom))]
mod stream;
#[cfg(not(heist_loom))]
mod topic;
mod turn;
#[cfg(not(heist_loom))]
mod variable;

#[cfg(not(heist_loom))]
pub use barrier::Barrier;
#[cfg(not(heist_loom))]
pub(crate) use datasets::Datasets;
#[cfg(not(heist_loom))]
pub use event::Event;
#[cfg(not(heist_loom))]
pub use lock::{Lock, LockGuard};
#[cfg(not(heist_loom))]
pub use multi_lock::{MultiLock, MultiLockGuard};
#[cfg(not(heist_loom))]
pub(crate) use names::Names;
#[cfg(not(heist_loom))]
pub use queue::{PutError, Queue};
#[cfg(not(heist_loom))]
pub use semaphore::{Permit, Semaphore};
#[cfg(not(heist_loom))]
pub use stream::{QueueIter, QueueStream};
#[cfg(not(heist_loom))]
pub use topic::Subscription;
#[cfg(not(heist_loom))]
pub(crate) use topic::Topics;
#[cfg(not(heist_loom))]
pub use variable::{Variable, Watch};

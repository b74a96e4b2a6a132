//! The user's handle on a task's result, and every way to wait for it.

mod as_completed;
mod callback;
mod gather;
mod group;
mod haste;
mod inputs;
mod options;
mod poll;
mod promise;
mod repeat;
mod retry;
mod spawn;
mod task_future;
mod watch;
mod work;

pub use as_completed::{AsCompleted, Batches, as_completed};
pub use gather::{Gather, GatherOk};
pub use group::{
    DoneNotDone, wait_all, wait_all_async, wait_all_timeout, wait_any, wait_any_async, wait_any_timeout, wait_n,
    wait_n_async, wait_n_timeout,
};
pub use inputs::Inputs;
pub(crate) use options::{Options, born_failed, refused};
pub use poll::{Await, AwaitRef};
pub use promise::Promise;
pub use repeat::Reschedule;
pub(crate) use repeat::Wanted;
pub(crate) use spawn::{spawn, spawn_into, spawn_with};
pub use task_future::{Status, TaskFuture};
pub(crate) use work::{Fallible, Of, Plain, failed};

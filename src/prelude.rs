//! The names a program imports: `use heist::prelude::*;`.

pub use crate::builder::Builder;
pub use crate::current::{cancelled, current};
pub use crate::data::Partition;
pub use crate::error::{TaskError, TaskId};
pub use crate::executor::{Executor, Shutdown};
pub use crate::future::{Promise, TaskFuture, as_completed, wait_all, wait_any};

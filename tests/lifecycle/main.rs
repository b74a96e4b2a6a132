//! The life of a task, from every start to every end: runs, drops, statuses.

mod corners;
mod watchdog;

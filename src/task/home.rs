//! The scheduler of a task, for threads that do not belong to it: kept for as long as they need it.

use super::handle::skip;
use super::header::{Header, Ready, Schedule};

#[cfg(not(heist_loom))]
mod live {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Weak};

    use super::{Header, Schedule};
    use crate::primitive::lock::Mutex;

    /// The schedulers of this process, by the number of their executor.
    static LIVE: Mutex<BTreeMap<u32, Weak<dyn Schedule>>> = Mutex::new(BTreeMap::new());

    pub(crate) fn announce(executor: u32, scheduler: Weak<dyn Schedule>) {
        LIVE.lock().insert(executor, scheduler);
    }

    pub(crate) fn retract(executor: u32) {
        LIVE.lock().remove(&executor);
    }

    pub(super) fn find(task: &Header) -> Option<Arc<dyn Schedule>> {
        LIVE.lock().get(&task.executor)?.upgrade()
    }
}

#[cfg(not(heist_loom))]
pub(crate) use live::{announce, retract};

/// A scheduler that stays, or none when all its tasks are done.
pub(super) struct Kept(
    #[cfg(not(heist_loom))] Option<std::sync::Arc<dyn Schedule>>,
    #[cfg(heist_loom)] *const dyn Schedule,
);

/// Keeps the scheduler of `task`, so that tasks can be handed to it that may end at any time.
pub(super) fn keep(task: &Header) -> Kept {
    #[cfg(not(heist_loom))]
    return Kept(live::find(task));
    // SAFETY: the scheduler of a model stays to the model's end.
    #[cfg(heist_loom)]
    return Kept(unsafe { (*task.home).0 });
}

impl Kept {
    pub(super) fn ready(&self, task: Ready) {
        #[cfg(not(heist_loom))]
        match &self.0 {
            Some(scheduler) => scheduler.ready(task),
            None => skip(task),
        }
        #[cfg(heist_loom)]
        {
            let _ = skip;
            // SAFETY: as in `keep`.
            unsafe { (*self.0).ready(task) };
        }
    }
}

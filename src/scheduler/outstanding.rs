//! The promises that are not kept yet, so that a closing executor can end them.

use std::collections::HashSet;
use std::ptr::NonNull;

use crate::error::TaskError;
#[cfg(feature = "ranks")]
use crate::error::TaskId;
use crate::primitive::Padded;
use crate::primitive::lock::Mutex;
#[cfg(feature = "ranks")]
use crate::task::Afar;
use crate::task::{self, Header};

/// Locks over which the promises are spread.
const SHARDS: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Entry(NonNull<Header>);

// SAFETY: only `cancel` follows the pointer, as told there.
unsafe impl Send for Entry {}

/// Who keeps the claims of tasks that lack what comes from elsewhere.
#[cfg(feature = "ranks")]
pub(crate) trait FromAfar: Send + Sync {
    /// What has become of one of them; whether its value is there, elsewhere.
    fn told(&self, task: TaskId, what: Afar<'_>) -> bool;
    /// Ends those with `error` of which `which` is true.
    fn cancel(&self, error: &TaskError, which: &dyn Fn(&Header) -> bool);
}

pub(crate) struct Outstanding {
    #[cfg(feature = "ranks")]
    pub(crate) afar: std::sync::OnceLock<Box<dyn FromAfar>>,
    shards: Box<[Padded<Mutex<HashSet<Entry>>>]>,
}

impl Outstanding {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(feature = "ranks")]
            afar: std::sync::OnceLock::new(),
            shards: (0..SHARDS).map(|_| Padded(Mutex::new(HashSet::new()))).collect(),
        }
    }

    fn shard(&self, task: NonNull<Header>) -> &Mutex<HashSet<Entry>> {
        &self.shards[(task.addr().get() >> 6) % SHARDS].0
    }

    /// Notes a promise that holds the runtime's reference of `task`.
    pub(crate) fn add(&self, task: NonNull<Header>) {
        self.shard(task).lock().insert(Entry(task));
    }

    /// To be called before that reference ends.
    pub(crate) fn remove(&self, task: NonNull<Header>) {
        self.shard(task).lock().remove(&Entry(task));
    }

    /// Ends every promise with `error`.
    pub(super) fn cancel_all(&self, error: &TaskError) {
        self.cancel(error, |_| true);
    }

    /// Ends those promises with `error` of which `which` is true.
    pub(super) fn cancel(&self, error: &TaskError, which: impl Fn(&Header) -> bool) {
        for shard in &self.shards {
            // SAFETY: what is in the set is held by its promise, which takes it out under this lock before it lets go.
            let which = |entry: &Entry| which(unsafe { entry.0.as_ref() });
            let ended: Vec<_> = shard
                .0
                .lock()
                .extract_if(which)
                // SAFETY: as above.
                .filter_map(|entry| unsafe { task::fail(entry.0, error.clone()) })
                .collect();
            for list in ended {
                task::fire(list, Some(error.clone()), task::schedule);
            }
        }
        #[cfg(feature = "ranks")]
        if let Some(afar) = self.afar.get() {
            afar.cancel(error, &which);
        }
    }
}

//! The tasks that run with nobody holding on to them, so that they can be asked about, cancelled and complained about.

use super::context::local;
use crate::error::{TaskError, TaskId};
use crate::panics;
use crate::primitive::Padded;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::task::{self, Handle, Listener, Roll};

/// Lists over which they are spread, by the thread that detaches.
const SHARDS: usize = 16;
/// Places of a list that are kept while no task is in it.
const KEPT: usize = 1 << 10;

/// Who is told of the error of a detached task.
pub(crate) type ErrorHook = Arc<dyn Fn(TaskId, &TaskError) + Send + Sync>;

/// Those of one executor.
pub(crate) struct Detached {
    shards: Box<[Arc<Shard>]>,
}

struct Shard {
    list: Padded<Mutex<List>>,
    hook: Option<ErrorHook>,
}

#[derive(Default)]
struct List {
    places: Vec<Option<Handle>>,
    free: Vec<u32>,
}

impl Detached {
    pub(super) fn new(hook: Option<ErrorHook>) -> Self {
        let shard = || Arc::new(Shard { list: Padded::default(), hook: hook.clone() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// Where a task goes that the calling thread detaches.
    pub(super) fn roll(&self) -> Arc<dyn Roll> {
        self.shards[local(super::Local::shard) % SHARDS].clone()
    }

    /// Those that are not done. O(detached tasks).
    pub(crate) fn unfinished(&self) -> Vec<Handle> {
        let mut all: Vec<_> = self.shards.iter().flat_map(|shard| shard.list.lock().handles()).collect();
        all.retain(|task| !task.head().state.load().is_done());
        all
    }
}

/// Lets a task run with nobody holding on to it.
pub(crate) fn detach(task: Handle) {
    if task.head().state.load().phase() == task::Phase::Value {
        return;
    }
    let own = local(|local| {
        let registry = local.registry().filter(|registry| task.head().is_of(registry.id))?;
        Some(registry.detached.roll())
    });
    match own {
        Some(roll) => Listener::detach(task, roll),
        None => task::detach(task),
    }
}

impl List {
    fn handles(&self) -> Vec<Handle> {
        self.places.iter().flatten().cloned().collect()
    }
}

impl Roll for Shard {
    fn put(&self, task: Handle) -> u32 {
        let mut list = self.list.lock();
        if let Some(place) = list.free.pop() {
            list.places[place as usize] = Some(task);
            return place;
        }
        list.places.push(Some(task));
        list.places.len() as u32 - 1
    }

    fn ended(&self, place: u32) {
        let mut list = self.list.lock();
        let task = list.places[place as usize].take();
        list.free.push(place);
        if list.free.len() == list.places.len() && list.places.len() > KEPT {
            *list = List::default();
        }
        drop(list);
        if let (Some(hook), Some(task)) = (&self.hook, &task)
            && let Some(error) = task.error()
        {
            panics::catch_drop(|| hook(task.head().id(), &error));
        }
    }
}

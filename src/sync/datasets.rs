//! Futures published under a name: kept wanted until they are unpublished, found by anybody.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::names::taken;
use crate::error::Error;
use crate::future::TaskFuture;
use crate::primitive::lock::Mutex;

/// The published futures of one executor.
#[derive(Default)]
pub(crate) struct Datasets(Mutex<BTreeMap<Box<str>, Box<dyn Any + Send + Sync>>>);

impl Datasets {
    pub(crate) fn publish<T: Send + 'static>(&self, name: &str, future: TaskFuture<T>) -> Result<(), Error> {
        match self.0.lock().entry(name.into()) {
            Entry::Occupied(_) => Err(taken("dataset", name, "published before; unpublish or republish it")),
            Entry::Vacant(entry) => {
                entry.insert(Box::new(future));
                Ok(())
            }
        }
    }

    /// Whether something else was published so before.
    pub(crate) fn republish<T: Send + 'static>(&self, name: &str, future: TaskFuture<T>) -> bool {
        let before = self.0.lock().insert(name.into(), Box::new(future));
        before.is_some()
    }

    pub(crate) fn unpublish(&self, name: &str) -> bool {
        let before = self.0.lock().remove(name);
        before.is_some()
    }

    pub(crate) fn get<T: Send + 'static>(&self, name: &str) -> Result<Option<TaskFuture<T>>, Error> {
        match self.0.lock().get(name) {
            None => Ok(None),
            Some(future) => match future.downcast_ref::<TaskFuture<T>>() {
                Some(future) => Ok(Some(future.clone())),
                None => Err(taken("dataset", name, "with values of another type")),
            },
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().keys().map(ToString::to_string).collect()
    }
}

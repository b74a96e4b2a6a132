//! Which task waits for which, while a thread is blocked: waits that would close a circle are found before they begin.

use std::collections::HashMap;
use std::ptr::NonNull;

use super::context::local;
use crate::primitive::lock::Mutex;
use crate::task::Header;

/// The blocked tasks of an executor, by address, with the one each waits for.
pub(super) struct Blocked(Mutex<HashMap<usize, usize>>);

impl Blocked {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Notes that all tasks on this stack wait for `awaited`; false if it waits, by way of others, for one of them.
    pub(super) fn enter(&self, awaited: NonNull<Header>) -> bool {
        let mut waits = self.0.lock();
        let mut next = awaited.addr().get();
        for _ in 0..=waits.len() {
            if local(|local| local.tasks().any(|task| task.addr().get() == next)) {
                return false;
            }
            match waits.get(&next) {
                Some(&further) => next = further,
                None => break,
            }
        }
        local(|local| waits.extend(local.tasks().map(|task| (task.addr().get(), awaited.addr().get()))));
        true
    }

    /// Takes the note back.
    pub(super) fn leave(&self) {
        let mut waits = self.0.lock();
        local(|local| {
            for task in local.tasks() {
                waits.remove(&task.addr().get());
            }
        });
    }
}

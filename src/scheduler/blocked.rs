//! Which task waits for which, while a thread is blocked: waits that would close a circle are found before they begin.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

use super::context::local;
use crate::task::Header;

/// The blocked tasks of this process, by address, with those that each waits for; a wait for all of several has each of
/// them. An entry lies here while a thread is blocked, so its tasks are alive and no address stands for two.
static WAITS: std::sync::Mutex<BTreeMap<usize, Vec<usize>>> = std::sync::Mutex::new(BTreeMap::new());

fn waits() -> std::sync::MutexGuard<'static, BTreeMap<usize, Vec<usize>>> {
    WAITS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The note of a blocked thread; taken back when dropped.
pub(crate) struct Note(());

/// Notes that all tasks on this stack wait for all of `awaited`; none if one of these waits, by way of others, for one of
/// them.
pub(crate) fn enter(awaited: impl Iterator<Item = NonNull<Header>>) -> Option<Note> {
    let awaited: Vec<_> = awaited.map(|task| task.addr().get()).collect();
    local(|local| {
        let mine: BTreeSet<_> = local.tasks().map(|task| task.addr().get()).collect();
        if mine.is_empty() {
            return Some(Note(()));
        }
        let mut waits = waits();
        let mut seen = BTreeSet::new();
        let mut open = awaited.clone();
        while let Some(next) = open.pop() {
            if mine.contains(&next) {
                return None;
            }
            if seen.insert(next) {
                open.extend(waits.get(&next).into_iter().flatten());
            }
        }
        waits.extend(mine.into_iter().map(|task| (task, awaited.clone())));
        Some(Note(()))
    })
}

impl Drop for Note {
    fn drop(&mut self) {
        local(|local| {
            let mut tasks = local.tasks().peekable();
            if tasks.peek().is_some() {
                let mut waits = waits();
                tasks.for_each(|task| {
                    waits.remove(&task.addr().get());
                });
            }
        });
    }
}

//! Which task waits for which, while a thread is blocked: waits that would close a circle are found before they begin.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

use super::context::local;
use crate::primitive::lock::Mutex;
use crate::task::Header;

/// The blocked tasks of this process, by address, with those that each waits for; a wait for all of several has each of
/// them. An entry lies here while a thread is blocked, so its tasks are alive and no address stands for two.
static WAITS: Mutex<BTreeMap<usize, Vec<usize>>> = Mutex::new(BTreeMap::new());

/// The note of a blocked thread; taken back when dropped.
pub(crate) struct Note(());

/// Whether some of `awaited` wait, by way of others, for one of `mine`.
fn leads_back(waits: &BTreeMap<usize, Vec<usize>>, mine: &BTreeSet<usize>, awaited: &[usize]) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = awaited.to_vec();
    while let Some(next) = open.pop() {
        if mine.contains(&next) {
            return true;
        }
        if seen.insert(next) {
            open.extend(waits.get(&next).into_iter().flatten());
        }
    }
    false
}

fn on_this_stack() -> BTreeSet<usize> {
    local(|local| local.tasks().map(|task| task.addr().get()).collect())
}

/// Notes that all tasks on this stack wait for all of `awaited`; none if one of these waits, by way of others, for one of
/// them.
pub(crate) fn enter(awaited: impl Iterator<Item = NonNull<Header>>) -> Option<Note> {
    let mine = on_this_stack();
    if !mine.is_empty() {
        let awaited: Vec<_> = awaited.map(|task| task.addr().get()).collect();
        let mut waits = WAITS.lock();
        if leads_back(&waits, &mine, &awaited) {
            return None;
        }
        waits.extend(mine.into_iter().map(|task| (task, awaited.clone())));
    }
    Some(Note(()))
}

/// Whether every one of `awaited`, and there are some, waits for a task on this stack.
pub(crate) fn all_lead_back(mut awaited: impl Iterator<Item = NonNull<Header>>) -> bool {
    let mine = on_this_stack();
    if mine.is_empty() {
        return false;
    }
    let waits = WAITS.lock();
    let mut leads_back = |task: NonNull<Header>| leads_back(&waits, &mine, &[task.addr().get()]);
    awaited.next().is_some_and(&mut leads_back) && awaited.all(leads_back)
}

impl Drop for Note {
    fn drop(&mut self) {
        local(|local| {
            let mut tasks = local.tasks().peekable();
            if tasks.peek().is_some() {
                let mut waits = WAITS.lock();
                tasks.for_each(|task| {
                    waits.remove(&task.addr().get());
                });
            }
        });
    }
}

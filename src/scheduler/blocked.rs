//! Which task waits for which, while a thread is blocked: waits that would close a circle are found before they begin.
//!
//! A message that was not begun waits for the turn of its subject; a turn that is being taken is on a stack, as a task is.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

use super::context::local;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::lock::Mutex;
use crate::task::{Handle, Header, turn_of, waiting_for};

/// A task that is alive for as long as it is listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Listed(NonNull<Header>);

// SAFETY: a list only follows the pointer to what many threads may read of a task.
unsafe impl Send for Listed {}

/// What a task on the stack of a blocked thread waits for.
enum On {
    /// The next inwards, to return.
    Inner(Listed),
    /// All of these that are not done, to be done.
    All(Vec<Listed>),
}

type Waits = BTreeMap<Listed, On>;

impl On {
    fn unmet(&self) -> impl Iterator<Item = Listed> {
        let (inner, all) = match self {
            Self::Inner(inner) => (Some(*inner), &[][..]),
            Self::All(all) => (None, &all[..]),
        };
        inner.into_iter().chain(all.iter().copied().filter(|task| !task.is_done()))
    }
}

impl Listed {
    fn is_done(self) -> bool {
        // SAFETY: a listed task is alive.
        unsafe { self.0.as_ref() }.state.load().is_done()
    }
}

/// The tasks on the stacks of blocked threads of this process, with those that each waits for: the innermost one for what
/// the thread waits for, all of them if these are several; each other one for the next inwards. An entry lies here while
/// its thread is blocked, so its tasks are alive and no address stands for two.
static WAITS: Mutex<Waits> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The circle that this thread found last, in words.
    static CIRCLE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The note of a blocked thread; taken back when dropped.
pub(crate) struct Note(());

/// The way from some of `awaited`, by way of what those wait for, to one of `mine`, if there is one.
fn way_back(waits: &Waits, mine: &BTreeSet<Listed>, awaited: &[Listed]) -> Option<Vec<Listed>> {
    let mut from = BTreeMap::new();
    // A subject is only compared with what is listed: whoever has its turn may end it meanwhile.
    let mut open: Vec<_> = awaited.iter().map(|&task| (task, None, false)).collect();
    while let Some((next, before, is_subject)) = open.pop() {
        if from.contains_key(&next) {
            continue;
        }
        from.insert(next, before);
        if mine.contains(&next) {
            let mut way: Vec<_> = std::iter::successors(Some(next), |task| from.get(task).copied().flatten()).collect();
            way.reverse();
            return Some(way);
        }
        if !is_subject {
            // SAFETY: what is awaited, or listed, is alive.
            let subject = unsafe { waiting_for(next.0) }.map(Listed);
            open.extend(subject.map(|subject| (subject, Some(next), true)));
        }
        open.extend(waits.get(&next).into_iter().flat_map(On::unmet).map(|task| (task, Some(next), false)));
    }
    None
}

/// The tasks on this stack, innermost first.
fn on_this_stack<C: FromIterator<Listed>>() -> C {
    local(|local| local.tasks().map(Listed).collect())
}

/// Notes that all tasks on this stack wait for all of `awaited`, whom the caller keeps; none if one of these waits, by way
/// of others, for one of them.
pub(crate) fn enter(awaited: impl Iterator<Item = NonNull<Header>>) -> Option<Note> {
    let stack: Vec<Listed> = on_this_stack();
    if !stack.is_empty() {
        let awaited: Vec<_> = awaited.map(Listed).collect();
        let mut waits = WAITS.lock();
        if let Some(way) = way_back(&waits, &stack.iter().copied().collect(), &awaited) {
            let circle = in_words(&way);
            drop(waits);
            CIRCLE.with(|last| *last.borrow_mut() = circle);
            return None;
        }
        let inwards = stack.iter().map(|&task| On::Inner(task));
        waits.extend(stack.iter().copied().zip(std::iter::once(On::All(awaited)).chain(inwards)));
    }
    Some(Note(()))
}

/// Whom a circle leads through, where they have names of their own.
fn in_words(way: &[Listed]) -> Option<String> {
    let (&last, before) = way.split_last()?;
    let stack: Vec<Listed> = on_this_stack();
    // From the task on this stack that the way leads to, inwards: each waits for the next.
    let at = stack.iter().position(|&task| task == last)?;
    let inwards = stack[..=at].iter().rev();
    // SAFETY: all on the way, and on this stack, are alive while the list is locked, and so are those whose messages are
    // blocked, or wait for their turn.
    let mut turns: Vec<_> = before.iter().chain(inwards).filter_map(|task| unsafe { turn_of(task.0) }).collect();
    turns.dedup();
    // SAFETY: as above.
    let names: Vec<_> = turns.iter().map(|turn| unsafe { turn.as_ref() }.name()).collect();
    let (last, others) = names.split_last()?;
    let mut words = format!("actor `{last}` waits for itself");
    if !others.is_empty() {
        words = format!("actor `{last}` waits for ");
        others.iter().for_each(|name| words += &format!("actor `{name}`, which waits for "));
        words += &format!("actor `{last}`");
    }
    Some(words)
}

/// What a wait reports that [`enter`] has refused.
pub(crate) fn error() -> TaskError {
    TaskError::new(TaskErrorKind::Deadlock { circle: CIRCLE.with(|circle| circle.borrow_mut().take()) })
}

/// Why `task`, which an async handler of an actor is about to await, would keep it waiting for ever: it is asked of that
/// actor, which handles nothing else before.
pub(crate) fn of_own_handler(task: &Handle) -> Option<TaskError> {
    // SAFETY: a handle keeps its task.
    let subject = unsafe { waiting_for(task.task()) }?;
    // The handler, and its turn.
    let is_own = local(|local| local.tasks().take(2).any(|task| task == subject));
    is_own.then(|| {
        // SAFETY: a turn on this stack is alive.
        let name = unsafe { subject.as_ref() }.name();
        TaskError::new(TaskErrorKind::Deadlock { circle: Some(format!("actor `{name}` waits for itself")) })
    })
}

/// Whether every one of `awaited`, and there are some, waits for a task on this stack.
pub(crate) fn all_lead_back(mut awaited: impl Iterator<Item = NonNull<Header>>) -> bool {
    let mine: BTreeSet<_> = on_this_stack();
    if mine.is_empty() {
        return false;
    }
    CIRCLE.with(|last| *last.borrow_mut() = None);
    let waits = WAITS.lock();
    let mut leads_back = |task| way_back(&waits, &mine, &[Listed(task)]).is_some();
    awaited.next().is_some_and(&mut leads_back) && awaited.all(leads_back)
}

impl Drop for Note {
    fn drop(&mut self) {
        local(|local| {
            let mut tasks = local.tasks().peekable();
            if tasks.peek().is_some() {
                let mut waits = WAITS.lock();
                tasks.for_each(|task| {
                    waits.remove(&Listed(task));
                });
            }
        });
    }
}

//! Keys: names under which a task is found again while anybody holds it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread::ThreadId;

use super::handle::Handle;
use super::header::Header;
use crate::error::TaskId;
use crate::primitive::lock::{Condvar, Mutex};

/// What tells a task from others under [`TaskBuilder::key`](crate::TaskBuilder::key): a text, numbers, or both.
///
/// ```
/// use heist::Key;
/// assert_eq!(Key::from(("tile", 1, 2)), Key::from(("tile".to_owned(), 1, 2)));
/// assert_eq!(Key::from(("tile", 1_usize, 2_u8)), Key::from(("tile", 1, 2)));
/// assert_ne!(Key::from(("tile", 1)), Key::from("tile1"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<Parts>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    text: Box<str>,
    numbers: Box<[i128]>,
}

impl Key {
    fn new(text: impl Into<Box<str>>, numbers: impl Into<Box<[i128]>>) -> Self {
        Self(Arc::new(Parts { text: text.into(), numbers: numbers.into() }))
    }

    /// The key with a further number, for one of several tasks that were made together.
    pub(crate) fn with(&self, number: usize) -> Self {
        let numbers: Vec<_> = self.0.numbers.iter().copied().chain([number as i128]).collect();
        Self::new(self.0.text.clone(), numbers)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)?;
        match &*self.0.numbers {
            [] => Ok(()),
            numbers => write!(f, "{numbers:?}"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A number in a [`Key`]: a `bool`, or of any of the integer types up to `i128`.
pub trait Number {
    /// The number itself.
    fn wide(self) -> i128;
}

macro_rules! text {
    ($($text:ty),*) => {$(
        impl From<$text> for Key {
            fn from(text: $text) -> Self {
                Self::new(text, [])
            }
        }
        impl<A: Number> From<($text, A)> for Key {
            fn from((text, a): ($text, A)) -> Self {
                Self::new(text, [a.wide()])
            }
        }
        impl<A: Number, B: Number> From<($text, A, B)> for Key {
            fn from((text, a, b): ($text, A, B)) -> Self {
                Self::new(text, [a.wide(), b.wide()])
            }
        }
        impl<A: Number, B: Number, C: Number> From<($text, A, B, C)> for Key {
            fn from((text, a, b, c): ($text, A, B, C)) -> Self {
                Self::new(text, [a.wide(), b.wide(), c.wide()])
            }
        }
    )*};
}
text!(&str, String);

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn wide(self) -> i128 {
                self as i128
            }
        }
        impl From<$number> for Key {
            fn from(number: $number) -> Self {
                Self::new("", [number.wide()])
            }
        }
    )*};
}
number!(bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, i128, isize);

/// What has a reference of its own to some tasks, but only for as long as anybody else has one.
pub(crate) trait Keeper: Send + Sync {
    /// Calls `ended` while nobody can get a new handle of the task from here, and forgets the task if that says so. The task
    /// may be gone after the call.
    fn end_handle(&self, task: &Header, ended: &mut dyn FnMut() -> bool);
}

/// The tasks that have keys.
#[derive(Default)]
pub(crate) struct Keys {
    table: Mutex<HashMap<Key, Slot>>,
    /// A task was made, or will not be.
    settled: Condvar,
}

enum Slot {
    /// A thread is about to make the task.
    Making(ThreadId),
    /// The table has a reference to it (`Handle::keep`).
    Made(Kept),
}

/// A task, of which somebody else has a handle too.
struct Kept(NonNull<Header>);

impl Kept {
    /// To be called under the keeper's lock, for a task that was made with this keeper.
    fn of(task: &Handle) -> Self {
        task.keep();
        Self(task.task())
    }

    /// Gives the keeper's reference up.
    ///
    /// # Safety
    /// The keeper's lock is held, and the task is forgotten under it.
    unsafe fn let_go(&self) {
        // SAFETY: until this somebody else has a handle too: the last one ends under the lock, and takes this with it.
        Handle::unkeep(unsafe { self.0.as_ref() });
    }

    /// # Safety
    /// The keeper's lock is held.
    unsafe fn head(&self) -> &Header {
        // SAFETY: the keeper's reference keeps the task, and ends under its lock.
        unsafe { self.0.as_ref() }
    }

    /// A further handle.
    ///
    /// # Safety
    /// The keeper's lock is held.
    unsafe fn handle(&self) -> Handle {
        // SAFETY: the keeper's reference keeps the task, and ends under its lock.
        unsafe { Handle::of(self.0) }
    }
}

// SAFETY: as a `Handle`.
unsafe impl Send for Kept {}

/// What there is under a key.
pub(crate) enum Found<'a> {
    Task(Handle),
    /// Nothing: the caller makes it.
    Nothing(Place<'a>),
    /// The caller is making it.
    Circle,
}

/// A key for which its holder is to make a task.
pub(crate) struct Place<'a> {
    keys: &'a Keys,
    key: Key,
    made: Option<Handle>,
}

impl Keys {
    /// The task under `key`, unless it `gives_up` the key to the next.
    pub(crate) fn find(&self, key: Key, gives_up: impl Fn(&Handle) -> bool) -> Found<'_> {
        let me = std::thread::current().id();
        let mut table = self.table.lock();
        loop {
            match table.entry(key.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Slot::Making(me));
                    return Found::Nothing(Place { keys: self, key, made: None });
                }
                Entry::Occupied(mut slot) => match slot.get() {
                    Slot::Making(maker) if *maker == me => return Found::Circle,
                    Slot::Making(_) => {}
                    Slot::Made(task) => {
                        // SAFETY: this is its lock.
                        let found = unsafe { task.handle() };
                        if !gives_up(&found) {
                            return Found::Task(found);
                        }
                        // SAFETY: as above.
                        unsafe { task.let_go() };
                        slot.insert(Slot::Making(me));
                        drop(table);
                        return Found::Nothing(Place { keys: self, key, made: None });
                    }
                },
            }
            table = self.settled.wait(table);
        }
    }

    /// Forgets tasks of which `which` is true: whoever holds one has it without its key from then on.
    pub(crate) fn forget(&self, which: impl Fn(&Header) -> bool) {
        self.table.lock().retain(|_, slot| match slot {
            Slot::Making(_) => true,
            Slot::Made(task) => {
                // SAFETY: this is its lock.
                if !which(unsafe { task.head() }) {
                    return true;
                }
                // SAFETY: as above.
                unsafe { task.let_go() };
                false
            }
        });
    }
}

impl Place<'_> {
    /// Puts the task there, which was made with this key and this keeper.
    pub(crate) fn fill(mut self, task: &Handle) {
        self.made = Some(task.clone());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let made = self.made.take();
        let mut table = self.keys.table.lock();
        match &made {
            Some(task) => {
                table.insert(self.key.clone(), Slot::Made(Kept::of(task)));
            }
            None => drop(table.remove(&self.key)),
        }
        drop(table);
        self.keys.settled.notify_all();
    }
}

impl Keeper for Keys {
    fn end_handle(&self, task: &Header, ended: &mut dyn FnMut() -> bool) {
        let key = task.rule().and_then(|rule| rule.key.clone());
        let mut table = self.table.lock();
        if ended()
            && let Some(key) = key
        {
            table.remove(&key);
        }
    }
}

/// Unfinished tasks that are to be found while others hold them.
#[derive(Default)]
pub(crate) struct Crew(Mutex<BTreeMap<TaskId, Kept>>);

impl Crew {
    /// Adds a task that was made with this keeper; its maker has the only handle.
    pub(crate) fn add(&self, task: &Handle) {
        self.0.lock().insert(task.head().id(), Kept::of(task));
    }

    /// Lets go of a task.
    pub(crate) fn remove(&self, id: TaskId) {
        let mut crew = self.0.lock();
        if let Some(task) = crew.remove(&id) {
            // SAFETY: this is its lock.
            unsafe { task.let_go() };
        }
    }

    /// The last one before `before`, or of all.
    pub(crate) fn last(&self, before: Option<TaskId>) -> Option<Handle> {
        let crew = self.0.lock();
        let bound = before.map_or(Bound::Unbounded, Bound::Excluded);
        let (_, task) = crew.range((Bound::Unbounded, bound)).next_back()?;
        // SAFETY: this is its lock.
        Some(unsafe { task.handle() })
    }
}

impl Keeper for Crew {
    fn end_handle(&self, task: &Header, ended: &mut dyn FnMut() -> bool) {
        let id = task.id();
        let mut crew = self.0.lock();
        if ended() {
            crew.remove(&id);
        }
    }
}

//! Ready tasks by class, to be taken one at a time.

use std::collections::VecDeque;

use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU8, Ordering};
use crate::primitive::lock::Mutex;
use crate::task::{self, Priority, Ready};

type Queues = [VecDeque<Ready>; Priority::ALL.len()];

/// A queue for each class. What is popped is one task, never a batch: whatever is more urgent comes between any two.
pub(super) struct Shelf {
    /// One bit a class, by its place in [`Priority::ALL`]: something lies there. Changes under the lock.
    classes: Padded<AtomicU8>,
    queues: Mutex<Queues>,
}

/// The bits of all classes that are more urgent than this one.
pub(super) const fn above(class: Priority) -> u8 {
    bit(class) - 1
}

/// The bit of a class.
pub(super) const fn bit(class: Priority) -> u8 {
    1 << class.index()
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self { classes: Padded(AtomicU8::new(0)), queues: Mutex::new(Queues::default()) }
    }

    /// The classes of which something lies here, as [bits](bit).
    pub(super) fn classes(&self) -> u8 {
        // ORDERING: Relaxed; the fences of the idle protocol order this look where it must not miss a push.
        self.classes.load(Ordering::Relaxed)
    }

    /// Puts tasks, in the order they are to run, before or behind those of their class. `told` hears, still under the lock,
    /// whether anything lies here.
    pub(super) fn put(
        &self,
        class: Priority,
        first: bool,
        tasks: impl DoubleEndedIterator<Item = Ready>,
        told: impl FnOnce(bool),
    ) {
        self.change(told, |queues| {
            let queue = &mut queues[class.index()];
            if first {
                tasks.rev().for_each(|task| queue.push_front(task));
            } else {
                queue.extend(tasks);
            }
        });
    }

    /// Takes the first task of a class.
    pub(super) fn take(&self, class: Priority, told: impl FnOnce(bool)) -> Option<Ready> {
        if self.classes() & bit(class) == 0 {
            return None;
        }
        self.change(told, |queues| queues[class.index()].pop_front())
    }

    pub(super) fn len(&self) -> usize {
        if self.classes() == 0 { 0 } else { self.queues.lock().iter().map(VecDeque::len).sum() }
    }

    /// Lets go of the entries whose tasks are taken or done.
    pub(super) fn purge(&self, told: impl FnOnce(bool)) {
        self.change(told, |queues| {
            for queue in queues {
                *queue = std::mem::take(queue).into_iter().filter_map(task::if_open).collect();
            }
        });
    }

    /// Takes everything.
    pub(super) fn take_all(&self, told: impl FnOnce(bool)) -> impl Iterator<Item = Ready> {
        self.change(told, std::mem::take).into_iter().flatten()
    }

    fn change<R>(&self, told: impl FnOnce(bool), change: impl FnOnce(&mut Queues) -> R) -> R {
        let mut queues = self.queues.lock();
        let result = change(&mut queues);
        let bits = queues.iter().enumerate().filter(|(_, queue)| !queue.is_empty());
        let classes = bits.fold(0, |bits, (class, _)| bits | 1 << class);
        // ORDERING: Relaxed; as in `classes`. What it tells of is published by the lock.
        self.classes.store(classes, Ordering::Relaxed);
        told(classes != 0);
        result
    }
}

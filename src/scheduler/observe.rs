//! Looks at what the threads of an executor are in the middle of, while they go on.

use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::context::Local;
use super::registry::Registry;
use super::shown::Shown;
use super::slot::TIMED;
use crate::error::{Error, ErrorKind};
use crate::primitive::atomic::Ordering;
use crate::primitive::lock::{Guard, Mutex};
use crate::task::Header;

/// The threads of an executor that may be looked at. Held while somebody looks, and by a thread that enters or leaves.
pub(super) struct Roster(Mutex<BTreeSet<Entry>>);

type Thread = Shown<NonNull<Header>>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(NonNull<Thread>);

// SAFETY: a `Thread` is made of atomics; what they point to is followed by the rules of `Shown::each`.
unsafe impl Send for Entry {}

impl Entry {
    fn of(local: &Local) -> Self {
        Self(NonNull::from(&local.shown))
    }

    fn thread(&self) -> &Thread {
        // SAFETY: a thread takes its entry off the roster, which the caller holds, before it ends.
        unsafe { self.0.as_ref() }
    }
}

/// A thread in the middle of tasks, as it was seen.
pub(crate) struct SeenThread<T> {
    /// Of its record.
    pub(super) address: usize,
    /// The worker on whose core it runs.
    pub(crate) worker: usize,
    /// It sleeps in a wait.
    pub(crate) waits: bool,
    /// Its task has left its worker to another thread.
    pub(crate) seceded: bool,
    /// What was seen of its tasks, the innermost last.
    pub(crate) tasks: Vec<T>,
}

/// Threads that must keep their frames, until this is dropped.
struct Frozen<'a>(Guard<'a, BTreeSet<Entry>>);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|entry| entry.thread().thaw());
    }
}

impl Roster {
    pub(super) fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    pub(super) fn enter(&self, local: &Local) {
        self.0.lock().insert(Entry::of(local));
    }

    pub(super) fn leave(&self, local: &Local) {
        self.0.lock().remove(&Entry::of(local));
    }

    /// Waits until whoever looks has ended.
    pub(super) fn wait(&self) {
        drop(self.0.lock());
    }

    /// Shows `look` every task on the stacks of the threads, which keep them meanwhile, and when it began. No code of the
    /// user's may run in there.
    pub(super) fn look<T>(&self, mut look: impl FnMut(NonNull<Header>, u64) -> T) -> Result<Vec<SeenThread<T>>, Error> {
        let threads = self.0.lock();
        let threads = Frozen(threads);
        threads.0.iter().for_each(|entry| entry.thread().freeze());
        heavy_fence()?;
        let see = |entry: &Entry| {
            let thread = entry.thread();
            let mut tasks = Vec::new();
            // SAFETY: frozen before the fence, thawed when `threads` goes, and kept from ending by the lock it holds.
            unsafe { thread.each(|frame| tasks.push(look(frame.task, frame.since))) };
            tasks.reverse();
            // ORDERING: Relaxed, thrice; each is a fact of its own.
            SeenThread {
                address: entry.0.addr().get(),
                worker: thread.slot.load(Ordering::Relaxed),
                waits: thread.asleep.load(Ordering::Relaxed),
                seceded: thread.seceded.load(Ordering::Relaxed),
                tasks,
            }
        };
        let mut seen: Vec<_> = threads.0.iter().map(see).collect();
        drop(threads);
        seen.sort_by_key(|thread| thread.worker);
        Ok(seen)
    }
}

/// What was seen of a task.
pub(crate) struct SeenTask {
    pub(crate) name: String,
    pub(crate) id: crate::error::TaskId,
    pub(crate) location: &'static std::panic::Location<'static>,
    /// How long ago it began.
    pub(crate) since: Duration,
}

impl Registry {
    /// By the clock that tells when a task began.
    pub(super) fn time_of(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX)
    }

    /// What the threads of the executor are in the middle of, those that are in some. Nothing is after the executor's end, and in a fork.
    pub(crate) fn see(&self) -> Result<Vec<SeenThread<SeenTask>>, Error> {
        if self.is_forked() {
            return Ok(Vec::new());
        }
        // Who looks once may look again.
        self.slots.iter().for_each(|slot| slot.ask(TIMED, true));
        let now = self.time_of(Instant::now());
        let mut seen = self.roster.look(|task, since| {
            // SAFETY: a task on a stack is kept by its runner, which keeps its frame now.
            let head = unsafe { task.as_ref() };
            let since = Duration::from_nanos(now.saturating_sub(since));
            SeenTask { name: head.name().to_owned(), id: head.id(), location: head.location, since }
        })?;
        seen.retain(|thread| !thread.tasks.is_empty());
        Ok(seen)
    }
}

/// Every thread of the process passes a full fence before this returns, as if it stood where the thread is.
pub(super) fn heavy_fence() -> Result<(), Error> {
    use std::sync::atomic::{AtomicI32, fence};
    /// The command that serves here, once that is known.
    static COMMAND: AtomicI32 = AtomicI32::new(0);
    let call = |command: i32| {
        // SAFETY: the call touches no memory of the process.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
    };
    // This thread's own part.
    fence(Ordering::SeqCst);
    // ORDERING: Relaxed; any thread finds the same.
    let known = COMMAND.load(Ordering::Relaxed);
    // A fork may have to ask anew.
    let done = if known != 0 && call(known) == 0 {
        0
    } else {
        let private = call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
        let command = if private { libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED } else { libc::MEMBARRIER_CMD_GLOBAL };
        let done = call(command);
        if done == 0 {
            // ORDERING: Relaxed; as above.
            COMMAND.store(command, Ordering::Relaxed);
        }
        done
    };
    if done == 0 { Ok(()) } else { Err(Error::new(ErrorKind::Unseen(std::io::Error::last_os_error()))) }
}

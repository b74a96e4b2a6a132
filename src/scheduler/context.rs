//! What a thread knows of itself: the worker it drives, the executor it serves, the tasks on its stack.

use std::cell::Cell;
use std::ptr::NonNull;

use super::outside::Outside;
use super::registry::Registry;
use super::worker::Worker;
use crate::counters::Counters;
use crate::error::TaskId;
use crate::task::Header;

/// Ids a thread takes from the process at once.
const ID_BLOCK: u64 = 4096;

/// Numbers of outsiders.
pub(super) const SHARDS: usize = 1 << 16;

/// One task on a thread's stack; the innermost is the current one.
#[derive(Debug)]
pub(crate) struct Frame {
    task: NonNull<Header>,
    below: *const Frame,
}

/// Takes the innermost frame away, also when its task unwinds.
struct Pop(*const Frame);

impl Drop for Pop {
    fn drop(&mut self) {
        local(|local| local.frames.set(self.0));
    }
}

/// The record of a thread.
pub(crate) struct Local {
    /// The executor this thread belongs to; null outside.
    registry: Cell<*const Registry>,
    /// The worker it drives now; null outside and while it is away from its seat.
    worker: Cell<*const Worker>,
    /// The seat it drives, or drove last.
    slot: Cell<usize>,
    /// Whether it has announced that it is back on its core without its seat.
    pub(super) returning: Cell<bool>,
    frames: Cell<*const Frame>,
    /// Lowest stack address at which it still helps.
    help_floor: Cell<usize>,
    ids: Cell<(u64, u64)>,
    shard: Cell<usize>,
    /// The executor that was counted for last, and this thread's counters there, null when there were none left.
    counted_for: Cell<u64>,
    counters: Cell<*const Counters>,
    /// The executor and its count of sleeps when nobody was found idle in any other domain.
    pub(super) found_nobody: Cell<(u32, u64)>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            registry: Cell::new(std::ptr::null()),
            worker: Cell::new(std::ptr::null()),
            slot: Cell::new(0),
            returning: Cell::new(false),
            frames: Cell::new(std::ptr::null()),
            help_floor: Cell::new(0),
            ids: Cell::new((0, 0)),
            shard: Cell::new(usize::MAX),
            counted_for: Cell::new(u64::MAX),
            counters: Cell::new(std::ptr::null()),
            found_nobody: Cell::new((u32::MAX, 0)),
        }
    };
}

/// Runs `call` with the record of this thread. The record has no destructor, so this works at any time.
#[inline]
pub(crate) fn local<R>(call: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(call)
}

/// Whether this thread is one of an executor's.
pub(crate) fn is_worker_thread() -> bool {
    local(|local| local.registry().is_some())
}

impl Local {
    /// Makes this thread one of `registry`, which it holds for as long as it runs.
    pub(super) fn join(&self, registry: &Registry, stack_size: usize) {
        self.registry.set(registry);
        let here = std::ptr::from_ref(&registry).addr();
        // Half of the stack is left to the tasks themselves.
        self.help_floor.set(here.saturating_sub(stack_size / 2));
    }

    /// Makes this thread one like any other again.
    pub(super) fn leave(&self) {
        self.registry.set(std::ptr::null());
        self.returning.set(false);
    }

    /// Sits down on the seat of `worker`.
    pub(super) fn sit(&self, worker: Box<Worker>) {
        self.slot.set(worker.index);
        self.worker.set(Box::into_raw(worker));
    }

    /// Gets up.
    pub(super) fn stand(&self) -> Option<Box<Worker>> {
        let worker = self.worker.replace(std::ptr::null());
        // SAFETY: `sit` put it there, and it is taken out here once.
        (!worker.is_null()).then(|| unsafe { Box::from_raw(worker.cast_mut()) })
    }

    pub(super) fn slot(&self) -> usize {
        self.slot.get()
    }

    /// Whether this thread is one of `registry`'s, on its seat or not.
    #[inline]
    pub(crate) fn serves(&self, registry: &Registry) -> bool {
        std::ptr::eq(self.registry.get(), registry)
    }

    /// The executor this thread serves.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        // SAFETY: a thread of an executor holds its registry to its end.
        unsafe { self.registry.get().as_ref() }
    }

    /// The worker this thread drives now. Not to be kept across user code, which may give the seat away.
    #[inline]
    pub(super) fn worker(&self) -> Option<&Worker> {
        // SAFETY: a worker in the record is this thread's until `stand`.
        unsafe { self.worker.get().as_ref() }
    }

    /// The worker this thread drives now, if it is one of `registry`'s.
    #[inline]
    pub(super) fn worker_of(&self, registry: &Registry) -> Option<&Worker> {
        self.worker().filter(|_| self.serves(registry))
    }

    /// Index of the worker whose core this thread runs on.
    pub(crate) fn worker_index(&self) -> Option<usize> {
        self.registry().map(|_| self.slot.get())
    }

    /// Runs `call` as part of `task`.
    #[inline]
    pub(crate) fn within<R>(task: NonNull<Header>, call: impl FnOnce() -> R) -> R {
        let frame = local(|local| Frame { task, below: local.frames.get() });
        local(|local| local.frames.set(&raw const frame));
        let _pop = Pop(frame.below);
        call()
    }

    /// The head of the innermost task on this stack.
    pub(crate) fn current(&self) -> Option<&Header> {
        // SAFETY: a task on the stack is kept by its runner, and a frame is gone before its task is.
        self.tasks().next().map(|task| unsafe { &*task.as_ptr() })
    }

    /// The tasks on this stack, innermost first.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = NonNull<Header>> {
        let mut frame = self.frames.get();
        std::iter::from_fn(move || {
            // SAFETY: a frame in the list lies further down this stack.
            let this = unsafe { frame.as_ref() }?;
            frame = this.below;
            Some(this.task)
        })
    }

    /// Whether enough stack is left to run somebody else's task on top of this one.
    pub(super) fn may_help(&self) -> bool {
        let here = 0_u8;
        (&raw const here).addr() > self.help_floor.get()
    }

    /// A task id that no other task of the process has.
    #[inline]
    pub(super) fn next_id(&self) -> TaskId {
        let (next, end) = self.ids.get();
        if next < end {
            self.ids.set((next + 1, end));
            return TaskId(next);
        }
        self.new_ids()
    }

    #[cold]
    fn new_ids(&self) -> TaskId {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // ORDERING: Relaxed; only uniqueness matters.
        let first = NEXT.fetch_add(ID_BLOCK, Ordering::Relaxed);
        self.ids.set((first + 1, first + ID_BLOCK));
        TaskId(first)
    }

    /// This thread's own counters of an executor it is no worker of, if there were any left.
    #[inline]
    pub(super) fn own_counters<'a>(&self, executor: u32, outside: &'a Outside) -> Option<&'a Counters> {
        if self.counted_for.get() != u64::from(executor) {
            self.claim_counters(executor, outside);
        }
        // SAFETY: it points into `outside`: that of the executor with this number, which no other has.
        unsafe { self.counters.get().as_ref() }
    }

    #[cold]
    fn claim_counters(&self, executor: u32, outside: &Outside) {
        let claimed = outside.claim(std::ptr::from_ref(self).addr());
        self.counters.set(claimed.map_or(std::ptr::null(), std::ptr::from_ref));
        self.counted_for.set(u64::from(executor));
    }

    /// A number of this thread's below [`SHARDS`], to spread outsiders over inboxes and counters.
    #[inline]
    pub(super) fn shard(&self) -> usize {
        match self.shard.get() {
            usize::MAX => self.new_shard(),
            shard => shard,
        }
    }

    #[cold]
    fn new_shard(&self) -> usize {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // An odd step through a power of two: threads in turn are far apart. Half of the golden ratio spreads best.
        // ORDERING: Relaxed; any spread will do.
        self.shard.set(NEXT.fetch_add(40_503, Ordering::Relaxed) % SHARDS);
        self.shard.get()
    }
}

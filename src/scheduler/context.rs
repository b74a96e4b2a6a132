//! What a thread knows of itself: the worker it drives, the executor it serves, the tasks on its stack.

use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Instant;

use super::outside::Outside;
use super::registry::Registry;
use super::secede::Secession;
use super::shown::Shown;
use super::worker::Worker;
use crate::counters::Counters;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::task::{Header, NUMBER, Priority, with_class};
#[cfg(feature = "ranks")]
use crate::task::{Ready, turn_of};

/// Ids a thread takes from the process at once.
const ID_BLOCK: u64 = 4096;

/// Numbers of outsiders.
pub(super) const SHARDS: usize = 1 << 16;

pub(crate) type Frame = super::shown::Frame<NonNull<Header>>;

/// A frame that was taken away while its call goes on.
#[must_use]
pub(crate) struct SteppedOut(*const Frame);

/// Takes the innermost frame away, also when its task unwinds.
struct Pop(*const Frame);

impl Drop for Pop {
    #[inline]
    fn drop(&mut self) {
        local(|local| {
            if local.shown.pop(self.0) {
                local.keep_frame();
            }
        });
    }
}

/// The record of a thread.
pub(crate) struct Local {
    /// The executor this thread belongs to; null outside.
    registry: Cell<*const Registry>,
    /// The worker it drives now; null outside and while it is away from its seat.
    worker: Cell<*const Worker>,
    /// What others may see of it.
    pub(super) shown: Shown<NonNull<Header>>,
    /// When it last looked at the clock of its executor.
    clock: Cell<u64>,
    /// Whether it has announced that it is back on its core without its seat.
    pub(super) returning: Cell<bool>,
    /// The secession under way, 0 for none, and how many there were.
    seceded: Cell<u64>,
    secessions: Cell<u64>,
    /// Lowest stack address at which it still helps.
    help_floor: Cell<usize>,
    /// The next and the end, both with the class of what this thread is in.
    ids: Cell<(u64, u64)>,
    shard: Cell<usize>,
    /// The executor that was counted for last, and this thread's counters there, null when there were none left.
    counted_for: Cell<u64>,
    counters: Cell<*const Counters>,
    /// The executor and its count of sleeps when nobody was found idle in any other domain.
    pub(super) found_nobody: Cell<(u32, u64)>,
    /// The task that it waits for and that lacks what comes from elsewhere; the same, once it has seen to the message that
    /// brought that.
    #[cfg(feature = "ranks")]
    pub(super) awaited: Cell<Option<NonNull<Header>>>,
    #[cfg(feature = "ranks")]
    pub(super) supplied: Cell<Option<Ready>>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            registry: Cell::new(std::ptr::null()),
            worker: Cell::new(std::ptr::null()),
            shown: Shown::new(),
            clock: Cell::new(0),
            returning: Cell::new(false),
            seceded: Cell::new(0),
            secessions: Cell::new(0),
            help_floor: Cell::new(0),
            ids: Cell::new((0, 0)),
            shard: Cell::new(usize::MAX),
            counted_for: Cell::new(u64::MAX),
            counters: Cell::new(std::ptr::null()),
            found_nobody: Cell::new((u32::MAX, 0)),
            #[cfg(feature = "ranks")]
            awaited: Cell::new(None),
            #[cfg(feature = "ranks")]
            supplied: Cell::new(None),
        }
    };
}

/// Takes so many numbers of the process, one after the other: the first.
fn numbers(count: u64) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // ORDERING: Relaxed; only uniqueness matters, and that who comes after another gets a higher one.
    NEXT.fetch_add(count, Ordering::Relaxed)
}

/// A number higher than all that were taken before.
pub(super) fn fresh_number() -> u64 {
    numbers(1)
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
        registry.roster.enter(self);
    }

    /// Makes this thread one like any other again.
    pub(super) fn leave(&self) {
        if let Some(registry) = self.registry() {
            registry.roster.leave(self);
        }
        self.registry.set(std::ptr::null());
        self.returning.set(false);
    }

    /// Sits down on the seat of `worker`.
    pub(super) fn sit(&self, worker: Box<Worker>) {
        // ORDERING: Relaxed; others take it as it is.
        self.shown.slot.store(worker.index, Ordering::Relaxed);
        self.look_at_clock();
        if self.is_classed() {
            worker.enter(self.class());
        }
        self.worker.set(Box::into_raw(worker));
    }

    /// Gets up.
    pub(super) fn stand(&self) -> Option<Box<Worker>> {
        let worker = self.worker.replace(std::ptr::null());
        // SAFETY: `sit` put it there, and it is taken out here once.
        (!worker.is_null()).then(|| unsafe { Box::from_raw(worker.cast_mut()) })
    }

    pub(super) fn slot(&self) -> usize {
        // ORDERING: Relaxed; this thread wrote it.
        self.shown.slot.load(Ordering::Relaxed)
    }

    /// The current task has left its seat.
    pub(super) fn begin_secession(&self) -> Secession {
        let this = self.secessions.get() + 1;
        self.secessions.set(this);
        self.set_seceded(this);
        Secession(this)
    }

    /// Whether the current task has left its seat for good.
    pub(crate) fn has_seceded(&self) -> bool {
        self.seceded.get() != 0
    }

    pub(super) fn is_in(&self, secession: Secession) -> bool {
        self.seceded.get() == secession.0
    }

    /// Whether that was under way; at the end of a task it ends by itself.
    pub(super) fn end_secession(&self, secession: Secession) -> bool {
        let ends = self.is_in(secession);
        if ends {
            self.set_seceded(0);
        }
        ends
    }

    pub(super) fn end_any_secession(&self) {
        if self.has_seceded() {
            self.set_seceded(0);
        }
    }

    fn set_seceded(&self, secession: u64) {
        self.seceded.set(secession);
        // ORDERING: Relaxed; others take it as it is.
        self.shown.seceded.store(secession != 0, Ordering::Relaxed);
    }

    /// Runs `sleep`, in which the thread does nothing.
    pub(super) fn asleep<R>(&self, sleep: impl FnOnce() -> R) -> R {
        // ORDERING: Relaxed, twice; as above.
        self.shown.asleep.store(true, Ordering::Relaxed);
        let slept = sleep();
        self.shown.asleep.store(false, Ordering::Relaxed);
        slept
    }

    /// Notes the time, for tasks that begin from now on.
    pub(super) fn look_at_clock(&self) -> u64 {
        let now = self.registry().map_or(0, |registry| registry.time_of(Instant::now()));
        self.clock.set(now);
        now
    }

    /// A frame was taken away while somebody looks at it: it has to stay until he has ended.
    #[cold]
    fn keep_frame(&self) {
        if let Some(registry) = self.registry().filter(|registry| !registry.is_forked()) {
            registry.roster.wait();
        }
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
        self.registry().map(|_| self.slot())
    }

    /// Runs `call` as part of `task`.
    #[inline]
    pub(crate) fn within<R>(task: NonNull<Header>, call: impl FnOnce() -> R) -> R {
        let frame = local(|local| local.shown.frame(task, local.clock.get()));
        local(|local| local.shown.push(&frame));
        let _pop = Pop(frame.below());
        call()
    }

    /// Takes the innermost frame, of a turn, away before the turn is given up: it leads to what may be gone then. Gives
    /// what puts it back.
    pub(crate) fn step_out(&self) -> SteppedOut {
        let frame = self.shown.top();
        // SAFETY: a frame in the list lies further down this stack.
        if let Some(innermost) = unsafe { frame.as_ref() }
            && self.shown.pop(innermost.below())
        {
            self.keep_frame();
        }
        SteppedOut(frame)
    }

    pub(crate) fn step_in(&self, out: SteppedOut) {
        // SAFETY: the frame lies further down this stack, in a call that goes on.
        if let Some(frame) = unsafe { out.0.as_ref() } {
            self.shown.push(frame);
        }
    }

    /// The head of the innermost task on this stack.
    pub(crate) fn current(&self) -> Option<&Header> {
        self.heads().next()
    }

    /// The heads of the tasks on this stack, innermost first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Header> {
        // SAFETY: a task on the stack is kept by its runner, and a frame is gone before its task is.
        self.tasks().map(|task| unsafe { &*task.as_ptr() })
    }

    /// The tasks on this stack, innermost first.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = NonNull<Header>> {
        let mut frame = self.shown.top();
        std::iter::from_fn(move || {
            // SAFETY: a frame in the list lies further down this stack.
            let this = unsafe { frame.as_ref() }?;
            frame = this.below();
            Some(this.task)
        })
    }

    /// Whether a wait may run somebody else's task on top of this one: enough stack is left, and it has not left its seat
    /// to whoever will run it there.
    pub(crate) fn may_help(&self) -> bool {
        let here = 0_u8;
        (&raw const here).addr() > self.help_floor.get() && !self.has_seceded()
    }

    /// The class of the task this thread is in; what it makes is of the same.
    #[inline]
    pub(super) fn class(&self) -> Priority {
        Priority::of_raw(self.ids.get().0)
    }

    /// Whether this thread makes tasks of a class other than normal.
    #[inline]
    pub(super) fn is_classed(&self) -> bool {
        self.class() != Priority::NORMAL
    }

    /// Whether `task` is of the class of what this thread is in.
    #[inline]
    pub(super) fn is_in_class_of(&self, task: &Header) -> bool {
        (self.ids.get().0 ^ task.raw_id) & !NUMBER == 0
    }

    pub(super) fn set_class(&self, class: Priority) {
        let (next, end) = self.ids.get();
        self.ids.set((with_class(next, class), with_class(end, class)));
    }

    /// A raw task id that no other task of the process has, of the class of this thread.
    #[inline]
    pub(crate) fn next_id(&self) -> u64 {
        let (next, end) = self.ids.get();
        if next < end {
            self.ids.set((next + 1, end));
            return next;
        }
        self.new_ids()
    }

    #[cold]
    fn new_ids(&self) -> u64 {
        let first = with_class(numbers(ID_BLOCK), self.class());
        self.ids.set((first + 1, first + ID_BLOCK));
        first
    }

    /// The numbers this thread has left are of no use below `mark`.
    pub(super) fn take_no_number_below(&self, mark: u64) {
        let (next, _) = self.ids.get();
        if next & NUMBER < mark {
            self.ids.set((next, next));
        }
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

    /// A number of who acts on this thread: of the actor whose turn it is in, of its task, else its own.
    #[cfg(feature = "ranks")]
    pub(crate) fn sender(&self) -> u64 {
        match self.tasks().next() {
            // SAFETY: a task on the stack is kept by its runner, and so is the actor whose message it is.
            Some(task) => unsafe { turn_of(task).unwrap_or(task).as_ref() }.raw_id,
            None => u64::MAX - self.shard() as u64,
        }
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

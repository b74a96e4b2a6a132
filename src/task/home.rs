//! Where the scheduler of a task is found: by the number of its executor.

use std::ptr::NonNull;
// Not modelled: a place is written before its executor has tasks, and cleared when it has none any more.
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

#[cfg(not(heist_loom))]
use super::handle::Handle;
use super::handle::skip;
#[cfg(feature = "ranks")]
use super::header::Afar;
use super::header::{Header, Ready, Schedule};
#[cfg(not(heist_loom))]
use super::listener::Listener;
#[cfg(feature = "ranks")]
use crate::error::TaskId;
use crate::fork;

/// A scheduler, under an address that fits a word. It stays while any task of it is unfinished: who finishes one calls
/// [`Schedule::finished`] as its last touch.
pub(crate) struct Home(pub(crate) *const dyn Schedule);

// SAFETY: every scheduler is shared by threads (`Schedule` asks for it); the pointer is followed by the rule above.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

/// Executors that may live at once, a power of two.
pub(crate) const MOST: usize = 1 << 14;
/// Free places that are left alone while there are fresh ones.
const RESTING: usize = 1 << 10;
/// In the number of a task's executor: the task lacks, or once lacked, what comes from elsewhere (`lacking`).
pub(crate) const AFAR: u32 = 1 << 31;

struct Place {
    home: AtomicPtr<Home>,
    /// The process its executor was started in (`fork`).
    generation: AtomicU32,
}

static PLACES: [Place; MOST] =
    [const { Place { home: AtomicPtr::new(std::ptr::null_mut()), generation: AtomicU32::new(0) } }; MOST];

fn place(executor: u32) -> &'static Place {
    &PLACES[executor as usize % MOST]
}

/// Who has which place, apart from what the places themselves say.
struct Census {
    /// The next number of each place that is free; the place is its remainder.
    free: std::collections::VecDeque<u32>,
    /// By place.
    schedulers: Vec<Option<Weak<dyn Schedule>>>,
}

static CENSUS: Mutex<Census> = Mutex::new(Census { free: std::collections::VecDeque::new(), schedulers: Vec::new() });

fn census<R>(call: impl FnOnce(&mut Census) -> R) -> R {
    call(&mut CENSUS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Executors alive.
static ALIVE: AtomicU32 = AtomicU32::new(0);

/// Whether there is an executor in this process.
#[cfg(not(any(heist_loom, heist_plain_cells)))]
pub(super) fn any() -> bool {
    // ORDERING: Relaxed; a hint.
    ALIVE.load(Ordering::Relaxed) != 0
}

/// The number of an executor. No other executor alive has it, nor soon will.
#[derive(Debug)]
pub(crate) struct Number(u32);

impl Number {
    /// A number that is free; `None` while [`MOST`] executors live.
    pub(crate) fn reserve() -> Option<Self> {
        let number = census(|census| {
            let fresh = census.schedulers.len();
            // A place rests for a while, and as long as it can when there are few.
            if census.free.len() < RESTING && fresh < MOST {
                census.schedulers.push(None);
                return Some(fresh as u32);
            }
            census.free.pop_front()
        })?;
        // ORDERING: Relaxed; a hint.
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Some(Self(number))
    }

    pub(crate) fn get(&self) -> u32 {
        self.0
    }

    /// Makes `home`, which stays until this is dropped, that of the tasks with this number.
    pub(crate) fn announce(&self, home: &Home, scheduler: Weak<dyn Schedule>) {
        let place = place(self.0);
        // ORDERING: Relaxed; whoever gets a task of this number gets it from a thread that comes after this.
        place.generation.store(fork::generation(), Ordering::Relaxed);
        place.home.store(std::ptr::from_ref(home).cast_mut(), Ordering::Relaxed);
        census(|census| census.schedulers[self.0 as usize % MOST] = Some(scheduler));
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // ORDERING: Relaxed; a hint.
        ALIVE.fetch_sub(1, Ordering::Relaxed);
        // ORDERING: Relaxed; no task that would lead here is unfinished.
        place(self.0).home.store(std::ptr::null_mut(), Ordering::Relaxed);
        let scheduler = census(|census| {
            census.free.push_back(self.0.wrapping_add(MOST as u32) & !AFAR);
            census.schedulers[self.0 as usize % MOST].take()
        });
        // Outside the lock: it may be the last count.
        drop(scheduler);
    }
}

/// The scheduler of a task.
///
/// # Safety
/// The task is unfinished until this returns.
#[inline]
pub(super) unsafe fn of(task: &Header) -> NonNull<Home> {
    // ORDERING: Relaxed; as in `announce`.
    let home = place(task.executor).home.load(Ordering::Relaxed);
    // SAFETY: while its executor has an unfinished task, the place is not cleared.
    unsafe { NonNull::new_unchecked(home) }
}

/// The generation of the process that the executor of an unfinished task was started in.
pub(crate) fn generation(task: &Header) -> u32 {
    // ORDERING: Relaxed; as in `announce`.
    place(task.executor).generation.load(Ordering::Relaxed)
}

/// Tells the scheduler of a task what has become of it, if it lacks what comes from elsewhere.
///
/// # Safety
/// The task is unfinished until this returns.
#[cfg(feature = "ranks")]
pub(super) unsafe fn tell_afar(task: &Header, what: Afar<'_>) {
    if task.is_afar() {
        // SAFETY: the caller's promise.
        unsafe { (*of(task).as_ref().0).afar(task.id(), what) };
    }
}

/// As [`tell_afar`], of a task that may be finished.
#[cfg(feature = "ranks")]
#[cold]
pub(crate) fn ask_afar(task: &Header, what: Afar<'_>) -> bool {
    keep(task).afar(task.id(), what)
}

/// Lets a task run with nobody holding on to it.
#[cfg(not(heist_loom))]
pub(crate) fn detach(task: Handle) {
    // Without a scheduler, all its tasks are done.
    if let Some(scheduler) = keep(task.head()).0 {
        Listener::detach(task, scheduler.roll());
    }
}

/// A scheduler that stays, or none when all its tasks are done.
pub(super) struct Kept(Option<Arc<dyn Schedule>>);

/// Keeps the scheduler of `task`, so that tasks can be handed to it that may end at any time.
pub(super) fn keep(task: &Header) -> Kept {
    Kept(census(|census| {
        // The place may have been taken over since; then this task is done, and with it all it could make ready.
        census.schedulers[task.executor as usize % MOST].as_ref()?.upgrade()
    }))
}

impl Kept {
    #[cfg(feature = "ranks")]
    pub(super) fn afar(&self, task: TaskId, what: Afar<'_>) -> bool {
        self.0.as_ref().is_some_and(|scheduler| scheduler.afar(task, what))
    }

    pub(super) fn ready(&self, task: Ready) {
        match &self.0 {
            Some(scheduler) => scheduler.ready(task),
            None => skip(task),
        }
    }
}

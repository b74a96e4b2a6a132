//! Work that comes from other ranks: threads of workers with nothing else to do look for it, and sleep where it rings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Local;
use super::registry::Registry;
use super::wait::Waited;
use crate::primitive::hint::spin_loop;
use crate::primitive::park::{Alarm, Parker};

/// What brings work from other ranks, as the scheduler sees it. Whoever looks for it *attends*, and is then woken by nobody.
pub(crate) trait Progress: Send + Sync {
    /// Whether something has come, or can be sent on. Plain reads.
    fn has_some(&self) -> bool;
    /// The calling thread looks for it from now on.
    fn attend(&self);
    /// Sees to what has come, unless another thread does; whether that was anything.
    fn poll(&self) -> bool;
    /// The calling thread looks for it no more.
    fn leave(&self);
    /// A thread of this worker, which attends, sleeps until something comes, the worker's alarm sounds, `is_over`, or the
    /// time has come. It attends from then on.
    fn listen(&self, worker: usize, until: Option<Instant>, is_over: &dyn Fn() -> bool);
    /// How often a sleeper of another rank was woken.
    fn wakes(&self) -> u64;
    /// What ends such a sleep, and the bits that mean this worker.
    fn alarm(&self, worker: usize) -> (Arc<dyn Alarm>, u32);
}

/// A thread that attends, until the end of its scope.
pub(super) struct Attending<'a>(&'a dyn Progress);

impl<'a> Attending<'a> {
    pub(super) fn new(progress: &'a dyn Progress) -> Self {
        progress.attend();
        Self(progress)
    }

    /// Sleeps until something comes, or one of the parkers has its token, or the time has come. Gives whose tokens were
    /// there; they are taken.
    pub(super) fn listen<const N: usize>(
        &self,
        worker: usize,
        parkers: [&Parker; N],
        until: Option<Instant>,
    ) -> [bool; N] {
        let (alarm, bits) = self.0.alarm(worker);
        parkers.iter().for_each(|parker| parker.alarm(alarm.clone(), bits));
        let is_over = || self.0.has_some() || parkers.iter().any(|parker| parker.has_token());
        self.0.listen(worker, until, &is_over);
        parkers.map(Parker::silence)
    }
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Registry {
    /// What brings work from other ranks; none where there are none.
    #[inline]
    pub(super) fn progress(&self) -> Option<&dyn Progress> {
        self.progress.get().map(|progress| &**progress)
    }

    /// How often a sleeper of another rank was woken for what this one sent.
    pub(crate) fn ranks_woken(&self) -> u64 {
        self.progress().map_or(0, Progress::wakes)
    }

    /// Has workers look for what other ranks send from now on. Once.
    #[cfg(feature = "ranks")]
    pub(crate) fn set_progress(&self, progress: Box<dyn Progress>) {
        // A second one is not looked at: its world has a thread that is.
        _ = self.progress.set(progress);
    }

    /// Between two tasks of a busy worker.
    #[cold]
    pub(super) fn glance_at_progress(&self) {
        if let Some(progress) = self.progress()
            && progress.has_some()
        {
            let _attending = Attending::new(progress);
            progress.poll();
        }
    }
}

/// A look now and then whether the thread's seat is wanted; everything that must end the sleep ends it by itself.
const BACKSTOP: Duration = Duration::from_secs(1);

/// How a thread that waits with its seat ended that.
pub(super) enum Stayed {
    /// The wait is over.
    Over(Waited),
    /// There is something else to run here, or the seat is wanted.
    Wanted,
}

/// Waits where messages ring, for what a message may bring: with the seat, as long as there is nothing else to run here;
/// beside whoever has it for a moment.
pub(super) fn stay(
    local: &Local,
    registry: &Registry,
    parker: &Parker,
    deadline: Option<Instant>,
    done: &dyn Fn() -> bool,
) -> Stayed {
    let Some(progress) = registry.progress() else { return Stayed::Wanted };
    if !has_seat(local, registry) && !local.returning.get() {
        return Stayed::Wanted;
    }
    let stayed = stay_attending(local, registry, &Attending::new(progress), parker, deadline, done);
    // Who attends no more has looked once more.
    if done() { Stayed::Over(Waited::Done) } else { stayed }
}

fn stay_attending(
    local: &Local,
    registry: &Registry,
    attending: &Attending<'_>,
    parker: &Parker,
    deadline: Option<Instant>,
    done: &dyn Fn() -> bool,
) -> Stayed {
    let progress = attending.0;
    let look = |time: Duration, is_wanted: &dyn Fn() -> bool| {
        let since = Instant::now();
        loop {
            if progress.has_some() {
                progress.poll();
            }
            if done() {
                return Some(Stayed::Over(Waited::Done));
            }
            if is_wanted() {
                return Some(Stayed::Wanted);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Some(Stayed::Over(Waited::TimedOut));
            }
            if since.elapsed() >= time {
                return None;
            }
            spin_loop();
        }
    };
    if !has_seat(local, registry)
        && let Some(stayed) = look(registry.settings.search.first(), &|| false)
    {
        return stayed;
    }
    while has_seat(local, registry)
        && let Some(worker) = local.worker()
    {
        let is_wanted = || registry.has_work_for(worker) || worker.must_leave(registry);
        if let Some(stayed) = look(worker.search_time(), &is_wanted) {
            return stayed;
        }
        let (idle, view) = (registry.idle(worker.near), registry.view(worker.near.domain));
        let parks = idle.park(worker.near.worker, false, is_wanted);
        let mut is_over = false;
        if parks {
            let slot = &registry.slots[worker.index];
            let until = Instant::now() + BACKSTOP;
            let until = deadline.map_or(until, |deadline| deadline.min(until));
            let [was_called, has_token] =
                local.asleep(|| attending.listen(worker.index, [&slot.parker, parker], Some(until)));
            // Who has called the worker has taken its bit and counts it as searching; else it does so itself.
            if !was_called && !idle.unpark(worker.near.worker) {
                slot.parker.sleep();
            }
            is_over = has_token;
        }
        // Counted as searching: leaves as a searcher leaves.
        idle.end_search(view);
        if is_over {
            return Stayed::Over(Waited::Done);
        }
        if !parks {
            break;
        }
    }
    Stayed::Wanted
}

/// Whether the thread has its seat; one that is back on its core takes it if it is free.
fn has_seat(local: &Local, registry: &Registry) -> bool {
    if local.worker().is_none()
        && local.returning.get()
        && let Some(worker) = registry.slots[local.slot()].take_back()
    {
        local.returning.set(false);
        local.sit(worker);
    }
    local.worker().is_some()
}

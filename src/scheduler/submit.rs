//! Tasks come into an executor: admitted, counted, made, queued.

use std::panic::Location;

use super::context::{Local, local};
use super::ending::Phase;
use super::entry::{Entry, MOST};
use super::idle::GROUP;
use super::inbox::Inbox;
use super::registry::Registry;
use crate::error::{TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{Ordering, fence};
use crate::task::{self, Birth, Finisher, Handle, Held, Schedule, Started, Typed, Work};

/// Batches that are made for a worker when there are too few tasks for full ones.
const PARTS: usize = 8;

impl Registry {
    /// Runs a started task on this thread.
    #[inline]
    pub(crate) fn run(&self, started: Started, by: &mut impl Finisher) {
        self.count(|counters| &counters.executed);
        Local::within(started.task(), || started.run()).end(by);
    }

    /// Whether new tasks are taken from this thread.
    #[cold]
    pub(crate) fn admit(&self) -> Result<(), TaskError> {
        if self.is_forked() {
            return Err(TaskError::new(TaskErrorKind::Forked));
        }
        if self.refuses() { Err(self.closed_error()) } else { Ok(()) }
    }

    /// As [`admit`](Self::admit), for a task that is counted already and is not queued.
    pub(crate) fn admit_counted(&self) -> Result<(), TaskError> {
        let refused = self.ending.refuses_counted(|| local(|local| local.serves(self)));
        if refused { Err(self.closed_error()) } else { self.admit() }
    }

    #[inline]
    fn refuses(&self) -> bool {
        self.ending.refuses(|| local(|local| local.serves(self)))
    }

    /// Whether this process is a fork of the one that has the workers.
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        self.generation != crate::fork::generation()
    }

    pub(crate) fn birth(&self, location: &'static Location<'static>) -> Birth {
        local(|local| self.birth_by(local, location))
    }

    #[inline]
    fn birth_by(&self, local: &Local, location: &'static Location<'static>) -> Birth {
        Birth { executor: self.id, id: local.next_id(), location }
    }

    /// Makes a task and queues it.
    #[inline]
    pub(crate) fn submit<W: Work>(&self, location: &'static Location<'static>, work: W) -> Typed<W::Output> {
        if self.may_refuse()
            && let Err(error) = self.admit()
        {
            return task::with_error(self.birth(location), error);
        }
        let task = local(|local| {
            let worker = local.worker_of(self);
            self.count_for(local, worker, |counters| &counters.created, 1);
            let (task, ready) = task::ready(self.birth_by(local, location), work);
            self.put(local, worker, Entry::of(ready));
            task
        });
        if self.may_refuse() {
            self.withdraw_if_late(task.handle());
        }
        task
    }

    /// False in the life of an executor in which everything is admitted.
    #[inline]
    fn may_refuse(&self) -> bool {
        self.phase() != Phase::Open || self.is_forked()
    }

    /// Makes a task that nobody has a handle of and queues it, first in line. From outside of a cancelling executor,
    /// which may have no worker left to find it, `work` is dropped at once.
    pub(crate) fn submit_next<W: Work>(&self, location: &'static Location<'static>, work: W) {
        self.count_created(1);
        if !local(|local| local.serves(self)) {
            // Pairs with the fence of whoever sums (`ending`): either the phase is seen here, or the count above is seen
            // there.
            fence(Ordering::SeqCst);
            if self.phase() >= Phase::Cancelling {
                self.finished();
                return panics::catch_drop(|| drop(work));
            }
        }
        self.queue_next(task::ready_unwanted(self.birth(location), work));
        // As in `withdraw_if_late`; without a handle, all that lies there is cancelled.
        if self.phase() >= Phase::Cancelling && !local(|local| local.serves(self)) {
            self.cancel_inboxes();
        }
    }

    /// Cancels what lies in the inboxes of an executor that starts nothing any more.
    pub(super) fn cancel_inboxes(&self) {
        for task in self.inboxes.iter().flat_map(Inbox::take).flat_map(Entry::tasks) {
            task::cancel_queued(task, self.closed_error());
        }
    }

    /// Makes a task that waits for `inputs`.
    pub(crate) fn submit_after<H, F, T>(
        &self,
        location: &'static Location<'static>,
        inputs: H,
        tolerant: bool,
        call: F,
    ) -> Typed<T>
    where
        H: Held,
        F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
        T: Send + 'static,
    {
        let mut foreign = false;
        inputs.visit(&mut |input| foreign |= input.head().executor != self.id);
        if foreign || self.may_refuse() {
            let refused = if foreign { Err(TaskError::new(TaskErrorKind::ForeignFuture)) } else { self.admit() };
            if let Err(error) = refused {
                return task::with_error(self.birth(location), error);
            }
        }
        let birth = local(|local| {
            self.count_for(local, local.worker_of(self), |counters| &counters.created, 1);
            self.birth_by(local, location)
        });
        let (task, ready) = task::after(birth, inputs, tolerant, call);
        if let Some(ready) = ready {
            self.queue(ready);
            if self.may_refuse() {
                self.withdraw_if_late(task.handle());
            }
        }
        task
    }

    /// Makes many tasks, queued in batches. `works` may run code of the user's: none of it runs between the making of a
    /// task and its queueing.
    pub(crate) fn submit_all<W: Work>(
        &self,
        location: &'static Location<'static>,
        mut works: impl Iterator<Item = W>,
    ) -> Vec<Typed<W::Output>> {
        if self.may_refuse()
            && let Err(error) = self.admit()
        {
            return works.map(|_| task::with_error(self.birth(location), error.clone())).collect();
        }
        let expected = works.size_hint().0;
        let mut tasks = Vec::with_capacity(expected);
        let mut some = Vec::new();
        for batches in 0.. {
            let batch = (expected.max(tasks.len()) / (PARTS * self.settings.workers)).clamp(1, MOST);
            some.extend(works.by_ref().take(batch));
            if some.is_empty() {
                self.idle.notify_many(local(|local| self.near(local)), batches, self);
                break;
            }
            self.submit_batch(location, &mut some, &mut tasks);
        }
        tasks
    }

    /// A worker near which the calling thread queues.
    fn near(&self, local: &Local) -> usize {
        local.worker_of(self).map_or_else(|| self.inbox_from_outside(local) * GROUP, |worker| worker.index)
    }

    /// Makes tasks of `some` works, no more than go into a batch, and queues them in one step.
    fn submit_batch<W: Work>(
        &self,
        location: &'static Location<'static>,
        some: &mut Vec<W>,
        tasks: &mut Vec<Typed<W::Output>>,
    ) {
        let first = tasks.len();
        local(|local| {
            let worker = local.worker_of(self);
            self.count_for(local, worker, |counters| &counters.created, some.len() as u64);
            let made = some.drain(..).map(|work| {
                let (task, ready) = task::ready(self.birth_by(local, location), work);
                tasks.push(task);
                ready
            });
            if let Some(entry) = Entry::of_all(made) {
                self.put(local, worker, entry);
            }
        });
        if self.may_refuse() {
            tasks[first..].iter().for_each(|task| self.withdraw_if_late(task.handle()));
        }
    }

    /// A task that was queued while the executor closed may find no worker any more.
    #[cold]
    fn withdraw_if_late(&self, task: &Handle) {
        // The fence of `notify` lies between the count of the task and this look (scheduler README, "Shutdown").
        if self.refuses() {
            task::cancel(task, self.closed_error());
        }
    }
}

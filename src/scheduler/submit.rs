//! Tasks come into an executor: admitted, counted, made, queued.

use std::panic::Location;

use super::context::{Local, local};
use super::domain::Near;
use super::ending::Phase;
use super::entry::{Entry, MOST};
use super::inbox::Inbox;
use super::registry::Registry;
use super::shelves::run_shelved;
use super::worker::Worker;
use crate::error::{TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{Ordering, fence};
use crate::task::{
    self, Birth, Finisher, Handle, Held, Lies, Priority, Ready, Rule, Schedule, Started, Typed, Where, Work, with_class,
};

/// Batches that are made for a worker when there are too few tasks for full ones.
const PARTS: usize = 8;
/// Tasks that are not worth a batch.
#[cfg(feature = "ranks")]
const FEW: usize = 4;

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
        local(|local| self.keep_up(local));
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
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != crate::fork::generation()
    }

    pub(crate) fn birth(&self, location: &'static Location<'static>) -> Birth {
        local(|local| {
            if !self.ending.takes_all() {
                self.keep_up(local);
            }
            self.birth_by(local, location)
        })
    }

    #[inline]
    fn birth_by(&self, local: &Local, location: &'static Location<'static>) -> Birth {
        Birth { executor: self.id, raw_id: local.next_id(), location }
    }

    /// Makes a task and queues it.
    #[inline]
    pub(crate) fn submit<W: Work>(&self, location: &'static Location<'static>, work: W) -> Typed<W::Output> {
        self.submit_by(location, work, |local, worker, entry| self.put(local, worker, entry))
    }

    /// As [`submit`](Self::submit), to be run by a worker of `domain`, unless all of them are busy and others are not.
    pub(crate) fn submit_on<W: Work>(
        &self,
        domain: usize,
        location: &'static Location<'static>,
        work: W,
    ) -> Typed<W::Output> {
        self.submit_by(location, work, |local, worker, entry| {
            if self.near(local, worker).domain == domain {
                self.put(local, worker, entry);
            } else {
                self.put_on(local, domain, entry);
            }
        })
    }

    #[inline]
    fn submit_by<W: Work>(
        &self,
        location: &'static Location<'static>,
        work: W,
        queue: impl FnOnce(&Local, Option<&Worker>, Entry),
    ) -> Typed<W::Output> {
        if self.may_refuse()
            && let Err(error) = self.admit()
        {
            return task::with_error(self.birth(location), error);
        }
        let task = local(|local| {
            let worker = local.worker_of(self);
            self.count_for(local, worker, |counters| &counters.created, 1);
            let (task, ready) = task::ready(self.birth_by(local, location), work);
            queue(local, worker, Entry::of(ready));
            task
        });
        if self.may_refuse() {
            self.withdraw_if_late(task.handle());
        }
        task
    }

    /// Has `worker` run `work` at its next task boundary, or right here.
    pub(crate) fn submit_call<W: Work>(
        &self,
        location: &'static Location<'static>,
        worker: usize,
        here: bool,
        work: W,
    ) -> Typed<W::Output> {
        if let Err(error) = self.admit() {
            return task::with_error(self.birth(location), error);
        }
        let place = Where::Worker { worker: worker as u32, strict: true };
        let rule = Rule { place, ..Rule::default() };
        self.count_created(1);
        let birth = self.birth(location);
        // What it makes is of no class of the caller's.
        let birth = Birth { raw_id: with_class(birth.raw_id, Priority::NORMAL), ..birth };
        let (task, ready) = task::ruled(birth, rule, work);
        if here {
            run_shelved(self, ready);
        } else {
            self.call(worker, ready);
        }
        if self.may_refuse() {
            self.withdraw_if_late(task.handle());
        }
        task
    }

    /// False in the life of an executor in which everything is admitted.
    #[inline]
    pub(crate) fn may_refuse(&self) -> bool {
        !self.ending.takes_all() || self.is_forked()
    }

    /// Makes a task that nobody has a handle of and queues it, first in line if it is of no `class`. From outside of a cancelling executor,
    /// which may have no worker left to find it, `work` is dropped at once.
    pub(crate) fn submit_next<W: Work>(&self, location: &'static Location<'static>, class: Priority, work: W) {
        self.submit_unwanted(location, class, work, |task| {
            if class == Priority::NORMAL {
                self.queue_next(task);
            } else {
                self.use_shelves();
                self.queue(task);
            }
        });
    }

    /// As [`submit_next`](Self::submit_next), of no class and in line as always.
    #[cfg(feature = "ranks")]
    pub(crate) fn submit_loose<W: Work>(&self, location: &'static Location<'static>, work: W) {
        self.submit_unwanted(location, Priority::NORMAL, work, |task| self.queue(task));
    }

    #[inline]
    fn submit_unwanted<W: Work>(
        &self,
        location: &'static Location<'static>,
        class: Priority,
        work: W,
        queue: impl FnOnce(Ready),
    ) {
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
        queue(task::ready_unwanted(self.birth_of(location, Some(class)), work));
        // As in `withdraw_if_late`; without a handle, all that lies there is cancelled.
        if self.phase() >= Phase::Cancelling && !local(|local| local.serves(self)) {
            self.cancel_inboxes();
        }
    }

    /// Cancels what lies in the inboxes and on the shelves of an executor that starts nothing any more.
    pub(super) fn cancel_inboxes(&self) {
        let queued = self.inboxes().flat_map(Inbox::take).flat_map(Entry::tasks);
        queued.chain(self.clear_shelves()).for_each(|task| task::cancel_queued(task, self.closed_error()));
    }

    /// Makes a task that waits for `inputs`; `P` says where its value lies, and what it is called.
    pub(crate) fn submit_after<P, H, F, T>(
        &self,
        location: &'static Location<'static>,
        inputs: H,
        tolerant: bool,
        call: F,
    ) -> Typed<T>
    where
        P: Lies<T>,
        H: Held,
        F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
        T: Send + 'static,
    {
        if let Err(error) = self.admit_after(&inputs) {
            return task::with_error(self.birth(location), error);
        }
        let (task, ready) = self.make_after::<P, _, _, _>(location, inputs, tolerant, call);
        if let Some(ready) = ready {
            self.queue(ready);
            if self.may_refuse() {
                self.withdraw_if_late(task.handle());
            }
        }
        task
    }

    /// Whether a task with these inputs is taken.
    #[inline]
    fn admit_after(&self, inputs: &impl Held) -> Result<(), TaskError> {
        let mut foreign = false;
        inputs.visit(&mut |input| foreign |= !input.head().is_input_of(self.id));
        if foreign {
            return Err(TaskError::new(TaskErrorKind::ForeignFuture));
        }
        if self.may_refuse() { self.admit() } else { Ok(()) }
    }

    /// Makes a task that is admitted, and counts it.
    #[inline]
    fn make_after<P, H, F, T>(
        &self,
        location: &'static Location<'static>,
        inputs: H,
        tolerant: bool,
        call: F,
    ) -> (Typed<T>, Option<Ready>)
    where
        P: Lies<T>,
        H: Held,
        F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
        T: Send + 'static,
    {
        let birth = local(|local| {
            self.count_for(local, local.worker_of(self), |counters| &counters.created, 1);
            self.birth_by(local, location)
        });
        task::after::<P, _, _, _>(birth, inputs, tolerant, call)
    }

    /// Makes a task for each of `inputs`, whose values lie where `P` says. All that are ready are queued, each on its
    /// domain, before anybody is woken.
    pub(crate) fn submit_all_after<P, H, F, T>(
        &self,
        location: &'static Location<'static>,
        inputs: impl IntoIterator<Item = (H, F)>,
    ) -> Vec<Typed<T>>
    where
        P: Lies<T>,
        H: Held,
        F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
        T: Send + 'static,
    {
        let inputs: Vec<_> = inputs.into_iter().collect();
        let mut ready: Vec<Vec<Ready>> = (0..self.domain_count()).map(|_| Vec::new()).collect();
        let here = local(|local| self.domain_here(local));
        let make = |(inputs, call): (H, F)| {
            if let Err(error) = self.admit_after(&inputs) {
                return task::with_error(self.birth(location), error);
            }
            let (task, made) = self.make_after::<P, _, _, _>(location, inputs, false, call);
            if let Some(made) = made {
                let domain = task::affinity(&made, here).filter(|&domain| domain < ready.len());
                ready[domain.unwrap_or(here)].push(made);
            }
            task
        };
        let tasks: Vec<_> = inputs.into_iter().map(make).collect();
        let queued: Vec<_> =
            ready.into_iter().enumerate().map(|(domain, ready)| self.queue_in_batches(domain, ready)).collect();
        for (near, batches) in queued.into_iter().filter(|&(_, batches)| batches != 0) {
            self.idle(near).notify_many(near.worker, batches, self.view(near.domain));
        }
        if self.may_refuse() {
            tasks.iter().for_each(|task| self.withdraw_if_late(task.handle()));
        }
        tasks
    }

    /// Queues a task that has got what it lacked from elsewhere, unless the calling thread waits for just that.
    #[cfg(feature = "ranks")]
    pub(crate) fn queue_supplied(&self, tasks: &mut Vec<Ready>) {
        local(|local| {
            if let Some(awaited) = local.awaited.get()
                && local.serves(self)
                && let Some(own) = tasks.iter().position(|task| task.0 == awaited)
            {
                local.supplied.set(Some(tasks.swap_remove(own)));
            }
        });
        if tasks.len() < FEW {
            return tasks.drain(..).for_each(|task| self.queue(task));
        }
        let here = local(|local| self.domain_here(local));
        let (near, batches) = self.queue_in_batches(here, std::mem::take(tasks));
        self.idle(near).notify_many(near.worker, batches, self.view(near.domain));
    }

    /// Queues ready tasks on a domain, in batches: where, and how many. Nobody is woken.
    fn queue_in_batches(&self, domain: usize, ready: Vec<Ready>) -> (Near, usize) {
        let batch = (ready.len() / (PARTS * self.workers_of(domain).len())).clamp(1, MOST);
        local(|local| {
            let worker = local.worker_of(self).filter(|worker| worker.near.domain == domain);
            let near = worker.map_or_else(|| self.near_on(local, domain), |worker| worker.near);
            if local.is_classed() {
                let shelve = |task| self.shelve_if_classed(local, near, Entry::of(task));
                let queue = |task| shelve(task).into_iter().for_each(|entry| self.inbox(near).push(entry));
                return (near, ready.into_iter().map(queue).count());
            }
            let mut ready = ready.into_iter();
            let batches = std::iter::from_fn(|| Entry::of_all(ready.by_ref().take(batch)));
            let queue = |entry| match worker {
                Some(worker) => worker.deque.push(entry),
                None => self.inbox(near).push(entry),
            };
            (near, batches.map(queue).count())
        })
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
                let near = local(|local| self.near(local, local.worker_of(self)));
                self.idle(near).notify_many(near.worker, batches, self.view(near.domain));
                break;
            }
            self.submit_batch(location, &mut some, &mut tasks);
        }
        tasks
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
    pub(crate) fn withdraw_if_late(&self, task: &Handle) {
        // The fence of `notify` lies between the count of the task and this look (scheduler README, "Shutdown").
        // What somebody has begun while the executor drains, and so has found, is waited for.
        let is_found = || task.head().state.load().phase() == task::Phase::Running;
        if self.refuses() && !(self.phase() == Phase::Draining && is_found()) {
            task::cancel(task, self.closed_error());
        }
    }
}

//! What the threads of one executor share.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Instant;

use super::context::{Local, local};
use super::detached::{Detached, ErrorHook};
use super::domain::{Domain, Domains, Near};
use super::drive::live;
use super::ending::{Ending, Phase};
use super::entry::{Batch, Entry, Opened};
use super::extensions::Extensions;
use super::idle::GROUP;
use super::interrupt::Interrupts;
use super::line::Line;
use super::observe::Roster;
use super::outside::Outside;
use super::outstanding::Outstanding;
use super::pace::Search;
use super::progress::Progress;
use super::resources::Resources;
use super::restart::Mark;
use super::seating::Seating;
use super::shelves::Route;
use super::slot::Slot;
use super::spare::Spares;
use super::stuck::Stuck;
use super::worker::Worker;
use crate::counters::Counters;
use crate::counters::ledger::Ledger;
#[cfg(feature = "ranks")]
use crate::error::TaskId;
use crate::error::{CancelReason, Error, ErrorKind, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::AtomicUsize;
use crate::primitive::deque::Deque;
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
#[cfg(feature = "ranks")]
use crate::task::Afar;
use crate::task::{self, Ended, Home, Needs, Number, Ready, Roll, Schedule};

type Hook = Box<dyn Fn(usize) + Send + Sync>;

/// What an executor is built with; every field is decided.
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) seating: Seating,
    pub(crate) stack_size: usize,
    pub(crate) max_spare_threads: usize,
    pub(crate) seed: u64,
    /// Name and amount.
    pub(crate) resources: Vec<(String, u64)>,
    pub(crate) search: Search,
    pub(crate) thread_name: Box<dyn Fn(usize) -> String + Send + Sync>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
    pub(crate) on_detached_error: Option<ErrorHook>,
    /// Why the workers sit where they do, in words.
    pub(crate) reasons: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) struct Registry {
    number: Number,
    /// The number, at hand.
    pub(crate) id: u32,
    home: Home,
    pub(crate) settings: Settings,
    pub(super) slots: Box<[Slot]>,
    pub(super) domains: Domains,
    pub(super) ending: Ending,
    outside: Outside,
    pub(super) spares: Spares,
    pub(super) roster: Roster,
    pub(super) mark: Mark,
    /// Threads that wait for a seat.
    pub(super) line: Line<Box<Worker>>,
    pub(crate) outstanding: Outstanding,
    pub(crate) detached: Detached,
    /// What was scattered.
    pub(crate) ledger: Arc<Ledger>,
    pub(super) stuck: Stuck,
    pub(crate) resources: Resources,
    pub(super) interrupts: Interrupts,
    /// What the layers above keep here.
    pub(crate) extensions: Extensions,
    /// What brings work from other ranks, once there are some.
    pub(super) progress: OnceLock<Box<dyn Progress>>,
    /// Itself, for the threads it makes.
    this: std::sync::Weak<Self>,
    /// Handles of the executor; the last one to go closes it.
    pub(crate) handles: AtomicUsize,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    pub(super) joining: Mutex<()>,
    pub(super) ended: Mutex<bool>,
    pub(super) ended_now: Condvar,
    pub(crate) started: Instant,
    /// The process it was started in.
    pub(super) generation: u32,
    /// What is let go of when the executor has ended.
    pub(super) kept: Mutex<Option<Box<dyn Send>>>,
}

impl Registry {
    /// Starts the workers.
    pub(crate) fn start(settings: Settings, kept: Box<dyn Send>) -> Result<Arc<Self>, Error> {
        let (registry, workers) = Self::assemble(settings, kept)?;
        for worker in workers {
            let index = worker.index;
            if let Err((source, worker)) = registry.make_thread(Box::new(worker)) {
                drop(worker);
                let name = registry.thread_name(index);
                registry.close(Phase::Cancelling);
                registry.join();
                return Err(Error::new(ErrorKind::Thread { name, source }));
            }
        }
        Ok(registry)
    }

    /// Everything but the threads.
    pub(super) fn assemble(settings: Settings, kept: Box<dyn Send>) -> Result<(Arc<Self>, Vec<Worker>), Error> {
        let deques: Vec<_> = (0..settings.workers).map(|_| Deque::new()).collect();
        let seating = &settings.seating;
        let slots = deques.iter().zip(&seating.cpus).map(|(deque, cpu)| Slot::new(deque, *cpu)).collect();
        let domains = Domains::new(&seating.domains, seating.domain_at.clone());
        let ledger = Ledger::new(&seating.domains.iter().map(Range::len).collect::<Vec<_>>());
        let number = Number::reserve().ok_or_else(|| {
            let most = task::MOST_EXECUTORS;
            Error::new(ErrorKind::Setting(format!("{most} executors live in this process; drop one first")))
        })?;
        let registry = Arc::new_cyclic(|this: &std::sync::Weak<Self>| Self {
            id: number.get(),
            number,
            home: Home(this.as_ptr()),
            slots,
            domains,
            ending: Ending::new(),
            outside: Outside::new(),
            spares: Spares::new(settings.max_spare_threads),
            roster: Roster::new(),
            mark: Mark::new(),
            line: Line::new(),
            outstanding: Outstanding::new(),
            detached: Detached::new(settings.on_detached_error.clone()),
            ledger,
            stuck: Stuck::new(),
            resources: Resources::new(settings.resources.clone()),
            interrupts: Interrupts::default(),
            extensions: Extensions::default(),
            progress: OnceLock::new(),
            this: this.clone(),
            handles: AtomicUsize::new(1),
            threads: Mutex::new(Vec::new()),
            joining: Mutex::new(()),
            ended: Mutex::new(false),
            ended_now: Condvar::new(),
            started: Instant::now(),
            generation: crate::fork::watch(),
            kept: Mutex::new(Some(kept)),
            settings,
        });
        let scheduler: std::sync::Weak<dyn Schedule> = registry.this.clone();
        registry.number.announce(&registry.home, scheduler);
        let worker = |(index, deque): (usize, Deque<Entry>)| {
            let counters = registry.slots[index].counters.clone();
            Worker::new(index, deque, counters, &registry.settings)
        };
        let workers = deques.into_iter().enumerate().map(worker).collect();
        Ok((registry, workers))
    }

    /// Makes a thread that drives `worker`.
    fn make_thread(self: &Arc<Self>, worker: Box<Worker>) -> Result<(), (std::io::Error, Box<Worker>)> {
        let registry = self.clone();
        let name = self.thread_name(worker.index);
        // A thread that is refused takes its closure with it; the worker must not go that way.
        let parcel = Arc::new(Mutex::new(Some(worker)));
        let sent = parcel.clone();
        let made = std::thread::Builder::new().name(name).stack_size(self.settings.stack_size).spawn(move || {
            let worker = sent.lock().take();
            if let Some(worker) = worker {
                live(&registry, worker);
            }
        });
        match (made, parcel.lock()) {
            (Ok(thread), _) => {
                self.threads.lock().push(thread);
                Ok(())
            }
            (Err(error), mut parcel) => match parcel.take() {
                Some(worker) => Err((error, worker)),
                None => Ok(()),
            },
        }
    }

    /// Makes a spare thread for `worker`, which comes back when the system refuses.
    pub(super) fn make_spare(&self, worker: Box<Worker>) -> Option<Box<Worker>> {
        let Some(registry) = self.strong() else { return Some(worker) };
        match registry.make_thread(worker) {
            Ok(()) => None,
            Err((_, worker)) => {
                self.spares.unmake();
                Some(worker)
            }
        }
    }

    /// The name of a thread made for `worker`. A naming function that panics, or a name the system cannot take, does no
    /// harm.
    fn thread_name(&self, worker: usize) -> String {
        let name = panics::catch(|| (self.settings.thread_name)(worker));
        name.map_or_else(|_| format!("heist-{worker}"), |name| name.replace('\0', "?"))
    }

    /// A further count of itself, from a thread that holds one.
    pub(crate) fn strong(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Pins the calling thread to the core of a worker. Where the system refuses, it runs unpinned.
    pub(super) fn pin(&self, worker: usize) {
        if let Some(cpu) = self.slots[worker].cpu {
            let _ = heist_numa::pin(cpu);
        }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.ending.phase()
    }

    pub(crate) fn closed_error(&self) -> TaskError {
        TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED))
    }

    // ---- queues

    /// Queues a ready task: on the deque of the calling worker, else in an inbox.
    #[inline]
    pub(crate) fn queue(&self, task: Ready) {
        local(|local| {
            let worker = local.worker_of(self);
            match self.elsewhere(local, worker, &task) {
                Some(route) => self.put_on_route(route, local.serves(self), task),
                None => self.put(local, worker, Entry::of(task)),
            }
        });
    }

    /// Where a ready task goes, if not where the calling thread queues.
    #[inline]
    pub(super) fn elsewhere(&self, local: &Local, worker: Option<&Worker>, task: &Ready) -> Option<Route> {
        if self.domains.are_routed() { self.route(local, worker, task) } else { None }
    }

    /// Puts something into an inbox of a domain that the calling thread is no worker of, or on a shelf there.
    #[inline(never)]
    pub(super) fn put_on(&self, local: &Local, number: usize, entry: Entry) {
        let near = self.near_on(local, number);
        if !local.is_classed() {
            return self.push_near(near, entry);
        }
        match self.shelve_if_classed(local, near, entry) {
            Some(entry) => self.push_near(near, entry),
            None => self.notify(near),
        }
    }

    /// Pushes something into the inbox of a group of workers.
    pub(super) fn push_near(&self, near: Near, entry: Entry) {
        self.inbox(near).push(entry);
        self.idle(near).notify_after_exchange(near.worker, self.view(near.domain));
    }

    #[inline]
    fn push(&self, domain: &Domain, number: usize, group: usize, entry: Entry) {
        domain.inbox(group).push(entry);
        domain.idle.notify_after_exchange(group * GROUP, self.view(number));
    }

    /// Puts something where the calling thread queues.
    #[inline]
    pub(super) fn put(&self, local: &Local, worker: Option<&Worker>, entry: Entry) {
        match worker {
            Some(worker) => {
                if worker.is_in_burst() {
                    self.put_in_burst(worker, entry);
                } else {
                    worker.deque.push(entry);
                }
                self.notify(worker.near);
            }
            None => match self.domains.only() {
                Some(domain) => self.push(domain, 0, domain.group_of_outsider(local), entry),
                None => self.put_on(local, self.domain_of_outsider(local), entry),
            },
        }
    }

    /// Of many tasks queued by one, thieves take batches: the last one is filled in the next-task slot.
    fn put_in_burst(&self, worker: &Worker, entry: Entry) {
        if worker.is_in_class() {
            return self.put_in_class(worker, entry);
        }
        let slot = &self.slots[worker.index];
        let task = match entry.open() {
            Opened::Task(task) => task,
            other => return worker.deque.push(other.close()),
        };
        let batch = match slot.take_next().map(Entry::open) {
            Some(Opened::Batch(mut batch)) if batch.is_open() => {
                batch.add(task);
                batch
            }
            other => {
                if let Some(other) = other {
                    worker.deque.push(other.close());
                }
                Batch::open(task)
            }
        };
        if batch.is_open() {
            let before = slot.put_next(Entry::of_batch(batch));
            debug_assert!(before.is_none());
        } else {
            worker.deque.push(Entry::of_batch(batch));
        }
    }

    /// As [`put`](Self::put), within a task of a class other than normal.
    #[cold]
    fn put_in_class(&self, worker: &Worker, entry: Entry) {
        local(|local| {
            worker.enter(local.class());
            let normal = self.shelve_if_classed(local, worker.near, entry);
            normal.into_iter().for_each(|entry| worker.deque.push(entry));
        });
    }

    /// Queues a ready task ahead of what the calling worker has queued.
    pub(crate) fn queue_next(&self, task: Ready) {
        self.put_next(Entry::of(task));
    }

    /// Puts something into the next-task slot of the calling worker, and has somebody woken; what was there goes to its deque.
    pub(super) fn put_next(&self, entry: Entry) {
        local(|local| match local.worker_of(self) {
            Some(worker) => match self.slots[worker.index].put_next(entry) {
                Some(displaced) => self.put_instead(local, Some(worker), displaced),
                None => self.notify(worker.near),
            },
            None => self.put_instead(local, None, entry),
        });
    }

    /// Puts the rest of what the calling worker has taken into its next-task slot: nobody who sleeps has missed it.
    #[inline(always)]
    pub(super) fn keep_next(&self, entry: Entry) {
        local(|local| {
            let Some(worker) = local.worker_of(self) else { return self.put_instead(local, None, entry) };
            match self.slots[worker.index].put_next(entry) {
                Some(displaced) => self.put_instead(local, Some(worker), displaced),
                None => self.idle(worker.near).notify_without_fence(worker.near.worker, self.view(worker.near.domain)),
            }
        });
    }

    /// As [`put`](Self::put), out of the way of what goes into the slot.
    #[inline(never)]
    fn put_instead(&self, local: &Local, worker: Option<&Worker>, entry: Entry) {
        self.put(local, worker, entry);
    }

    // ---- counters

    /// Bumps a counter of the calling thread's.
    #[inline]
    pub(super) fn count(&self, counter: impl Fn(&Counters) -> &crate::counters::Counter) {
        self.count_by(counter, 1);
    }

    #[inline]
    fn count_by(&self, counter: impl Fn(&Counters) -> &crate::counters::Counter, by: u64) {
        local(|local| self.count_for(local, local.worker_of(self), counter, by));
    }

    /// As the calling thread, whose record is `local`, with `worker` as one of this executor's.
    #[inline]
    pub(super) fn count_for(
        &self,
        local: &Local,
        worker: Option<&Worker>,
        counter: impl Fn(&Counters) -> &crate::counters::Counter,
        by: u64,
    ) {
        match worker {
            Some(worker) => counter(&worker.counters).bump(by),
            None => match local.own_counters(self.id, &self.outside) {
                Some(own) => counter(own).bump(by),
                None => counter(self.outside.shared()).bump_shared(by),
            },
        }
    }

    #[inline]
    pub(crate) fn count_created(&self, by: u64) {
        self.count_by(|counters| &counters.created, by);
    }

    /// Every set of counters: the workers' in order, then the outsiders'.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.slots.iter().map(|slot| &**slot.counters).chain(self.outside.iter())
    }

    /// Threads made beyond the workers' own.
    pub(crate) fn spare_threads(&self) -> usize {
        self.spares.made()
    }

    /// The threads, to be joined.
    pub(super) fn take_threads(&self) -> Vec<std::thread::JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock())
    }
}

impl Schedule for Registry {
    fn ready(&self, task: Ready) {
        self.queue(task);
    }
    fn again(&self, task: Ready) {
        self.queue_again(task);
    }
    fn give_back(&self, needs: &Needs, ended: Ended) {
        self.give_back_needs(needs, ended);
    }
    fn finished(&self) {
        local(|local| {
            let worker = local.worker_of(self);
            self.count_for(local, worker, |counters| &counters.finished, 1);
            // Released or cancelled: its entry, if it had one, is of no use any more.
            if let Some(worker) = worker {
                worker.leaves_entry(self);
            }
        });
    }
    fn discarded(&self) {
        self.count(|counters| &counters.discarded);
    }
    #[cfg(feature = "ranks")]
    fn afar(&self, task: TaskId, what: Afar<'_>) -> bool {
        self.outstanding.afar.get().is_some_and(|afar| afar.told(task, what))
    }
    fn roll(&self) -> Arc<dyn Roll> {
        self.detached.roll()
    }
}

impl Drop for Registry {
    /// What still lies in an inbox or a slot are entries of tasks that are done.
    fn drop(&mut self) {
        self.cancel_inboxes();
        self.cancel_parked();
        let next = self.slots.iter().filter_map(Slot::take_next);
        next.flat_map(Entry::tasks).for_each(|task| task::cancel_queued(task, self.closed_error()));
    }
}

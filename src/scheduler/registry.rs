//! What the threads of one executor share.

use std::ops::Range;
use std::time::Instant;

use super::context::{Local, local};
use super::domain::{Domain, Domains};
use super::drive::live;
use super::ending::{Ending, Phase};
use super::entry::{Batch, Entry, Opened};
use super::extensions::Extensions;
use super::idle::GROUP;
use super::outside::Outside;
use super::outstanding::Outstanding;
use super::pace::Search;
use super::seating::Seating;
use super::slot::Slot;
use super::spare::Spares;
use super::stuck::Stuck;
use super::worker::Worker;
use crate::counters::Counters;
use crate::counters::ledger::Ledger;
use crate::error::{CancelReason, Error, ErrorKind, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::AtomicUsize;
use crate::primitive::deque::Deque;
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
use crate::task::{self, Home, Number, Ready, Schedule};

type Hook = Box<dyn Fn(usize) + Send + Sync>;

/// What an executor is built with; every field is decided.
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) seating: Seating,
    pub(crate) stack_size: usize,
    pub(crate) max_spare_threads: usize,
    pub(crate) seed: u64,
    pub(crate) search: Search,
    pub(crate) thread_name: Box<dyn Fn(usize) -> String + Send + Sync>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
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
    pub(crate) outstanding: Outstanding,
    /// What was scattered.
    pub(crate) ledger: Arc<Ledger>,
    pub(super) stuck: Stuck,
    /// What the layers above keep here.
    pub(crate) extensions: Extensions,
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
            outstanding: Outstanding::new(),
            ledger,
            stuck: Stuck::new(),
            extensions: Extensions::default(),
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
                Some(domain) => self.put_on(local, domain, Entry::of(task)),
                None => self.put(local, worker, Entry::of(task)),
            }
        });
    }

    /// The other domain that holds most of what a ready task works on.
    #[inline]
    pub(super) fn elsewhere(&self, local: &Local, worker: Option<&Worker>, task: &Ready) -> Option<usize> {
        if !self.domains.are_many() {
            return None;
        }
        let here = self.near(local, worker).domain;
        task::affinity(task, here).filter(|&domain| domain != here && domain < self.domains.count())
    }

    /// Puts something into an inbox of a domain that the calling thread is no worker of.
    #[inline(never)]
    pub(super) fn put_on(&self, local: &Local, number: usize, entry: Entry) {
        let domain = self.domains.get(number);
        self.push(domain, number, domain.group_of_outsider(local), entry);
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

    /// Queues a ready task ahead of what the calling worker has queued.
    pub(crate) fn queue_next(&self, task: Ready) {
        self.put_next(Entry::of(task), true);
    }

    /// Puts something into the next-task slot of the calling worker; what was there goes to its deque. What `is_new` must
    /// not be slept through by anybody.
    #[inline]
    pub(super) fn put_next(&self, entry: Entry, is_new: bool) {
        local(|local| {
            let worker = local.worker_of(self);
            let Some(seated) = worker else { return self.put(local, worker, entry) };
            match self.slots[seated.index].put_next(entry) {
                Some(displaced) => self.put(local, worker, displaced),
                None if is_new => self.notify(seated.near),
                None => self.idle(seated.near).notify_without_fence(seated.near.worker, self.view(seated.near.domain)),
            }
        });
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
}

impl Drop for Registry {
    /// What still lies in an inbox or a slot are entries of tasks that are done.
    fn drop(&mut self) {
        self.cancel_inboxes();
        let next = self.slots.iter().filter_map(Slot::take_next);
        next.flat_map(Entry::tasks).for_each(|task| task::cancel_queued(task, self.closed_error()));
    }
}

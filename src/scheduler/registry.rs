//! What the threads of one executor share.

use std::panic::Location;
use std::time::Instant;

use super::context::{Local, local};
use super::ending::{Ending, Phase};
use super::idle::Idle;
use super::inbox::{Chain, Inbox};
use super::outstanding::Outstanding;
use super::slot::Slot;
use super::spare::Spares;
use super::stuck::Stuck;
use super::victim::Victims;
use super::worker::{Worker, live};
use crate::counters::Counters;
use crate::error::{CancelReason, Error, ErrorKind, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicUsize, Ordering, fence};
use crate::primitive::deque::Deque;
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
use crate::task::{self, Birth, Handle, Held, Home, Ready, Schedule, Started, Typed, Work};

/// Workers that share an inbox.
const WORKERS_PER_INBOX: usize = 8;
/// Sets of counters for the threads that are no workers.
const OUTSIDE: usize = 16;

type Hook = Box<dyn Fn(usize) + Send + Sync>;

/// What an executor is built with; every field is decided.
pub(crate) struct Settings {
    pub(crate) workers: usize,
    /// The PU of each worker, none for those that are not pinned.
    pub(crate) cpus: Vec<Option<usize>>,
    /// The victims of each worker, ring by ring.
    pub(crate) rings: Vec<Vec<Vec<usize>>>,
    pub(crate) stack_size: usize,
    pub(crate) max_spare_threads: usize,
    pub(crate) seed: u64,
    pub(crate) thread_name: Box<dyn Fn(usize) -> String + Send + Sync>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) struct Registry {
    home: Home,
    pub(crate) id: u32,
    pub(crate) settings: Settings,
    pub(super) slots: Box<[Slot]>,
    pub(super) inboxes: Box<[Inbox]>,
    pub(super) idle: Idle,
    pub(super) ending: Ending,
    outside: Box<[Padded<Counters>]>,
    pub(super) spares: Spares,
    pub(crate) outstanding: Outstanding,
    pub(super) stuck: Stuck,
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
    generation: u32,
    /// What is let go of when the executor has ended.
    pub(super) kept: Mutex<Option<Box<dyn Send>>>,
}

impl Registry {
    /// Starts the workers.
    pub(crate) fn start(settings: Settings, kept: Box<dyn Send>) -> Result<Arc<Self>, Error> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let deques: Vec<_> = (0..settings.workers).map(|_| Deque::new()).collect();
        let slots = deques.iter().zip(&settings.cpus).map(|(deque, cpu)| Slot::new(deque, *cpu)).collect();
        let registry = Arc::new_cyclic(|this: &std::sync::Weak<Self>| Self {
            home: Home(this.as_ptr()),
            // ORDERING: Relaxed; only uniqueness matters.
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            slots,
            inboxes: (0..settings.workers.div_ceil(WORKERS_PER_INBOX)).map(|_| Inbox::new()).collect(),
            idle: Idle::new(settings.workers),
            ending: Ending::new(),
            outside: (0..OUTSIDE).map(|_| Counters::new()).collect(),
            spares: Spares::new(settings.max_spare_threads),
            outstanding: Outstanding::new(),
            stuck: Stuck::new(),
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
        task::announce(registry.id, scheduler);
        for (index, deque) in deques.into_iter().enumerate() {
            let victims = Victims::new(&registry.settings.rings[index]);
            let worker = Worker::new(index, deque, victims, registry.settings.seed);
            if let Err((source, worker)) = registry.make_thread(worker) {
                drop(worker);
                let name = registry.thread_name(index);
                registry.close(Phase::Cancelling);
                registry.join();
                return Err(Error::new(ErrorKind::Thread { name, source }));
            }
        }
        Ok(registry)
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

    pub(crate) fn phase(&self) -> Phase {
        self.ending.phase()
    }

    pub(crate) fn closed_error(&self) -> TaskError {
        TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED))
    }

    // ---- queues

    pub(super) fn inbox_of(&self, worker: usize) -> usize {
        worker / WORKERS_PER_INBOX
    }

    pub(super) fn inboxes_after(&self, own: usize) -> impl Iterator<Item = usize> {
        let count = self.inboxes.len();
        (1..count).map(move |step| (own + step) % count)
    }

    /// Whether any queue holds something.
    pub(super) fn has_work(&self) -> bool {
        self.inboxes.iter().any(|inbox| !inbox.is_empty()) || self.slots.iter().any(Slot::has_work)
    }

    pub(super) fn wake(&self, worker: usize) {
        self.slots[worker].parker.wake();
    }

    #[inline]
    pub(super) fn notify(&self) {
        self.idle.notify(|worker| self.wake(worker));
    }

    pub(super) fn notify_if_work(&self) {
        if self.has_work() {
            self.notify();
        }
    }

    /// Queues a ready task: on the deque of the calling worker, else in an inbox.
    #[inline]
    pub(crate) fn queue(&self, task: Ready) {
        local(|local| match local.worker().filter(|_| local.serves(self)) {
            Some(worker) => worker.deque.push(task),
            None => self.inboxes[local.shard() % self.inboxes.len()].push(Chain::of(task)),
        });
        self.notify();
    }

    /// As [`queue`](Self::queue), ahead of what the calling worker has queued.
    pub(crate) fn queue_next(&self, task: Ready) {
        let displaced = local(|local| match local.worker().filter(|_| local.serves(self)) {
            Some(worker) => self.slots[worker.index].put_next(task),
            None => Some(task),
        });
        match displaced {
            Some(task) => self.queue(task),
            None => self.notify(),
        }
    }

    /// Queues many ready tasks with one step and one round of wakes.
    pub(crate) fn queue_all(&self, tasks: impl IntoIterator<Item = Ready>) {
        let count = local(|local| match local.worker().filter(|_| local.serves(self)) {
            Some(worker) => tasks.into_iter().map(|task| worker.deque.push(task)).count(),
            None => {
                let mut tasks = tasks.into_iter();
                let Some(first) = tasks.next() else { return 0 };
                let mut chain = Chain::of(first);
                let count = 1 + tasks.map(|task| chain.push(task)).count();
                self.inboxes[local.shard() % self.inboxes.len()].push(chain);
                count
            }
        });
        self.idle.notify_many(count, |worker| self.wake(worker));
    }

    // ---- tasks

    /// Runs a started task on this thread.
    #[inline]
    pub(crate) fn run(&self, started: Started, ready: impl FnMut(Ready)) {
        self.count(|counters| &counters.executed);
        Local::within(started.task(), || started.run(ready));
    }

    /// Whether new tasks are taken from this thread.
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
        Birth {
            home: &raw const self.home,
            executor: self.id,
            generation: self.generation,
            id: local(Local::next_id),
            location,
        }
    }

    /// Makes a task and queues it.
    #[inline]
    pub(crate) fn submit<W: Work>(&self, location: &'static Location<'static>, work: W) -> Typed<W::Output> {
        if let Err(error) = self.admit() {
            return task::with_error(self.birth(location), error);
        }
        self.count_created(1);
        let (task, ready) = task::ready(self.birth(location), work);
        self.queue(ready);
        self.withdraw_if_late(task.handle());
        task
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
    fn cancel_inboxes(&self) {
        for task in self.inboxes.iter().flat_map(Inbox::take) {
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
        let refused = if foreign { Err(TaskError::new(TaskErrorKind::ForeignFuture)) } else { self.admit() };
        if let Err(error) = refused {
            return task::with_error(self.birth(location), error);
        }
        self.count_created(1);
        let (task, ready) = task::after(self.birth(location), inputs, tolerant, call);
        if let Some(ready) = ready {
            self.queue(ready);
            self.withdraw_if_late(task.handle());
        }
        task
    }

    /// Makes many tasks and queues them in one step.
    pub(crate) fn submit_all<W: Work>(
        &self,
        location: &'static Location<'static>,
        works: impl Iterator<Item = W>,
    ) -> Vec<Typed<W::Output>> {
        if let Err(error) = self.admit() {
            return works.map(|_| task::with_error(self.birth(location), error.clone())).collect();
        }
        // The caller's iterator may panic, so it is through before the first task is made.
        let works: Vec<_> = works.collect();
        let (tasks, queue): (Vec<_>, Vec<_>) =
            works.into_iter().map(|work| task::ready(self.birth(location), work)).unzip();
        self.count_created(tasks.len() as u64);
        self.queue_all(queue);
        for task in &tasks {
            self.withdraw_if_late(task.handle());
        }
        tasks
    }

    /// A task that was queued while the executor closed may find no worker any more.
    #[inline]
    fn withdraw_if_late(&self, task: &Handle) {
        // The fence of `notify` lies between the count of the task and this look (scheduler README, "Shutdown").
        if self.refuses() {
            task::cancel(task, self.closed_error());
        }
    }

    // ---- counters

    /// Bumps a counter of the calling thread's.
    #[inline]
    fn count(&self, counter: impl Fn(&Counters) -> &crate::counters::Counter) {
        self.count_by(counter, 1);
    }

    #[inline]
    fn count_by(&self, counter: impl Fn(&Counters) -> &crate::counters::Counter, by: u64) {
        local(|local| match local.worker().filter(|_| local.serves(self)) {
            Some(worker) => counter(&self.slots[worker.index].counters).bump(by),
            None => counter(&self.outside[local.shard() % OUTSIDE]).bump_shared(by),
        });
    }

    #[inline]
    pub(crate) fn count_created(&self, by: u64) {
        self.count_by(|counters| &counters.created, by);
    }

    /// Every set of counters: the workers' in order, then the outsiders'.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.slots.iter().map(|slot| &*slot.counters).chain(self.outside.iter().map(|padded| &**padded))
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
        self.count(|counters| &counters.finished);
    }
    fn discarded(&self) {
        self.count(|counters| &counters.discarded);
    }
}

impl Drop for Registry {
    /// What still lies in an inbox are entries of tasks that are done.
    fn drop(&mut self) {
        task::retract(self.id);
        self.cancel_inboxes();
    }
}

//! A worker: what it looks through for work, and how it waits for some.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::clock::{self, Clock};
use super::context::{Local, local};
use super::domain::Near;
use super::ending::Phase;
use super::entry::{Batch, Entry, Opened};
use super::inbox::Inbox;
use super::pace::{Pace, watch};
use super::progress::{Attending, Progress};
use super::registry::{Registry, Settings};
use super::slot::{Slot, TIMED};
use super::victim::{Random, Victims};
use crate::counters::Counters;
use crate::primitive::Padded;
use crate::primitive::deque::{Deque, Steal};
use crate::primitive::hint::spin_loop;
use crate::primitive::sync::Arc;
use crate::task::{self, Pooled, Priority, Ready};

/// Finds between two looks at what has waited longest, in the inbox or the own deque (a LIFO deque may never empty).
const FAIR: u32 = 64;
/// Finds between two looks at the clock, while tasks are short.
const LOOK: u32 = 4 * FAIR;
/// How often a race for the same victim is run again.
const RETRIES: u32 = 4;
/// Entries left behind until a worker looks through its own.
const LEFT: usize = 256;
/// Tasks that one task queues one by one.
const QUEUED_SINGLY: i32 = 32;
/// Tasks since a wake that make a burst.
const BURST: u64 = 64;
/// Says in place of that that a task of another class is under way; no burst comes near.
const IN_CLASS: i32 = i32::MIN / 2;
/// How long a worker leaves its core to the thread that submits from there.
const NAP: Duration = Duration::from_micros(500);
/// How long a worker looks for work in its own domain before it does in others.
const AFAR: Duration = Duration::from_micros(10);
/// How long a worker sleeps before it gives memory back, and at most before it looks again.
const TIDY: Duration = Duration::from_millis(100);
const TIDY_MOST: Duration = Duration::from_secs(10);
/// How often a sleeper looks whether a closing executor has ended.
const CLOSING_LOOK: Duration = Duration::from_millis(2);

/// The private side of a worker. It moves from thread to thread; one thread drives it at a time.
pub(crate) struct Worker {
    pub(super) index: usize,
    pub(super) near: Near,
    pub(super) deque: Deque<Entry>,
    /// Those of its slot.
    pub(super) counters: Arc<Padded<Counters>>,
    victims: Victims,
    random: Random,
    finds: Cell<u32>,
    clock: Clock,
    /// Whether it looks at the time with every task, as [`TIMED`] told it when it last did.
    timed: Cell<bool>,
    /// How many entries may still be queued one by one before the next find; from 0 down they go into batches.
    burst: Cell<i32>,
    /// Closures run until the last wake.
    woken_at: Cell<u64>,
    /// Entries left behind by waiters since the last purge.
    left: Cell<usize>,
    /// Whether it lives on what other domains have.
    forages: Cell<bool>,
    /// Taken off a shelf while idle, to be run before anything else.
    at_hand: Cell<Option<Ready>>,
    /// Whose turn is next, of what is as urgent: the shelves', or the queues'.
    turn: Cell<bool>,
    pace: Pace,
}

impl Worker {
    pub(super) fn new(index: usize, deque: Deque<Entry>, counters: Arc<Padded<Counters>>, settings: &Settings) -> Self {
        let seating = &settings.seating;
        let domain = seating.domains.iter().position(|workers| workers.contains(&index)).unwrap_or(0);
        let near = Near { domain, worker: index - seating.domains.get(domain).map_or(0, |workers| workers.start) };
        let victims = Victims::new(&seating.rings[index], &seating.domains, domain);
        let random = Random::new(settings.seed, index);
        let pace = Pace::new(settings.search);
        Self {
            index,
            near,
            deque,
            counters,
            victims,
            random,
            finds: Cell::new(0),
            clock: Clock::default(),
            timed: Cell::new(true),
            burst: Cell::new(QUEUED_SINGLY),
            woken_at: Cell::new(0),
            left: Cell::new(0),
            forages: Cell::new(false),
            at_hand: Cell::new(None),
            turn: Cell::new(false),
            pace,
        }
    }

    /// The next task: own next-task slot and deque, own inbox, victims of the own domain from near to far, its other
    /// inboxes.
    #[inline]
    pub(super) fn find(&self, registry: &Registry) -> Option<Entry> {
        let finds = self.finds.get().wrapping_add(1);
        self.finds.set(finds);
        self.burst.set(QUEUED_SINGLY);
        if finds.is_multiple_of(FAIR)
            && let Some(task) = self.find_oldest(registry, finds)
        {
            return Some(task);
        }
        registry.slots[self.index].take_next().or_else(|| self.deque.pop()).or_else(|| self.find_around(registry))
    }

    /// Notes the time after so many finds, and has it noted at each while tasks last long.
    #[cold]
    pub(super) fn look_at_clock(&self, registry: &Registry, finds: u32) {
        let now = local(Local::look_at_clock);
        let slot = &registry.slots[self.index];
        let closely = slot.attention() & TIMED != 0;
        let from_now_on = self.clock.passed(now, finds, closely);
        if from_now_on != closely {
            slot.ask(TIMED, from_now_on);
        }
        self.timed.set(from_now_on);
    }

    /// Notes the time, while tasks last long.
    #[inline]
    pub(super) fn watch_time(&self, registry: &Registry) {
        if self.timed.get() {
            self.look_at_clock(registry, 1);
        }
    }

    /// Counts something that is queued; whether that was so much at once that it goes into batches.
    #[inline]
    pub(super) fn is_in_burst(&self) -> bool {
        let left = self.burst.get().wrapping_sub(1);
        self.burst.set(left);
        left < 0
    }

    /// What is queued from now on comes of a task of this class: if that is not the normal one, it is looked at, as if it
    /// were part of a burst.
    pub(super) fn enter(&self, class: Priority) {
        self.burst.set(if class == Priority::NORMAL { QUEUED_SINGLY } else { IN_CLASS });
    }

    /// Whether what is queued may be of another class than the normal one.
    #[inline]
    pub(super) fn is_in_class(&self) -> bool {
        self.burst.get() < IN_CLASS / 2
    }

    /// Keeps a task for the thread to run next.
    pub(super) fn keep_at_hand(&self, task: Ready) {
        let before = self.at_hand.replace(Some(task));
        debug_assert!(before.is_none());
    }

    pub(super) fn take_at_hand(&self) -> Option<Ready> {
        self.at_hand.take()
    }

    /// Whether it is the shelves' turn; every other time.
    pub(super) fn takes_turns(&self) -> bool {
        !self.turn.replace(!self.turn.get())
    }

    /// The other domains, from near to far.
    pub(super) fn domains_afar(&self) -> impl Iterator<Item = usize> {
        let random = self.random.next();
        self.victims.afar().flat_map(move |ring| ring.domains(random))
    }

    /// Whether nothing waits for this worker, in its own queues or in its inbox.
    #[cold]
    pub(super) fn is_alone(&self, registry: &Registry) -> bool {
        let slot = &registry.slots[self.index];
        !slot.has_work() && registry.inbox(self.near).is_empty() && slot.attention() & !TIMED == 0
    }

    /// Whether there is something to be seen to before the next task, other than the time, which is looked at here. (What
    /// is run next must not depend on the time: one worker repeats itself.)
    #[inline]
    fn is_called(&self, registry: &Registry) -> bool {
        let attention = registry.slots[self.index].attention();
        attention != 0 && self.is_called_for(registry, attention)
    }

    #[cold]
    fn is_called_for(&self, registry: &Registry, attention: u32) -> bool {
        if attention & TIMED != 0 {
            self.look_at_clock(registry, 1);
        }
        attention & !TIMED != 0
    }

    /// The rest of the batch in the next-task slot, unless something else is due first.
    #[inline]
    pub(super) fn go_on(&self, registry: &Registry) -> Option<Pooled<Batch>> {
        let slot = &registry.slots[self.index];
        self.finds.set(self.finds.get().wrapping_add(1));
        if self.finds.get().wrapping_add(1).is_multiple_of(FAIR) || self.is_called(registry) {
            return None;
        }
        match slot.take_next()?.open() {
            Opened::Batch(batch) => Some(batch),
            Opened::Task(task) => {
                registry.queue(task);
                None
            }
        }
    }

    /// What the newest would keep waiting for ever: in turn what is in the inbox and the oldest of the own deque.
    #[cold]
    fn find_oldest(&self, registry: &Registry, finds: u32) -> Option<Entry> {
        if finds.is_multiple_of(LOOK) {
            self.look_at_clock(registry, LOOK);
        }
        registry.glance_at_progress();
        if finds.is_multiple_of(2 * FAIR)
            && let Steal::Success(task) = registry.slots[self.index].stealer.steal()
        {
            return Some(task);
        }
        self.take_inbox(registry, registry.inbox(self.near))
    }

    #[inline(never)]
    fn find_around(&self, registry: &Registry) -> Option<Entry> {
        // Nothing waits in the own queues. Counted from here, not from idle searches, whose number is a matter of time:
        // one worker repeats itself.
        self.finds.set(0);
        let found = self
            .take_inbox(registry, registry.inbox(self.near))
            .or_else(|| self.steal(registry))
            .or_else(|| registry.inboxes_beside(self.near).find_map(|inbox| self.take_inbox(registry, inbox)));
        if found.is_some() && self.clock.is_due() {
            self.look_at_clock(registry, clock::DUE);
        }
        if self.forages.get() {
            self.forages.set(false);
            return found.or_else(|| self.find_afar(registry, false));
        }
        found
    }

    /// A task of another domain, with some more for those beside: out of `any`'s queue, or only of one who has more than
    /// what is to run next, which is sooner done where it is.
    #[cold]
    pub(super) fn find_afar(&self, registry: &Registry, any: bool) -> Option<Entry> {
        let random = self.random.next();
        let is_worth_it = |slot: &Slot| if any { slot.has_work() } else { slot.has_much_work() };
        let steal = |victim| {
            if is_worth_it(&registry.slots[victim]) { self.steal_from(registry, victim) } else { None }
        };
        let found = self.victims.afar().find_map(|ring| {
            let stolen = ring.order(random).find_map(steal);
            stolen.or_else(|| ring.domains(random).find_map(|domain| registry.take_one_of(domain)))
        })?;
        self.forages.set(true);
        self.counters.stolen_afar.bump(1 + self.deque.len() as u64);
        Some(self.robbed(registry, found))
    }

    fn take_inbox(&self, registry: &Registry, inbox: &Inbox) -> Option<Entry> {
        if inbox.is_empty() {
            return None;
        }
        let mut entries = inbox.take().peekable();
        while let Some(entry) = entries.next() {
            if entries.peek().is_none() {
                self.offer_rest(registry);
                return Some(entry);
            }
            self.deque.push(entry);
        }
        None
    }

    /// What came along with a task, out of sight while it was moved, is there for others from now on.
    fn offer_rest(&self, registry: &Registry) {
        if !self.deque.is_empty() {
            registry.notify(self.near);
        }
    }

    /// Lets go of the entries in its queues whose tasks are taken or done.
    pub(super) fn purge(&self, registry: &Registry) {
        let next = registry.slots[self.index].take_next();
        let own = next.into_iter().chain(std::iter::from_fn(|| self.deque.pop()));
        let own: Vec<_> = own.filter_map(open_only).collect();
        let inbox = registry.inbox(self.near).take().filter_map(open_only);
        own.into_iter().rev().chain(inbox).for_each(|entry| self.deque.push(entry));
        self.offer_rest(registry);
        self.purge_shelves(registry);
    }

    /// A waiter on this worker has run a task, whose entry is left behind in some queue. When that may be true of as many
    /// as there are here, they are looked at: a task that waits again and again never comes to them otherwise.
    pub(super) fn leaves_entry(&self, registry: &Registry) {
        let left = self.left.get() + 1;
        self.left.set(left);
        if left.is_multiple_of(LEFT) {
            self.purge_if_due(registry, left);
        }
    }

    #[cold]
    #[inline(never)]
    fn purge_if_due(&self, registry: &Registry, left: usize) {
        if left >= self.deque.len() + self.count_shelved(registry) {
            self.left.set(0);
            self.purge_if_stale(registry);
            self.purge_shelves(registry);
        }
    }

    /// Looks through the own entries, if the oldest of them is of no use any more.
    #[cold]
    fn purge_if_stale(&self, registry: &Registry) {
        if let Steal::Success(oldest) = registry.slots[self.index].stealer.steal() {
            match open_only(oldest) {
                Some(oldest) => {
                    self.deque.push(oldest);
                    self.offer_rest(registry);
                }
                None => self.purge(registry),
            }
        }
    }

    fn steal(&self, registry: &Registry) -> Option<Entry> {
        self.victims.near(self.random.next()).find_map(|victim| {
            let slot = &registry.slots[victim];
            // A look first: a steal costs a fence and an exchange even when there is nothing.
            if !slot.has_work() {
                return None;
            }
            let entry = self.steal_from(registry, victim)?;
            Some(self.robbed(registry, entry))
        })
    }

    /// Counts what was stolen, and leaves some of it to others.
    fn robbed(&self, registry: &Registry, entry: Entry) -> Entry {
        self.counters.stolen.bump(1 + self.deque.len() as u64);
        let entry = self.halve(entry);
        self.offer_rest(registry);
        entry
    }

    /// Half of a stolen batch is left for others to steal.
    fn halve(&self, entry: Entry) -> Entry {
        match entry.open() {
            Opened::Task(task) => Entry::of(task),
            Opened::Batch(batch) => {
                let (batch, rest) = Batch::split(batch);
                if let Some(rest) = rest {
                    self.deque.push(Entry::of_batch(rest));
                }
                Entry::of_batch(batch)
            }
        }
    }

    fn steal_from(&self, registry: &Registry, victim: usize) -> Option<Entry> {
        let slot = &registry.slots[victim];
        for _ in 0..RETRIES {
            match slot.stealer.steal_into(&self.deque) {
                Steal::Success(task) => return Some(task),
                Steal::Empty => break,
                Steal::Retry => spin_loop(),
            }
        }
        slot.take_next()
    }

    /// Nothing was found: searches for a while, then sleeps. `None` when the seat is to be left.
    #[cold]
    pub(super) fn idle(&self, registry: &Registry) -> Option<Entry> {
        if let Some(found) = self.take_last(registry) {
            return found;
        }
        let since = Instant::now();
        if self.naps(registry) {
            let found = self.find(registry);
            if found.is_some() {
                return found;
            }
        }
        let found = self.search_and_sleep(registry, since);
        let pause = since.elapsed();
        self.clock.count_from(local(Local::look_at_clock));
        self.pace.learn(pause);
        self.counters.idle_ns.bump(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        found
    }

    /// After a burst from the thread that has this core: leaves the core to it for a moment, once a wake. Whoever is awake
    /// elsewhere takes what comes; else that thread would pay for the worker's search, and for waking it again.
    fn naps(&self, registry: &Registry) -> bool {
        let slot = &registry.slots[self.index];
        let run = self.counters.executed.read() - self.woken_at.get();
        if !slot.take_crowded() || run < BURST || registry.slots.len() == 1 || !registry.settings.search.is_adaptive() {
            return false;
        }
        slot.parker.sleep_until(Instant::now() + NAP);
        true
    }

    fn search_and_sleep(&self, registry: &Registry, mut since: Instant) -> Option<Entry> {
        let idle = registry.idle(self.near);
        let view = registry.view(self.near.domain);
        let attending = registry.progress().map(Attending::new);
        let mut searching = !self.pace.time().is_zero() && idle.start_search();
        loop {
            if searching && let Some(found) = self.search(registry, since) {
                idle.end_search(view);
                return found;
            }
            if idle.park(self.near.worker, searching, || registry.has_work_for(self) || self.must_leave(registry)) {
                self.counters.parked.bump(1);
                let was_called = local(|local| local.asleep(|| self.sleep(registry, attending.as_ref())));
                // A waker has counted this worker as searching; who woke by himself does so himself, unless one comes now.
                if !was_called && !idle.unpark(self.near.worker) {
                    registry.slots[self.index].parker.sleep();
                }
                self.woken_at.set(self.counters.executed.read());
            }
            searching = true;
            since = Instant::now();
        }
    }

    /// Searches until the worker's time for it is over, at least once: a task, or the word that the seat is to be left. In
    /// other domains last: whoever sits there comes first.
    fn search(&self, registry: &Registry, since: Instant) -> Option<Option<Entry>> {
        let inbox = registry.inbox(self.near);
        let progress = registry.progress();
        loop {
            if let Some(progress) = progress {
                progress.poll();
            }
            if let Some(task) = self.find(registry) {
                return Some(Some(task));
            }
            if self.must_leave(registry) {
                return Some(None);
            }
            if let Some(found) = self.take_last(registry) {
                return Some(found);
            }
            let elapsed = since.elapsed();
            let is_over = elapsed >= self.pace.time();
            if self.victims.has_afar()
                && (is_over || elapsed >= AFAR)
                && let Some(task) = self.find_afar(registry, is_over)
            {
                return Some(Some(task));
            }
            if is_over {
                return None;
            }
            watch(|| !inbox.is_empty() || progress.is_some_and(Progress::has_some));
        }
    }

    /// Sleeps until woken, counted as searching by the waker; when that takes long, brings its memory home. While the
    /// executor closes, wakes by itself now and then to see whether the last task has ended on a thread that is no worker.
    /// False when it has woken by itself, because something came from other ranks.
    fn sleep(&self, registry: &Registry, attending: Option<&Attending<'_>>) -> bool {
        let slot = &registry.slots[self.index];
        // Whether the sleep is over, and if so, whether by a waker.
        let sleep_until = |time: Option<Instant>| match (attending, time) {
            (Some(attending), _) => {
                let [was_called] = attending.listen(self.index, [&slot.parker], time);
                (was_called || registry.progress().is_some_and(Progress::has_some)).then_some(was_called)
            }
            (None, Some(time)) => slot.parker.sleep_until(time).then_some(true),
            (None, None) => {
                slot.parker.sleep();
                Some(true)
            }
        };
        let mut pause = TIDY;
        while registry.phase() == Phase::Open {
            if let Some(was_called) = sleep_until(Some(Instant::now() + pause)) {
                return was_called;
            }
            task::rest();
            // One worker goes on looking while there is memory that others may give back any time.
            if self.index != 0 || !task::keeps_memory() {
                break;
            }
            pause = (2 * pause).min(TIDY_MOST);
        }
        loop {
            let time = (registry.phase() != Phase::Open).then(|| Instant::now() + CLOSING_LOOK);
            if let Some(was_called) = sleep_until(time) {
                return was_called;
            }
            registry.end_if_quiescent();
        }
    }

    /// How long it would search before it sleeps.
    pub(super) fn search_time(&self) -> Duration {
        self.pace.time()
    }

    /// Whether the thread must look at its seat before it goes on.
    pub(super) fn must_leave(&self, registry: &Registry) -> bool {
        if registry.phase() != Phase::Open {
            registry.end_if_quiescent();
        }
        registry.phase() == Phase::Ended || registry.slots[self.index].is_wanted_back()
    }
}

impl Drop for Worker {
    /// What lies in the deque at the end are entries of tasks that are done.
    fn drop(&mut self) {
        let at_hand = self.at_hand.take();
        let own = std::iter::from_fn(|| self.deque.pop()).flat_map(Entry::tasks);
        own.chain(at_hand).for_each(task::skip);
    }
}

/// What is left of an entry without the tasks that are taken or done.
fn open_only(entry: Entry) -> Option<Entry> {
    Entry::of_all(entry.tasks().filter_map(task::if_open))
}

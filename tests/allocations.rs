//! How often a task asks the allocator for memory: at most once when it is submitted, and never after that.

#[path = "lifecycle/watchdog.rs"]
mod watchdog;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use heist::{Executor, TaskFuture};

type Futures = Vec<TaskFuture<u64>>;
/// Fills the vector with tasks.
type Make = fn(&Executor, Futures) -> Futures;

/// Counts the allocations of threads that have a counter.
struct Counting;

thread_local! {
    static COUNTER: Cell<Option<&'static AtomicU64>> = const { Cell::new(None) };
}

fn count() {
    // None at the end of a thread.
    if let Ok(Some(counter)) = COUNTER.try_with(Cell::get) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A counter that stays; a list holds them, so that no sanitizer takes them for lost.
fn counter() -> &'static AtomicU64 {
    static COUNTERS: Mutex<Vec<&'static AtomicU64>> = Mutex::new(Vec::new());
    let counter = Box::leak(Box::default());
    COUNTERS.lock().unwrap().push(counter);
    counter
}

/// An executor whose workers' allocations are counted, and those of the thread that built it.
struct Scene {
    ex: Executor,
    workers: &'static AtomicU64,
    own: &'static AtomicU64,
}

impl Scene {
    fn new(workers: usize) -> Self {
        let [own, counter] = [counter(), counter()];
        let ex =
            Executor::builder().workers(workers).on_worker_start(move |_| COUNTER.set(Some(counter))).build().unwrap();
        COUNTER.set(Some(own));
        Self { ex, workers: counter, own }
    }

    fn asked(&self) -> u64 {
        self.workers.load(Ordering::Relaxed) + self.own.load(Ordering::Relaxed)
    }

    /// Allocations during `work`, and what it gives.
    fn counted<R>(&self, work: impl FnOnce() -> R) -> (u64, R) {
        let before = self.asked();
        let result = work();
        (self.asked() - before, result)
    }

    /// Keeps the worker of an executor of one within a task until the guard is dropped.
    fn hold<'a>(&self, gate: &'a Gate) -> MutexGuard<'a, ()> {
        let guard = gate.shut.lock().unwrap();
        gate.is_held.store(false, Ordering::Relaxed);
        let (shut, is_held) = (gate.shut.clone(), gate.is_held.clone());
        let keep = move || {
            is_held.store(true, Ordering::Relaxed);
            drop(shut.lock());
        };
        self.ex.submit(keep).detach();
        watchdog::until(|| gate.is_held.load(Ordering::Relaxed));
        guard
    }
}

/// What a held worker waits at; unlike a channel's, that wait takes no memory.
#[derive(Default)]
struct Gate {
    shut: Arc<Mutex<()>>,
    is_held: Arc<AtomicBool>,
}

/// What was asked for at each step of a round.
#[derive(Debug)]
struct Asked {
    submit: u64,
    complete: u64,
    collect: u64,
}

fn submit(ex: &Executor, mut futures: Futures) -> Futures {
    for i in 0..futures.capacity() as u64 {
        futures.push(ex.submit(move || i));
    }
    futures
}

fn map(ex: &Executor, futures: Futures) -> Futures {
    ex.map(0..futures.capacity() as u64, |i| i)
}

fn collect(futures: Futures) -> u64 {
    futures.into_iter().map(|future| future.result().unwrap()).sum()
}

fn sum(tasks: usize) -> u64 {
    (0..tasks as u64).sum()
}

fn all_done(futures: &[TaskFuture<u64>]) {
    watchdog::until(|| futures.iter().all(TaskFuture::done));
}

/// Submits `tasks` tasks by `make`, lets them run, and collects them.
fn outside(scene: &Scene, tasks: usize, make: Make) -> Asked {
    let gate = Gate::default();
    let held = scene.hold(&gate);
    let futures = Vec::with_capacity(tasks);
    let (submit, futures) = scene.counted(|| make(&scene.ex, futures));
    let (complete, ()) = scene.counted(|| {
        drop(held);
        all_done(&futures);
    });
    let (collect, total) = scene.counted(|| collect(futures));
    assert_eq!(total, sum(tasks));
    Asked { submit, complete, collect }
}

/// The same, submitted and collected within tasks of one worker; allocations of both.
fn inside(scene: &Scene, tasks: usize) -> (u64, u64) {
    let counter = scene.workers;
    let asked = move || counter.load(Ordering::Relaxed);
    let ex = scene.ex.clone();
    let submitter = move || {
        let futures = Vec::with_capacity(tasks);
        let before = asked();
        let futures = submit(&ex, futures);
        (asked() - before, futures)
    };
    let (submit, futures) = scene.ex.submit(submitter).into_result().ok().unwrap().unwrap();
    all_done(&futures);
    let collector = move || {
        let before = asked();
        let total = collect(futures);
        (asked() - before, total)
    };
    let (collect, total) = scene.ex.submit(collector).result().unwrap();
    assert_eq!(total, sum(tasks));
    (submit, collect)
}

/// Builds a chain behind a promise, then lets it run; allocations of both.
fn chain(scene: &Scene, links: usize) -> (u64, u64) {
    let (promise, first) = scene.ex.promise();
    let (built, last) = scene.counted(|| (0..links).fold(first, |last, _| scene.ex.submit_after(last, |n| n + 1)));
    let (ran, ()) = scene.counted(|| {
        promise.fulfil(0);
        watchdog::until(|| last.done());
    });
    assert_eq!(last.result().unwrap(), links as u64);
    (built, ran)
}

/// Runs `body` with an executor whose allocations are counted, for no longer than a minute.
#[track_caller]
fn with(workers: usize, body: impl FnOnce(&Scene) + Send + 'static) {
    watchdog::within(Duration::from_secs(60), String::new, move || body(&Scene::new(workers)));
}

/// How often a queue of so many tasks may have grown.
fn growths(tasks: usize) -> u64 {
    6 * u64::from(tasks.ilog2())
}

/// More than fit into any cell that is left over from a smaller number.
const MANY: usize = 20_000;
/// Few enough for queues to keep their size.
const FEW: usize = 32;
/// Rounds until what was made before is used again.
const WARM: usize = 5;

#[test]
fn what_threads_ask_for_is_counted() {
    with(1, |scene| {
        assert_eq!(scene.counted(|| drop(black_box(Box::new(1)))).0, 1);
        let counter = scene.workers;
        let within = move || {
            let before = counter.load(Ordering::Relaxed);
            drop(black_box(Box::new(1)));
            counter.load(Ordering::Relaxed) - before
        };
        assert_eq!(scene.ex.submit(within).result().unwrap(), 1);
    });
}

#[test]
fn a_submit_asks_once_at_most() {
    with(1, |scene| {
        let asked = outside(scene, MANY, submit);
        assert!(asked.submit <= MANY as u64 + growths(MANY), "{asked:?}");
    });
    with(1, |scene| {
        let (submit, _) = inside(scene, MANY);
        assert!(submit <= MANY as u64 + growths(MANY), "{submit} allocations for {MANY} tasks");
    });
}

#[test]
fn a_chain_asks_once_a_link_at_most() {
    with(1, |scene| {
        let (built, ran) = chain(scene, MANY);
        assert!(built <= MANY as u64, "{built} allocations for {MANY} links");
        assert!(ran <= growths(MANY), "{ran} allocations as the links ran");
    });
}

#[test]
fn to_complete_and_to_collect_asks_for_nothing() {
    with(1, |scene| {
        for make in [submit, map] {
            let asked = outside(scene, MANY, make);
            // The worker's queue grows and shrinks.
            assert!(asked.complete <= growths(MANY) && asked.collect == 0, "{asked:?}");
            outside(scene, FEW, make);
            let asked = outside(scene, FEW, make);
            assert!(asked.complete == 0 && asked.collect == 0, "{asked:?}");
        }
        assert_eq!(inside(scene, MANY).1, 0);
    });
}

#[test]
fn a_gather_asks_for_its_vector_only() {
    with(1, |scene| {
        let futures = submit(&scene.ex, Vec::with_capacity(MANY));
        all_done(&futures);
        let (borrowed, values) = scene.counted(|| scene.ex.gather(&futures).unwrap());
        assert_eq!(values.iter().sum::<u64>(), sum(MANY));
        assert!(borrowed <= growths(MANY), "{borrowed} allocations to gather from references");
        let (owned, values) = scene.counted(|| scene.ex.gather(futures).unwrap());
        assert_eq!(values.iter().sum::<u64>(), sum(MANY));
        assert!(owned <= growths(MANY), "{owned} allocations to gather");
    });
}

#[test]
fn warm_submits_ask_for_nothing() {
    with(1, |scene| {
        // A batch asks for its vectors and its closure.
        for (make, batch) in [(submit as Make, 0), (map, 4)] {
            for round in 0..20 {
                let asked = outside(scene, FEW, make);
                let warm = asked.submit <= batch && asked.complete == 0 && asked.collect == 0;
                assert!(warm || round < WARM, "round {round}: {asked:?}");
            }
        }
        for round in 0..20 {
            let asked = inside(scene, FEW);
            assert!(asked == (0, 0) || round < WARM, "within a task, round {round}: {asked:?}");
        }
        for round in 0..20 {
            let asked = chain(scene, FEW);
            assert!(asked == (0, 0) || round < WARM, "chain, round {round}: {asked:?}");
        }
    });
}

/// Cells are freed where they were not made: by two workers, and by a thread that is none.
#[test]
fn warm_submits_to_many_ask_for_next_to_nothing() {
    with(2, |scene| {
        let rounds = |rounds| {
            for _ in 0..rounds {
                let futures = submit(&scene.ex, Vec::with_capacity(FEW));
                all_done(&futures);
                assert_eq!(collect(futures), sum(FEW));
            }
        };
        rounds(100);
        let (asked, ()) = scene.counted(|| rounds(1_000));
        let tasks = 1_000 * FEW as u64;
        // Each round has its vector.
        assert!(asked <= 1_000 + tasks / 20, "{asked} allocations for {tasks} tasks");
    });
}

//! A lock, or a permit of a semaphore, that nobody else wants: taken and given back, again and again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ::tokio::sync::{Mutex, Semaphore};

use crate::one::Args;
use crate::report::{Report, Series};
use crate::start::{heist, tokio};

/// What is taken.
pub const WORKLOADS: &[&str] = &["lock", "semaphore"];

/// Takes and gives back so often, and tells how long it took.
type Job = Box<dyn FnMut(u64) -> Duration>;

type Named = (&'static str, fn() -> Job);

const LOCKS: &[Named] = &[
    ("heist", heist_lock),
    ("heist:await", heist_lock_awaited),
    ("tokio", tokio_lock),
    ("parking_lot", parking_lot_lock),
    ("std", std_lock),
];

const SEMAPHORES: &[Named] =
    &[("heist", heist_semaphore), ("heist:await", heist_semaphore_awaited), ("tokio", tokio_semaphore)];

fn of(workload: &str) -> &'static [Named] {
    match workload {
        "lock" => LOCKS,
        "semaphore" => SEMAPHORES,
        _ => &[],
    }
}

/// The runtimes that have it.
pub fn names(workload: &str, _workers: usize) -> Vec<&'static str> {
    of(workload).iter().map(|(name, _)| *name).collect()
}

/// Takes it [`Args::tasks`] times, once to warm up and some times more.
///
/// # Errors
///
/// When the runtime or the workload is unknown.
pub fn measure(args: &Args) -> Result<Report, String> {
    let found = of(&args.workload).iter().find(|(name, _)| *name == args.runtime);
    let mut job = found.ok_or("no runtime of that name has this workload")?.1();
    let mut pair = Series::new("pair", "ns");
    for repeat in 0..=args.repeats {
        let took = job(args.tasks);
        if repeat > 0 {
            pair.samples.push(took.as_nanos() as f64 / args.tasks as f64);
        }
    }
    Ok(Report { series: vec![pair] })
}

fn timed(times: u64, mut pair: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..times).for_each(|_| pair());
    start.elapsed()
}

/// Within a task of an executor of one worker.
fn on_heist(task: impl Fn(u64) -> Duration + Clone + Send + 'static) -> Job {
    let executor = heist(1);
    Box::new(move |times| {
        let task = task.clone();
        executor.submit(move || task(times)).result().expect("the task succeeds")
    })
}

fn heist_lock() -> Job {
    let lock = ::heist::Lock::new();
    on_heist(move |times| {
        let mut held = 0;
        timed(times, || {
            let _guard = black_box(&lock).lock().expect("nobody else has it");
            held += 1;
        })
    })
}

fn heist_semaphore() -> Job {
    let semaphore = ::heist::Semaphore::new(1).expect("one is a number of permits");
    on_heist(move |times| timed(times, || drop(black_box(&semaphore).acquire().expect("it is open"))))
}

fn heist_lock_awaited() -> Job {
    awaited(|times| async move {
        let lock = ::heist::Lock::new();
        for _ in 0..times {
            drop(black_box(&lock).lock_async().await.expect("nobody else has it"));
        }
    })
}

fn heist_semaphore_awaited() -> Job {
    awaited(|times| async move {
        let semaphore = ::heist::Semaphore::new(1).expect("one is a number of permits");
        for _ in 0..times {
            drop(black_box(&semaphore).acquire_async().await.expect("it is open"));
        }
    })
}

/// Within an async task of an executor of one worker.
fn awaited<F: Future<Output = ()> + Send + 'static>(task: impl Fn(u64) -> F + 'static) -> Job {
    let executor = heist(1);
    Box::new(move |times| executor.spawn(clocked(task(times))).result().expect("the task succeeds"))
}

async fn clocked(task: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    task.await;
    start.elapsed()
}

/// Within a task of a runtime of one worker.
fn on_tokio<F: Future<Output = ()> + Send + 'static>(task: impl Fn(u64) -> F + 'static) -> Job {
    let runtime = tokio(1);
    Box::new(move |times| {
        let timed = clocked(task(times));
        runtime.block_on(async { ::tokio::spawn(timed).await }).expect("the task succeeds")
    })
}

fn tokio_lock() -> Job {
    on_tokio(|times| async move {
        let mutex = Mutex::new(0);
        for _ in 0..times {
            *black_box(&mutex).lock().await += 1;
        }
    })
}

fn tokio_semaphore() -> Job {
    on_tokio(|times| async move {
        let semaphore = Semaphore::new(1);
        for _ in 0..times {
            drop(black_box(&semaphore).acquire().await.expect("it is open"));
        }
    })
}

fn parking_lot_lock() -> Job {
    let mutex = ::parking_lot::Mutex::new(0);
    Box::new(move |times| timed(times, || *black_box(&mutex).lock() += 1))
}

fn std_lock() -> Job {
    let mutex = std::sync::Mutex::new(0);
    Box::new(move |times| timed(times, || *black_box(&mutex).lock().expect("nobody panics") += 1))
}

//! The workload `flood`: tasks that each submit themselves again keep a pool's own queues full, while an outside thread
//! submits probes at intervals. What counts is the time from submission to a probe's start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::latency::{Begun, Clock, Latencies};
use crate::one::Args;
use crate::pool::{self, Pool, Visit};
use crate::report::{Report, Series};

/// The one workload.
pub const WORKLOADS: &[&str] = &["flood"];

/// Tasks of the flood at any time.
const WIDTH: usize = 64;
/// Between two probes.
const INTERVAL: Duration = Duration::from_micros(200);
/// How long the flood goes on for probes that starve.
const GRACE: Duration = Duration::from_millis(100);
/// How long probes may take without a flood.
const DEADLINE: Duration = Duration::from_secs(60);

/// Floods the pool and probes it [`Args::tasks`] times, once to warm up and some times more.
///
/// # Errors
///
/// When the runtime is unknown, and when a probe never runs.
pub fn measure(args: &Args) -> Result<Report, String> {
    pool::on(&args.runtime, args.workers, Fairness(args))?
}

struct Fairness<'a>(&'a Args);

impl Visit for Fairness<'_> {
    type Output = Result<Report, String>;

    fn visit<P: Pool>(self, pool: &P) -> Result<Report, String> {
        let Fairness(args) = self;
        let mut latencies = Latencies::default();
        let mut each = Series::new("flood", "ns");
        for repeat in 0..=args.repeats {
            let clock = Clock::start();
            let (flood, _source) = Flood::start(pool);
            let probes: Vec<Probe<P>> = (0..args.tasks).map(|_| Probe::submit(pool, clock)).collect();
            let all_begun = || probes.iter().all(|probe| probe.begun.get().is_some());
            eventually(GRACE, all_begun);
            let flooded = clock.now();
            let turns = flood.stop();
            if !eventually(DEADLINE, || all_begun() && flood.ended()) {
                return Err("a probe or a task of the flood never ran".into());
            }
            if repeat > 0 {
                latencies.add(probes.iter().filter_map(Probe::waited).collect());
                each.samples.push(flooded as f64 / turns as f64);
            }
        }
        let mut report = latencies.report();
        report.series.push(each);
        Ok(report)
    }
}

/// Whether `condition` holds before the time is over.
#[expect(clippy::disallowed_methods, reason = "the workers need the cores meanwhile")]
fn eventually(limit: Duration, condition: impl Fn() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(1);
    let clock = Clock::start();
    while !condition() {
        if u128::from(clock.now()) > limit.as_nanos() {
            return false;
        }
        thread::sleep(STEP);
    }
    true
}

struct Probe<P: Pool> {
    submitted: u64,
    begun: Arc<Begun>,
    _handle: P::Handle,
}

impl<P: Pool> Probe<P> {
    /// One probe, an interval after the one before.
    #[expect(clippy::disallowed_methods, reason = "the workers need the cores between two probes")]
    fn submit(pool: &P, clock: Clock) -> Probe<P> {
        thread::sleep(INTERVAL);
        let begun = Arc::new(Begun::default());
        let task = {
            let begun = begun.clone();
            move || begun.set(clock)
        };
        let submitted = clock.now();
        Probe { submitted, begun, _handle: pool.spawn(task) }
    }

    fn waited(&self) -> Option<u64> {
        Some(self.begun.get()? - self.submitted)
    }
}

/// Tasks that submit themselves again until told to stop.
struct Flood<P: Pool> {
    pool: P,
    stopped: AtomicBool,
    streams: Vec<Mutex<Stream<P::Handle>>>,
}

/// One of these tasks: its handle, and how often it has run.
struct Stream<H> {
    handle: Option<H>,
    turns: u64,
    ended: bool,
}

impl<P: Pool> Flood<P> {
    /// Starts the flood from within the pool, by a task whose handle comes along.
    fn start(pool: &P) -> (Arc<Flood<P>>, P::Handle) {
        let stream = || Mutex::new(Stream { handle: None, turns: 0, ended: false });
        let flood = Arc::new(Flood {
            pool: pool.clone(),
            stopped: AtomicBool::new(false),
            streams: (0..WIDTH).map(|_| stream()).collect(),
        });
        let source = {
            let flood = flood.clone();
            move || (0..WIDTH).for_each(|index| flood.turn(index))
        };
        let source = pool.spawn(source);
        (flood, source)
    }

    /// One turn of a stream. Its lock is held until the handle on the next turn is in place, which that turn, running
    /// elsewhere already, would else find missing.
    fn turn(self: &Arc<Self>, index: usize) {
        let mut stream = lock(&self.streams[index]);
        stream.turns += 1;
        if self.stopped.load(Ordering::Relaxed) {
            stream.ended = true;
            return;
        }
        let flood = self.clone();
        stream.handle = Some(self.pool.spawn(move || flood.turn(index)));
    }

    /// Lets every stream end at its next turn; returns how many turns there were.
    fn stop(&self) -> u64 {
        self.stopped.store(true, Ordering::Relaxed);
        self.streams.iter().map(|stream| lock(stream).turns).sum()
    }

    fn ended(&self) -> bool {
        self.streams.iter().all(|stream| lock(stream).ended)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How an executor is to be: [`Builder`].

use heist_numa::Order;

use crate::config;
use crate::error::{Error, ErrorKind, TaskError, TaskId};
use crate::executor::Executor;
use crate::panics::{self, PanicReport};
use crate::placement::Wanted;
use crate::primitive::sync::Arc;
#[cfg(feature = "ranks")]
use crate::rank;
use crate::scheduler::{ErrorHook, Registry, Search, Settings, local};

/// The most workers one executor takes.
const MAX_WORKERS: usize = 4096;
/// The least stack a worker works with, in bytes.
const MIN_STACK: usize = 64 << 10;
/// The stack of a thread unless told otherwise, in bytes.
const STACK: usize = 2 << 20;

/// Whether workers are tied to cores.
///
/// ```
/// let ex = heist::Executor::builder().pin(heist::PinPolicy::None).build()?;
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinPolicy {
    /// Each worker to a physical core of its own, within the mask the process was started with. If there are more
    /// workers than such cores, or other executors have them, none is pinned and a warning says so.
    #[default]
    Cores,
    /// Each worker to a processing unit (SMT sibling) of its own; otherwise as `Cores`.
    Pus,
    /// The system moves workers as it likes.
    None,
}

/// What a worker that runs out of work does before it sleeps. A sleeping worker costs nothing, but has to be woken by the
/// system when a task comes: some 20 to 40 µs until that task starts. Whatever the profile, no more than half of
/// the workers of a domain search at once (but one may), and an executor without tasks soon sleeps altogether.
///
/// ```
/// use heist::{Executor, Profile};
/// let ex = Executor::builder().workers(2).profile(Profile::Latency).build()?;
/// assert_eq!(ex.submit(|| 6 * 7).result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// Searches for as long as it has paid of late, 2 to 50 µs: longer when tasks come in short pauses, shorter when
    /// they do not.
    #[default]
    Balanced,
    /// Searches for 2 ms, so that a task which comes within that time is started in less than a microsecond. Costs up to
    /// half of the cores, busy for 2 ms after the last task, and all the time while tasks come more often than that.
    Latency,
    /// Sleeps at once, for hosts that are shared or count energy.
    Power,
}

impl Profile {
    fn search(self) -> Search {
        match self {
            Self::Balanced => Search::ADAPTIVE,
            Self::Latency => Search::LONG,
            Self::Power => Search::NONE,
        }
    }
}

/// Settings of an [`Executor`]; every one has a sensible default.
///
/// ```
/// let ex = heist::Executor::builder()
///     .workers(2)
///     .thread_name(|worker| format!("solver-{worker}"))
///     .stack_size(8 << 20)
///     .build()?;
/// assert_eq!(ex.workers(), 2);
/// # Ok::<(), heist::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
#[derive(Default)]
pub struct Builder {
    workers: Option<usize>,
    thread_name: Option<Box<dyn Fn(usize) -> String + Send + Sync>>,
    stack_size: Option<usize>,
    pin: PinPolicy,
    order: Order,
    leave_free: usize,
    profile: Profile,
    on_start: Option<Box<dyn Fn(usize) + Send + Sync>>,
    on_stop: Option<Box<dyn Fn(usize) + Send + Sync>>,
    on_detached_error: Option<ErrorHook>,
    max_spare_threads: Option<usize>,
    panic_report: PanicReport,
    seed: Option<u64>,
    resources: Vec<(String, u64)>,
    #[cfg(feature = "ranks")]
    apart: bool,
}

impl Builder {
    /// Not to be a rank of the job that a launcher has started.
    #[cfg(feature = "ranks")]
    pub(crate) fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Number of workers, 1 to 4096. By default `HEIST_WORKERS`, else one for each physical core that the process's
    /// affinity mask allows and no other executor uses, cut to the CPU quota of its control group.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Names the threads, from the index of the worker each is made for. By default `heist-0`, `heist-1`, …
    pub fn thread_name(mut self, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.thread_name = Some(Box::new(name));
        self
    }

    /// Stack of each thread, in bytes; at least 64 KiB, by default 2 MiB. Half of it is used for waits that run what
    /// they wait for.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether workers are tied to cores.
    pub fn pin(mut self, policy: PinPolicy) -> Self {
        self.pin = policy;
        self
    }

    /// Which of the cores are taken when there are more than workers. By default as many on each domain.
    ///
    /// ```
    /// use heist::numa::Order;
    /// let ex = heist::Executor::builder().workers(1).order(Order::Compact).build()?;
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Cores to be left without a worker, for the operating system or for other threads; the last ones.
    pub fn leave_free(mut self, cores: usize) -> Self {
        self.leave_free = cores;
        self
    }

    /// What workers do when they run out of work.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Called on every thread before its first task, with the index of the worker it is made for. Spare threads, which
    /// run tasks in place of blocked ones, are included.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// static STARTED: AtomicUsize = AtomicUsize::new(0);
    /// let ex = heist::Executor::builder()
    ///     .workers(2)
    ///     .on_worker_start(|_worker| {
    ///         STARTED.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// ex.shutdown(heist::Shutdown::Wait);
    /// assert_eq!(STARTED.load(Ordering::Relaxed), 2);
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn on_worker_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_start = Some(Box::new(hook));
        self
    }

    /// Called on every thread after its last task.
    pub fn on_worker_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Box::new(hook));
        self
    }

    /// Called when a [detached](crate::TaskFuture::detach) task has ended without a value, cancelled ones included, on the
    /// thread that ended it. A panic in it is caught and counted ([`drop_panics`](crate::drop_panics)).
    ///
    /// ```
    /// use std::sync::mpsc;
    /// let (sender, receiver) = mpsc::channel();
    /// let ex = heist::Executor::builder()
    ///     .on_detached_error(move |id, error| {
    ///         let _ = sender.send((id, error.is_panic()));
    ///     })
    ///     .build()?;
    /// let id = ex.submit(|| panic!("nobody looks")).detach();
    /// assert_eq!(receiver.recv()?, (id, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_detached_error(mut self, hook: impl Fn(TaskId, &TaskError) + Send + Sync + 'static) -> Self {
        self.on_detached_error = Some(Arc::new(hook));
        self
    }

    /// Most threads made beyond the workers' own, to drive a core whose worker waits. By default 4096, or half of what
    /// the system allows. At the cap a wait keeps its core, and if no worker can run at all, the newest wait fails
    /// ([`TaskError::is_stalled`](crate::TaskError::is_stalled)).
    pub fn max_spare_threads(mut self, threads: usize) -> Self {
        self.max_spare_threads = Some(threads);
        self
    }

    /// What becomes of the reports of panicking tasks. It holds for the process; the executor built last decides.
    pub fn panic_report(mut self, report: PanicReport) -> Self {
        self.panic_report = report;
        self
    }

    /// Seed of the choices of victims. With one worker a run is repeatable anyway. By default `HEIST_SEED`, else 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Something that tasks may ask for by [`resource`](crate::TaskBuilder::resource), such as accelerators or licences, and
    /// how much there is of it. Given again, the last amount counts.
    ///
    /// ```
    /// let ex = heist::Executor::builder().resource("gpu", 2).build()?;
    /// let on_gpu = ex.task().resource("gpu", 1).submit(|| 1);
    /// assert_eq!(on_gpu.result()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resource(mut self, name: impl Into<String>, amount: u64) -> Self {
        let name = name.into();
        self.resources.retain(|(known, _)| *known != name);
        self.resources.push((name, amount));
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// [`Error::is_setting`] for a setting that cannot be met, also while 16,384 executors live in this process,
    /// [`Error::is_host`] when the host's cores cannot be read,
    /// [`Error::is_thread`] when the system refuses a thread.
    pub fn build(self) -> Result<Executor, Error> {
        let mask = config::inherited_mask(local(|local| local.registry().is_some()))?;
        let workers = match self.workers {
            Some(workers) => Some(workers),
            None => config::workers()?,
        };
        if let Some(workers) = workers {
            check("workers", workers, 1, MAX_WORKERS)?;
        }
        let stack_size = self.stack_size.unwrap_or(STACK);
        check("stack_size", stack_size, MIN_STACK, isize::MAX as usize / 2)?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => config::seed()?.unwrap_or(0),
        };
        #[cfg(feature = "ranks")]
        let part = if self.apart { rank::Part::default() } else { rank::join(&mask, || config::host(&mask))? };
        #[cfg(feature = "ranks")]
        let mask = part.pus.clone().unwrap_or(mask);
        let host = config::host(&mask)?;
        panics::install(self.panic_report);
        let wanted = Wanted { workers, pin: self.pin, order: self.order, leave_free: self.leave_free };
        #[cfg_attr(not(feature = "ranks"), expect(unused_mut, reason = "ranks have more to tell"))]
        let mut placement = wanted.place(&host)?;
        check("workers", placement.seating.cpus.len(), 1, MAX_WORKERS)?;
        #[cfg(feature = "ranks")]
        let shared = {
            placement.reasons.extend(part.reason.clone());
            if part.pus.is_some() {
                part.warning.clone()
            } else {
                config::shared(&host, &mask).or(part.warning.clone())
            }
        };
        #[cfg(not(feature = "ranks"))]
        let shared = config::shared(&host, &mask);
        let warnings = host.warnings().iter().cloned().chain(shared).chain(placement.warning).collect();
        let settings = Settings {
            workers: placement.seating.cpus.len(),
            seating: placement.seating,
            reasons: placement.reasons,
            stack_size,
            max_spare_threads: self.max_spare_threads.unwrap_or_else(config::max_spare_threads),
            seed,
            resources: self.resources,
            search: self.profile.search(),
            thread_name: self.thread_name.unwrap_or_else(|| Box::new(|worker| format!("heist-{worker}"))),
            on_start: self.on_start,
            on_stop: self.on_stop,
            on_detached_error: self.on_detached_error,
            warnings,
        };
        let registry = Registry::start(settings, Box::new(placement.lease))?;
        #[cfg(feature = "ranks")]
        part.enter(&registry)?;
        Ok(Executor::of_new(registry))
    }
}

fn check(name: &str, value: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Setting(format!("{name} is {value}; it must lie between {least} and {most}"))))
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("stack_size", &self.stack_size)
            .field("pin", &self.pin)
            .field("order", &self.order)
            .field("leave_free", &self.leave_free)
            .field("profile", &self.profile)
            .field("max_spare_threads", &self.max_spare_threads)
            .field("panic_report", &self.panic_report)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

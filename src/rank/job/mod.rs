//! The job that this process is a rank of: joined once, by its first executor, and left together with all ranks.
//!
//! It is joined by what the ranks tell each other at `boot`. The workers are `bind`ed to what no other rank of the host has.
//! Each rank `watch`es others, as other `process`es, of which a `board` tells more, and its own `exit`; the `last_words` say
//! why a job ends before its time. All `leave` together. The `children` of ranks are none.

mod bind;
mod board;
mod boot;
mod children;
#[allow(unsafe_code, reason = "the C library is asked to tell when the process exits")]
mod exit;
mod last_words;
mod leave;
mod process;
mod watch;

pub use children::detach_command;
pub(super) use leave::handle;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use heist_numa::{CpuSet, Topology};

use bind::{Bound, bind, narrow};
use board::{Board, Condition};
use boot::{Boot, Told};

use super::codec::Image;
use super::collective;
use super::mpi::{self, Engine, Family, Mpi, MpiError};
use super::transport::Transport;
use super::transport::fabric::Fabric;
use super::transport::shmem::{Home, Shmem};
use super::world::{Rank, Shared};
use crate::config::{self, Launcher, LauncherKind, Service};
use crate::error::{Error, ErrorKind};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;

/// What a rank ends the job with when its program panics, as every Rust program's code is then.
const PANICKED: i32 = 101;
/// How long a launcher may take to carry the last words.
const CARRIED: Duration = Duration::from_millis(100);
/// How often a rank looks whether its last tasks are done.
const LOOK: Duration = Duration::from_millis(1);

/// The job, for the rest of the process's life once it is joined.
static JOB: OnceLock<Job> = OnceLock::new();
/// Held while it is joined.
static JOINING: Mutex<()> = Mutex::new(());

struct Job {
    launcher: Launcher,
    engine: Arc<Engine>,
    boot: Boot,
    board: Board,
    /// What the workers of this process may run on.
    bound: Bound,
    /// Of the executor that is the rank, once it is made.
    world: OnceLock<Arc<Shared>>,
    stage: Mutex<Stage>,
    moved: Condvar,
    /// Somebody will not wait for the last tasks.
    hurried: AtomicBool,
    /// The executor is never dropped: it leaves when the process exits.
    stays: AtomicBool,
    /// It leaves on a thread that nobody waits for.
    aside: AtomicBool,
}

/// How far this process is in its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Working,
    Leaving,
    Left,
    /// It is being ended, for a reason that has been told.
    Ending,
}

/// What an executor has to know of the job when it is made.
#[derive(Default)]
pub(crate) struct Part {
    /// The CPUs to keep to, if not the inherited ones.
    pub(crate) pus: Option<CpuSet>,
    pub(crate) reason: Option<String>,
    pub(crate) warning: Option<String>,
    joins: bool,
}

/// Joins the job that a launcher has started this process for, if there is one of more than one rank and this is the
/// process's first executor. `inherited` is the mask from before anything was pinned; `host`, as it leaves the host.
///
/// # Errors
/// [`Error::is_join`] with the way out, [`Error::is_setting`] for `HEIST_LAUNCHER`.
pub(crate) fn join(inherited: &CpuSet, host: impl Fn() -> Result<Arc<Topology>, Error>) -> Result<Part, Error> {
    let _joining = JOINING.lock();
    if let Some(job) = JOB.get() {
        if !job.is_of_this_process() {
            // The child of a rank is none.
            return Ok(Part::default());
        }
        let joins = job.world.get().is_none();
        let warning = match job.stage() {
            Stage::Left => Some("an earlier executor of this process has left the job: this one is alone".to_owned()),
            _ => job.bound.warning.clone().filter(|_| joins),
        };
        return Ok(Part { pus: Some(job.bound.pus.clone()), reason: job.bound.reason.clone(), warning, joins });
    }
    let Some(launcher) = config::launcher()? else { return Ok(Part::default()) };
    let patience = config::patience_with_ranks()?;
    if launcher.size == 1 {
        let host = host()?;
        let warning = host.is_this_host().then(|| narrow(&host, &launcher, inherited, 1)).flatten();
        return Ok(Part { warning, ..Part::default() });
    }
    if (launcher.kind, launcher.service) == (LauncherKind::Slurm, Service::Missing) {
        let why = format!("neither its --mpi nor its configuration gives them a way to; {}", remedy(launcher.kind));
        return Err(failed(&launcher, &why));
    }
    let engine = Arc::new(mpi::engine::start(described(&launcher)).map_err(|why| failed(&launcher, &why))?);
    // MPI may have bound all threads that there are.
    if heist_numa::affinity()? != *inherited {
        heist_numa::set_affinity(inherited)?;
    }
    let board = Board::new(launcher.size);
    let mut told = Told::here(inherited);
    told.board = board.address();
    told.fingerprint = Image::this().ok().map(Image::fingerprint);
    let boot =
        Boot::exchange(launcher.rank, &told, |bytes| engine.all_gather(bytes).map_err(|why| failed(&launcher, &why)))?;
    let first = boot.on_host()[0];
    let board = if first == boot.own { board } else { Board::attach(&boot.told[first].board) };
    let topology = host()?;
    let bound = bound(&topology, &launcher, &boot, inherited);
    let (reason, warning) = (bound.reason.clone(), bound.warning.clone());
    let pus = Some(bound.pus.clone());
    let job = Job {
        launcher,
        engine,
        boot,
        board,
        bound,
        world: OnceLock::new(),
        stage: Mutex::new(Stage::Working),
        moved: Condvar::new(),
        hurried: AtomicBool::new(false),
        stays: AtomicBool::new(false),
        aside: AtomicBool::new(false),
    };
    let job = JOB.get_or_init(|| job);
    exit::watch();
    watch::start(job, patience)
        .map_err(|source| Error::new(ErrorKind::Thread { name: watch::THREAD.to_owned(), source }))?;
    Ok(Part { pus, reason, warning, joins: true })
}

/// What the ranks of this host are left.
fn bound(host: &Topology, launcher: &Launcher, boot: &Boot, inherited: &CpuSet) -> Bound {
    let local = boot.on_host();
    let own = local.iter().position(|&rank| rank == boot.own);
    let masks: Result<Vec<CpuSet>, _> = local.iter().map(|&rank| boot.told[rank].mask.parse()).collect();
    let mut bound = match (masks, own) {
        (Ok(masks), Some(own)) if host.is_this_host() => bind(host, launcher, &masks, own),
        _ => Bound { pus: inherited.clone(), reason: None, warning: None },
    };
    if host.is_this_host() && bound.warning.is_none() && bound.reason.is_none() {
        bound.warning = narrow(host, launcher, inherited, local.len());
    }
    bound
}

/// The job in the words of MPI's engine.
fn described(launcher: &Launcher) -> mpi::Job {
    let speaks_to = match (launcher.kind, launcher.service) {
        (LauncherKind::OpenMpi | LauncherKind::Jsm, _) | (_, Service::Pmix) => Family::OpenMpi,
        _ => Family::Mpich,
    };
    mpi::Job {
        launcher: launcher.command().to_owned(),
        speaks_to,
        remedy: remedy(launcher.kind).to_owned(),
        rank: launcher.rank as u32,
        size: launcher.size as u32,
        library: config::mpi_library(),
        longest: None,
    }
}

/// What to do where ranks cannot find each other.
fn remedy(kind: LauncherKind) -> &'static str {
    match kind {
        LauncherKind::Slurm => {
            "start it by `srun --mpi=pmix` for Open MPI, by `srun --mpi=pmi2` for MPICH (`srun --mpi=list` shows what there is)"
        }
        LauncherKind::OpenMpi => {
            "start it by the mpirun of that library, or name Open MPI's libmpi.so in HEIST_MPI_LIB"
        }
        LauncherKind::Mpich => "start it by the mpirun of that library, or name MPICH's libmpi.so in HEIST_MPI_LIB",
        _ => "name the launcher's own libmpi.so in HEIST_MPI_LIB",
    }
}

fn failed(launcher: &Launcher, why: &dyn std::fmt::Display) -> Error {
    let Launcher { rank, size, .. } = launcher;
    let command = launcher.command();
    Error::new(ErrorKind::Join(format!(
        "{command} has started this process as rank {rank} of {size}, but it cannot join the others: {why}; for {size} programs that know nothing of each other, set HEIST_LAUNCHER=none"
    )))
}

/// MPI, by which this rank talked to the other hosts, has failed.
fn fails(why: &MpiError) {
    // Not on the engine's thread, which is to end the job.
    let why = why.to_string();
    let end = move || {
        if let Some(job) = JOB.get() {
            job.end(1, &format!("{} cannot reach the other hosts any more: {why}", job.name()));
        }
    };
    drop(std::thread::Builder::new().name("heist-ends".to_owned()).spawn(end));
}

/// Runs `f` while heist calls no function of MPI: for programs that use MPI themselves under a launcher, and have initialised
/// it with less than `MPI_THREAD_MULTIPLE`. With that, and where there is no job, it just runs.
///
/// Heist's messages to other hosts wait meanwhile; those within a host go on.
///
/// ```
/// let sum = heist::with_mpi(|| 1 + 1); // MPI_Allreduce, say, by rsmpi or PETSc
/// assert_eq!(sum, 2);
/// ```
pub fn with_mpi<R>(f: impl FnOnce() -> R) -> R {
    match JOB.get().filter(|job| job.is_of_this_process()) {
        Some(job) => job.engine.alone(f),
        None => f(),
    }
}

impl Part {
    /// Makes the executor the rank, if it is the one.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn enter(&self, registry: &Arc<Registry>) -> Result<(), Error> {
        let Some(job) = JOB.get().filter(|_| self.joins) else { return Ok(()) };
        let rank = Rank(job.boot.own as u32);
        let world = Shared::join(registry, rank, job.boot.hosts.clone(), job.transport()?)
            .map_err(|source| Error::new(ErrorKind::Thread { name: "heist-progress".to_owned(), source }))?;
        if job.boot.on_host().len() < job.boot.hosts.len() {
            collective::link(&world, &job.engine).map_err(|why| failed(&job.launcher, &why))?;
        }
        if job.world.set(world.clone()).is_ok() {
            world.outlive_executor();
        } else {
            world.end();
        }
        Ok(())
    }
}

/// That nothing of this process has joined a job.
///
/// # Errors
/// Something has.
pub(crate) fn check_unjoined() -> Result<(), Error> {
    let joined = JOB.get().is_some_and(|job| job.is_of_this_process() && job.world.get().is_some());
    if !joined {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Join(
        "an earlier executor of this process has joined the job, which can be joined and left once: launch the program before another executor is made, and once".to_owned(),
    )))
}

/// A rank's leave of its job: begun, and to be completed.
pub(crate) struct Leave {
    job: &'static Job,
    /// Somebody else completes it.
    is_second: bool,
}

/// Begins to leave the job, if this executor is the process's part in one that it has not left. `waits` for the tasks that
/// there are, before it says goodbye. A thread of the program's that panics ends the job instead.
pub(crate) fn depart(registry: &Registry, waits: bool) -> Option<Leave> {
    let job = of(registry)?;
    if std::thread::panicking() && !registry.may_not_wait() {
        job.end(PANICKED, &format!("{} panicked, and the job ends with it", job.name()));
    }
    if !waits {
        // ORDERING: Relaxed; a lone flag.
        job.hurried.store(true, Ordering::Relaxed);
    }
    let mut stage = job.stage.lock();
    let is_second = *stage != Stage::Working;
    match *stage {
        Stage::Left => return None,
        Stage::Working => *stage = Stage::Leaving,
        Stage::Leaving | Stage::Ending => {}
    }
    Some(Leave { job, is_second })
}

impl Leave {
    /// Whether somebody else completes it.
    pub(crate) fn is_second(&self) -> bool {
        self.is_second
    }

    /// Nobody waits for it but the process, when it exits.
    pub(crate) fn aside(self) -> Self {
        // ORDERING: Relaxed; a lone flag, set before the program goes on.
        self.job.aside.store(true, Ordering::Relaxed);
        self
    }

    /// Leaves together with all ranks, and serves them until then.
    pub(crate) fn complete(self, registry: &Registry) {
        if self.is_second { self.job.await_left() } else { self.job.leave(registry) }
    }
}

/// The executor lives as long as the process: if it is the rank, it leaves when that exits.
pub(crate) fn stays(registry: &Registry) {
    if let Some(job) = of(registry) {
        // ORDERING: Relaxed; a lone flag.
        job.stays.store(true, Ordering::Relaxed);
    }
}

fn of(registry: &Registry) -> Option<&'static Job> {
    let job = JOB.get().filter(|job| job.is_of_this_process())?;
    job.world.get().filter(|world| world.registry().id == registry.id).map(|_| job)
}

/// Lets time pass.
fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        std::thread::park_timeout(rest);
    }
}

/// The process is about to exit with that code.
fn exiting(code: i32) {
    let Some(job) = JOB.get().filter(|job| job.is_of_this_process()) else { return };
    // A task that exits keeps its worker from what other ranks want of it.
    let may_wait = code == 0 && job.world().is_some_and(|world| !world.registry().may_not_wait());
    // ORDERING: Relaxed; as in `stays`.
    if may_wait
        && job.stays.load(Ordering::Relaxed)
        && let Some(world) = job.world()
    {
        // This thread's own memory is gone already.
        let leaves = || depart(world.registry(), false).map(|leave| leave.complete(world.registry()));
        let _ = std::thread::Builder::new().spawn(leaves).map(std::thread::JoinHandle::join);
    }
    let mut stage = job.stage.lock();
    // ORDERING: Relaxed; as in `Leave::aside`.
    while may_wait && *stage == Stage::Leaving && job.aside.load(Ordering::Relaxed) {
        stage = job.moved.wait(stage);
    }
    let now = *stage;
    drop(stage);
    match now {
        Stage::Left if code == 0 => return job.engine.exit(),
        Stage::Left | Stage::Ending => return,
        _ => {}
    }
    let name = job.name();
    job.end(
        if code == 0 { 1 } else { code },
        &format!(
            "{name} exited with code {code} and had not left the job, which ends here: a rank leaves when the executor that joined is dropped, or heist::launch returns"
        ),
    );
}

/// A signal is about to end the process. Called by its handler.
fn signalled() {
    if let Some(job) = JOB.get().filter(|job| job.is_of_this_process()) {
        job.board.set(job.boot.own, Condition::Signalled);
    }
}

impl Job {
    /// The process was not forked from the one that joined.
    fn is_of_this_process(&self) -> bool {
        self.boot.told[self.boot.own].pid == std::process::id()
    }

    fn name(&self) -> String {
        self.boot.name(self.boot.own)
    }

    fn world(&self) -> Option<&Arc<Shared>> {
        self.world.get()
    }

    fn stage(&self) -> Stage {
        *self.stage.lock()
    }

    /// How this rank reaches the others: all of them ask at the same time.
    fn transport(&self) -> Result<Arc<dyn Transport>, Error> {
        let failed = |why: &dyn std::fmt::Display| failed(&self.launcher, why);
        let local = self.boot.on_host();
        let home = Home::create(local.len()).map_err(|why| failed(&why))?;
        let address = home.as_ref().map(Home::address).unwrap_or_default();
        let all = self.engine.all_gather(address.as_bytes()).map_err(|why| failed(&why))?;
        let address_of = |rank: usize| (Rank(rank as u32), String::from_utf8_lossy(&all[rank]).into_owned());
        let peers = local.iter().map(|&rank| address_of(rank)).collect();
        let near = home.and_then(|home| Shmem::new(home, Rank(self.boot.own as u32), peers));
        let near =
            near.ok_or_else(|| failed(&"the ranks of this host have no memory to share: memfd_create is refused"))?;
        let far = (local.len() < self.boot.hosts.len()).then(|| {
            let bell = near.bell().clone();
            Box::new(Mpi::new(self.engine.clone(), bell, fails)) as Box<dyn Transport>
        });
        Ok(Arc::new(Fabric::new(near, far)))
    }

    fn await_left(&self) {
        let mut stage = self.stage.lock();
        while *stage != Stage::Left {
            stage = self.moved.wait(stage);
        }
    }

    fn leave(&self, registry: &Registry) {
        // ORDERING: Relaxed; as in `depart`.
        while !self.hurried.load(Ordering::Relaxed) && !registry.is_quiet() {
            std::thread::park_timeout(LOOK);
        }
        let Some(world) = self.world.get() else { return };
        leave::leave(world);
        self.board.set(self.boot.own, Condition::Left);
        world.end();
        // All have said that they are done: what MPI may still complain of changes nothing.
        let _ = self.engine.leave();
        *self.stage.lock() = Stage::Left;
        self.moved.notify_all();
    }

    /// Ends all ranks, and says why unless another one has.
    fn end(&self, code: i32, why: &str) -> ! {
        self.end_with(code, why, || ())
    }

    /// As [`end`](Self::end); `last` is called when it has been said.
    fn end_with(&self, code: i32, why: &str, last: impl FnOnce()) -> ! {
        let mut stage = self.stage.lock();
        if matches!(*stage, Stage::Left | Stage::Ending) {
            drop(stage);
            // Another thread sees to the end of the process.
            loop {
                std::thread::park();
            }
        }
        *stage = Stage::Ending;
        drop(stage);
        self.moved.notify_all();
        if !exit::by_signal() && self.board.speaks(self.boot.own) {
            last_words::say(why);
            // What a launcher has not carried yet when it is told to end the job is lost.
            pause(CARRIED);
        }
        self.board.set(self.boot.own, Condition::Ending);
        last();
        self.engine.abort(code)
    }
}

//! The one thread that touches MPI, and what other threads ask it to do.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::MpiError;
use super::calls::{Calls, Communicator, Operation, end_process};
use super::collective::{Call, Done, Group, Pending};
use super::library::{self, Family};
use super::patience::{Next, Patience};
use super::traffic::Traffic;
use crate::primitive::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
use crate::rank::codec::Frame;

type Outcome<T> = Result<T, MpiError>;

/// How long the end of the job may take that this rank asked for, before it ends itself.
const ABORT: Duration = Duration::from_secs(2);

/// How long `MPI_Finalize` may take when all ranks have come to it. That of MPICH before 4.2 may wait for ever for
/// acknowledgements of other hosts, which give none while they sleep until this one is done (pmodels/mpich#6596). Who keeps
/// his core busy so is the one to give up: the launcher then ends the others, who would disturb it if they ended first.
const FINALIZE: Duration = Duration::from_secs(1);
const FINALIZE_ASLEEP: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// What the launcher says of the job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// As a person calls it: `mpirun of Open MPI`.
    pub(crate) launcher: String,
    pub(crate) speaks_to: Family,
    /// What to write instead when the library does not understand the launcher.
    pub(crate) remedy: String,
    pub(crate) rank: u32,
    pub(crate) size: u32,
    /// The library that the user named.
    pub(crate) library: Option<PathBuf>,
    /// The longest message, where that is less than MPI can count.
    pub(crate) longest: Option<usize>,
}

/// MPI, initialised.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    world: Group,
    /// The number of its thread.
    thread: i32,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Asked>,
    /// The engine's thread sleeps, or is about to.
    sleeps: AtomicBool,
    thread: Mutex<Option<Thread>>,
    /// Held while MPI is called.
    turn: Mutex<()>,
    /// Threads that want the turn.
    waiting: AtomicUsize,
    turns: Condvar,
    arrived: Arrived,
    /// How often the engine's thread was woken.
    wakes: AtomicUsize,
    /// The stage has changed.
    moved: Condvar,
}

/// What has come from other ranks.
#[derive(Default)]
struct Arrived {
    frames: Mutex<VecDeque<(u32, Frame)>>,
    /// As many as there are.
    count: AtomicUsize,
    hear: OnceLock<Hear>,
}

/// Told by the engine's thread, which must not be kept.
pub(crate) struct Hear {
    /// Something has come.
    pub(crate) arrived: Box<dyn Fn() + Send + Sync>,
    /// MPI has failed: nothing comes or goes any more.
    pub(crate) failed: Box<dyn Fn(&MpiError) + Send + Sync>,
}

/// How far this rank is with MPI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Working,
    /// All ranks have left.
    Left,
    /// All processes exit, and finalise MPI.
    Exiting,
    Ended,
}

#[derive(Default)]
struct Asked {
    calls: Vec<Box<dyn Call>>,
    frames: Vec<(u32, Frame)>,
    abort: Option<i32>,
    leave: bool,
    exit: bool,
    stage: Stage,
    /// Something was asked for that the engine's thread has not seen.
    news: bool,
    /// The engine has ended, and why.
    ended: Option<MpiError>,
}

/// Opens the MPI that the launcher speaks to, and initialises it, or joins the program that has done so.
pub(crate) fn start(job: Job) -> Outcome<Engine> {
    let shared = Arc::new(Shared::default());
    let (told, tell) = mpsc::sync_channel(1);
    let theirs = shared.clone();
    let body = move || match Driver::new(&job, theirs) {
        Ok(driver) => {
            let thread = rustix::thread::gettid().as_raw_nonzero().get();
            if told.send(Ok((Group::new(driver.own), thread))).is_ok() {
                driver.run();
            }
        }
        Err(why) => drop(told.send(Err(why))),
    };
    let thread = thread::Builder::new()
        .name("heist-mpi".into())
        .spawn(body)
        .map_err(|why| MpiError::new(format!("the system refused to start the thread of MPI: {why}")))?;
    *shared.thread.lock() = Some(thread.thread().clone());
    let gone = || MpiError::new("the thread of MPI has ended early");
    let (world, thread) = tell.recv().map_err(|_| gone())??;
    Ok(Engine { shared, world, thread })
}

impl Engine {
    /// All ranks.
    pub(crate) fn world(&self) -> Group {
        self.world
    }

    pub(crate) fn size(&self) -> u32 {
        self.world.size()
    }

    /// What each rank gave, by rank. Blocks this thread.
    pub(crate) fn all_gather(&self, bytes: &[u8]) -> Outcome<Vec<Vec<u8>>> {
        let size = self.size() as usize;
        let length = vec![bytes.len() as u64];
        let lengths = self.wait(|done| self.world.all_gather(self, length, vec![1; size], done))?;
        let counts: Vec<_> = lengths.iter().map(|&length| length as usize).collect();
        let all = self.wait(|done| self.world.all_gather(self, bytes.to_vec(), counts.clone(), done))?;
        let mut rest = all.as_slice();
        Ok(counts.iter().map_while(|&count| rest.split_off(..count)).map(<[u8]>::to_vec).collect())
    }

    /// Blocks this thread until what `begin` begins has ended.
    pub(crate) fn wait<T: Send + 'static>(&self, begin: impl FnOnce(Done<T>)) -> Outcome<T> {
        let (told, tell) = mpsc::sync_channel(1);
        begin(Box::new(move |outcome| drop(told.send(outcome))));
        tell.recv().unwrap_or_else(|_| Err(MpiError::new("MPI was left before it ended")))
    }

    /// Sends a frame to another rank, behind those sent before. Where MPI has been left, or has failed, it is lost.
    pub(crate) fn send(&self, to: u32, frame: Frame) {
        self.shared.ask(|asked| {
            if asked.ended.is_none() && !asked.leave {
                asked.frames.push((to, frame));
            }
        });
    }

    /// The next frame that has come, and from whom.
    pub(crate) fn take(&self) -> Option<(u32, Frame)> {
        if !self.has_some() {
            return None;
        }
        let arrived = &self.shared.arrived;
        let mut frames = arrived.frames.lock();
        let frame = frames.pop_front()?;
        // ORDERING: Relaxed; it is written under the lock, and says to others only that it is worth looking.
        arrived.count.store(frames.len(), Ordering::Relaxed);
        Some(frame)
    }

    /// Whether a frame has come. A plain read.
    pub(crate) fn has_some(&self) -> bool {
        // ORDERING: Relaxed; who is told that something has come is told so behind the lock.
        self.shared.arrived.count.load(Ordering::Relaxed) > 0
    }

    /// How often the engine's thread was woken from its sleep.
    pub(crate) fn wakes(&self) -> u64 {
        // ORDERING: Relaxed; a count.
        self.shared.wakes.load(Ordering::Relaxed) as u64
    }

    /// Who is told what comes from now on; the first to say so is. What has come is told at once.
    pub(crate) fn hear(&self, hear: Hear) {
        let arrived = &self.shared.arrived;
        if arrived.hear.set(hear).is_err() {
            return;
        }
        let Some(hear) = arrived.hear.get() else { return };
        if self.has_some() {
            (hear.arrived)();
        }
        let ended = self.shared.asked.lock().ended.clone();
        if let Some(why) = ended {
            (hear.failed)(&why);
        }
    }

    /// Runs `f` while heist calls no function of MPI: for a program that uses MPI itself and has not initialised it with
    /// `MPI_THREAD_MULTIPLE`.
    pub(crate) fn alone<R>(&self, f: impl FnOnce() -> R) -> R {
        let waits = Waits::new(&self.shared);
        let turn = self.shared.turn.lock();
        let result = f();
        drop(turn);
        drop(waits);
        result
    }

    /// Ends all ranks: the launcher returns `code`.
    pub(crate) fn abort(&self, code: i32) -> ! {
        self.shared.ask(|asked| asked.abort = Some(code));
        let deadline = Instant::now() + ABORT;
        let mut asked = self.shared.asked.lock();
        // It does not come back when MPI ends the job.
        while asked.stage < Stage::Ended && Instant::now() < deadline {
            asked = self.shared.moved.wait_until(asked, deadline);
        }
        drop(asked);
        end_process(code)
    }

    /// Leaves together with all ranks: blocks until they do. From then on MPI carries nothing more for heist.
    ///
    /// MPI that heist has initialised is finalised by [`exit`](Self::exit) only: what a program still does takes as long as it
    /// likes on each rank, and no launcher ends a process whose `MPI_Finalize` has failed while others work.
    pub(crate) fn leave(&self) -> Outcome<()> {
        self.shared.ask(|asked| asked.leave = true);
        let mut asked = self.shared.asked.lock();
        while asked.stage < Stage::Left && asked.ended.is_none() {
            asked = self.shared.moved.wait(asked);
        }
        asked.ended.clone().map_or(Ok(()), Err)
    }

    /// Finalises MPI, if heist has initialised it and all ranks have left: blocks until all processes have come here. An
    /// `MPI_Finalize` that does not return in time is left alone, as nobody has anything more to do.
    pub(crate) fn exit(&self) {
        self.shared.ask(|asked| asked.exit = true);
        let mut asked = self.shared.asked.lock();
        while asked.stage < Stage::Exiting {
            asked = self.shared.moved.wait(asked);
        }
        let begin = Instant::now();
        while asked.stage < Stage::Ended && begin.elapsed() < FINALIZE_ASLEEP {
            if begin.elapsed() > FINALIZE && self.is_at_work() {
                return;
            }
            asked = self.shared.moved.wait_until(asked, Instant::now() + LOOK);
        }
    }

    /// Whether the engine's thread is on a core, or wants one.
    fn is_at_work(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.thread)).unwrap_or_default();
        // Behind the thread's name, which is in brackets.
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('R'))
    }

    pub(super) fn call(&self, call: Box<dyn Call>) {
        let ended = {
            let mut asked = self.shared.asked.lock();
            match asked.ended.clone() {
                None if !asked.leave => {
                    asked.calls.push(call);
                    asked.news = true;
                    drop(asked);
                    return self.shared.wake();
                }
                ended => ended,
            }
        };
        call.fail(&ended.unwrap_or_else(|| MpiError::new("this rank leaves MPI")));
    }
}

impl Shared {
    fn come_to(&self, stage: Stage) {
        let mut asked = self.asked.lock();
        if stage > asked.stage {
            asked.stage = stage;
            self.moved.notify_all();
        }
    }

    /// Nothing comes or goes any more. Gives the calls that have not begun.
    fn fail(&self, why: &MpiError) -> Vec<Box<dyn Call>> {
        let mut asked = self.asked.lock();
        asked.ended.get_or_insert_with(|| why.clone());
        asked.frames.clear();
        self.moved.notify_all();
        std::mem::take(&mut asked.calls)
    }

    fn ask(&self, what: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked.lock();
        what(&mut asked);
        asked.news = true;
        drop(asked);
        self.wake();
    }

    fn wake(&self) {
        if self.sleeps.swap(false, Ordering::SeqCst)
            && let Some(thread) = &*self.thread.lock()
        {
            // ORDERING: Relaxed; a count.
            self.wakes.fetch_add(1, Ordering::Relaxed);
            thread.unpark();
        }
    }
}

impl Arrived {
    fn add(&self, came: Vec<(u32, Frame)>) {
        if came.is_empty() {
            return;
        }
        let mut frames = self.frames.lock();
        frames.extend(came);
        // ORDERING: Relaxed, as in `take`.
        self.count.store(frames.len(), Ordering::Relaxed);
        drop(frames);
        if let Some(hear) = self.hear.get() {
            (hear.arrived)();
        }
    }
}

/// A thread that wants to call MPI, or does.
struct Waits<'a>(&'a Shared);

impl<'a> Waits<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.turns.notify_all();
    }
}

/// What the engine's thread has.
struct Driver {
    calls: Calls,
    shared: Arc<Shared>,
    own: Communicator,
    pending: Vec<Box<dyn Pending>>,
    traffic: Traffic,
    /// The program has initialised MPI, and finalises it.
    joined: bool,
}

impl Driver {
    fn new(job: &Job, shared: Arc<Shared>) -> Outcome<Self> {
        let calls = Calls::new(library::find(job.speaks_to, job.library.as_deref())?)?;
        if calls.is_finalized()? {
            return Err(MpiError::new(format!(
                "the program has finalised {} already: make the executor before that",
                calls.name()
            )));
        }
        let joined = calls.is_initialized()?;
        if !joined {
            calls.initialize()?;
        } else if !calls.may_be_called_here()? {
            return Err(MpiError::new(format!(
                "the program has initialised {} for its own thread only; heist needs MPI_THREAD_SERIALIZED or more: ask for \
                 it with MPI_Init_thread, or leave the initialisation to heist",
                calls.name()
            )));
        }
        let (rank, size) = calls.place()?;
        if (rank, size) != (job.rank, job.size) {
            return Err(MpiError::new(format!(
                "{} says that this is rank {rank} of {size}, {} says rank {} of {}: the library does not understand the \
                 launcher; {}",
                calls.name(),
                job.launcher,
                job.rank,
                job.size,
                job.remedy
            )));
        }
        let own = calls.own_world()?;
        let traffic = Traffic::new(own, job.longest);
        Ok(Self { calls, shared, own, pending: Vec::new(), traffic, joined })
    }

    fn run(mut self) {
        let _ends = Ends(self.shared.clone());
        let Err(why) = self.drive() else { return };
        let calls = self.shared.fail(&why);
        if let Some(hear) = self.shared.arrived.hear.get() {
            (hear.failed)(&why);
        }
        calls.into_iter().for_each(|call| call.fail(&why));
        self.pending.iter_mut().for_each(|pending| pending.fail(&why));
        // Nothing is left to do but to end the job when that is asked for.
        while !self.asked().exit {
            self.nap(Duration::from_secs(1));
        }
    }

    /// Goes on until this rank has left, and its process exits.
    fn drive(&mut self) -> Outcome<()> {
        let mut patience = Patience::new();
        let (mut leaving, mut exiting) = (None, None);
        loop {
            self.let_others();
            let shared = self.shared.clone();
            let turn = shared.turn.lock();
            let Wanted { calls, frames, leave, exit } = self.asked();
            let mut happened = !calls.is_empty() || !frames.is_empty();
            frames.into_iter().for_each(|(to, frame)| self.traffic.send(to, frame));
            self.pending.extend(calls.into_iter().filter_map(|call| call.begin(&self.calls)));
            happened |= self.advance()?;
            let idle = self.pending.is_empty() && !self.traffic.is_busy();
            let all_left = leave
                && self.pending.is_empty()
                && self.traffic.all_sent()
                && self.all_come_to(&mut leaving, Stage::Left)?;
            if all_left && self.joined {
                return if self.calls.is_finalized()? { Ok(()) } else { self.calls.free(self.own) };
            }
            if all_left && exit && self.all_come_to(&mut exiting, Stage::Exiting)? {
                return self.calls.finalize();
            }
            drop(turn);
            if happened {
                patience.renew();
            } else if let Next::Nap(nap) = patience.next(!idle || leave && !all_left || exit) {
                self.nap(nap);
            }
        }
    }

    /// Whether all ranks have come to a stage: true from then on. Asked first when this one has.
    fn all_come_to(&self, barrier: &mut Option<Operation<()>>, stage: Stage) -> Outcome<bool> {
        let mut arrived = match barrier.take() {
            Some(barrier) => barrier,
            None => self.calls.barrier(self.own)?,
        };
        let all = arrived.test(&self.calls)?;
        *barrier = Some(arrived);
        if all {
            self.shared.come_to(stage);
        }
        Ok(all)
    }

    fn asked(&self) -> Wanted {
        let mut asked = self.shared.asked.lock();
        if let Some(code) = asked.abort {
            drop(asked);
            self.calls.abort(code);
            end_process(code);
        }
        asked.news = false;
        let (calls, frames) = (std::mem::take(&mut asked.calls), std::mem::take(&mut asked.frames));
        Wanted { calls, frames, leave: asked.leave, exit: asked.exit }
    }

    /// Goes on with everything; gives whether something has ended.
    fn advance(&mut self) -> Outcome<bool> {
        let before = self.pending.len();
        let mut came = Vec::new();
        let moved = self.traffic.advance(&self.calls, |from, frame| came.push((from, frame)))?;
        self.shared.arrived.add(came);
        let mut failed = Ok(());
        self.pending.retain_mut(|pending| {
            if failed.is_err() {
                return true;
            }
            match pending.advance(&self.calls) {
                Ok(ended) => !ended,
                Err(why) => {
                    failed = Err(why);
                    true
                }
            }
        });
        failed.map(|()| moved || self.pending.len() < before)
    }

    /// Waits while other threads want to call MPI.
    fn let_others(&self) {
        while self.shared.waiting.load(Ordering::SeqCst) > 0 && self.shared.asked.lock().abort.is_none() {
            let deadline = Instant::now() + Duration::from_millis(10);
            drop(self.shared.turns.wait_until(self.shared.turn.lock(), deadline));
        }
    }

    /// Sleeps, unless something was asked for meanwhile.
    fn nap(&self, nap: Duration) {
        self.shared.sleeps.store(true, Ordering::SeqCst);
        // Who asks from here on sees that it sleeps, and wakes it.
        if !self.shared.asked.lock().news {
            thread::park_timeout(nap);
        }
        self.shared.sleeps.store(false, Ordering::SeqCst);
    }
}

/// What the engine's thread has been asked for.
struct Wanted {
    calls: Vec<Box<dyn Call>>,
    frames: Vec<(u32, Frame)>,
    leave: bool,
    exit: bool,
}

/// Says that the engine's thread has ended, however it does.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        if thread::panicking() {
            let why = MpiError::new("the thread of MPI has panicked");
            self.0.fail(&why).into_iter().for_each(|call| call.fail(&why));
        }
        self.0.come_to(Stage::Ended);
    }
}

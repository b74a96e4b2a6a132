//! What can go wrong: with an executor ([`Error`]), with a task ([`TaskError`]), and why one was cancelled ([`CancelReason`]).

#[cfg(all(feature = "ranks", not(heist_loom)))]
pub(crate) mod parts;

use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::panics;

/// The number of a task, unique in this process.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let future = ex.submit(|| 1);
/// println!("{}", future.id());
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an executor could not be built or used.
///
/// The text names the thing that was wrong and the way out; the predicates tell the cases apart.
///
/// ```
/// let error = heist::Executor::builder().workers(0).build().unwrap_err();
/// assert!(error.is_setting());
/// assert!(error.to_string().contains("workers"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
}

#[derive(Debug)]
pub(crate) enum ErrorKind {
    /// A setting that cannot be met.
    Setting(String),
    /// The system refused a thread.
    Thread { name: String, source: std::io::Error },
    /// The host could not be read or a thread not be pinned.
    Host(heist_numa::Error),
    /// A global thing was set twice.
    AlreadySet(&'static str),
    /// The executor takes nothing any more.
    Closed(TaskError),
    /// A domain that the executor has no workers on.
    NoDomain { domain: usize, domains: usize },
    /// A worker that the executor does not have.
    NoWorker { worker: usize, workers: usize },
    /// A rank that the world does not have.
    #[cfg(feature = "ranks")]
    NoRank { rank: u32, ranks: usize },
    /// Memory could not be had.
    Memory(heist_numa::Error),
    /// Scattered data that do not fit each other, or what they are asked for.
    Shape(String),
    /// A name stands for something else.
    NameTaken(String),
    /// The threads of an executor could not be looked at.
    Unseen(std::io::Error),
    /// A file could not be read as asked.
    File { path: std::path::PathBuf, source: std::io::Error },
    /// The system refused what the event loop needs.
    #[cfg(feature = "io")]
    Io { what: &'static str, source: std::io::Error },
    /// The job of ranks could not be joined.
    #[cfg(feature = "ranks")]
    Join(String),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind }
    }

    /// Whether a setting of the builder or of the environment cannot be met.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        matches!(self.kind, ErrorKind::Setting(_))
    }

    /// Whether the system refused to start a thread.
    #[must_use]
    pub fn is_thread(&self) -> bool {
        matches!(self.kind, ErrorKind::Thread { .. })
    }

    /// Whether the host's cores or masks could not be read or set.
    #[must_use]
    pub fn is_host(&self) -> bool {
        matches!(self.kind, ErrorKind::Host(_))
    }

    /// Whether the executor was closed, or lives in the parent of this process.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, ErrorKind::Closed(_))
    }

    /// Whether a domain was named that the executor has no workers on.
    #[must_use]
    pub fn is_no_domain(&self) -> bool {
        matches!(self.kind, ErrorKind::NoDomain { .. })
    }

    /// Whether something was to be on a worker or domain that the executor does not have, or on a rank that there is not.
    #[must_use]
    pub fn is_impossible_place(&self) -> bool {
        #[cfg(feature = "ranks")]
        if let ErrorKind::NoRank { .. } = self.kind {
            return true;
        }
        matches!(self.kind, ErrorKind::NoDomain { .. } | ErrorKind::NoWorker { .. })
    }

    /// Whether memory could not be had.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        matches!(self.kind, ErrorKind::Memory(_))
    }

    /// Whether scattered data do not fit each other, or what they are asked for.
    #[must_use]
    pub fn is_shape(&self) -> bool {
        matches!(self.kind, ErrorKind::Shape(_))
    }

    /// Whether the system does not let one thread look at what others run.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        matches!(self.kind, ErrorKind::Unseen(_))
    }

    /// Whether a file could not be read as asked.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, ErrorKind::File { .. })
    }

    /// Whether the system refused what the event loop ([`io`](crate::io)) needs.
    #[cfg(feature = "io")]
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self.kind, ErrorKind::Io { .. })
    }

    /// Whether this process could not join the others that its launcher has started.
    #[cfg(feature = "ranks")]
    #[must_use]
    pub fn is_join(&self) -> bool {
        matches!(self.kind, ErrorKind::Join(_))
    }

    /// Whether a name stands for something of another type or size, or was published before.
    #[must_use]
    pub fn is_name_taken(&self) -> bool {
        matches!(self.kind, ErrorKind::NameTaken(_))
    }

    /// Whether something that is set once for the process had been set before.
    #[must_use]
    pub fn is_already_set(&self) -> bool {
        matches!(self.kind, ErrorKind::AlreadySet(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Setting(text) => f.write_str(text),
            ErrorKind::Thread { name, source } => write!(
                f,
                "the system refused to start thread `{name}` ({source}); ask for fewer workers or raise the limit on processes (ulimit -u)"
            ),
            ErrorKind::Host(source) => write!(f, "this host's cores cannot be used as asked: {source}"),
            ErrorKind::AlreadySet(what) => write!(f, "{what} was set before in this process; it can be set once"),
            ErrorKind::Closed(why) => write!(f, "the executor takes nothing any more: {why}"),
            ErrorKind::NoDomain { domain, domains } => {
                write!(f, "there is no domain {domain}: this executor has workers on {domains}, numbered from 0")
            }
            ErrorKind::NoWorker { worker, workers } => {
                write!(f, "there is no worker {worker}: this executor has {workers}, numbered from 0")
            }
            #[cfg(feature = "ranks")]
            ErrorKind::NoRank { rank, ranks } => {
                write!(f, "there is no rank {rank}: this world has {ranks}, numbered from 0")
            }
            ErrorKind::Memory(source) => write!(f, "no memory for the data: {source}"),
            ErrorKind::Shape(text) | ErrorKind::NameTaken(text) => f.write_str(text),
            ErrorKind::Unseen(source) => {
                write!(f, "what the threads run cannot be looked at: membarrier(2) is refused ({source})")
            }
            ErrorKind::File { path, source } => write!(f, "{}: {source}", path.display()),
            #[cfg(feature = "io")]
            ErrorKind::Io { what, source } => write!(f, "{what}: {source}"),
            #[cfg(feature = "ranks")]
            ErrorKind::Join(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Thread { source, .. } | ErrorKind::Unseen(source) => Some(source),
            ErrorKind::Host(source) | ErrorKind::Memory(source) => Some(source),
            ErrorKind::File { source, .. } => Some(source),
            #[cfg(feature = "io")]
            ErrorKind::Io { source, .. } => Some(source),
            ErrorKind::Closed(why) => Some(why),
            #[cfg(feature = "ranks")]
            ErrorKind::Join(_) | ErrorKind::NoRank { .. } => None,
            ErrorKind::Setting(_)
            | ErrorKind::AlreadySet(_)
            | ErrorKind::NoDomain { .. }
            | ErrorKind::NoWorker { .. }
            | ErrorKind::Shape(_)
            | ErrorKind::NameTaken(_) => None,
        }
    }
}

impl From<heist_numa::Error> for Error {
    fn from(source: heist_numa::Error) -> Self {
        Self::new(ErrorKind::Host(source))
    }
}

/// Why a task was cancelled.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let (_promise, never) = ex.promise::<u32>();
/// let task = ex.submit_after(&never, |n| n + 1);
/// task.cancel("superseded");
/// assert_eq!(task.error().unwrap().cancel_reason().unwrap().text(), "superseded");
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelReason {
    text: Cow<'static, str>,
    by: By,
}

/// Who cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Name,
    Close,
    Restart,
}

impl CancelReason {
    pub(crate) const EXECUTOR_CLOSED: Self = Self { text: Cow::Borrowed("executor closed"), by: By::Close };
    pub(crate) const EXECUTOR_RESTARTED: Self = Self { text: Cow::Borrowed("executor restarted"), by: By::Restart };
    /// Of a wait that ended because the task that waited had been cancelled.
    pub(crate) const WHILE_WAITING: Self =
        Self { text: Cow::Borrowed("the task was cancelled while it waited"), by: By::Name };

    /// The reason in words, as given to `cancel`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the executor was closed, rather than the task cancelled by name.
    #[must_use]
    pub fn is_executor_closed(&self) -> bool {
        self.by == By::Close
    }

    /// Whether the executor was restarted ([`restart`](crate::Executor::restart)).
    #[must_use]
    pub fn is_restart(&self) -> bool {
        self.by == By::Restart
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&'static str> for CancelReason {
    fn from(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), by: By::Name }
    }
}

impl From<String> for CancelReason {
    fn from(text: String) -> Self {
        Self { text: Cow::Owned(text), by: By::Name }
    }
}

/// Why a future has no value: it panicked, returned `Err`, was cancelled, or one of its inputs did.
///
/// A dependent carries the error of the input that failed first; [`root`](Self::root) is that error, and the
/// predicates look through to it. Cheap to clone.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let bad = ex.submit_result(|| "x".parse::<i32>());
/// let next = ex.submit_after(&bad, |n| n + 1);
/// let error = next.result().unwrap_err();
/// assert!(error.is_dependency() && error.is_failed());
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// assert_eq!(error.root().task(), Some(bad.id()));
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone)]
pub struct TaskError(Arc<Cause>);

/// Aligned so that a pointer to it leaves the flag bits of the state word free.
#[derive(Debug)]
#[repr(align(16))]
struct Cause {
    kind: TaskErrorKind,
    task: Option<TaskId>,
    location: Option<&'static Location<'static>>,
    name: Option<Cow<'static, str>>,
}

impl Drop for Cause {
    /// The error of a task is dropped by whoever is last, often a worker: its panic is caught like that of a value's drop.
    fn drop(&mut self) {
        if let TaskErrorKind::Failed(source) = std::mem::replace(&mut self.kind, TaskErrorKind::PromiseDropped) {
            panics::catch_drop(|| drop(source));
        }
    }
}

#[derive(Debug)]
pub(crate) enum TaskErrorKind {
    Panicked {
        message: String,
        backtrace: Option<Backtrace>,
    },
    Failed(Box<dyn std::error::Error + Send + Sync>),
    Cancelled(CancelReason),
    Dependency(TaskError),
    PromiseDropped,
    ForeignFuture,
    Timeout,
    Stalled {
        cap: usize,
    },
    /// What is waited for was closed.
    Closed(&'static str),
    /// More was asked for than there is.
    Impossible(String),
    /// The system refused what the event loop needs.
    #[cfg(feature = "io")]
    Io {
        what: &'static str,
        source: std::io::Error,
    },
    Deadlock {
        circle: Option<String>,
    },
    /// Asked of an actor whose constructor has failed so.
    ActorUnborn(TaskError),
    /// Asked of an actor that has ended, because of that.
    ActorEnded(Option<TaskError>),
    /// Told to an actor whose mailbox is full.
    MailboxFull,
    /// Asked, and dropped before its turn.
    Unwanted,
    Forked,
    /// A value could not be made into bytes, or bytes into a value.
    #[cfg(feature = "ranks")]
    Codec(String),
    /// What was waited for was to come from a rank that has ended.
    #[cfg(feature = "ranks")]
    RankLost {
        rank: u32,
        why: String,
    },
    /// This rank has left its world.
    #[cfg(feature = "ranks")]
    WorldEnded,
    Refused {
        refusal: Refusal,
        text: String,
    },
}

/// What was asked for that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Place,
    Resource,
    Key,
    Repeat,
    /// Options that do not go together.
    Options,
    /// A collective call that not all ranks have made.
    #[cfg(feature = "ranks")]
    Collective,
}

impl TaskError {
    pub(crate) fn new(kind: TaskErrorKind) -> Self {
        Self(Arc::new(Cause { kind, task: None, location: None, name: None }))
    }

    pub(crate) fn of_task(kind: TaskErrorKind, task: TaskId, location: &'static Location<'static>) -> Self {
        Self(Arc::new(Cause { kind, task: Some(task), location: Some(location), name: None }))
    }

    /// A new error, of a task that was given a name.
    pub(crate) fn named(mut self, name: Option<Cow<'static, str>>) -> Self {
        if let Some(cause) = Arc::get_mut(&mut self.0) {
            cause.name = name;
        }
        self
    }

    /// What the dependents of a task with this error get: a cancellation travels as it is, all else names its root.
    pub(crate) fn for_dependents(&self) -> Self {
        match self.0.kind {
            TaskErrorKind::Cancelled(_) | TaskErrorKind::Dependency(_) => self.clone(),
            _ => Self::of_root(self),
        }
    }

    fn of_root(root: &Self) -> Self {
        Self(Arc::new(Cause {
            kind: TaskErrorKind::Dependency(root.clone()),
            task: root.task(),
            location: root.location(),
            name: None,
        }))
    }

    /// The error as a word with its low four bits clear; ownership goes with it.
    pub(crate) fn into_word(self) -> usize {
        Arc::into_raw(self.0).expose_provenance()
    }

    /// # Safety
    /// `word` came from [`into_word`](Self::into_word) and its ownership is given to this call.
    pub(crate) unsafe fn from_word(word: usize) -> Self {
        // SAFETY: the caller hands over what `into_word` gave away.
        Self(unsafe { Arc::from_raw(std::ptr::with_exposed_provenance(word)) })
    }

    fn kind(&self) -> &TaskErrorKind {
        &self.root().0.kind
    }

    /// The first error of the chain: of this task itself, or of the input it inherited the error from.
    #[must_use]
    pub fn root(&self) -> &Self {
        match &self.0.kind {
            TaskErrorKind::Dependency(root) | TaskErrorKind::ActorUnborn(root) => root.root(),
            _ => self,
        }
    }

    /// What went wrong, for an error of another task that says it: the same, if nobody else has this one or it can be told
    /// again, else that this one was inherited.
    #[cfg(feature = "ranks")]
    pub(crate) fn into_kind(mut self) -> TaskErrorKind {
        if let Some(cause) = Arc::get_mut(&mut self.0) {
            return std::mem::replace(&mut cause.kind, TaskErrorKind::PromiseDropped);
        }
        match &self.0.kind {
            TaskErrorKind::Cancelled(reason) => TaskErrorKind::Cancelled(reason.clone()),
            TaskErrorKind::Codec(what) => TaskErrorKind::Codec(what.clone()),
            TaskErrorKind::RankLost { rank, why } => TaskErrorKind::RankLost { rank: *rank, why: why.clone() },
            TaskErrorKind::WorldEnded => TaskErrorKind::WorldEnded,
            TaskErrorKind::Dependency(root) => TaskErrorKind::Dependency(root.clone()),
            _ => TaskErrorKind::Dependency(self),
        }
    }

    /// Whether the task never ran because an input of it has no value.
    #[must_use]
    pub fn is_dependency(&self) -> bool {
        matches!(self.0.kind, TaskErrorKind::Dependency(_))
    }

    /// Whether the root task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Panicked { .. })
    }

    /// Whether the root task returned an `Err`.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Failed(_))
    }

    /// Whether the task, or an input of it, was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Cancelled(_))
    }

    /// Whether a [`Promise`](crate::Promise) was dropped before it was fulfilled.
    #[must_use]
    pub fn is_promise_dropped(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::PromiseDropped)
    }

    /// Whether a value could not be made into the bytes that go to another rank, or bytes not into a value.
    #[cfg(feature = "ranks")]
    #[must_use]
    pub fn is_codec(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Codec(_))
    }

    /// Whether it was to come from a rank that has ended, or that cannot be understood.
    #[cfg(feature = "ranks")]
    #[must_use]
    pub fn is_rank_lost(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::RankLost { .. })
    }

    /// Whether it was asked of other ranks when this one had left its world.
    #[cfg(feature = "ranks")]
    #[must_use]
    pub fn is_world_ended(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::WorldEnded)
    }

    /// Whether a future was used with an executor that did not make it.
    #[must_use]
    pub fn is_foreign_future(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::ForeignFuture)
    }

    /// Whether the time given to a wait ran out; the task goes on.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Timeout)
    }

    /// Whether a wait was given up because every thread the executor may have was waiting.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Stalled { .. })
    }

    /// Whether a task waited for itself, or for what depends on it.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Deadlock { .. })
    }

    /// Whether the executor was used in a child made by `fork()`, which has none of its threads.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Forked)
    }

    /// Whether the system refused what the event loop ([`io`](crate::io)) needs.
    #[cfg(feature = "io")]
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Io { .. })
    }

    /// Whether the queue, semaphore or topic that was to be used is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Closed(_))
    }

    /// Whether more was asked for than there will ever be: permits of a semaphore, locks of a set.
    #[must_use]
    pub fn is_impossible(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Impossible(_))
    }

    /// Whether it was asked of an actor that had ended, or never began because its constructor failed. What ended it is the
    /// [source](std::error::Error::source) of this error; of a constructor's panic the other predicates tell as well.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let actor = ex.actor(|| 0_u32);
    /// let bad = actor.ask(|_| panic!("no"));
    /// let after = actor.ask(|n| *n);
    /// assert!(bad.wait().is_ok() && bad.error().unwrap().is_panic());
    /// assert!(after.result().unwrap_err().is_actor_ended());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_actor_ended(&self) -> bool {
        let is = |error: &Self| matches!(error.0.kind, TaskErrorKind::ActorUnborn(_) | TaskErrorKind::ActorEnded(_));
        match &self.0.kind {
            TaskErrorKind::Dependency(root) => is(root),
            _ => is(self),
        }
    }

    /// Whether a mailbox had no room for what was told.
    #[must_use]
    pub fn is_mailbox_full(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::MailboxFull)
    }

    fn is_refused_for(&self, what: Refusal) -> bool {
        matches!(self.kind(), TaskErrorKind::Refused { refusal, .. } if *refusal == what)
    }

    /// Whether a task was to run on a worker or domain that the executor does not have.
    #[must_use]
    pub fn is_impossible_place(&self) -> bool {
        self.is_refused_for(Refusal::Place)
    }

    /// Whether a task asked for a resource that the executor does not have, or has too little of.
    #[must_use]
    pub fn is_unsatisfiable(&self) -> bool {
        self.is_refused_for(Refusal::Resource)
    }

    /// Whether the key of a task is held by one with values of another type.
    #[must_use]
    pub fn is_key_taken(&self) -> bool {
        self.is_refused_for(Refusal::Key)
    }

    /// Whether a task was to be retried whose closure was not kept.
    #[must_use]
    pub fn is_not_repeatable(&self) -> bool {
        self.is_refused_for(Refusal::Repeat)
    }

    /// Whether what was asked of a task does not go together.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.is_refused_for(Refusal::Options)
    }

    /// Whether the ranks have not made the same collective call, or one has given it up.
    #[cfg(feature = "ranks")]
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        self.is_refused_for(Refusal::Collective)
    }

    /// Why the task was cancelled, if it was.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<&CancelReason> {
        match self.kind() {
            TaskErrorKind::Cancelled(reason) => Some(reason),
            _ => None,
        }
    }

    /// The text of the panic, if the root task panicked.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        match self.kind() {
            TaskErrorKind::Panicked { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Where the root task panicked.
    #[must_use]
    pub fn backtrace(&self) -> Option<&Backtrace> {
        match self.kind() {
            TaskErrorKind::Panicked { backtrace, .. } => backtrace.as_ref(),
            _ => None,
        }
    }

    /// The error value that the root task returned, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self.kind() {
            TaskErrorKind::Failed(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// The root task, where the error belongs to one.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.root().0.task
    }

    /// The name of the root task, if it was submitted by [`Executor::task`](crate::Executor::task).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.root().0.name.as_deref()
    }

    /// Where the root task was submitted.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.root().0.location
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            TaskErrorKind::Dependency(_) => f.write_str("an input failed: ")?,
            TaskErrorKind::ActorUnborn(_) => f.write_str("the actor's constructor failed: ")?,
            _ => {}
        }
        let cause = &self.root().0;
        match &cause.kind {
            TaskErrorKind::Panicked { message, .. } => write!(f, "task panicked: {message}")?,
            TaskErrorKind::Failed(source) => write!(f, "task failed: {source}")?,
            TaskErrorKind::Cancelled(reason) => write!(f, "cancelled: {reason}")?,
            TaskErrorKind::PromiseDropped => f.write_str("the promise was dropped before it was fulfilled")?,
            TaskErrorKind::ForeignFuture => f.write_str(
                "a future of another executor was used here; use it with the executor that made it, or pass its value on",
            )?,
            TaskErrorKind::Timeout => f.write_str("the time for this wait ran out; the task goes on")?,
            TaskErrorKind::Stalled { cap } => write!(
                f,
                "stalled: every worker waits and the cap of {cap} spare threads (max_spare_threads) is reached; raise it, or await instead of blocking"
            )?,
            TaskErrorKind::Deadlock { circle: None } => {
                f.write_str("this task waits for itself, or for a task that depends on it; the wait could never end")?;
            }
            TaskErrorKind::Deadlock { circle: Some(circle) } => write!(f, "{circle}; the wait could never end")?,
            TaskErrorKind::ActorUnborn(root) => fmt::Display::fmt(root, f)?,
            TaskErrorKind::ActorEnded(None) => f.write_str("the actor has ended: it was stopped, or nobody held a reference any more")?,
            TaskErrorKind::ActorEnded(Some(cause)) => write!(f, "the actor has ended: {cause}")?,
            #[cfg(feature = "ranks")]
            TaskErrorKind::Codec(what) => write!(f, "a value could not be passed on: {what}")?,
            #[cfg(feature = "ranks")]
            TaskErrorKind::RankLost { rank, why } => write!(f, "rank {rank} is lost: {why}")?,
            #[cfg(feature = "ranks")]
            TaskErrorKind::WorldEnded => f.write_str("this rank has left its world")?,
            TaskErrorKind::MailboxFull => f.write_str("the actor's mailbox is full")?,
            TaskErrorKind::Unwanted => f.write_str("nobody waited for the answer any more when its turn came")?,
            TaskErrorKind::Forked => {
                f.write_str("this process was made by fork() and has no workers; build a new executor in it")?;
            }
            #[cfg(feature = "io")]
            TaskErrorKind::Io { what, source } => write!(f, "{what}: {source}")?,
            TaskErrorKind::Closed(what) => write!(f, "the {what} is closed")?,
            TaskErrorKind::Impossible(text) => write!(f, "this can never be had: {text}")?,
            TaskErrorKind::Refused { text, .. } => f.write_str(text)?,
            TaskErrorKind::Dependency(root) => fmt::Display::fmt(root, f)?,
        }
        match (cause.task, cause.location) {
            (Some(task), Some(location)) => match &cause.name {
                Some(name) => write!(f, " (task {name} {task} submitted at {location})"),
                None => write!(f, " (task {task} submitted at {location})"),
            },
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({self})")
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            TaskErrorKind::Failed(source) => Some(&**source),
            #[cfg(feature = "io")]
            TaskErrorKind::Io { source, .. } => Some(source),
            TaskErrorKind::Dependency(root) | TaskErrorKind::ActorUnborn(root) => Some(root),
            TaskErrorKind::ActorEnded(cause) => cause.as_ref().map(|cause| cause as _),
            _ => None,
        }
    }
}

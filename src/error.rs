//! What can go wrong: with an executor ([`Error`]), with a task ([`TaskError`]), and why one was cancelled ([`CancelReason`]).

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
    /// Memory could not be had.
    Memory(heist_numa::Error),
    /// Scattered data that do not fit each other, or what they are asked for.
    Shape(String),
    /// A file could not be read as asked.
    File { path: std::path::PathBuf, source: std::io::Error },
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

    /// Whether a file could not be read as asked.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, ErrorKind::File { .. })
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
            ErrorKind::Memory(source) => write!(f, "no memory for the data: {source}"),
            ErrorKind::Shape(text) => f.write_str(text),
            ErrorKind::File { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Thread { source, .. } => Some(source),
            ErrorKind::Host(source) | ErrorKind::Memory(source) => Some(source),
            ErrorKind::File { source, .. } => Some(source),
            ErrorKind::Closed(why) => Some(why),
            ErrorKind::Setting(_) | ErrorKind::AlreadySet(_) | ErrorKind::NoDomain { .. } | ErrorKind::Shape(_) => None,
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
    closed: bool,
}

impl CancelReason {
    pub(crate) const EXECUTOR_CLOSED: Self = Self { text: Cow::Borrowed("executor closed"), closed: true };

    /// The reason in words, as given to `cancel`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the executor was closed, rather than the task cancelled by name.
    #[must_use]
    pub fn is_executor_closed(&self) -> bool {
        self.closed
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&'static str> for CancelReason {
    fn from(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), closed: false }
    }
}

impl From<String> for CancelReason {
    fn from(text: String) -> Self {
        Self { text: Cow::Owned(text), closed: false }
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
    Panicked { message: String, backtrace: Option<Backtrace> },
    Failed(Box<dyn std::error::Error + Send + Sync>),
    Cancelled(CancelReason),
    Dependency(TaskError),
    PromiseDropped,
    ForeignFuture,
    Timeout,
    Stalled { cap: usize },
    Deadlock,
    Forked,
}

impl TaskError {
    pub(crate) fn new(kind: TaskErrorKind) -> Self {
        Self(Arc::new(Cause { kind, task: None, location: None }))
    }

    pub(crate) fn of_task(kind: TaskErrorKind, task: TaskId, location: &'static Location<'static>) -> Self {
        Self(Arc::new(Cause { kind, task: Some(task), location: Some(location) }))
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
            TaskErrorKind::Dependency(root) => root,
            _ => self,
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
        matches!(self.kind(), TaskErrorKind::Deadlock)
    }

    /// Whether the executor was used in a child made by `fork()`, which has none of its threads.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        matches!(self.kind(), TaskErrorKind::Forked)
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

    /// Where the root task was submitted.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.root().0.location
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dependency() {
            f.write_str("an input failed: ")?;
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
            TaskErrorKind::Deadlock => {
                f.write_str("this task waits for itself, or for a task that depends on it; the wait could never end")?;
            }
            TaskErrorKind::Forked => {
                f.write_str("this process was made by fork() and has no workers; build a new executor in it")?;
            }
            TaskErrorKind::Dependency(root) => fmt::Display::fmt(root, f)?,
        }
        match (cause.task, cause.location) {
            (Some(task), Some(location)) => write!(f, " (task {task} submitted at {location})"),
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
            TaskErrorKind::Dependency(root) => Some(root),
            _ => None,
        }
    }
}

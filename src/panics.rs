//! The one place where user code is caught, and the hook that records where it panicked.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, TaskErrorKind};

thread_local! {
    /// How many `catch` are under way on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How many drops, callbacks and hooks of the user's, called by heist, are under way on this thread.
    static ASIDE: Cell<usize> = const { Cell::new(0) };
    /// Where the panic that is under way was seen by the hook.
    static SEEN: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// Whether panics of tasks are also handed to the hook that was there before.
static KEEP: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();
static DROP_PANICS: AtomicU64 = AtomicU64::new(0);
type DropHook = Box<dyn Fn(&str) + Send + Sync>;

static DROP_HOOK: OnceLock<DropHook> = OnceLock::new();

/// What becomes of the report of a task's panic; see [`Builder::panic_report`](crate::Builder::panic_report).
///
/// ```
/// use heist::PanicReport;
/// let ex = heist::Executor::builder().panic_report(PanicReport::Capture).build()?;
/// let error = ex.submit(|| -> u32 { panic!("no such tile") }).into_result().unwrap().unwrap_err();
/// assert_eq!(error.panic_message(), Some("no such tile"));
/// assert!(error.backtrace().is_some());
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanicReport {
    /// Message and backtrace go into the task's error and nowhere else.
    #[default]
    Capture,
    /// As `Capture`, and the panic hook that was set before is called too (the standard one writes to stderr).
    Keep,
}

/// Puts heist's hook before the one that is there, once for the process. The last executor built says what becomes of
/// reports.
pub(crate) fn install(report: PanicReport) {
    // ORDERING: Relaxed; a lone flag.
    KEEP.store(report == PanicReport::Keep, Ordering::Relaxed);
    if std::thread::panicking() {
        // The hook cannot be changed now; reports go where they went before.
        return;
    }
    INSTALLED.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = DEPTH.try_with(Cell::get).unwrap_or(0) > 0;
            if ours {
                let _ = SEEN.try_with(|seen| *seen.borrow_mut() = Some(Backtrace::force_capture()));
            }
            // ORDERING: Relaxed; as above.
            if !ours || KEEP.load(Ordering::Relaxed) {
                before(info);
            }
        }));
    });
}

/// Runs user code; a panic comes back as what it said and where.
#[inline]
pub(crate) fn catch<R>(call: impl FnOnce() -> R) -> Result<R, TaskErrorKind> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(call));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    result.map_err(report)
}

/// Makes this thread one on which every panic is caught by heist: [`catch_here`] needs no count of its own.
pub(crate) fn serve() {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
}

/// As [`catch`], on a thread that [serves](serve).
#[inline]
pub(crate) fn catch_here<R>(call: impl FnOnce() -> R) -> Result<R, TaskErrorKind> {
    catch_unwind(AssertUnwindSafe(call)).map_err(report)
}

#[cold]
fn report(payload: Box<dyn Any + Send>) -> TaskErrorKind {
    let backtrace = SEEN.try_with(|seen| seen.borrow_mut().take()).ok().flatten();
    let message = message_of(&*payload);
    catch_drop(|| drop(payload));
    TaskErrorKind::Panicked { message, backtrace }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "Box<dyn Any>".to_owned())
}

/// Runs a drop, a callback or a hook of the user's; a panic in it is counted and handed to the drop hook.
pub(crate) fn catch_drop(call: impl FnOnce()) {
    if let Err(TaskErrorKind::Panicked { message, .. }) = catch_with_plain_payload(call) {
        // ORDERING: Relaxed; a lone counter.
        DROP_PANICS.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = DROP_HOOK.get() {
            // Whose own panics end here.
            let _ = catch_with_plain_payload(|| hook(&message));
        }
    }
}

/// As [`catch`], for what is itself called while a payload is dropped: a payload whose drop panics is leaked.
fn catch_with_plain_payload(call: impl FnOnce()) -> Result<(), TaskErrorKind> {
    ASIDE.with(|aside| aside.set(aside.get() + 1));
    let result = catch_aside(call);
    ASIDE.with(|aside| aside.set(aside.get() - 1));
    result
}

fn catch_aside(call: impl FnOnce()) -> Result<(), TaskErrorKind> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(call));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    result.map_err(|payload| {
        let message = message_of(&*payload);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(std::mem::forget);
        TaskErrorKind::Panicked { message, backtrace: None }
    })
}

/// Whether this thread is within a drop, a callback or a hook that heist has called. Something of the executor may wait
/// for its end.
pub(crate) fn is_aside() -> bool {
    ASIDE.with(Cell::get) > 0
}

/// How many panics came out of drops of closures, values and panic payloads and out of callbacks, in this process.
///
/// ```
/// struct Bad;
/// impl Drop for Bad {
///     fn drop(&mut self) {
///         panic!("in a drop");
///     }
/// }
/// let ex = heist::Executor::new()?;
/// let before = heist::drop_panics();
/// drop(ex.scatter(Bad));
/// assert_eq!(heist::drop_panics(), before + 1);
/// # Ok::<(), heist::Error>(())
/// ```
#[must_use]
pub fn drop_panics() -> u64 {
    // ORDERING: Relaxed; a lone counter.
    DROP_PANICS.load(Ordering::Relaxed)
}

/// Sets, once for the process, who is told the message of such a panic.
///
/// # Errors
/// [`Error::is_already_set`] when a hook was set before.
///
/// ```
/// heist::set_drop_panic_hook(|message| assert!(!message.is_empty()))?;
/// assert!(heist::set_drop_panic_hook(|_| ()).unwrap_err().is_already_set());
/// # Ok::<(), heist::Error>(())
/// ```
pub fn set_drop_panic_hook(hook: impl Fn(&str) + Send + Sync + 'static) -> Result<(), Error> {
    DROP_HOOK.set(Box::new(hook)).map_err(|_| Error::new(ErrorKind::AlreadySet("the hook for panics in drops")))
}

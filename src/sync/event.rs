//! `Event`: a flag that is waited for.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::line::{Key, Left, Line, Told, Wake, fire_all, let_go};
use super::names::{Named, Names};
use super::turn::{Entered, Failed, Source, Turn, wait, wait_timeout};
use crate::error::{Error, TaskError};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// A flag, clear at birth, that any number of threads, tasks and async tasks wait for.
///
/// Clones are handles on the same flag. Who waits while it is set goes on, also if it is cleared right after. A task that
/// waits lends its core.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let go = heist::Event::new();
/// let runner = ex.submit({
///     let go = go.clone();
///     move || go.wait().map(|()| "ran")
/// });
/// go.set();
/// assert_eq!(runner.result()??, "ran");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Event(Arc<Flag>);

struct Flag {
    is_set: AtomicBool,
    line: Mutex<Line<(), ()>>,
    _name: Option<Named>,
}

impl Event {
    /// An event that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self(Self::flag(None))
    }

    fn flag(name: Option<Named>) -> Arc<Flag> {
        Arc::new(Flag { is_set: AtomicBool::new(false), line: Mutex::default(), _name: name })
    }

    pub(crate) fn named(names: &Arc<Names>, name: &str) -> Result<Self, Error> {
        let known = |flag: &Arc<Flag>| Some(Self(flag.clone()));
        names.open("event", name, known, |named| {
            let flag = Self::flag(Some(named));
            (Arc::downgrade(&flag), Self(flag))
        })
    }

    /// Sets the flag; all who wait go on.
    pub fn set(&self) {
        let mut line = self.0.line.lock();
        // ORDERING: Release; pairs with the Acquire of `is_set`: what came before is seen by who sees it set.
        self.0.is_set.store(true, Ordering::Release);
        let wakes = line.grant_all(|()| ());
        drop(line);
        fire_all(wakes);
    }

    /// Clears the flag; who waits from now on waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        let _line = self.0.line.lock();
        // ORDERING: Relaxed; a clear flag carries nothing.
        self.0.is_set.store(false, Ordering::Relaxed);
    }

    /// Whether the flag is set, at the moment of the call.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of `set`.
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Waits until the flag is set.
    ///
    /// # Errors
    /// Only of the wait itself, within a task: [`TaskError::is_cancelled`] if the task, or its executor, was cancelled
    /// meanwhile, [`TaskError::is_stalled`] if the executor may make no further thread.
    pub fn wait(&self) -> Result<(), TaskError> {
        if self.is_set() { Ok(()) } else { wait(self, ()).map_err(Failed::into_error) }
    }

    /// As [`wait`](Self::wait), for no longer than `timeout`; whether it was set in that time. Looks once when `timeout`
    /// is zero.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// ```
    /// use std::time::Duration;
    /// let event = heist::Event::new();
    /// assert!(!event.wait_timeout(Duration::from_millis(1))?);
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO)?);
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, TaskError> {
        match wait_timeout(self, (), timeout).map_err(Failed::into_error) {
            Ok(()) => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// As [`wait`](Self::wait), awaited under any async runtime. Dropped before its end, it leaves no trace.
    ///
    /// # Errors
    /// None now; the type leaves room, as for every wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let event = heist::Event::new();
    /// let waiting = ex.spawn(event.wait_async());
    /// event.set();
    /// waiting.into_result().unwrap()??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = Result<(), TaskError>> + Send + use<> {
        let turn = Turn::new(self.clone(), ());
        async { turn.await.map_err(Failed::into_error) }
    }
}

impl Source for Event {
    type Want = ();
    type Given = ();
    type Grant = ();

    fn enter(&self, (): (), wake: &mut Option<Wake>) -> Entered<(), ()> {
        let mut line = self.0.line.lock();
        if self.is_set() {
            return Entered::Told(Told::Granted(()));
        }
        match wake.take() {
            Some(wake) => Entered::Queued(line.join((), wake)),
            None => Entered::Busy(()),
        }
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Line<(), ()>) -> R) -> R {
        call(&mut self.0.line.lock())
    }

    fn leave(&self, key: Key) -> Left<(), ()> {
        let (left, wake) = self.with_line(|line| line.leave(key));
        let_go(wake);
        left
    }

    fn receive(&self, (): ()) {}
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish()
    }
}

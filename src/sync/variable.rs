//! `Variable<T>`: one value that is set, got and watched.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::line::{Key, Left, Line, Told, Wake, fire_all, let_go};
use super::names::{Named, Names};
use super::turn::{Entered, Failed, Seat, Source, Turn, try_once, wait, wait_timeout};
use crate::error::{Error, TaskError};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// One value, set by anybody, got by anybody; who gets before it is first set waits. It may be a future, which it keeps
/// wanted until another value takes its place.
///
/// Clones are handles on the same variable. A task that waits lends its core.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let best = heist::Variable::new();
/// let reader = ex.submit({
///     let best = best.clone();
///     move || best.get()
/// });
/// best.set(0.5);
/// assert_eq!(reader.result()??, 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Variable<T>(Arc<Cell<T>>);

struct Cell<T> {
    state: Mutex<State<T>>,
    _name: Option<Named>,
}

/// A value and the number of its [`Variable::set`], counted from 1.
type Version<T> = (u64, Arc<T>);

struct State<T> {
    value: Option<Arc<T>>,
    sets: u64,
    /// Each wants a value later than the one of this number.
    line: Line<u64, Version<T>>,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { value: None, sets: 0, line: Line::default() }
    }
}

impl<T> Variable<T> {
    /// A variable that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self(Self::cell(None))
    }

    fn cell(name: Option<Named>) -> Arc<Cell<T>> {
        Arc::new(Cell { state: Mutex::default(), _name: name })
    }

    pub(crate) fn named(names: &Arc<Names>, name: &str) -> Result<Self, Error>
    where
        T: Send + Sync + 'static,
    {
        let known = |cell: &Arc<Cell<T>>| Some(Self(cell.clone()));
        names.open("variable", name, known, |named| {
            let cell = Self::cell(Some(named));
            (Arc::downgrade(&cell), Self(cell))
        })
    }

    /// Sets the value; all who wait for one get it.
    pub fn set(&self, value: T) {
        let value = Arc::new(value);
        let mut state = self.0.state.lock();
        state.sets += 1;
        let version = (state.sets, value.clone());
        let before = state.value.replace(value);
        let wakes = state.line.grant_all(|_| version.clone());
        drop(state);
        fire_all(wakes);
        // The values are the user's: their drops may panic.
        drop((before, version));
    }

    /// Takes the value away, if there is one: who gets from now on waits for the next [`set`](Self::set).
    ///
    /// ```
    /// let variable = heist::Variable::new();
    /// variable.delete();
    /// variable.set(1);
    /// variable.delete();
    /// assert_eq!(variable.try_get(), None);
    /// ```
    pub fn delete(&self) {
        let before = self.0.state.lock().value.take();
        drop(before);
    }

    /// Whether there is a value, at the moment of the call.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.state.lock().value.is_some()
    }

    /// The value, if there is one.
    #[must_use]
    pub fn try_get(&self) -> Option<T>
    where
        T: Clone,
    {
        let value = self.0.state.lock().value.clone();
        value.map(own)
    }

    /// Waits for a value, and clones it.
    ///
    /// # Errors
    /// Only of the wait itself, within a task: [`TaskError::is_cancelled`] if the task, or its executor, was cancelled
    /// meanwhile, [`TaskError::is_stalled`] if the executor may make no further thread.
    pub fn get(&self) -> Result<T, TaskError>
    where
        T: Clone,
    {
        wait(self, 0).map(|(_, value)| own(value)).map_err(Failed::into_error)
    }

    /// As [`get`](Self::get), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let unset = heist::Variable::<u32>::new();
    /// assert!(unset.get_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TaskError>
    where
        T: Clone,
    {
        wait_timeout(self, 0, timeout).map(|(_, value)| own(value)).map_err(Failed::into_error)
    }

    /// As [`get`](Self::get), awaited under any async runtime. Dropped before its end, it leaves no trace.
    ///
    /// # Errors
    /// None now; the type leaves room, as for every wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let variable = heist::Variable::new();
    /// let getting = ex.spawn(variable.get_async());
    /// variable.set(7);
    /// assert_eq!(getting.into_result().unwrap()??, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_async(&self) -> impl Future<Output = Result<T, TaskError>> + Send + use<T>
    where
        T: Clone + Send + Sync,
    {
        let turn = Turn::new(self.clone(), 0);
        async { turn.await.map(|(_, value)| own(value)).map_err(Failed::into_error) }
    }

    /// Every value from now on, beginning with the one there is. Values that are replaced before they are looked at are
    /// left out.
    ///
    /// ```
    /// let limit = heist::Variable::new();
    /// let mut watch = limit.watch();
    /// limit.set(1);
    /// assert_eq!(watch.next()?, 1);
    /// limit.set(2);
    /// limit.set(3);
    /// assert_eq!((watch.try_next(), watch.try_next()), (Some(3), None));
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    #[must_use]
    pub fn watch(&self) -> Watch<T> {
        Watch { seat: Seat::new(self.clone()), seen: 0 }
    }
}

/// Clones it, or takes it if nobody else has it.
fn own<T: Clone>(value: Arc<T>) -> T {
    Arc::unwrap_or_clone(value)
}

impl<T> Source for Variable<T> {
    type Want = u64;
    type Given = Version<T>;
    type Grant = Version<T>;

    fn enter(&self, seen: u64, wake: &mut Option<Wake>) -> Entered<u64, Version<T>> {
        let mut state = self.0.state.lock();
        match &state.value {
            Some(value) if state.sets > seen => Entered::Told(Told::Granted((state.sets, value.clone()))),
            _ => match wake.take() {
                Some(wake) => Entered::Queued(state.line.join(seen, wake)),
                None => Entered::Busy(seen),
            },
        }
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Line<u64, Version<T>>) -> R) -> R {
        call(&mut self.0.state.lock().line)
    }

    fn leave(&self, key: Key) -> Left<u64, Version<T>> {
        let (left, wake) = self.with_line(|line| line.leave(key));
        let_go(wake);
        left
    }

    /// The newest, if the one he was told has been replaced since.
    fn receive(&self, version: Version<T>) -> Version<T> {
        let state = self.0.state.lock();
        let newest = match &state.value {
            Some(value) if state.sets > version.0 => (state.sets, value.clone()),
            _ => return version,
        };
        drop(state);
        newest
    }
}

/// See [`Variable::watch`]. As a [`Stream`] it has the same values, and no end.
pub struct Watch<T> {
    /// Of the stream; given up by all other ways to wait, since what it is told they have seen.
    seat: Seat<Variable<T>>,
    seen: u64,
}

impl<T> Watch<T> {
    fn see(&mut self, (set, value): Version<T>) -> T
    where
        T: Clone,
    {
        self.seen = set;
        own(value)
    }

    /// Waits for a value that was not looked at yet.
    ///
    /// # Errors
    /// As [`Variable::get`].
    #[expect(clippy::should_implement_trait, reason = "an iterator could not say why it ends")]
    pub fn next(&mut self) -> Result<T, TaskError>
    where
        T: Clone,
    {
        self.seat.give_up();
        let version = wait(self.seat.source(), self.seen).map_err(Failed::into_error)?;
        Ok(self.see(version))
    }

    /// As [`next`](Self::next), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`Variable::get_timeout`].
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<T, TaskError>
    where
        T: Clone,
    {
        self.seat.give_up();
        let version = wait_timeout(self.seat.source(), self.seen, timeout).map_err(Failed::into_error)?;
        Ok(self.see(version))
    }

    /// The value, if it was not looked at yet.
    #[must_use]
    pub fn try_next(&mut self) -> Option<T>
    where
        T: Clone,
    {
        self.seat.give_up();
        let version = try_once(self.seat.source(), self.seen).ok()??;
        Some(self.see(version))
    }

    /// As [`next`](Self::next), awaited under any async runtime.
    ///
    /// # Errors
    /// None now; the type leaves room, as for every wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let variable = heist::Variable::new();
    /// let mut watch = variable.watch();
    /// let seen = ex.spawn(async move { watch.next_async().await });
    /// variable.set("now");
    /// assert_eq!(seen.into_result().unwrap()??, "now");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn next_async(&mut self) -> Result<T, TaskError>
    where
        T: Clone + Send + Sync,
    {
        self.seat.give_up();
        let turn = Turn::new(self.seat.source().clone(), self.seen);
        let version = turn.await.map_err(Failed::into_error)?;
        Ok(self.see(version))
    }
}

impl<T> Unpin for Watch<T> {}

impl<T: Clone> Stream for Watch<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let polled = match this.seat.is_in_line() {
            true => this.seat.check(context.waker()),
            false => this.seat.enter(context.waker(), this.seen),
        };
        polled.map(|version| version.ok().map(|version| this.see(version)))
    }
}

impl<T> Clone for Variable<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Variable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Variable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable").field("set", &self.is_set()).finish()
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("seen", &self.seen).finish()
    }
}

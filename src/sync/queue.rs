//! `Queue<T>`: what some put, others get, in the same order.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::line::{Key, Left, Line, Told, Wake, fire_all, let_go};
use super::names::{Named, Names, taken};
use super::stream::{QueueIter, QueueStream};
use super::turn::{Entered, Failed, Seat, Source, Turn, try_once, wait, wait_timeout};
use crate::error::{Error, TaskError, TaskErrorKind};
use crate::future::TaskFuture;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// A queue between any number of threads, tasks and async tasks: first in, first out, and first come, first served.
///
/// Clones are handles on the same queue. It may hold futures, which it keeps wanted until they are got. A task that waits
/// lends its core. After [`close`](Self::close) nothing can be put; what is left can still be got.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let queue = heist::Queue::bounded(2);
/// let producer = ex.submit({
///     let queue = queue.clone();
///     move || {
///         (0..10).try_for_each(|i| queue.put(i)).unwrap();
///         queue.close();
///     }
/// });
/// assert_eq!(queue.iter().sum::<i32>(), 45);
/// producer.result()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<T>(Arc<Shared<T>>);

pub(super) struct Shared<T> {
    bound: usize,
    state: Mutex<State<T>>,
    name: Option<Named>,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    /// Wait until `items` has room; if somebody does, it has none.
    putters: Line<T, ()>,
    /// Wait for items; if somebody does, there are none, nor any putters.
    getters: Line<Wish<T>, Vec<T>>,
}

/// How many more somebody wants, and what he has so far; only the first in line has some.
#[derive(Debug)]
pub(super) struct Wish<T> {
    more: usize,
    got: Vec<T>,
}

impl<T> Wish<T> {
    pub(super) fn for_items(count: usize) -> Self {
        Self { more: count, got: Vec::new() }
    }
}

/// A value that could not be put, and why.
///
/// ```
/// let queue = heist::Queue::bounded(1);
/// queue.put(1)?;
/// let full = queue.try_put(2).unwrap_err();
/// assert!(full.error().is_timeout());
/// assert_eq!(full.into_value(), 2);
/// # Ok::<(), heist::TaskError>(())
/// ```
pub struct PutError<T> {
    value: T,
    error: TaskError,
}

impl<T> PutError<T> {
    /// The value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Why.
    #[must_use]
    pub fn error(&self) -> &TaskError {
        &self.error
    }

    #[cfg(feature = "ranks")]
    pub(crate) fn new(value: T, error: TaskError) -> Self {
        Self { value, error }
    }

    fn of(failed: Failed<T>) -> Self {
        match failed {
            Failed::Refused(value) => Self { value, error: closed() },
            Failed::Ended(value, error) => Self { value, error },
        }
    }
}

impl<T> From<PutError<T>> for TaskError {
    fn from(failed: PutError<T>) -> Self {
        failed.error
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was put: {}", self.error)
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PutError({})", self.error)
    }
}

impl<T> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn closed() -> TaskError {
    TaskError::new(TaskErrorKind::Closed("queue"))
}

fn why<W>(failed: Failed<W>) -> TaskError {
    match failed {
        Failed::Refused(_) => closed(),
        Failed::Ended(_, error) => error,
    }
}

impl<T> Queue<T> {
    /// A queue in which nobody waits to put.
    #[must_use]
    pub fn unbounded() -> Self {
        Self(Self::shared(None, None))
    }

    /// A queue of at most `bound` items. With 0, every item goes from hand to hand: who puts waits for one who gets.
    #[must_use]
    pub fn bounded(bound: usize) -> Self {
        Self(Self::shared(Some(bound), None))
    }

    fn shared(bound: Option<usize>, name: Option<Named>) -> Arc<Shared<T>> {
        let (putters, getters) = (Line::default(), Line::default());
        let state = State { items: VecDeque::new(), closed: false, putters, getters };
        Arc::new(Shared { bound: bound.unwrap_or(usize::MAX), state: Mutex::new(state), name })
    }

    pub(crate) fn named(names: &Arc<Names>, name: &str, bound: Option<usize>) -> Result<Self, Error>
    where
        T: Send + 'static,
    {
        let known = |shared: &Arc<Shared<T>>| Some(Self(shared.clone()));
        let found = names.open("queue", name, known, |named| {
            let shared = Self::shared(bound, Some(named));
            (Arc::downgrade(&shared), Self(shared))
        })?;
        if found.bound() != bound {
            let size = found.bound().map_or("without a bound".to_owned(), |bound| format!("with the bound {bound}"));
            return Err(taken("queue", name, &size));
        }
        Ok(found)
    }

    /// How many items it may hold, if that is bounded.
    #[must_use]
    pub fn bound(&self) -> Option<usize> {
        Some(self.0.bound).filter(|&bound| bound != usize::MAX)
    }

    /// How many items it holds, at the moment of the call.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().items.len()
    }

    /// Whether it holds none, at the moment of the call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // ---- put

    /// Waits until there is room, and puts `value`.
    ///
    /// # Errors
    /// With the value: [`TaskError::is_closed`] if the queue is closed or being closed; within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`] if
    /// the executor may make no further thread.
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        wait(&self.putters(), value).map_err(PutError::of)
    }

    /// Puts `value` if there is room and nobody waits to put.
    ///
    /// # Errors
    /// With the value: [`TaskError::is_timeout`] if there is no room, [`TaskError::is_closed`].
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_timeout(value, Duration::ZERO)
    }

    /// As [`put`](Self::put), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let full = heist::Queue::bounded(1);
    /// full.put("a")?;
    /// let error = full.put_timeout("b", Duration::from_millis(1)).unwrap_err();
    /// assert!(error.error().is_timeout());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        wait_timeout(&self.putters(), value, timeout).map_err(PutError::of)
    }

    /// As [`put`](Self::put), awaited under any async runtime. Dropped while there is no room, it has put nothing.
    ///
    /// # Errors
    /// With the value: [`TaskError::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let queue = heist::Queue::bounded(1);
    /// let putting = (queue.put_async(1), queue.put_async(2));
    /// let puts = ex.spawn(async { putting.0.await.is_ok() && putting.1.await.is_ok() });
    /// assert_eq!(queue.get_batch(2)?, [1, 2]);
    /// assert!(puts.result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_async(&self, value: T) -> impl Future<Output = Result<(), PutError<T>>> + Send + use<T>
    where
        T: Send,
    {
        let turn = Turn::new(self.putters(), value);
        async { turn.await.map_err(PutError::of) }
    }

    // ---- get

    /// Waits for an item, and takes it.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] if the queue is closed and empty. Within a task also [`TaskError::is_cancelled`] if the
    /// task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`] if the executor may make no further
    /// thread.
    pub fn get(&self) -> Result<T, TaskError> {
        match self.pop() {
            Some(item) => Ok(item),
            None => wait(&self.getters(), Wish::for_items(1)).map_err(why).and_then(one),
        }
    }

    /// Takes an item, if there is one.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] if the queue is closed and empty.
    ///
    /// ```
    /// let queue = heist::Queue::unbounded();
    /// assert_eq!(queue.try_get()?, None);
    /// queue.put(1)?;
    /// assert_eq!(queue.try_get()?, Some(1));
    /// queue.close();
    /// assert!(queue.try_get().unwrap_err().is_closed());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    pub fn try_get(&self) -> Result<Option<T>, TaskError> {
        let got = try_once(&self.getters(), Wish::for_items(1)).map_err(why)?;
        Ok(got.and_then(|got| got.into_iter().next()))
    }

    /// As [`get`](Self::get), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let empty = heist::Queue::<u32>::unbounded();
    /// assert!(empty.get_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TaskError> {
        wait_timeout(&self.getters(), Wish::for_items(1), timeout).map_err(why).and_then(one)
    }

    /// As [`get`](Self::get), awaited under any async runtime. Dropped before its end, it has taken nothing.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] if the queue is closed and empty.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let queue = heist::Queue::unbounded();
    /// let getting = ex.spawn(queue.get_async());
    /// queue.put("there")?;
    /// assert_eq!(getting.into_result().unwrap()??, "there");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_async(&self) -> impl Future<Output = Result<T, TaskError>> + Send + use<T>
    where
        T: Send,
    {
        let turn = Turn::new(self.getters(), Wish::for_items(1));
        async { turn.await.map_err(why).and_then(one) }
    }

    /// Waits for exactly `count` items, and takes them together. Who comes later gets none before; if the wait ends early,
    /// what had come goes back to the front.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`TaskError::is_closed`] also if fewer are left in a closed queue, where they stay.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let queue = heist::Queue::bounded(1);
    /// let puts = ex.map(0..4, {
    ///     let queue = queue.clone();
    ///     move |i| queue.put(i).is_ok()
    /// });
    /// assert_eq!(queue.get_batch(4)?.len(), 4);
    /// assert!(ex.gather(puts)?.into_iter().all(|put| put));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_batch(&self, count: usize) -> Result<Vec<T>, TaskError> {
        wait(&self.getters(), Wish::for_items(count)).map_err(why)
    }

    /// As [`get_batch`](Self::get_batch), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`get_batch`](Self::get_batch), and [`TaskError::is_timeout`].
    pub fn get_batch_timeout(&self, count: usize, timeout: Duration) -> Result<Vec<T>, TaskError> {
        wait_timeout(&self.getters(), Wish::for_items(count), timeout).map_err(why)
    }

    /// As [`get_batch`](Self::get_batch), awaited under any async runtime. Dropped before its end, it has taken nothing.
    ///
    /// # Errors
    /// As [`get_batch`](Self::get_batch).
    pub fn get_batch_async(&self, count: usize) -> impl Future<Output = Result<Vec<T>, TaskError>> + Send + use<T>
    where
        T: Send,
    {
        let turn = Turn::new(self.getters(), Wish::for_items(count));
        async { turn.await.map_err(why) }
    }

    /// Takes all items there are, without waiting; of a queue that holds none, those that others wait to put.
    ///
    /// ```
    /// let queue = heist::Queue::unbounded();
    /// (0..3).try_for_each(|i| queue.put(i))?;
    /// assert_eq!(queue.get_all(), [0, 1, 2]);
    /// assert!(queue.get_all().is_empty());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    #[must_use]
    pub fn get_all(&self) -> Vec<T> {
        let mut state = self.0.state.lock();
        let State { items, putters, .. } = &mut *state;
        let mut items = std::mem::take(items);
        // Without room for any, what there is lies in the hands of those who put.
        let mut wakes = match self.0.bound {
            0 => putters.grant_all(|value| items.push_back(value)),
            _ => Vec::new(),
        };
        wakes.extend(state.settle(self.0.bound));
        drop(state);
        fire_all(wakes);
        items.into()
    }

    /// Puts items that were got to the front again, for whom they are.
    #[cfg(feature = "ranks")]
    pub(crate) fn give_back(&self, items: Vec<T>) {
        self.getters().pass_on(items);
    }

    fn pop(&self) -> Option<T> {
        let mut state = self.0.state.lock();
        let item = state.items.pop_front()?;
        if state.putters.is_empty() {
            return Some(item);
        }
        let wakes = state.settle(self.0.bound);
        drop(state);
        fire_all(wakes);
        Some(item)
    }

    /// Blocking gets until the queue is closed and empty, or the wait could not go on.
    #[must_use]
    pub fn iter(&self) -> QueueIter<T> {
        QueueIter::new(self.clone())
    }

    /// As [`iter`](Self::iter), as an async stream.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    /// use futures_core::Stream;
    /// let ex = heist::Executor::new()?;
    /// let queue = heist::Queue::unbounded();
    /// let mut stream = queue.stream();
    /// let sum = ex.spawn(async move {
    ///     let mut sum = 0;
    ///     while let Some(item) = poll_fn(|cx| pin!(&mut stream).poll_next(cx)).await {
    ///         sum += item;
    ///     }
    ///     sum
    /// });
    /// (0..10).try_for_each(|i| queue.put(i))?;
    /// queue.close();
    /// assert_eq!(sum.result()?, 45);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stream(&self) -> QueueStream<T> {
        QueueStream::new(Seat::new(self.getters()))
    }

    // ---- close

    /// Takes nothing in any more, and gives up the name if it has one. Waits to put end with [`TaskError::is_closed`], and
    /// so do waits to get, which would have to wait for ever; what is left can be got. True for the first call.
    ///
    /// ```
    /// let queue = heist::Queue::unbounded();
    /// queue.put(1)?;
    /// assert!(queue.close());
    /// assert!(!queue.close());
    /// assert!(queue.put(2).unwrap_err().error().is_closed());
    /// assert_eq!(queue.get()?, 1);
    /// assert!(queue.get().unwrap_err().is_closed());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    pub fn close(&self) -> bool {
        let mut state = self.0.state.lock();
        let first = !std::mem::replace(&mut state.closed, true);
        let State { items, putters, getters, .. } = &mut *state;
        let mut wakes = putters.refuse_all(|_| ());
        wakes.extend(getters.refuse_all(|wish| to_front(items, &mut wish.got)));
        drop(state);
        fire_all(wakes);
        if let Some(name) = &self.0.name {
            name.give_up();
        }
        first
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.state.lock().closed
    }

    fn putters(&self) -> Putters<T> {
        Putters(self.0.clone())
    }

    fn getters(&self) -> Getters<T> {
        Getters(self.0.clone())
    }
}

impl<T> Queue<TaskFuture<T>> {
    /// As [`put`](Self::put), for a future that may have been cancelled.
    ///
    /// # Errors
    /// As [`put`](Self::put); with the future's own error if it is cancelled ([`TaskError::is_cancelled`]): whoever got it
    /// could only be disappointed.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let queue = heist::Queue::unbounded();
    /// queue.put_future(ex.submit(|| 1))?;
    /// let (_promise, cancelled) = ex.promise::<i32>();
    /// cancelled.cancel("superseded");
    /// let refused = queue.put_future(cancelled).unwrap_err();
    /// assert!(refused.error().is_cancelled());
    /// assert_eq!(queue.get()?.result()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_future(&self, future: TaskFuture<T>) -> Result<(), PutError<TaskFuture<T>>> {
        match future.error() {
            Some(error) if error.is_cancelled() => Err(PutError { value: future, error }),
            _ => self.put(future),
        }
    }
}

/// The one item that was asked for.
fn one<T>(got: Vec<T>) -> Result<T, TaskError> {
    got.into_iter().next().ok_or_else(closed)
}

fn to_front<T>(items: &mut VecDeque<T>, got: &mut Vec<T>) {
    while let Some(item) = got.pop() {
        items.push_front(item);
    }
}

impl<T> State<T> {
    /// Brings items to those who wait for them, and to the queue the values of those who wait to put them.
    fn settle(&mut self, bound: usize) -> Vec<Wake> {
        let mut wakes = Vec::new();
        let Self { items, putters, getters, .. } = self;
        loop {
            // Where somebody waits for items, a value may pass without room for it.
            while items.len() < bound || items.is_empty() && !getters.is_empty() {
                let Some(wake) = putters.grant(|value| items.push_back(value)) else { break };
                wakes.push(wake);
            }
            let Some(wish) = getters.first() else { return wakes };
            if items.is_empty() && wish.more != 0 {
                return wakes;
            }
            wish.take_from(items);
            if wish.more == 0 {
                wakes.extend(getters.grant(|wish| wish.got));
            }
        }
    }
}

impl<T> Wish<T> {
    fn take_from(&mut self, items: &mut VecDeque<T>) {
        let count = self.more.min(items.len());
        self.got.extend(items.drain(..count));
        self.more -= count;
    }

    fn give_back(&mut self, items: &mut VecDeque<T>) {
        self.more += self.got.len();
        to_front(items, &mut self.got);
    }
}

/// Those who wait to put.
pub(super) struct Putters<T>(Arc<Shared<T>>);

impl<T> Source for Putters<T> {
    type Want = T;
    type Given = ();
    type Grant = ();

    fn enter(&self, value: T, wake: &mut Option<Wake>) -> Entered<T, ()> {
        let mut state = self.0.state.lock();
        if state.closed {
            return Entered::Told(Told::Refused(value));
        }
        let has_room = state.items.len() < self.0.bound && state.putters.is_empty();
        if has_room || !state.getters.is_empty() {
            state.items.push_back(value);
            let wakes = if state.getters.is_empty() { Vec::new() } else { state.settle(self.0.bound) };
            drop(state);
            fire_all(wakes);
            return Entered::Told(Told::Granted(()));
        }
        match wake.take() {
            Some(wake) => Entered::Queued(state.putters.join(value, wake)),
            None => Entered::Busy(value),
        }
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Line<T, ()>) -> R) -> R {
        call(&mut self.0.state.lock().putters)
    }

    fn leave(&self, key: Key) -> Left<T, ()> {
        let (left, wake) = self.with_line(|line| line.leave(key));
        let_go(wake);
        left
    }

    fn receive(&self, (): ()) {}
}

/// Those who wait to get.
pub(super) struct Getters<T>(Arc<Shared<T>>);

impl<T> Source for Getters<T> {
    type Want = Wish<T>;
    type Given = Vec<T>;
    type Grant = Vec<T>;

    fn enter(&self, mut wish: Wish<T>, wake: &mut Option<Wake>) -> Entered<Wish<T>, Vec<T>> {
        let mut state = self.0.state.lock();
        let State { items, putters, getters, closed } = &mut *state;
        let enough = getters.is_empty() && items.len() + putters.len() >= wish.more;
        if *closed && !enough {
            return Entered::Told(Told::Refused(wish));
        }
        if !enough && wake.is_none() {
            return Entered::Busy(wish);
        }
        let mut wakes = Vec::new();
        if getters.is_empty() {
            wish.take_from(items);
            // Values may pass without room for them.
            while wish.more != 0
                && let Some(wake) = putters.grant(|value| items.push_back(value))
            {
                wakes.push(wake);
                wish.take_from(items);
            }
        }
        let entered = match wake.take_if(|_| !enough) {
            Some(wake) => Entered::Queued(getters.join(wish, wake)),
            None => Entered::Told(Told::Granted(wish.got)),
        };
        if !putters.is_empty() {
            wakes.extend(state.settle(self.0.bound));
        }
        drop(state);
        fire_all(wakes);
        entered
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Line<Wish<T>, Vec<T>>) -> R) -> R {
        call(&mut self.0.state.lock().getters)
    }

    fn leave(&self, key: Key) -> Left<Wish<T>, Vec<T>> {
        let mut state = self.0.state.lock();
        let (mut left, own) = state.getters.leave(key);
        let mut wakes = Vec::new();
        if let Left::Waiting(wish) = &mut left {
            wish.give_back(&mut state.items);
            wakes = state.settle(self.0.bound);
        }
        drop(state);
        fire_all(wakes);
        let_go(own);
        left
    }

    fn receive(&self, got: Vec<T>) -> Vec<T> {
        got
    }

    fn pass_on(&self, mut got: Vec<T>) {
        let mut state = self.0.state.lock();
        to_front(&mut state.items, &mut got);
        let wakes = state.settle(self.0.bound);
        drop(state);
        fire_all(wakes);
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> IntoIterator for &Queue<T> {
    type Item = T;
    type IntoIter = QueueIter<T>;

    fn into_iter(self) -> QueueIter<T> {
        self.iter()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("bound", &self.bound())
            .field("closed", &self.is_closed())
            .finish()
    }
}

//! Topics: events that are logged under a name, of which the newest are kept and anybody may hear.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_core::Stream;

use super::line::{Key, Left, Line, Told, Wake, fire_all, let_go};
use super::names::taken;
use super::turn::{Entered, Failed, Seat, Source, Turn, try_once, wait, wait_timeout};
use crate::error::{Error, TaskError, TaskErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// Events that a topic keeps.
pub(crate) const HISTORY: usize = 1_000;

/// The topics of one executor.
#[derive(Default)]
pub(crate) struct Topics(Mutex<HashMap<Box<str>, Arc<dyn Open>>>);

/// A topic of any type.
trait Open: Any + Send + Sync {
    fn end(&self);
}

struct Topic<T>(Arc<Log<T>>);

/// What a topic and its subscriptions share.
struct Log<T>(Mutex<Events<T>>);

/// An event, when it was logged, and its number.
struct Entry<T> {
    number: u64,
    at: SystemTime,
    event: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { event: self.event.clone(), ..*self }
    }
}

struct Events<T> {
    newest: VecDeque<Entry<T>>,
    /// The number of the next event.
    next: u64,
    ended: bool,
    /// Wait for the next event.
    line: Line<u64, Entry<T>>,
}

impl<T: Send + Sync + 'static> Open for Topic<T> {
    fn end(&self) {
        let mut events = self.0.0.lock();
        events.ended = true;
        let wakes = events.line.refuse_all(|_| ());
        drop(events);
        fire_all(wakes);
    }
}

impl Topics {
    fn log<T: Send + Sync + 'static>(&self, name: &str) -> Result<Arc<Log<T>>, Error> {
        let mut topics = self.0.lock();
        let topic = match topics.get(name) {
            Some(topic) => topic.clone(),
            None => {
                let events = Events { newest: VecDeque::new(), next: 0, ended: false, line: Line::default() };
                let topic: Arc<dyn Open> = Arc::new(Topic(Arc::new(Log::<T>(Mutex::new(events)))));
                topics.insert(name.into(), topic.clone());
                topic
            }
        };
        drop(topics);
        let topic: &dyn Any = &*topic;
        let topic =
            topic.downcast_ref::<Topic<T>>().ok_or_else(|| taken("topic", name, "with events of another type"))?;
        Ok(topic.0.clone())
    }

    pub(crate) fn log_event<T: Send + Sync + 'static>(&self, name: &str, event: T) -> Result<(), Error> {
        self.log(name)?.add(event);
        Ok(())
    }

    pub(crate) fn subscribe<T: Send + Sync + 'static>(&self, name: &str) -> Result<Subscription<T>, Error> {
        let log = self.log(name)?;
        let next = log.0.lock().next;
        Ok(Subscription { seat: Seat::new(Listening(log)), next, missed: 0 })
    }

    pub(crate) fn events<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<Vec<(SystemTime, T)>, Error> {
        if !self.0.lock().contains_key(name) {
            return Ok(Vec::new());
        }
        let newest = self.log::<T>(name)?.0.lock().newest.clone();
        Ok(newest.into_iter().map(|entry| (entry.at, Arc::unwrap_or_clone(entry.event))).collect())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.lock().keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn end(&self, name: &str) -> bool {
        let topic = self.0.lock().remove(name);
        topic.is_some_and(|topic| {
            topic.end();
            true
        })
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        std::mem::take(&mut *self.0.lock()).values().for_each(|topic| topic.end());
    }
}

impl<T> Log<T> {
    fn add(&self, event: T) {
        let event = Arc::new(event);
        let mut events = self.0.lock();
        let entry = Entry { number: events.next, at: SystemTime::now(), event };
        events.next += 1;
        let oldest = if events.newest.len() == HISTORY { events.newest.pop_front() } else { None };
        events.newest.push_back(entry.clone());
        let wakes = events.line.grant_all(|_| entry.clone());
        drop(events);
        fire_all(wakes);
        // The events are the user's: their drops may panic.
        drop((oldest, entry));
    }
}

/// The events of a topic from the moment of [`Executor::subscribe`](crate::Executor::subscribe) on, each once, in order.
/// A [`Stream`] of them, and an iterator that blocks.
///
/// Who falls behind by more than the topic keeps (1,000) misses the oldest ([`missed`](Self::missed)). It ends with the
/// topic, and with the executor.
pub struct Subscription<T> {
    /// Of the stream; given up by all other ways to wait, since what it is told they have heard.
    seat: Seat<Listening<T>>,
    next: u64,
    missed: u64,
}

/// Those who wait for the next event.
struct Listening<T>(Arc<Log<T>>);

impl<T> Source for Listening<T> {
    type Want = u64;
    type Given = Entry<T>;
    type Grant = Entry<T>;

    fn enter(&self, next: u64, wake: &mut Option<Wake>) -> Entered<u64, Entry<T>> {
        let mut events = self.0.0.lock();
        if next < events.next {
            let oldest = events.next - events.newest.len() as u64;
            let index = next.saturating_sub(oldest) as usize;
            return match events.newest.get(index) {
                Some(entry) => Entered::Told(Told::Granted(entry.clone())),
                None => Entered::Told(Told::Refused(next)),
            };
        }
        if events.ended {
            return Entered::Told(Told::Refused(next));
        }
        match wake.take() {
            Some(wake) => Entered::Queued(events.line.join(next, wake)),
            None => Entered::Busy(next),
        }
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Line<u64, Entry<T>>) -> R) -> R {
        call(&mut self.0.0.lock().line)
    }

    fn leave(&self, key: Key) -> Left<u64, Entry<T>> {
        let (left, wake) = self.with_line(|line| line.leave(key));
        let_go(wake);
        left
    }

    fn receive(&self, entry: Entry<T>) -> Entry<T> {
        entry
    }
}

impl<T> Clone for Listening<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

fn why<W>(failed: Failed<W>) -> TaskError {
    match failed {
        Failed::Refused(_) => TaskError::new(TaskErrorKind::Closed("topic")),
        Failed::Ended(_, error) => error,
    }
}

impl<T: Clone> Subscription<T> {
    fn hear(&mut self, entry: Entry<T>) -> T {
        self.missed += entry.number - self.next;
        self.next = entry.number + 1;
        Arc::unwrap_or_clone(entry.event)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] when the topic, or the executor, has ended and nothing is left. Within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`] if
    /// the executor may make no further thread.
    pub fn recv(&mut self) -> Result<T, TaskError> {
        self.seat.give_up();
        let entry = wait(self.seat.source(), self.next).map_err(why)?;
        Ok(self.hear(entry))
    }

    /// As [`recv`](Self::recv), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`TaskError::is_timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, TaskError> {
        self.seat.give_up();
        let entry = wait_timeout(self.seat.source(), self.next, timeout).map_err(why)?;
        Ok(self.hear(entry))
    }

    /// The next event, if it was logged already.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), of a topic that has ended.
    pub fn try_recv(&mut self) -> Result<Option<T>, TaskError> {
        self.seat.give_up();
        let entry = try_once(self.seat.source(), self.next).map_err(why)?;
        Ok(entry.map(|entry| self.hear(entry)))
    }

    /// As [`recv`](Self::recv), awaited under any async runtime.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), of a topic that has ended.
    pub async fn recv_async(&mut self) -> Result<T, TaskError>
    where
        T: Send + Sync,
    {
        self.seat.give_up();
        let entry = Turn::new(self.seat.source().clone(), self.next).await.map_err(why)?;
        Ok(self.hear(entry))
    }

    /// How many events went by unheard because the topic does not keep so many.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl<T: Clone> Iterator for Subscription<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.recv().ok()
    }
}

impl<T> Unpin for Subscription<T> {}

impl<T: Clone> Stream for Subscription<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let polled = match this.seat.is_in_line() {
            true => this.seat.check(context.waker()),
            false => this.seat.enter(context.waker(), this.next),
        };
        polled.map(|entry| entry.ok().map(|entry| this.hear(entry)))
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("next", &self.next).field("missed", &self.missed).finish()
    }
}

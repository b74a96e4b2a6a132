//! Waits for a time: `sleep`, `interval`, `timeout`.

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::block::block_on;
use super::event_loop::{self, Loop};
use super::timers::{Action, Key};
use crate::error::{TaskError, TaskErrorKind};

/// A wait for a time; see [`sleep`]. It may be awaited again, and is dropped without a trace.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Sleep {
    /// None: never.
    at: Option<Instant>,
    timer: Option<Timer>,
}

/// A place among the timers, given back when it is dropped.
struct Timer {
    of: &'static Loop,
    key: Key,
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Ok(timers) = self.of.timers() {
            timers.cancel(self.key);
        }
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

/// Waits for at least `duration` from now: never less, and at most a millisecond or so more on a machine that is not
/// overloaded. O(log timers).
///
/// # Errors
/// Awaited: [`TaskError::is_io`] if the event loop cannot be started, [`TaskError::is_forked`] if a wait was begun in the
/// parent of this process.
///
/// ```
/// use std::time::{Duration, Instant};
/// let ex = heist::Executor::new()?;
/// let begin = Instant::now();
/// ex.spawn(heist::io::sleep(Duration::from_millis(3))).result()??;
/// assert!(begin.elapsed() >= Duration::from_millis(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { at: Instant::now().checked_add(duration), timer: None }
}

/// As [`sleep`], until a given time.
///
/// ```
/// use std::time::{Duration, Instant};
/// let at = Instant::now() + Duration::from_millis(2);
/// heist::io::sleep_until(at).wait()?;
/// assert!(Instant::now() >= at);
/// # Ok::<(), heist::TaskError>(())
/// ```
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep { at: Some(at), timer: None }
}

impl Sleep {
    /// Blocks until then. A task lends its core meanwhile.
    ///
    /// # Errors
    /// [`TaskError::is_cancelled`] when the task that waits is cancelled or its executor closed, [`TaskError::is_stalled`]
    /// as for every wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// let ex = heist::Executor::builder().workers(1).build()?;
    /// let sleeps = ex.submit(|| heist::io::sleep(Duration::from_secs(3600)).wait());
    /// assert_eq!(ex.submit(|| 6 * 7).result()?, 42);
    /// sleeps.cancel("slept enough");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result<(), TaskError> {
        match block_on(pending::<()>(), self.at) {
            Err(error) if error.is_timeout() => Ok(()),
            other => other,
        }
    }

    /// Whether the time has come.
    ///
    /// ```
    /// use std::time::Duration;
    /// use heist::io::sleep;
    /// assert!(sleep(Duration::ZERO).is_over() && !sleep(Duration::MAX).is_over());
    /// ```
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }
}

impl Future for Sleep {
    type Output = Result<(), TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_over() {
            self.timer = None;
            return Poll::Ready(Ok(()));
        }
        let Some(at) = self.at else { return Poll::Pending };
        if let Some(timer) = &self.timer {
            match timer.of.timers() {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(timers) if timers.renew(timer.key, context.waker()) => return Poll::Pending,
                Ok(_) => self.timer = None,
            }
        }
        match Timer::new(at, Action::Wake(context.waker().clone())) {
            Ok(timer) => self.timer = Some(timer),
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Pending
    }
}

impl Timer {
    fn new(at: Instant, action: Action) -> Result<Self, TaskError> {
        let of = event_loop::get()?;
        Ok(Self { of, key: of.add(at, action)? })
    }
}

/// Ends `future` after `limit`, counted from the call. It is polled once in any case, so a limit of zero tries it.
///
/// # Errors
/// Awaited: [`TaskError::is_timeout`] when the time ran out; then `future` is dropped. Those of [`sleep`].
///
/// ```
/// use std::time::Duration;
/// use heist::io::timeout;
/// let ex = heist::Executor::new()?;
/// let (promise, future) = ex.promise::<u32>();
/// let early = ex.spawn(timeout(Duration::from_millis(1), future.clone()));
/// assert!(early.into_result().unwrap()?.unwrap_err().is_timeout());
/// promise.fulfil(4);
/// let late = ex.spawn(timeout(Duration::ZERO, future));
/// assert_eq!(late.into_result().unwrap()???, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn timeout<F: IntoFuture>(limit: Duration, future: F) -> impl Future<Output = Result<F::Output, TaskError>> {
    let mut sleep = sleep(limit);
    let future = future.into_future();
    async move {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(&mut sleep).poll(context).map(|over| Err(over.err().unwrap_or_else(out_of_time)))
        })
        .await
    }
}

/// The first tick to come of those that come every `period`, of which one was `due`; none if the clock cannot tell it.
pub(crate) fn next_tick(due: Instant, period: Duration) -> Option<Instant> {
    let period = period.max(Duration::from_nanos(1));
    let now = Instant::now();
    let behind = now.saturating_duration_since(due).as_nanos() % period.as_nanos();
    now.checked_sub(Duration::from_nanos_u128(behind)).unwrap_or(now).checked_add(period)
}

fn out_of_time() -> TaskError {
    TaskError::new(TaskErrorKind::Timeout)
}

/// Ticks at a steady pace; see [`interval`].
#[derive(Debug)]
pub struct Interval {
    next: Sleep,
    period: Duration,
}

/// Ticks every `period`, for the first time one period from now. Ticks that nobody waited for are told as one, and the
/// next comes where it would have come anyway. A period of zero counts as a nanosecond.
///
/// ```
/// use std::time::{Duration, Instant};
/// let ex = heist::Executor::new()?;
/// let begin = Instant::now();
/// let ticks = ex.spawn(async {
///     let mut interval = heist::io::interval(Duration::from_millis(1));
///     for _ in 0..3 {
///         interval.tick().await?;
///     }
///     Ok::<_, heist::TaskError>(())
/// });
/// ticks.result()??;
/// assert!(begin.elapsed() >= Duration::from_millis(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn interval(period: Duration) -> Interval {
    let period = period.max(Duration::from_nanos(1));
    Interval { next: sleep(period), period }
}

impl Interval {
    /// Waits for the next tick; gives the time it was due.
    ///
    /// # Errors
    /// As [`sleep`].
    pub async fn tick(&mut self) -> Result<Instant, TaskError> {
        poll_fn(|context| self.poll_tick(context)).await
    }

    /// As [`tick`](Self::tick), blocking; a task lends its core meanwhile.
    ///
    /// # Errors
    /// As [`Sleep::wait`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let mut interval = heist::io::interval(Duration::from_millis(1));
    /// assert!(interval.wait()? < interval.wait()?);
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    #[track_caller]
    pub fn wait(&mut self) -> Result<Instant, TaskError> {
        self.next.wait()?;
        Ok(self.advance())
    }

    /// The tick that is due now, if one is.
    ///
    /// ```
    /// use std::time::Duration;
    /// assert!(heist::io::interval(Duration::from_secs(3600)).try_tick().is_none());
    /// ```
    #[must_use]
    pub fn try_tick(&mut self) -> Option<Instant> {
        self.next.is_over().then(|| self.advance())
    }

    fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Result<Instant, TaskError>> {
        Pin::new(&mut self.next).poll(context).map(|over| over.map(|()| self.advance()))
    }

    /// The tick that is due; the next is the first to come.
    fn advance(&mut self) -> Instant {
        let now = Instant::now();
        let due = self.next.at.unwrap_or(now);
        self.next = Sleep { at: next_tick(due, self.period), timer: None };
        due
    }
}

/// The times at which ticks were due; ends where [`tick`](Interval::tick) would give an error.
///
/// ```
/// use std::time::Duration;
/// use futures::StreamExt;
/// let ticks = heist::io::interval(Duration::from_millis(1)).take(3);
/// assert_eq!(futures::executor::block_on(ticks.count()), 3);
/// ```
impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(context).map(Result::ok)
    }
}

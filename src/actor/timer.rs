//! Timers of an actor: what it is told at a time, or again and again.

use std::panic::Location;
use std::time::{Duration, Instant};

use super::actor_ref::{ActorRef, WeakRef};
use crate::error::TaskError;
use crate::io::{TimerKey, after, cancel, next_tick};
use crate::panics;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// A timer of an actor; see [`ActorRef::tell_after`] and [`ActorRef::tell_every`]. Stopped when this is dropped, unless it is
/// [detached](Self::detach), and with its actor in any case.
#[must_use = "a timer is stopped when this is dropped"]
pub struct ActorTimer(Option<Arc<dyn Stop>>);

impl ActorTimer {
    /// Stops it: from now on the handler does not begin any more, not even if its time has come already. The same as
    /// dropping this.
    pub fn stop(self) {}

    /// Lets it run, until it is over or the actor ends.
    pub fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for ActorTimer {
    fn drop(&mut self) {
        if let Some(timer) = self.0.take() {
            timer.stop();
        }
    }
}

impl std::fmt::Debug for ActorTimer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActorTimer").finish_non_exhaustive()
    }
}

trait Stop: Send + Sync {
    fn stop(&self);
}

struct Timer<A, F> {
    actor: WeakRef<A>,
    location: &'static Location<'static>,
    period: Option<Duration>,
    now: Mutex<Now<F>>,
}

struct Now<F> {
    is_stopped: bool,
    /// In the event loop.
    alarm: Option<TimerKey>,
    /// With the actor.
    at_end: Option<u64>,
    /// The handler, unless it is in a message: then the timer waits for that.
    handler: Option<F>,
}

/// A handler on its way through the mailbox; goes back when it has run.
struct Ringing<A: Send + 'static, F: FnMut(&mut A) + Send + 'static> {
    timer: Arc<Timer<A, F>>,
    handler: Option<F>,
    due: Instant,
    has_run: bool,
}

impl<A: Send + 'static, F: FnMut(&mut A) + Send + 'static> Timer<A, F> {
    fn start(
        actor: &ActorRef<A>,
        location: &'static Location<'static>,
        delay: Duration,
        period: Option<Duration>,
        handler: F,
    ) -> Result<ActorTimer, TaskError> {
        let core = actor.core();
        if core.registry.may_refuse() {
            core.registry.admit()?;
        }
        let now = Now { is_stopped: false, alarm: None, at_end: None, handler: Some(handler) };
        let timer = Arc::new(Self { actor: actor.downgrade(), location, period, now: Mutex::new(now) });
        let ending = timer.clone();
        let Some(at_end) = core.at_end(Box::new(move || ending.stop())) else {
            return Err(TaskError::new(core.refusal()));
        };
        timer.now.lock().at_end = Some(at_end);
        match timer.arm(Instant::now().checked_add(delay)) {
            Ok(()) => Ok(ActorTimer(Some(timer))),
            Err(error) => {
                timer.stop();
                Err(error)
            }
        }
    }

    /// Has it ring at a time; without one, never.
    fn arm(self: &Arc<Self>, at: Option<Instant>) -> Result<(), TaskError> {
        let Some(at) = at else { return Ok(()) };
        let timer = self.clone();
        let mut now = self.now.lock();
        if !now.is_stopped {
            now.alarm = Some(after(at, move || timer.ring(at))?);
        }
        Ok(())
    }

    /// Sends the handler to the actor. Called by the event loop, whose thread runs nothing of the user's: what is refused
    /// waits here for the end of the actor.
    fn ring(self: Arc<Self>, due: Instant) {
        let handler = {
            let mut now = self.now.lock();
            now.alarm = None;
            now.handler.take()
        };
        if handler.is_none() {
            return;
        }
        let mut ringing = Ringing { timer: self.clone(), handler, due, has_run: false };
        if let Some(actor) = self.actor.upgrade() {
            // The end of the actor stops the timer.
            let _ = actor.tell_now(self.location, move |state: &mut A| ringing.handle(state));
        }
    }
}

impl<A: Send + 'static, F: FnMut(&mut A) + Send + 'static> Ringing<A, F> {
    fn handle(&mut self, state: &mut A) {
        if !self.timer.now.lock().is_stopped
            && let Some(handler) = &mut self.handler
        {
            self.has_run = true;
            handler(state);
        }
    }
}

impl<A: Send + 'static, F: FnMut(&mut A) + Send + 'static> Drop for Ringing<A, F> {
    fn drop(&mut self) {
        let mut handler = self.handler.take();
        {
            let mut now = self.timer.now.lock();
            if !now.is_stopped {
                std::mem::swap(&mut now.handler, &mut handler);
            }
        }
        panics::catch_drop(|| drop(handler));
        if self.has_run {
            let next = self.timer.period.map(|period| self.timer.arm(next_tick(self.due, period)));
            if !matches!(next, Some(Ok(()))) {
                self.timer.stop();
            }
        }
    }
}

impl<A: Send + 'static, F: FnMut(&mut A) + Send + 'static> Stop for Timer<A, F> {
    fn stop(&self) {
        let core = self.actor.core();
        if core.registry.is_forked() {
            return;
        }
        let (alarm, at_end, handler) = {
            let mut now = self.now.lock();
            now.is_stopped = true;
            (now.alarm.take(), now.at_end.take(), now.handler.take())
        };
        alarm.into_iter().for_each(|alarm| _ = cancel(alarm));
        at_end.into_iter().for_each(|at_end| core.not_at_end(at_end));
        panics::catch_drop(|| drop(handler));
    }
}

impl<A: Send + 'static> ActorRef<A> {
    /// Tells the actor `handler` after `delay`. The timer does not keep the actor, nor does `shutdown` wait for it, and in a
    /// bounded mailbox it takes no room. With the feature `io`.
    ///
    /// # Errors
    /// As of [`try_tell`](Self::try_tell), and [`TaskError::is_io`] if the event loop cannot be started.
    ///
    /// ```
    /// use std::time::Duration;
    /// let ex = heist::Executor::new()?;
    /// let (promise, rung) = ex.promise();
    /// let actor = ex.actor(|| 7);
    /// let timer = actor.tell_after(Duration::from_millis(1), |n| promise.fulfil(*n))?;
    /// assert_eq!(rung.result()?, 7);
    /// let never = actor.tell_after(Duration::from_secs(3600), |_| unreachable!())?;
    /// never.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn tell_after(
        &self,
        delay: Duration,
        handler: impl FnOnce(&mut A) + Send + 'static,
    ) -> Result<ActorTimer, TaskError> {
        let mut handler = Some(handler);
        let once = move |state: &mut A| handler.take().into_iter().for_each(|handler| handler(state));
        Timer::start(self, Location::caller(), delay, None, once)
    }

    /// Tells the actor `handler` every `period`, for the first time one period from now. A tick that comes before the one
    /// before it was handled is left out; the next comes where it would have come anyway. Otherwise as
    /// [`tell_after`](Self::tell_after). A period of zero counts as a nanosecond.
    ///
    /// # Errors
    /// As of [`tell_after`](Self::tell_after).
    ///
    /// ```
    /// use std::time::Duration;
    /// let ex = heist::Executor::new()?;
    /// let (promise, third) = ex.promise();
    /// let clock = ex.actor(|| (0, Some(promise)));
    /// let timer = clock.tell_every(Duration::from_millis(1), |(ticks, promise)| {
    ///     *ticks += 1;
    ///     if *ticks == 3 && let Some(promise) = promise.take() {
    ///         promise.fulfil(*ticks);
    ///     }
    /// })?;
    /// assert_eq!(third.result()?, 3);
    /// drop(timer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn tell_every(
        &self,
        period: Duration,
        handler: impl FnMut(&mut A) + Send + 'static,
    ) -> Result<ActorTimer, TaskError> {
        Timer::start(self, Location::caller(), period, Some(period), handler)
    }
}

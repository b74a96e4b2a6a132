//! Async handlers: the actor waits for one before it handles the next message.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::core::{Core, state};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Promise, spawn_into};
use crate::panics;
use crate::primitive::atomic::{AtomicU8, Ordering};
use crate::task::{Action, Errand, Header, Listener, listen};

/// A future that may borrow the state of an actor.
pub(super) type Borrowing<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// Waits for a wake.
const WAITING: u8 = 0;
/// The turn is queued.
const QUEUED: u8 = 1;
/// A poll is under way.
const POLLING: u8 = 2;
/// A wake came during the poll.
const WOKEN: u8 = 3;
/// The handler has ended.
const ENDED: u8 = 4;

/// Wakes an async handler: has the turn of its actor queued. While one waits, the turn belongs to its alarm.
pub(super) struct Alarm {
    state: AtomicU8,
    core: NonNull<Core>,
}

// SAFETY: the core is touched only in the one step that takes the turn out of `WAITING`; until then the turn keeps it.
unsafe impl Send for Alarm {}
// SAFETY: as above.
unsafe impl Sync for Alarm {}

impl Alarm {
    /// The poll is over and the handler waits: gives the turn to the alarm, unless it was woken meanwhile.
    pub(super) fn rest(&self) -> bool {
        // ORDERING: AcqRel; Release passes the turn on to whoever wakes, Acquire takes over what a waker has done.
        self.state.compare_exchange(POLLING, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn queue(&self) {
        // SAFETY: the turn is this call's, and keeps the actor.
        let core = unsafe { self.core.as_ref() };
        let (registry, place) = (core.registry.clone(), core.place());
        // SAFETY: as above; it is given up here.
        unsafe { registry.queue_turn(self.core.cast(), place) };
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; a guess for the exchange.
        let mut now = self.state.load(Ordering::Relaxed);
        loop {
            let new = match now {
                WAITING => QUEUED,
                POLLING => WOKEN,
                _ => return,
            };
            // ORDERING: AcqRel; Acquire as told at `rest`, Release: what was done before the wake is seen by the poll.
            match self.state.compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(WAITING) => return self.queue(),
                Ok(_) => return,
                Err(seen) => now = seen,
            }
        }
    }
}

/// What came of a poll.
pub(super) enum Polled {
    Waits,
    Done,
    Panicked(TaskError),
    /// The actor ends with it.
    Stopped,
}

/// An async handler under way; it borrows the state, and goes before that does.
pub(super) struct Later {
    handler: Box<dyn Handler>,
    pub(super) alarm: Arc<Alarm>,
}

impl Later {
    pub(super) fn poll(&mut self) -> Polled {
        // ORDERING: AcqRel; as in `wake`.
        self.alarm.state.swap(POLLING, Ordering::AcqRel);
        let polled = self.handler.poll(&Waker::from(self.alarm.clone()));
        if !matches!(polled, Polled::Waits) {
            // ORDERING: Relaxed; nothing is read by whoever sees it.
            self.alarm.state.store(ENDED, Ordering::Relaxed);
        }
        polled
    }
}

trait Handler: Send {
    fn poll(&mut self, waker: &Waker) -> Polled;
}

/// The message after which the actor handles no other.
pub(super) struct Stop;

impl Errand for Stop {
    type Output = ();
    unsafe fn run(self, subject: NonNull<Header>) -> Result<(), TaskErrorKind> {
        let core = subject.cast::<Core>();
        let alarm = Arc::new(Alarm { state: AtomicU8::new(QUEUED), core });
        // SAFETY: the caller's promise.
        unsafe { core.as_ref() }.later.set(Some(Box::new(Later { handler: Box::new(Self), alarm })));
        Ok(())
    }
    fn name() -> &'static str {
        "stop"
    }
}

impl Handler for Stop {
    fn poll(&mut self, _: &Waker) -> Polled {
        Polled::Stopped
    }
}

struct Answering<R: Send + 'static> {
    future: Option<Borrowing<'static, R>>,
    reply: Reply<R>,
}

impl<R: Send + 'static> Handler for Answering<R> {
    fn poll(&mut self, waker: &Waker) -> Polled {
        let (Some(future), Some(promise)) = (&mut self.future, &self.reply.promise) else { return Polled::Done };
        let polled = if promise.is_done() {
            Ok(Poll::Ready(None))
        } else {
            let poll = || future.as_mut().poll(&mut Context::from_waker(waker)).map(Some);
            promise.within(|| panics::catch(poll))
        };
        match polled {
            Ok(Poll::Pending) => Polled::Waits,
            Ok(Poll::Ready(answer)) => {
                let future = self.future.take();
                panics::catch_drop(|| drop(future));
                if let (Some(promise), Some(answer)) = (self.reply.promise.take(), answer) {
                    promise.fulfil(answer);
                }
                Polled::Done
            }
            Err(kind) => {
                let future = self.future.take();
                panics::catch_drop(|| drop(future));
                Polled::Panicked(self.reply.fail(kind))
            }
        }
    }
}

impl<R: Send + 'static> Drop for Answering<R> {
    fn drop(&mut self) {
        let future = self.future.take();
        panics::catch_drop(|| drop(future));
    }
}

/// Where an answer goes. If there is none, that is told why.
pub(super) struct Reply<R: Send + 'static> {
    pub(super) promise: Option<Promise<R>>,
    core: NonNull<Core>,
}

// SAFETY: the core is only touched by who has the turn: messages are dropped by nobody else.
unsafe impl<R: Send + 'static> Send for Reply<R> {}

impl<R: Send + 'static> Reply<R> {
    pub(super) fn new(promise: Promise<R>, core: &Core) -> Self {
        Self { promise: Some(promise), core: NonNull::from(core) }
    }

    fn fail(&mut self, kind: TaskErrorKind) -> TaskError {
        match self.promise.take() {
            Some(promise) => promise.fail_as(kind),
            None => TaskError::new(kind),
        }
    }

    /// Whether anybody would have something of an answer.
    pub(super) fn is_wanted(&self) -> bool {
        self.promise.as_ref().is_some_and(Promise::is_wanted)
    }
}

impl<R: Send + 'static> Drop for Reply<R> {
    fn drop(&mut self) {
        if let Some(promise) = self.promise.take() {
            // SAFETY: who drops a message, or a handler under way, has the turn.
            let over = unsafe { self.core.as_ref() }.over();
            promise.fail_with(over.map_or(TaskErrorKind::Unwanted, super::core::Over::refusal));
        }
    }
}

/// The message that begins an async handler.
pub(super) struct Begin<A, R: Send + 'static, F> {
    pub(super) call: F,
    pub(super) reply: Reply<R>,
    pub(super) of: PhantomData<fn(A)>,
}

impl<A, R, F> Errand for Begin<A, R, F>
where
    A: Send + 'static,
    R: Send + 'static,
    F: for<'a> FnOnce(&'a mut A) -> Borrowing<'a, R> + Send + 'static,
{
    type Output = ();
    unsafe fn run(self, subject: NonNull<Header>) -> Result<(), TaskErrorKind> {
        let Self { call, mut reply, .. } = self;
        let core = subject.cast::<Core>();
        // SAFETY: the caller's promise.
        let core = unsafe { core.as_ref() };
        // SAFETY: as above.
        let Some(state) = (unsafe { state::<A>(core) }).filter(|_| reply.is_wanted()) else { return Ok(()) };
        let future = match panics::catch(|| call(state)) {
            // SAFETY: the state outlives the handler: it is dropped after it, and lent to nobody before its end.
            Ok(future) => unsafe { std::mem::transmute::<Borrowing<'_, R>, Borrowing<'static, R>>(future) },
            Err(kind) => return Err(TaskErrorKind::Dependency(reply.fail(kind))),
        };
        let alarm = Arc::new(Alarm { state: AtomicU8::new(QUEUED), core: subject.cast() });
        // When the answer is cancelled, a poll drops the future.
        if let Some(head) = reply.promise.as_ref().and_then(Promise::head) {
            let cancelled = alarm.clone();
            let listener = Listener::new(Action::Call(Box::new(move || cancelled.wake())));
            if listen(head, &listener).is_err() {
                listener.fire();
            }
        }
        let handler = Box::new(Answering { future: Some(future), reply });
        core.later.set(Some(Box::new(Later { handler, alarm })));
        Ok(())
    }
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
}

/// The message whose handler gives a future that runs beside the actor.
pub(super) struct Launch<A, R: Send + 'static, F> {
    pub(super) call: F,
    pub(super) reply: Reply<R>,
    pub(super) location: &'static Location<'static>,
    pub(super) of: PhantomData<fn(A)>,
}

impl<A, R, F, Fut> Errand for Launch<A, R, F>
where
    A: Send + 'static,
    R: Send + 'static,
    F: FnOnce(&mut A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    type Output = ();
    unsafe fn run(self, subject: NonNull<Header>) -> Result<(), TaskErrorKind> {
        let Self { call, mut reply, location, .. } = self;
        // SAFETY: the caller's promise.
        let core = unsafe { subject.cast::<Core>().as_ref() };
        // SAFETY: as above.
        let Some(state) = (unsafe { state::<A>(core) }).filter(|_| reply.is_wanted()) else { return Ok(()) };
        match panics::catch(|| call(state)) {
            Ok(future) => {
                if let Some(promise) = reply.promise.take() {
                    spawn_into(&core.registry, location, promise, future);
                }
                Ok(())
            }
            Err(kind) => Err(TaskErrorKind::Dependency(reply.fail(kind))),
        }
    }
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
}

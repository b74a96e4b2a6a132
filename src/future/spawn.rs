//! Std futures as tasks: polled on workers, woken from anywhere.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use super::promise::Promise;
use super::repeat::Wanted;
use super::task_future::TaskFuture;
use super::work::Plain;
use crate::error::{CancelReason, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{AtomicU8, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;
use crate::task::{Action, Handle, Listener, Priority, listen};

/// Nothing to do until a wake.
const IDLE: u8 = 0;
/// A poll is queued.
const QUEUED: u8 = 1;
/// A poll is under way.
const POLLING: u8 = 2;
/// A wake came during the poll.
const WOKEN: u8 = 3;
/// The future has ended; wakes do nothing any more.
const ENDED: u8 = 4;

struct AsyncTask<F: Future<Output: Send + 'static>> {
    state: AtomicU8,
    body: Mutex<Body<F>>,
    registry: Arc<Registry>,
    location: &'static Location<'static>,
    class: Priority,
}

/// The future and where its output goes; gone when it has ended.
struct Body<F: Future<Output: Send + 'static>> {
    future: Option<Pin<Box<F>>>,
    promise: Option<Promise<F::Output>>,
    started: bool,
}

/// Makes a task of a std future.
pub(crate) fn spawn<F>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    future: F,
) -> TaskFuture<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let (promise, output) = Promise::of_task::<F>(registry, location);
    start(registry, location, promise, &output, future);
    output
}

/// As [`spawn`], of a future about which more is said.
pub(crate) fn spawn_with<F>(wanted: Wanted, future: F) -> TaskFuture<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let Wanted { registry, location, options, .. } = wanted;
    let task = options.submit(&registry, location, Handle::is_cancelled, |rule| {
        let (promise, output) = Promise::with_rule(&registry, location, options.priority, rule);
        start(&registry, location, promise, &output, future);
        output.into_typed()
    });
    TaskFuture::new(task)
}

fn start<F>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    promise: Promise<F::Output>,
    output: &TaskFuture<F::Output>,
    future: F,
) where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    if !output.done() {
        spawn_into(registry, location, promise, future);
    }
}

/// As [`spawn`], for a promise that is there.
pub(crate) fn spawn_into<F>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    promise: Promise<F::Output>,
    future: F,
) where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let task = Arc::new(AsyncTask {
        state: AtomicU8::new(IDLE),
        body: Mutex::new(Body { future: Some(Box::pin(future)), promise: None, started: false }),
        registry: registry.clone(),
        location,
        class: promise.head().map(crate::task::Header::priority).unwrap_or_default(),
    });
    // When the output is cancelled, a poll drops the future.
    let cancelled = task.clone();
    let listener = Listener::new(Action::Call(Box::new(move || cancelled.wake())));
    let is_done = promise.head().is_none_or(|head| listen(head, &listener).is_err());
    task.body.lock().promise = Some(promise);
    if is_done {
        listener.fire();
    }
    task.wake();
}

impl<F: Future<Output: Send + 'static> + Send + 'static> AsyncTask<F> {
    fn queue(self: Arc<Self>) {
        let (registry, location, class) = (self.registry.clone(), self.location, self.class);
        let mut entry = QueuedPoll(Some(self));
        registry.submit_next(location, class, Plain(move || entry.run()));
    }

    /// Drops the future, and with it the task's last chance to end by itself.
    fn end(&self, kind: TaskErrorKind) {
        let mut body = self.body.lock();
        let (future, promise) = (body.future.take(), body.promise.take());
        drop(body);
        panics::catch_drop(move || drop(future));
        if let Some(promise) = promise {
            promise.fail_with(kind);
        }
    }

    fn poll(self: Arc<Self>) {
        // ORDERING: AcqRel; pairs with itself in `wake`: what was done before the wake is seen by the poll.
        self.state.swap(POLLING, Ordering::AcqRel);
        if self.poll_body() {
            // ORDERING: Relaxed; nothing is read by whoever sees it.
            return self.state.store(ENDED, Ordering::Relaxed);
        }
        // ORDERING: AcqRel; as above.
        if self.state.compare_exchange(POLLING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // ORDERING: Relaxed; only a poll changes this state, and this is it.
            self.state.store(QUEUED, Ordering::Relaxed);
            self.queue();
        }
    }

    /// Whether the future has ended.
    fn poll_body(self: &Arc<Self>) -> bool {
        let mut body = self.body.lock();
        let Body { future, promise: Some(promise), started } = &mut *body else { return true };
        // An output that nobody wants ends the future, unless it has begun and is only not waited for any more.
        let dead = promise.is_done() || !*started && !promise.is_wanted();
        *started = true;
        let waker = Waker::from(self.clone());
        let polled = match future {
            Some(future) if !dead => {
                let poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
                match promise.within(|| panics::catch(poll)) {
                    Ok(Poll::Pending) => return false,
                    Ok(Poll::Ready(output)) => Some(Ok(output)),
                    Err(panic) => Some(Err(panic)),
                }
            }
            _ => None,
        };
        let (future, promise) = (body.future.take(), body.promise.take());
        drop(body);
        panics::catch_drop(move || drop(future));
        match (promise, polled) {
            (Some(promise), Some(Ok(output))) => promise.fulfil(output),
            (Some(promise), Some(Err(panic))) => promise.fail_with(panic),
            _ => {}
        }
        true
    }
}

/// A poll in a queue. If the executor is closed before it is run, the task ends with it.
struct QueuedPoll<F: Future<Output: Send + 'static> + Send + 'static>(Option<Arc<AsyncTask<F>>>);

impl<F: Future<Output: Send + 'static> + Send + 'static> QueuedPoll<F> {
    fn run(&mut self) {
        if let Some(task) = self.0.take() {
            task.poll();
        }
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> Drop for QueuedPoll<F> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.end(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED));
        }
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> Wake for AsyncTask<F> {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; a guess for the exchange.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let new = match state {
                IDLE => QUEUED,
                POLLING => WOKEN,
                _ => return,
            };
            // ORDERING: AcqRel; as in `poll`.
            match self.state.compare_exchange_weak(state, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(IDLE) => return self.queue(),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }
}

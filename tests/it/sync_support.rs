//! What the tests of coordination share: every way to wait, tasks that wait, async waits by hand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use heist::{Executor, TaskError, TaskFuture};

use crate::support::until;

/// A time that has passed when a wait for it ends, and that a test can afford.
pub(crate) const SHORT: Duration = Duration::from_millis(20);
/// A time that does not pass.
pub(crate) const LONG: Duration = Duration::from_secs(1_000);

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future polled by hand.
pub(crate) struct ByHand<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    pub(crate) woken: Arc<Woken>,
}

impl<T> ByHand<T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(self.woken.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    /// Polls for the first time, and finds nothing yet.
    #[track_caller]
    pub(crate) fn waiting(future: impl Future<Output = T> + 'static) -> Self {
        let mut this = Self::new(future);
        assert!(this.poll().is_none(), "it is not there yet");
        this
    }

    /// Was woken, and finds it.
    #[track_caller]
    pub(crate) fn ready(&mut self) -> T {
        assert!(self.woken.times() > 0, "it was woken");
        self.poll().expect("it is there")
    }
}

/// A task that is blocked in `wait`: it has begun, and its core is lent, or `blocked` says so.
#[track_caller]
pub(crate) fn blocked<T: Send + 'static>(ex: &Executor, wait: impl FnOnce() -> T + Send + 'static) -> TaskFuture<T> {
    let (begun, has_begun) = std::sync::mpsc::channel();
    let task = ex.submit(move || {
        begun.send(()).unwrap();
        wait()
    });
    has_begun.recv_timeout(crate::support::SOON).unwrap();
    // Its worker runs something else, so it has lent the core. With several workers: all of them do.
    until("the core is lent", || ex.map(0..ex.workers() * 4, |_| ()).iter().all(|task| task.wait().is_ok()));
    task
}

/// `wait` ends with a timeout, after about the time asked for.
#[track_caller]
pub(crate) fn times_out<T>(wait: impl FnOnce(Duration) -> Result<T, TaskError>) {
    let started = Instant::now();
    let Err(error) = wait(SHORT) else { panic!("got what it could not get") };
    assert!(error.is_timeout(), "{error}");
    let took = started.elapsed();
    assert!(took >= SHORT && took < Duration::from_secs(10), "{took:?}");
}

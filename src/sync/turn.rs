//! Waiting for one's turn: a thread blocks, an async task is polled; either leaves the line when it is over.

#[cfg(not(heist_loom))]
use std::future::Future;
#[cfg(not(heist_loom))]
use std::pin::Pin;
#[cfg(not(heist_loom))]
use std::task::{Context, Poll, Waker};
#[cfg(not(heist_loom))]
use std::time::{Duration, Instant};

#[cfg(not(heist_loom))]
use super::line::let_go;
use super::line::{Key, Left, Line, Told, Wake};
#[cfg(not(heist_loom))]
use crate::error::{TaskError, TaskErrorKind};
#[cfg(not(heist_loom))]
use crate::primitive::park::Parker;
#[cfg(not(heist_loom))]
use crate::primitive::sync::Arc;
#[cfg(not(heist_loom))]
use crate::scheduler::sleep_unless_cancelled;

/// What one who comes finds.
#[derive(Debug)]
#[must_use]
pub(super) enum Entered<W, G> {
    Told(Told<W, G>),
    /// He is in line.
    Queued(Key),
    /// He would have to wait, and does not want to.
    Busy(W),
}

/// Something that is waited for.
pub(super) trait Source {
    /// What one wants of it.
    type Want;
    /// What he is given, as it lies in the line.
    type Given;
    /// What he makes of it.
    type Grant;

    /// Gets what one wants at once, or, with a way to be told, goes into the line and takes that from `wake`.
    fn enter(&self, want: Self::Want, wake: &mut Option<Wake>) -> Entered<Self::Want, Self::Given>;

    /// Calls with the line, under its lock.
    fn with_line<R>(&self, call: impl FnOnce(&mut Line<Self::Want, Self::Given>) -> R) -> R;

    /// Leaves the line; those behind go on if they can.
    fn leave(&self, key: Key) -> Left<Self::Want, Self::Given>;

    fn receive(&self, given: Self::Given) -> Self::Grant;

    /// Passes on what somebody was given who does not want it any more.
    fn pass_on(&self, given: Self::Given) {
        drop(self.receive(given));
    }
}

/// Why somebody has not got what he wanted, and what that was.
#[cfg(not(heist_loom))]
#[derive(Debug)]
pub(super) enum Failed<W> {
    /// It cannot be had any more.
    Refused(W),
    /// The wait ended.
    Ended(W, TaskError),
}

/// Tries once.
#[cfg(not(heist_loom))]
pub(super) fn try_once<S: Source>(source: &S, want: S::Want) -> Result<Option<S::Grant>, Failed<S::Want>> {
    match source.enter(want, &mut None) {
        Entered::Told(Told::Granted(given)) => Ok(Some(source.receive(given))),
        Entered::Told(Told::Refused(want)) => Err(Failed::Refused(want)),
        Entered::Queued(_) | Entered::Busy(_) => Ok(None),
    }
}

/// Blocks.
#[cfg(not(heist_loom))]
pub(super) fn wait<S: Source>(source: &S, want: S::Want) -> Result<S::Grant, Failed<S::Want>> {
    wait_until(source, want, None)
}

/// Blocks for no longer than `timeout`; tries once when that is zero.
#[cfg(not(heist_loom))]
pub(super) fn wait_timeout<S: Source>(
    source: &S,
    want: S::Want,
    timeout: Duration,
) -> Result<S::Grant, Failed<S::Want>> {
    if !timeout.is_zero() {
        return wait_until(source, want, Instant::now().checked_add(timeout));
    }
    match source.enter(want, &mut None) {
        Entered::Told(Told::Granted(given)) => Ok(source.receive(given)),
        Entered::Told(Told::Refused(want)) => Err(Failed::Refused(want)),
        Entered::Busy(want) => Err(Failed::Ended(want, timed_out())),
        Entered::Queued(_) => unreachable!("nobody goes into a line without a way to be told"),
    }
}

#[cfg(not(heist_loom))]
pub(super) fn timed_out() -> TaskError {
    TaskError::new(TaskErrorKind::Timeout)
}

#[cfg(not(heist_loom))]
fn wait_until<S: Source>(source: &S, want: S::Want, deadline: Option<Instant>) -> Result<S::Grant, Failed<S::Want>> {
    let parker = Arc::new(Parker::new());
    let key = match source.enter(want, &mut Some(Wake::Thread(parker.clone()))) {
        Entered::Queued(key) => key,
        Entered::Told(told) => return accept(source, told),
        Entered::Busy(want) => return Err(Failed::Ended(want, timed_out())),
    };
    let slept = sleep_unless_cancelled(&parker, deadline, || source.with_line(|line| line.is_told(&key)));
    match source.leave(key) {
        // Also when the wait has ended meanwhile: what was given is not lost.
        Left::Told(told) => accept(source, told),
        Left::Waiting(want) => Err(Failed::Ended(want, slept.err().unwrap_or_else(timed_out))),
    }
}

#[cfg(not(heist_loom))]
fn accept<S: Source>(source: &S, told: Told<S::Want, S::Given>) -> Result<S::Grant, Failed<S::Want>> {
    match told {
        Told::Granted(given) => Ok(source.receive(given)),
        Told::Refused(want) => Err(Failed::Refused(want)),
    }
}

/// The place of one async task, or of none; given back when dropped, with what was given.
#[cfg(not(heist_loom))]
pub(super) struct Seat<S: Source> {
    source: S,
    key: Option<Key>,
}

#[cfg(not(heist_loom))]
impl<S: Source> Seat<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source, key: None }
    }

    pub(super) fn source(&self) -> &S {
        &self.source
    }

    pub(super) fn is_in_line(&self) -> bool {
        self.key.is_some()
    }

    /// Gets what one wants, or goes into the line for it.
    pub(super) fn enter(&mut self, waker: &Waker, want: S::Want) -> Poll<Result<S::Grant, Failed<S::Want>>> {
        match self.source.enter(want, &mut Some(Wake::Task(waker.clone()))) {
            Entered::Told(told) => Poll::Ready(accept(&self.source, told)),
            Entered::Busy(want) => Poll::Ready(Err(Failed::Ended(want, timed_out()))),
            Entered::Queued(key) => {
                self.key = Some(key);
                Poll::Pending
            }
        }
    }

    /// What one in line was told; if nothing yet, `waker` is woken then.
    pub(super) fn check(&mut self, waker: &Waker) -> Poll<Result<S::Grant, Failed<S::Want>>> {
        // Before the place is in nobody's hands, and without the lock: a waker is user code.
        let wake = Wake::Task(waker.clone());
        let Some(key) = self.key.take() else { return Poll::Pending };
        let (other, told) = self.source.with_line(|line| (line.renew(&key, wake), line.is_told(&key)));
        let_go(Some(other));
        if !told {
            self.key = Some(key);
            return Poll::Pending;
        }
        match self.source.leave(key) {
            Left::Told(told) => Poll::Ready(accept(&self.source, told)),
            Left::Waiting(want) => Poll::Ready(Err(Failed::Ended(want, timed_out()))),
        }
    }

    /// Gives the place back.
    pub(super) fn give_up(&mut self) {
        if let Some(key) = self.key.take()
            && let Left::Told(Told::Granted(given)) = self.source.leave(key)
        {
            self.source.pass_on(given);
        }
    }
}

#[cfg(not(heist_loom))]
impl<S: Source> Drop for Seat<S> {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// A wait of an async task. Belongs to nobody: it keeps what it waits for.
#[cfg(not(heist_loom))]
pub(super) struct Turn<S: Source> {
    seat: Seat<S>,
    want: Option<S::Want>,
}

#[cfg(not(heist_loom))]
impl<S: Source> Turn<S> {
    pub(super) fn new(source: S, want: S::Want) -> Self {
        Self { seat: Seat::new(source), want: Some(want) }
    }
}

#[cfg(not(heist_loom))]
impl<S: Source> Unpin for Turn<S> {}

#[cfg(not(heist_loom))]
impl<S: Source> Future for Turn<S> {
    type Output = Result<S::Grant, Failed<S::Want>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { seat, want } = self.get_mut();
        match want.take() {
            Some(want) => seat.enter(context.waker(), want),
            None => seat.check(context.waker()),
        }
    }
}

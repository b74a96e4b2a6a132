//! Signals as a stream, for as long as somebody listens.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;
use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::block::block_on;
use super::event_loop::{self, Loop};
use super::handler;
use super::signal::{SIGNALS, Signal};
use super::waiting::{Ticket, Waiting};
use crate::error::{CancelReason, Error, ErrorKind, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// Signals that came and were not asked for yet, of one listener; further ones are dropped, as the system does.
const MOST_PENDING: usize = 1024;

/// Where the handlers leave signals for the loop.
pub(super) struct Post {
    /// How many listen, by signal.
    listening: [AtomicUsize; SIGNALS],
    sender: UnixStream,
    receiver: UnixStream,
    inboxes: Mutex<Vec<Weak<Inbox>>>,
}

impl Post {
    pub(super) fn new(system: &mio::Registry, token: Token) -> io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        system.register(&mut SourceFd(&receiver.as_raw_fd()), token, Interest::READABLE)?;
        let listening = [const { AtomicUsize::new(0) }; SIGNALS];
        Ok(Self { listening, sender, receiver, inboxes: Mutex::new(Vec::new()) })
    }

    /// Leaves `signal` for the loop, if anybody listens. Called by handlers.
    pub(super) fn deliver(&self, signal: Signal) -> bool {
        // ORDERING: Relaxed; a signal and the end of listening come in either order.
        if self.listening[signal.index()].load(Ordering::Relaxed) == 0 {
            return false;
        }
        // If it is full, more signals are under way than anybody counts.
        let _ = (&self.sender).write(&[signal.byte()]);
        true
    }

    /// Hands out what the handlers left. Called by the loop.
    pub(super) fn hand_out(&self) {
        let mut bytes = [0; 256];
        loop {
            match (&self.receiver).read(&mut bytes) {
                Ok(count) if count > 0 => bytes[..count].iter().for_each(|&byte| self.hand_out_one(byte.into())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    fn hand_out_one(&self, number: i32) {
        let Some(signal) = Signal::from_raw(number) else { return };
        let inboxes: Vec<_> = self.inboxes.lock().iter().filter_map(Weak::upgrade).collect();
        inboxes.iter().filter(|inbox| inbox.signals.contains(&signal)).for_each(|inbox| inbox.put(signal));
    }

    fn listen(&self, inbox: &Arc<Inbox>) -> io::Result<()> {
        let mut inboxes = self.inboxes.lock();
        for (at, &signal) in inbox.signals.iter().enumerate() {
            // ORDERING: Relaxed; as in `deliver`.
            self.listening[signal.index()].fetch_add(1, Ordering::Relaxed);
            if let Err(error) = handler::handle(signal) {
                drop(inboxes);
                self.end(&inbox.signals[..=at]);
                return Err(error);
            }
        }
        inboxes.push(Arc::downgrade(inbox));
        Ok(())
    }

    fn end(&self, signals: &[Signal]) {
        for signal in signals {
            // ORDERING: Relaxed; as in `deliver`.
            self.listening[signal.index()].fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn forget(&self, inbox: &Arc<Inbox>) {
        self.end(&inbox.signals);
        self.inboxes.lock().retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(inbox)));
    }
}

/// What has come for one listener.
struct Inbox {
    signals: Vec<Signal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Signal>,
    waiting: Waiting,
    is_closed: bool,
}

impl Inbox {
    fn put(&self, signal: Signal) {
        self.change(|state| {
            if state.pending.len() < MOST_PENDING {
                state.pending.push_back(signal);
            }
        });
    }

    /// Ends it; says whether it had ended before.
    fn close(&self) -> bool {
        self.change(|state| std::mem::replace(&mut state.is_closed, true))
    }

    /// Changes what is there, and wakes those who wait for a change.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let changed = change(&mut state);
        let woken = state.waiting.take();
        drop(state);
        for waker in woken {
            panics::catch_drop(|| waker.wake());
        }
        changed
    }

    /// The oldest signal; without one, `waker` is woken when one comes.
    fn take(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Result<Signal, TaskError>> {
        let waker = waker.clone();
        let mut state = self.state.lock();
        if let Some(signal) = state.pending.pop_front() {
            return Poll::Ready(Ok(signal));
        }
        if state.is_closed {
            return Poll::Ready(Err(TaskError::new(TaskErrorKind::Cancelled(CancelReason::WHILE_WAITING))));
        }
        let before = state.waiting.put(ticket, waker);
        drop(state);
        panics::catch_drop(|| drop(before));
        Poll::Pending
    }
}

/// Signals sent to this process, as they come.
///
/// While one of these lives, the signals it was made for do nothing else (handlers that the program had before are still
/// called). When the last one for a signal is dropped, what the system does by default holds again. Each of several gets
/// every signal. Signals that are sent while an equal one is under way may be told as one, as everywhere.
///
/// ```
/// use std::time::Duration;
/// use heist::io::{Signal, Signals};
/// let ex = heist::Executor::new()?;
/// let signals = Signals::new([Signal::USER_1])?;
/// let told = ex.spawn(async move { signals.next().await });
/// signal_hook::low_level::raise(Signal::USER_1.raw())?;
/// assert_eq!(told.result()??, Signal::USER_1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Signals {
    of: &'static Loop,
    inbox: Arc<Inbox>,
    /// Of the stream.
    ticket: Option<Ticket>,
}

impl Signals {
    /// Listens for `signals` from now on.
    ///
    /// # Errors
    /// [`Error::is_io`] when the system refuses, as it does for SIGKILL and the like, or the event loop cannot be started.
    ///
    /// ```
    /// use heist::io::{Signal, Signals};
    /// assert!(Signals::new(Signal::from_raw(9)).unwrap_err().is_io());
    /// ```
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> Result<Self, Error> {
        let refused = |source| Error::new(ErrorKind::Io { what: "signals cannot be listened for", source });
        let of = event_loop::get().map_err(|error| refused(io::Error::other(error)))?;
        let mut signals: Vec<_> = signals.into_iter().collect();
        signals.sort_unstable();
        signals.dedup();
        let inbox = Arc::new(Inbox { signals, state: Mutex::default() });
        of.post().and_then(|post| post.listen(&inbox)).map_err(refused)?;
        Ok(Self { of, inbox, ticket: None })
    }

    /// Waits for the next signal.
    ///
    /// # Errors
    /// Awaited: [`TaskError::is_forked`] in a child of the process that made this.
    pub fn next(&self) -> NextSignal<'_> {
        NextSignal { signals: self, ticket: None }
    }

    /// Blocks until the next signal. A task lends its core meanwhile.
    ///
    /// # Errors
    /// As [`next`](Self::next); [`TaskError::is_cancelled`] when the task that waits is cancelled or its executor closed;
    /// [`TaskError::is_stalled`] as for every wait.
    pub fn wait(&self) -> Result<Signal, TaskError> {
        block_on(self.next(), None)?
    }

    /// As [`wait`](Self::wait), for no longer than `timeout`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use heist::io::{Signal, Signals};
    /// let signals = Signals::new([Signal::USER_2])?;
    /// assert!(signals.wait_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Signal, TaskError> {
        block_on(self.next(), Instant::now().checked_add(timeout))?
    }

    /// The next signal, if one has come.
    #[must_use]
    pub fn try_next(&self) -> Option<Signal> {
        self.of.sources().ok()?;
        self.inbox.state.lock().pending.pop_front()
    }

    /// Listens no longer; all waits end with an error.
    pub(crate) fn close(&self) {
        if self.of.sources().is_ok()
            && !self.inbox.close()
            && let Ok(post) = self.of.post()
        {
            post.forget(&self.inbox);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.close();
    }
}

/// As by [`next`](Signals::next); ends where that would give an error.
impl Stream for Signals {
    type Item = Signal;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Signal>> {
        let Self { of, inbox, ticket } = self.get_mut();
        if of.sources().is_err() {
            return Poll::Ready(None);
        }
        inbox.take(ticket, context.waker()).map(Result::ok)
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signals").field(&self.inbox.signals).finish()
    }
}

/// A wait for a signal; see [`Signals::next`]. It is dropped without a trace.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct NextSignal<'a> {
    signals: &'a Signals,
    ticket: Option<Ticket>,
}

impl Future for NextSignal<'_> {
    type Output = Result<Signal, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { signals, ticket } = self.get_mut();
        signals.of.sources()?;
        signals.inbox.take(ticket, context.waker())
    }
}

impl Drop for NextSignal<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && self.signals.of.sources().is_ok()
        {
            let waker = self.signals.inbox.state.lock().waiting.remove(ticket);
            panics::catch_drop(|| drop(waker));
        }
    }
}

//! What the system is asked to watch, and who waits for it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::task::Waker;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::waiting::{Ticket, Waiting};
use crate::panics;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// What is asked for while nobody waits: next to nothing, so that traffic nobody waits for does not wake the loop.
const NOTHING: Interest = Interest::PRIORITY;

/// One way of being ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

/// A watched file. Its descriptor is a duplicate, so that two watches of one file are two to the system, and a number
/// that is closed elsewhere and given out anew leads nobody astray.
pub(super) struct Source {
    fd: OwnedFd,
    token: Token,
    state: Mutex<State>,
}

struct State {
    readers: Waiting,
    writers: Waiting,
    is_armed: bool,
}

impl State {
    fn of(&mut self, side: Side) -> &mut Waiting {
        match side {
            Side::Read => &mut self.readers,
            Side::Write => &mut self.writers,
        }
    }
}

impl Source {
    /// Whether it is ready now. Errors of the file count as readiness: the next read or write tells them.
    pub(super) fn is_ready(&self, side: Side) -> io::Result<bool> {
        let wanted = match side {
            Side::Read => PollFlags::IN | PollFlags::RDHUP,
            Side::Write => PollFlags::OUT,
        };
        let mut asked = [PollFd::new(&self.fd, wanted)];
        loop {
            match poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has `waker` woken when it is, or was meanwhile, ready: asked again, the system tells of what is so already.
    pub(super) fn wait(
        &self,
        system: &mio::Registry,
        side: Side,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> io::Result<()> {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let before = state.of(side).put(ticket, waker);
        let interest = match (state.readers.is_empty(), state.writers.is_empty()) {
            (false, true) => Interest::READABLE,
            (true, false) => Interest::WRITABLE,
            (true, true) | (false, false) => Interest::READABLE | Interest::WRITABLE,
        };
        let armed = system.reregister(&mut SourceFd(&self.fd.as_raw_fd()), self.token, interest);
        state.is_armed = true;
        drop(state);
        panics::catch_drop(|| drop(before));
        armed
    }

    pub(super) fn give_up(&self, side: Side, ticket: Ticket) {
        let waker = self.state.lock().of(side).remove(ticket);
        panics::catch_drop(|| drop(waker));
    }

    /// Wakes those who wait for what the system tells. They look themselves whether it is so.
    pub(super) fn tell(&self, system: &mio::Registry, event: &Event) {
        let mut state = self.state.lock();
        if state.is_armed && state.readers.is_empty() && state.writers.is_empty() {
            // Nobody waits any more; a refusal costs some wakes for nothing.
            let _ = system.reregister(&mut SourceFd(&self.fd.as_raw_fd()), self.token, NOTHING);
            state.is_armed = false;
            return;
        }
        let mut woken = Vec::new();
        if event.is_readable() || event.is_read_closed() || event.is_priority() || event.is_error() {
            woken.extend(state.readers.take());
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            woken.extend(state.writers.take());
        }
        drop(state);
        for waker in woken {
            panics::catch_drop(|| waker.wake());
        }
    }
}

/// All that is watched, by token.
pub(super) struct Sources(Mutex<Table>);

struct Table {
    sources: HashMap<Token, Arc<Source>>,
    /// No token is used twice: what the system tells late is not taken for something else.
    last: Token,
}

impl Sources {
    pub(super) fn new(last: Token) -> Self {
        Self(Mutex::new(Table { sources: HashMap::new(), last }))
    }

    pub(super) fn add(&self, system: &mio::Registry, fd: impl AsFd) -> io::Result<Arc<Source>> {
        let fd = fd.as_fd().try_clone_to_owned()?;
        let mut table = self.0.lock();
        let token = Token(table.last.0 + 1);
        system.register(&mut SourceFd(&fd.as_raw_fd()), token, NOTHING)?;
        table.last = token;
        let state = State { readers: Waiting::default(), writers: Waiting::default(), is_armed: false };
        let source = Arc::new(Source { fd, token, state: Mutex::new(state) });
        table.sources.insert(token, source.clone());
        Ok(source)
    }

    pub(super) fn get(&self, token: Token) -> Option<Arc<Source>> {
        self.0.lock().sources.get(&token).cloned()
    }

    pub(super) fn remove(&self, system: &mio::Registry, source: &Source) {
        let removed = self.0.lock().sources.remove(&source.token);
        // Before its descriptor goes. A refusal means that the system has forgotten it already.
        let _ = system.deregister(&mut SourceFd(&source.fd.as_raw_fd()));
        drop(removed);
    }
}

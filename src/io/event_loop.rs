//! The loop: one thread of the process, that sleeps until a time has come or the system has something to tell.

use std::io;
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use super::signal::Signal;
use super::signals::Post;
use super::sources::Sources;
use super::timers::{Action, Key, Timers};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::lock::Mutex;
use crate::{config, fork, panics, scheduler};

/// Processes in a row, each forked by the one before, that may have a loop.
const GENERATIONS: usize = 16;
/// What the waker of the loop is told by.
const WAKE: mio::Token = mio::Token(0);
/// What signals are told by.
const SIGNAL: mio::Token = mio::Token(1);
/// How often the loop looks at its timers when the system refuses it to sleep.
const COARSE: Duration = Duration::from_millis(10);

/// Where the loop of a process is; a child looks at a place that no thread of its parent was at work on.
struct Place {
    made: OnceLock<Loop>,
    making: Mutex<()>,
}

static PLACES: [Place; GENERATIONS] = [const { Place { made: OnceLock::new(), making: Mutex::new(()) } }; GENERATIONS];

pub(super) struct Loop {
    generation: u32,
    waker: mio::Waker,
    system: mio::Registry,
    timers: Timers,
    sources: Sources,
    /// Once anybody listens for signals.
    post: OnceLock<Post>,
    posting: Mutex<()>,
}

/// The loop of this process, started if it is not yet.
pub(super) fn get() -> Result<&'static Loop, TaskError> {
    let generation = fork::watch();
    let place = PLACES.get(generation as usize).ok_or_else(|| TaskError::new(TaskErrorKind::Forked))?;
    match place.made.get() {
        Some(made) => Ok(made),
        None => start(place, generation)
            .map_err(|source| TaskError::new(TaskErrorKind::Io { what: "the event loop cannot be started", source })),
    }
}

/// The loop of this process, if it has been started. May be called by a signal's handler.
pub(super) fn running() -> Option<&'static Loop> {
    PLACES.get(fork::generation() as usize)?.made.get()
}

#[cold]
fn start(place: &'static Place, generation: u32) -> io::Result<&'static Loop> {
    let _making = place.making.lock();
    if let Some(made) = place.made.get() {
        return Ok(made);
    }
    let poll = mio::Poll::new()?;
    let made = Loop {
        generation,
        waker: mio::Waker::new(poll.registry(), WAKE)?,
        system: poll.registry().try_clone()?,
        timers: Timers::new(),
        sources: Sources::new(SIGNAL),
        post: OnceLock::new(),
        posting: Mutex::new(()),
    };
    // A worker's thread would pass its one core on.
    let mask = if scheduler::is_worker_thread() { config::inherited_mask(true).ok() } else { None };
    let (sender, receiver) = mpsc::channel::<(&'static Loop, mio::Poll)>();
    std::thread::Builder::new().name("heist-io".to_owned()).spawn(move || {
        if let Some(mask) = mask {
            // Where the system refuses, it runs where it is.
            let _ = heist_numa::set_affinity(&mask);
        }
        if let Ok((made, poll)) = receiver.recv() {
            panics::serve();
            made.run(poll);
        }
    })?;
    let made = place.made.get_or_init(|| made);
    // The thread waits for it.
    let _ = sender.send((made, poll));
    Ok(made)
}

impl Loop {
    /// An error in a child of the process that the loop's thread is in: nothing there must touch what the parent uses.
    fn here(&self) -> Result<(), TaskError> {
        if self.generation == fork::generation() { Ok(()) } else { Err(TaskError::new(TaskErrorKind::Forked)) }
    }

    pub(super) fn timers(&self) -> Result<&Timers, TaskError> {
        self.here().map(|()| &self.timers)
    }

    pub(super) fn sources(&self) -> Result<&Sources, TaskError> {
        self.here().map(|()| &self.sources)
    }

    /// Where the system is told what to watch.
    pub(super) fn system(&self) -> Result<&mio::Registry, TaskError> {
        self.here().map(|()| &self.system)
    }

    /// Has `action` fired at `at`.
    pub(super) fn add(&self, at: Instant, action: Action) -> Result<Key, TaskError> {
        let (key, is_first) = self.timers()?.add(at, action);
        if is_first {
            // A refusal means that the waker's counter is full of wakes.
            let _ = self.waker.wake();
        }
        Ok(key)
    }

    /// Where signals are listened for.
    pub(super) fn post(&self) -> io::Result<&Post> {
        if let Some(post) = self.post.get() {
            return Ok(post);
        }
        let _posting = self.posting.lock();
        match self.post.get() {
            Some(post) => Ok(post),
            None => {
                let post = Post::new(&self.system, SIGNAL)?;
                Ok(self.post.get_or_init(|| post))
            }
        }
    }

    /// Tells `signal` to those who listen; false if nobody does. Called by handlers.
    pub(super) fn deliver(&self, signal: Signal) -> bool {
        self.post.get().is_some_and(|post| post.deliver(signal))
    }

    fn run(&self, mut poll: mio::Poll) {
        let mut events = mio::Events::with_capacity(1024);
        loop {
            let left = self.timers.plan().map(|at| at.saturating_duration_since(Instant::now()));
            match poll.poll(&mut events, left) {
                Ok(()) => events.iter().for_each(|event| self.tell(event)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => std::thread::park_timeout(left.map_or(COARSE, |left| left.min(COARSE))),
            }
            self.timers.fire();
        }
    }

    fn tell(&self, event: &mio::event::Event) {
        match event.token() {
            WAKE => {}
            SIGNAL => {
                if let Some(post) = self.post.get() {
                    post.hand_out();
                }
            }
            token => {
                if let Some(source) = self.sources.get(token) {
                    source.tell(&self.system, event);
                }
            }
        }
    }
}

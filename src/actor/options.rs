//! What can be said of an actor when it is made: name, place, mailbox, what a panic does.

use std::borrow::Cow;

use crate::task::Place;

/// What becomes of an actor one of whose handlers panics. The future of that message has the panic as its error either
/// way.
///
/// ```
/// use heist::{ActorOptions, OnPanic};
/// let ex = heist::Executor::new()?;
/// let counter = ex.actor_with(ActorOptions::new().on_panic(OnPanic::restart(|| 100)), || 0)?;
/// counter.ask(|n| { *n += 1; assert!(*n < 1, "too much") }).wait()?;
/// assert_eq!(counter.ask(|n| *n).result()?, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OnPanic<A>(pub(super) Reaction<A>);

pub(crate) enum Reaction<A> {
    Stop,
    Continue,
    Restart(Box<dyn Fn() -> A + Send + Sync>),
    RestartWith(fn() -> A),
}

impl<A> OnPanic<A> {
    /// It ends: its state, which may be broken, is dropped, and whatever is asked later fails with
    /// [`is_actor_ended`](crate::TaskError::is_actor_ended). The default.
    #[must_use]
    pub fn stop() -> Self {
        Self(Reaction::Stop)
    }

    /// It goes on with its state as the panic has left it.
    #[must_use]
    pub fn go_on() -> Self {
        Self(Reaction::Continue)
    }

    /// It goes on with a new state, made by `factory`; what waits in its mailbox is handled by that. If the factory
    /// panics, the actor ends.
    #[must_use]
    pub fn restart(factory: impl Fn() -> A + Send + Sync + 'static) -> Self {
        Self(Reaction::Restart(Box::new(factory)))
    }

    /// As [`restart`](Self::restart), by a function that captures nothing: another rank can be told of it.
    ///
    /// ```
    /// use heist::{ActorOptions, OnPanic};
    /// let ex = heist::Executor::new()?;
    /// let words = ex.actor_with(ActorOptions::new().on_panic(OnPanic::restart_with(Vec::new)), || vec!["a"])?;
    /// words.ask(|_| panic!("no")).wait()?;
    /// assert_eq!(words.ask(|words| words.len()).result()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn restart_with(factory: fn() -> A) -> Self {
        Self(Reaction::RestartWith(factory))
    }
}

impl<A> std::fmt::Debug for OnPanic<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Reaction::Stop => "stop",
            Reaction::Continue => "go on",
            Reaction::Restart(_) | Reaction::RestartWith(_) => "restart",
        })
    }
}

/// How an actor differs from the usual; see [`Executor::actor_with`](crate::Executor::actor_with).
///
/// ```
/// use heist::{ActorOptions, Place};
/// let ex = heist::Executor::new()?;
/// let options = ActorOptions::new().name("ledger").place(Place::Domain(0)).mailbox(100);
/// let actor = ex.actor_with(options, Vec::<u32>::new)?;
/// assert_eq!(actor.name(), "ledger");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ActorOptions<A> {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) place: Place,
    pub(super) bound: Option<usize>,
    pub(super) on_panic: OnPanic<A>,
}

impl<A> Default for ActorOptions<A> {
    fn default() -> Self {
        Self { name: None, place: Place::Any, bound: None, on_panic: OnPanic::stop() }
    }
}

/// The parts of [`ActorOptions`].
#[cfg(feature = "ranks")]
pub(crate) struct Parts<A> {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) place: Place,
    pub(crate) bound: Option<usize>,
    pub(crate) on_panic: Reaction<A>,
}

impl<A> ActorOptions<A> {
    #[cfg(feature = "ranks")]
    pub(crate) fn into_parts(self) -> Parts<A> {
        Parts { name: self.name, place: self.place, bound: self.bound, on_panic: self.on_panic.0 }
    }

    /// The usual.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it is called in reports and errors; by default its type's name.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where its messages are to be handled; workers elsewhere take them only when they find nothing else. By default it
    /// lives where it is talked to.
    pub fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// How many messages [told](crate::ActorRef::tell) may wait; who tells more waits for room. What is asked is not bounded:
    /// who asks waits for the answer. By default there is always room.
    pub fn mailbox(mut self, bound: usize) -> Self {
        self.bound = Some(bound);
        self
    }

    /// What a panic of a handler does.
    pub fn on_panic(mut self, reaction: OnPanic<A>) -> Self {
        self.on_panic = reaction;
        self
    }
}

//! What a rank knows of one actor: where it is, how it is written to, whether it has ended.

use std::fmt;
use std::panic::Location;
use std::sync::{OnceLock, Weak};

use super::Actors;
use super::function::Back;
use super::home::{Arrived, Home};
use super::letter::{Letter, What};
use super::outbox::Outbox;
use crate::actor::ActorRef;
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Plain, TaskFuture};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::object::{self, Asked, ObjectId, Reference};
use crate::rank::world::Shared;
use crate::scheduler::{Local, local};
use crate::task::{self, Priority, Unkept, Whereabouts};

/// As packed, and which of the references among them are to be fetched first.
pub(super) type Arguments = (Packed, Vec<u32>);

/// One for all references of this rank to an actor.
pub(super) struct Proxy {
    world: Arc<Shared>,
    actors: Arc<Actors>,
    id: ObjectId,
    reference: Reference,
    pub(super) is_bounded: bool,
    /// The actor itself, if this is its rank.
    home: OnceLock<Arc<Home>>,
    end: Arc<End>,
}

/// What is known of the actor's end.
#[derive(Default)]
struct End {
    /// Whether the home was asked to tell of it.
    is_watched: AtomicBool,
    state: Mutex<Ending>,
}

enum Ending {
    Open(Vec<Claim>),
    Over(Result<(), TaskError>),
}

impl Default for Ending {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

/// A future that tells of the end, which the executor does not wait for.
struct Claim(Option<Unkept<()>>);

impl Claim {
    fn tell(mut self, what: &Result<(), TaskError>) {
        match (self.0.take(), what) {
            (Some(claim), Ok(())) => claim.fulfil(()),
            (Some(claim), Err(error)) => claim.fail_as(error.for_dependents()),
            (None, _) => {}
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(claim) = self.0.take() {
            claim.fail(TaskErrorKind::PromiseDropped);
        }
    }
}

/// Tells those who wait, when it is run or dropped.
struct Telling(Vec<Claim>, Result<(), TaskError>);

impl Drop for Telling {
    fn drop(&mut self) {
        for claim in self.0.drain(..) {
            claim.tell(&self.1);
        }
    }
}

impl End {
    fn over(&self) -> Option<Result<(), TaskError>> {
        match &*self.state.lock() {
            Ending::Open(_) => None,
            Ending::Over(what) => Some(what.clone()),
        }
    }

    /// The home has told, or is lost.
    fn is_over(&self, world: &Arc<Shared>, what: Result<(), TaskError>) {
        let before = std::mem::replace(&mut *self.state.lock(), Ending::Over(what.clone()));
        if let Ending::Open(claims) = before
            && !claims.is_empty()
        {
            // What listens to them is the user's, and this is where messages are seen to.
            let telling = Telling(claims, what);
            world.registry().submit_next(Location::caller(), Priority::NORMAL, Plain(move || drop(telling)));
        }
    }
}

impl Proxy {
    /// The one for an actor that a reference has come to.
    pub(super) fn of(world: &Arc<Shared>, reference: Reference, is_bounded: bool) -> Arc<Self> {
        let (reference, id) = reference.named(world);
        let actors = Actors::of(world);
        let mut all = actors.proxies.lock();
        if let Some(known) = all.get(&id).and_then(Weak::upgrade) {
            drop(all);
            // The other count of this rank, not under the lock.
            drop(reference);
            return known;
        }
        let proxy = Arc::new(Self {
            world: world.clone(),
            actors: actors.clone(),
            id,
            reference,
            is_bounded,
            home: OnceLock::new(),
            end: Arc::default(),
        });
        all.insert(id, Arc::downgrade(&proxy));
        proxy
    }

    pub(super) fn id(&self) -> ObjectId {
        self.id
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(super) fn world(&self) -> &Arc<Shared> {
        &self.world
    }

    fn home(&self) -> Option<&Arc<Home>> {
        if let Some(home) = self.home.get() {
            return Some(home);
        }
        if self.world.rank() != self.id.home {
            return None;
        }
        let home = Home::find(&self.world, self.id)?;
        Some(self.home.get_or_init(|| home))
    }

    /// The actor, if it is one of this rank and has been made.
    pub(super) fn here<A: Send + 'static>(&self) -> Option<&ActorRef<A>> {
        self.home()?.actor()
    }

    /// As [`here`](Self::here), if no message waits that was sent before what is sent now.
    pub(super) fn free<A: Send + 'static>(&self) -> Option<&ActorRef<A>> {
        self.home()?.free_actor()
    }

    /// Why nothing is told any more, as far as this rank knows.
    fn admit(&self) -> Result<(), TaskError> {
        if let Some(error) = self.world.lost(self.id.home) {
            return Err(error.clone());
        }
        match self.end.over() {
            None => Ok(()),
            Some(Ok(())) => Err(TaskError::new(TaskErrorKind::ActorEnded(None))),
            Some(Err(error)) if error.is_rank_lost() || error.is_world_ended() => Err(error),
            Some(Err(error)) => Err(TaskError::new(TaskErrorKind::ActorEnded(Some(error)))),
        }
    }

    fn letter(&self, what: What, (packed, needs): Arguments) -> Letter {
        Letter { actor: self.id, what, sender: local(Local::sender), packed, needs }
    }

    /// Tells the actor, unless it is known to have ended.
    pub(super) fn tell(&self, what: What, arguments: Arguments) -> Result<(), TaskError> {
        self.admit()?;
        self.watch();
        self.send(what, arguments)
    }

    /// Sends what no answer comes to.
    fn send(&self, what: What, arguments: Arguments) -> Result<(), TaskError> {
        let (world, letter) = (&self.world, self.letter(what, arguments));
        let home = self.id.home;
        if home == world.rank() {
            self.actors.take(world, Arrived { from: home, letter, back: Back::Nowhere });
            return Ok(());
        }
        let outbox = self.actors.outbox(world, home).ok_or_else(no_such_rank)?;
        Outbox::tell(outbox, world, home, letter, &self.reference)
    }

    /// Sends what an answer comes to; `done` is called with it, or goes when there will be none.
    pub(super) fn ask(
        &self,
        what: What,
        arguments: Arguments,
        done: impl FnOnce(&Arc<Shared>, Result<Packed, TaskError>) + Send + 'static,
    ) {
        let (world, letter) = (&self.world, self.letter(what, arguments));
        let home = self.id.home;
        if home == world.rank() {
            return self.actors.take(world, Arrived { from: home, letter, back: Back::here(done) });
        }
        match self.actors.outbox(world, home) {
            Some(outbox) => outbox.ask(world, home, letter, &self.reference, done),
            None => done(world, Err(no_such_rank())),
        }
    }

    /// Has the actor made.
    pub(super) fn make(&self, what: What, arguments: Arguments) {
        self.ask(what, arguments, |_, _| ());
    }

    /// The actor, of this rank, cannot be made.
    pub(super) fn never_was(&self, error: TaskError) {
        object::keep(&self.world, self.id, Arc::new(Home::never(error)));
    }

    /// Has the home tell when the actor has ended.
    fn watch(&self) {
        // ORDERING: Relaxed; that one of several does it is all that matters.
        if !self.end.is_watched.swap(true, Ordering::Relaxed) {
            let end = self.end.clone();
            self.ask(What::Watch, Arguments::default(), move |world, what| end.is_over(world, what.map(drop)));
        }
    }

    /// A future of the actor's end.
    pub(super) fn ended(&self, location: &'static Location<'static>) -> TaskFuture<()> {
        let birth = || self.world.registry().birth(location);
        self.watch();
        let mut state = self.end.state.lock();
        TaskFuture::new(match &mut *state {
            Ending::Open(claims) => {
                let (claim, future) = task::unkept_aside(birth());
                claims.push(Claim(Some(claim)));
                future
            }
            Ending::Over(Ok(())) => task::with_value(birth(), (), Whereabouts::NOWHERE),
            Ending::Over(Err(error)) => task::with_error(birth(), error.for_dependents()),
        })
    }
}

impl Asked for Proxy {
    fn call_off(&self, number: u64, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        // Where it cannot be told, nothing is asked any more.
        let _ = self.send(What::Cancel { number, reason }, Arguments::default());
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.id).finish()
    }
}

fn no_such_rank() -> TaskError {
    TaskError::new(TaskErrorKind::Codec("an actor of a rank that is none".to_owned()))
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut all = self.actors.proxies.lock();
        // Another may have taken its place already.
        if all.get(&self.id).is_some_and(|other| other.strong_count() == 0) {
            all.remove(&self.id);
        }
    }
}

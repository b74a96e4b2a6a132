//! References to actors that may live on another rank, and how such are made.

use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::panic::Location;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Actors;
use super::function::Code;
use super::home::Home;
use super::letter::What;
use super::options::WireOptions;
use super::proxy::{Arguments, Proxy};
use crate::actor::{ActorOptions, ActorRef};
use crate::error::{Error, ErrorKind, TaskError, TaskErrorKind};
use crate::future::TaskFuture;
use crate::primitive::sync::Arc;
use crate::rank::codec::{lend_reference, take_reference};
use crate::rank::object::{self, Came, Source, await_elsewhere};
use crate::rank::task::{Args, pack_args};
use crate::rank::world::Shared;
use crate::rank::world::{Rank, World};
use crate::task;

/// A counted reference to an actor that may live on another rank; made by [`World::actor_on`]. It can be sent to any rank: as
/// an argument, within other values, in queues. On the rank where the actor lives it is as good as an [`ActorRef`].
///
/// What an [`ActorRef`] promises holds here too. Messages are functions that capture nothing, and arguments for them.
/// Messages of one sender are handled in the order they were sent. The actor ends when no rank has a reference any more.
///
/// ```
/// use heist::{Executor, Rank};
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let world = ranks[0].world();
/// let counter = world.actor_on(Rank(1), |(start,)| start, (40_u64,));
/// counter.tell(|n, (by,)| *n += by, (1,))?;
/// assert_eq!(counter.ask(|n, (by,)| { *n += by; *n }, (1,)).result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RemoteRef<A> {
    to: Arc<Proxy>,
    of: PhantomData<fn() -> A>,
}

impl<A: Send + 'static> RemoteRef<A> {
    fn new(to: Arc<Proxy>) -> Self {
        Self { to, of: PhantomData }
    }

    /// Has the actor run `handler` on its state and these arguments when all that was sent before is handled, as
    /// [`ActorRef::ask`]. The answer is the value of an ordinary future.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let words = ranks[0].world().actor_on(Rank(1), |()| Vec::new(), ());
    /// let counts: Vec<_> = ["a", "b"].map(|word| words.ask(|words, (word,)| {
    ///     words.push(word);
    ///     words.len()
    /// }, (word.to_owned(),))).into();
    /// assert_eq!(ranks[0].gather(counts)?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn ask<I, R>(&self, handler: fn(&mut A, I::Values) -> R, args: I) -> TaskFuture<R>
    where
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        match self.direct(args) {
            Ok((actor, values)) => actor.ask(move |state| handler(state, values)),
            Err(args) => self.answer(sent(self.to.world(), handler, &args), Location::caller(), |code, number| {
                What::Ask { code, number }
            }),
        }
    }

    /// The actor itself, and the values for it, where it lives on this rank and nothing has to be waited for first.
    fn direct<I: Args>(&self, args: I) -> Result<(&ActorRef<A>, I::Values), I> {
        match self.to.free::<A>().filter(|_| args.is_here()) {
            Some(actor) => match args.into_values() {
                Some(values) => Ok((actor, values)),
                None => unreachable!("just looked at"),
            },
            None => Err(args),
        }
    }

    /// Sends a letter, and gives the future of its answer.
    fn answer<R: DeserializeOwned + Send + 'static>(
        &self,
        sent: Result<(Code, Arguments), TaskError>,
        location: &'static Location<'static>,
        what: impl FnOnce(Code, u64) -> What,
    ) -> TaskFuture<R> {
        let world = self.to.world();
        let birth = world.registry().birth(location);
        let number = birth.id().0;
        let (code, arguments) = match sent {
            Ok(sent) => sent,
            Err(error) => return TaskFuture::new(task::with_error(birth, error)),
        };
        let answer = TaskFuture::new(await_elsewhere(world, birth, None, Source::Asked(self.to.clone())));
        if !answer.done() {
            self.to.ask(what(code, number), arguments, move |world, what| {
                world.awaited.came(world, number, what.map(Came::Here));
            });
        }
        answer
    }

    /// Has the actor run `handler`, and tells nobody what came of it, as [`ActorRef::tell`]. Of many that are told to actors of
    /// one rank, those that come close together travel together.
    ///
    /// If the actor has a [bounded](ActorOptions::mailbox) mailbox this waits for the word of its rank that there is room.
    ///
    /// # Errors
    /// [`TaskError::is_actor_ended`], as soon as this rank has heard of it; [`TaskError::is_rank_lost`]. Of a wait for room: as
    /// of any other wait.
    #[track_caller]
    pub fn tell<I: Args>(&self, handler: fn(&mut A, I::Values), args: I) -> Result<(), TaskError> {
        match self.direct(args) {
            Ok((actor, values)) => actor.tell(move |state| handler(state, values)),
            Err(args) if self.to.is_bounded => {
                self.tell_in_room(handler, &args, true, Location::caller()).move_or_clone()
            }
            Err(args) => self.tell_now(handler, &args),
        }
    }

    fn tell_now<I: Args>(&self, handler: fn(&mut A, I::Values), args: &I) -> Result<(), TaskError> {
        let (code, arguments) = sent(self.to.world(), handler, args)?;
        self.to.tell(What::Tell { code }, arguments)
    }

    /// As [`tell`](Self::tell), without waiting for room; it still waits for the word of the actor's rank, if the mailbox is
    /// bounded.
    ///
    /// # Errors
    /// As of `tell`, and [`TaskError::is_mailbox_full`].
    #[track_caller]
    pub fn try_tell<I: Args>(&self, handler: fn(&mut A, I::Values), args: I) -> Result<(), TaskError> {
        match self.direct(args) {
            Ok((actor, values)) => actor.try_tell(move |state| handler(state, values)),
            Err(args) if self.to.is_bounded => {
                self.tell_in_room(handler, &args, false, Location::caller()).move_or_clone()
            }
            Err(args) => self.tell_now(handler, &args),
        }
    }

    /// As [`tell`](Self::tell), for async tasks. Nothing is told before the future is polled.
    ///
    /// # Errors
    /// As of `tell`.
    #[track_caller]
    pub fn tell_async<I: Args + Send>(
        &self,
        handler: fn(&mut A, I::Values),
        args: I,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let location = Location::caller();
        async move {
            let told = match self.direct(args) {
                Ok((actor, values)) => return actor.tell_async(move |state| handler(state, values)).await,
                Err(args) if self.to.is_bounded => self.tell_in_room(handler, &args, true, location),
                Err(args) => return self.tell_now(handler, &args),
            };
            told.await
        }
    }

    /// A future of the word that there is room.
    fn tell_in_room<I: Args>(
        &self,
        handler: fn(&mut A, I::Values),
        args: &I,
        waits: bool,
        location: &'static Location<'static>,
    ) -> TaskFuture<()> {
        self.answer(sent(self.to.world(), handler, args), location, |code, _| What::TellInRoom { code, waits })
    }

    /// Ends the actor when all that was sent before is handled, as [`ActorRef::stop`].
    ///
    /// # Errors
    /// As of [`tell`](Self::tell).
    pub fn stop(&self) -> Result<(), TaskError> {
        match self.to.here::<A>() {
            Some(actor) => actor.stop(),
            None => self.to.tell(What::Stop, Arguments::default()),
        }
    }

    /// A future that ends when the actor does, as [`ActorRef::ended`]; also when its rank is lost, with
    /// [`TaskError::is_rank_lost`].
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let actor = ranks[0].world().actor_on(Rank(1), |()| 1, ());
    /// let ended = actor.ended();
    /// drop(actor);
    /// ended.result()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn ended(&self) -> TaskFuture<()> {
        match self.to.here::<A>() {
            Some(actor) => actor.ended(),
            None => self.to.ended(Location::caller()),
        }
    }

    /// Has `monitor`, an actor of this rank, told, once, when this actor ends, as [`ActorRef::monitor`].
    #[track_caller]
    pub fn monitor<B: Send + 'static>(
        &self,
        monitor: &ActorRef<B>,
        handler: impl FnOnce(&mut B, Result<(), TaskError>) + Send + 'static,
    ) {
        if let Some(actor) = self.to.here::<A>() {
            return actor.monitor(monitor, handler);
        }
        let monitor = monitor.downgrade();
        self.to.ended(Location::caller()).on_done(move |ended| {
            let why = ended.error().map_or(Ok(()), Err);
            if let Some(monitor) = monitor.upgrade() {
                // Nobody is told that the monitor has ended too.
                let _ = monitor.tell_now(Location::caller(), move |state| handler(state, why));
            }
        });
    }

    /// The rank that the actor lives on.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.to.id().home
    }

    /// The actor itself, where it lives on this rank and has been made.
    #[must_use]
    pub fn local(&self) -> Option<ActorRef<A>> {
        self.to.here::<A>().cloned()
    }
}

/// A handler and its arguments, for the way.
fn sent<A, I, R>(world: &Shared, handler: fn(&mut A, I::Values) -> R, args: &I) -> Result<(Code, Arguments), TaskError>
where
    A: Send + 'static,
    I: Args,
    R: Serialize + Send + 'static,
{
    Ok((Code::of_handler::<A, I::Read, R>(handler)?, pack_args(world, args)?))
}

impl World {
    /// Makes an actor on a rank, whose state `constructor` makes there, of these arguments. Messages can be sent at once. What
    /// goes wrong, also that there is no such rank, is the error of all that is asked of it.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let log = world.actor_on(Rank(1), |()| Vec::<String>::new(), ());
    /// log.tell(|lines, (line,)| lines.push(line), ("begun".to_owned(),))?;
    /// assert_eq!(log.ask(|lines, ()| lines.len(), ()).result()?, 1);
    /// let nowhere = world.actor_on(Rank(7), |()| 0_u32, ());
    /// assert!(nowhere.ask(|n, ()| *n, ()).result().unwrap_err().is_actor_ended());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn actor_on<A, I>(&self, rank: Rank, constructor: fn(I::Values) -> A, args: I) -> RemoteRef<A>
    where
        A: Send + 'static,
        I: Args,
    {
        self.make(rank, WireOptions::default(), constructor, &args)
    }

    /// As [`actor_on`](Self::actor_on), on the rank on which this one has made the fewest.
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use heist::Executor;
    /// let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let actors: Vec<_> = (0..3_u32).map(|n| world.actor(|(n,)| n, (n,))).collect();
    /// assert_eq!(actors.iter().map(|actor| actor.rank()).collect::<HashSet<_>>().len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn actor<A, I>(&self, constructor: fn(I::Values) -> A, args: I) -> RemoteRef<A>
    where
        A: Send + 'static,
        I: Args,
    {
        let rank = Actors::of(self.shared()).least(self.shared());
        self.actor_on(rank, constructor, args)
    }

    /// As [`actor_on`](Self::actor_on), of one that is not as usual.
    ///
    /// # Errors
    /// [`Error::is_impossible_place`] for a rank that there is not; [`Error::is_setting`] for a mailbox without room, and for
    /// a closure that makes new states, which cannot go to another rank
    /// ([`OnPanic::restart_with`](crate::OnPanic::restart_with) can).
    ///
    /// ```
    /// use heist::{ActorOptions, Executor, OnPanic, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let options = ActorOptions::new().name("total").mailbox(100).on_panic(OnPanic::go_on());
    /// let total = ranks[0].world().actor_with(Rank(1), options, |()| 0_u64, ())?;
    /// total.tell(|total, (n,)| *total += n, (5,))?;
    /// assert!(total.ask(|_, ()| -> u64 { panic!("no") }, ()).result().unwrap_err().is_panic());
    /// assert_eq!(total.ask(|total, ()| *total, ()).result()?, 5);
    /// assert_eq!(ranks[1].actors()[0].name, "total");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn actor_with<A, I>(
        &self,
        rank: Rank,
        options: ActorOptions<A>,
        constructor: fn(I::Values) -> A,
        args: I,
    ) -> Result<RemoteRef<A>, Error>
    where
        A: Send + 'static,
        I: Args,
    {
        if rank.index() >= self.size() {
            return Err(no_rank(rank, self.size()));
        }
        Ok(self.make(rank, WireOptions::of(options)?, constructor, &args))
    }

    fn make<A, I>(&self, rank: Rank, options: WireOptions, constructor: fn(I::Values) -> A, args: &I) -> RemoteRef<A>
    where
        A: Send + 'static,
        I: Args,
    {
        let world = self.shared();
        let sent = if rank.index() < self.size() {
            Code::of_constructor::<A, I::Read>(constructor).and_then(|code| Ok((code, pack_args(world, args)?)))
        } else {
            Err(TaskError::new(TaskErrorKind::Failed(Box::new(no_rank(rank, self.size())))))
        };
        // One that cannot be made is made out to be of this rank.
        let home = if sent.is_ok() { rank } else { world.rank() };
        let proxy = Proxy::of(world, object::name(world, home), options.is_bounded());
        match sent {
            Ok((code, arguments)) => proxy.make(What::Make { code, options }, arguments),
            Err(error) => proxy.never_was(error),
        }
        RemoteRef::new(proxy)
    }

    /// A reference to an actor of this rank that can be sent to others. It keeps the actor, as all do.
    ///
    /// ```
    /// use heist::{Executor, Rank, RemoteRef};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let total = ranks[0].actor(|| 0_u64);
    /// let adder = world.actor_on(Rank(1), |(total,): (RemoteRef<u64>,)| total, (world.share_actor(&total),));
    /// adder.ask(|total, (n,)| total.ask(|total, (n,)| *total += n, (n,)).result().is_ok(), (7_u64,)).result()?;
    /// assert_eq!(total.ask(|total| *total).result()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn share_actor<A: Send + 'static>(&self, actor: &ActorRef<A>) -> RemoteRef<A> {
        let world = self.shared();
        let (reference, id) = object::name(world, world.rank()).named(world);
        object::keep(world, id, Arc::new(Home::of(actor.clone())));
        RemoteRef::new(Proxy::of(world, reference, false))
    }
}

fn no_rank(rank: Rank, ranks: usize) -> Error {
    Error::new(ErrorKind::NoRank { rank: rank.0, ranks })
}

impl<A> Clone for RemoteRef<A> {
    fn clone(&self) -> Self {
        Self { to: self.to.clone(), of: PhantomData }
    }
}

/// References to the same actor are equal, if they come from the same making or [sharing](World::share_actor).
impl<A> PartialEq for RemoteRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.to.id() == other.to.id()
    }
}

impl<A> Eq for RemoteRef<A> {}

impl<A> Hash for RemoteRef<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to.id().hash(state);
    }
}

impl<A> fmt::Debug for RemoteRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.to.id();
        f.debug_struct("RemoteRef")
            .field("of", &format_args!("{}", type_name::<A>()))
            .field("rank", &id.home.0)
            .field("id", &format_args!("{}.{}", id.maker.0, id.number))
            .finish()
    }
}

/// A reference on its way: where it lies beside the bytes, and whether the mailbox is bounded.
#[derive(Serialize, Deserialize)]
struct Wire(u32, bool);

impl<A> Serialize for RemoteRef<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = lend_reference(self.to.reference().clone());
        let place = place
            .ok_or_else(|| S::Error::custom("a reference to an actor goes from rank to rank, and nowhere else"))?;
        Wire(place, self.to.is_bounded).serialize(serializer)
    }
}

impl<'de, A> Deserialize<'de> for RemoteRef<A> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Wire(place, is_bounded) = Wire::deserialize(from)?;
        let taken = take_reference(place);
        let (reference, world) =
            taken.ok_or_else(|| D::Error::custom("a reference to an actor that did not come along"))?;
        Ok(Self { to: Proxy::of(&world, reference, is_bounded), of: PhantomData })
    }
}

//! References to an actor: how it is talked to.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;

use super::core::{Call, Core, Whose, state};
use super::later::{Begin, Borrowing, Launch, Reply, Stop};
use super::room::{self, Place};
use super::turn::Turn;
use crate::error::{TaskError, TaskErrorKind, TaskId};
use crate::future::{Promise, TaskFuture};
use crate::panics;
use crate::scheduler::{Helping, Local, local};
use crate::task::{self, Errand, Message, Typed};

/// A counted reference to an actor: state that lives in one place, and handlers that run on it one after the other.
///
/// Messages of one sender are handled in the order they were sent. An actor has no thread: its handlers run on the workers,
/// and while they do on no two at once, so the state needs no lock. It yields after some messages when other tasks wait.
///
/// The actor ends when the last reference is dropped, after it has handled what was sent; references in its own state would
/// keep it for ever, [weak](Self::downgrade) ones do not. `shutdown(Wait)` waits for its messages, `shutdown(Cancel)` for
/// the handler that runs. A reference can be an input of a task, which then runs near the actor.
///
/// Closures are the messages, so a protocol needs no type. Where one is wanted, let the state have a method that takes it:
///
/// ```
/// enum Order { Deposit(u64), Withdraw(u64) }
///
/// #[derive(Default)]
/// struct Account { balance: u64 }
///
/// impl Account {
///     fn handle(&mut self, order: Order) -> Result<u64, &'static str> {
///         match order {
///             Order::Deposit(amount) => self.balance += amount,
///             Order::Withdraw(amount) => {
///                 self.balance = self.balance.checked_sub(amount).ok_or("too little")?;
///             }
///         }
///         Ok(self.balance)
///     }
/// }
///
/// let ex = heist::Executor::new()?;
/// let account = ex.actor(Account::default);
/// let send = |order| account.ask(|account| account.handle(order));
/// assert_eq!(send(Order::Deposit(5)).result()?, Ok(5));
/// assert_eq!(send(Order::Withdraw(7)).result()?, Err("too little"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ActorRef<A> {
    core: NonNull<Core>,
    of: PhantomData<fn() -> A>,
}

// SAFETY: a reference sends closures to the state, which is `Send`, and never lends it.
unsafe impl<A: Send> Send for ActorRef<A> {}
// SAFETY: as above.
unsafe impl<A: Send> Sync for ActorRef<A> {}

/// A reference that does not keep its actor from ending.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let actor = ex.actor(|| 7);
/// let weak = actor.downgrade();
/// assert_eq!(weak.upgrade().unwrap().ask(|n| *n).result()?, 7);
/// drop(actor);
/// assert!(weak.upgrade().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeakRef<A> {
    core: NonNull<Core>,
    of: PhantomData<fn() -> A>,
}

// SAFETY: as of `ActorRef`.
unsafe impl<A: Send> Send for WeakRef<A> {}
// SAFETY: as above.
unsafe impl<A: Send> Sync for WeakRef<A> {}

impl<A: Send + 'static> ActorRef<A> {
    /// # Safety
    /// One reference to an actor of `A`s is given to this.
    pub(super) unsafe fn from_counted(core: NonNull<Core>) -> Self {
        Self { core, of: PhantomData }
    }

    pub(super) fn core(&self) -> &Core {
        // SAFETY: a reference keeps its actor.
        unsafe { self.core.as_ref() }
    }

    /// Has the actor run `handler` on its state when all that was sent before is handled. The answer is the value of an
    /// ordinary future: gather it, depend on it, await it, cancel it. O(1).
    ///
    /// If the future is dropped or cancelled before, the handler does not run. A panic of the handler is the error of the
    /// future; what else it does is a matter of [`OnPanic`](crate::OnPanic).
    ///
    /// A task that waits for the answer handles the messages before it, and this one, on its own stack, if nobody else has
    /// begun and the worker was to do it next.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let counter = ex.actor(|| 0_u64);
    /// let counts: Vec<_> = (1..=100).map(|_| counter.ask(|n| { *n += 1; *n })).collect();
    /// assert_eq!(ex.gather(counts)?, (1..=100).collect::<Vec<_>>());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn ask<R, F>(&self, handler: F) -> TaskFuture<R>
    where
        F: FnOnce(&mut A) -> R + Send + 'static,
        R: Send + 'static,
    {
        let core = self.core();
        let (registry, location) = (&*core.registry, Location::caller());
        if registry.may_refuse()
            && let Err(error) = registry.admit()
        {
            return TaskFuture::new(task::with_error(registry.birth(location), error));
        }
        registry.count_created(1);
        let (answer, message) = task::ask(registry.birth(location), core.subject(), Call(handler, PhantomData));
        self.send(message);
        if registry.may_refuse() {
            registry.withdraw_if_late(answer.handle());
        }
        TaskFuture::new(answer)
    }

    #[inline]
    fn send(&self, message: Message) {
        let core = self.core();
        if let Err(message) = core.send(message) {
            message.refuse(core.refusal(), &mut Helping(&core.registry));
        }
    }

    /// Asks and waits: the same as `ask(handler)` and [`into_result`](TaskFuture::into_result), but for one thing. Within a
    /// task, when the actor has nothing to do and lives in this domain, the handler runs at once on this stack, at about
    /// the price of a lock.
    ///
    /// # Errors
    /// As of the answer, and of the wait for it.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let words = ex.actor(Vec::new);
    /// let caller = words.clone();
    /// let count = ex.submit(move || caller.call(|words| { words.push("a"); words.len() }));
    /// assert_eq!(count.result()??, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call<R, F>(&self, handler: F) -> Result<R, TaskError>
    where
        F: FnOnce(&mut A) -> R + Send + 'static,
        R: Send + 'static,
    {
        match local(|local| self.turn_here(local)) {
            Some(turn) => self.call_here(turn, handler, Location::caller()),
            None => match self.ask(handler).into_result() {
                Ok(result) => result,
                Err(_) => unreachable!("nobody else has the answer"),
            },
        }
    }

    /// The turn, if it is to be had for this thread.
    #[inline]
    fn turn_here(&self, local: &Local) -> Option<Turn> {
        let core = self.core();
        let may = local.serves(&core.registry)
            && local.current().is_some()
            && local.may_help()
            && !core.registry.may_refuse()
            && core.registry.is_here(local, core.place());
        // SAFETY: just claimed.
        (may && core.mailbox.claim()).then(|| unsafe { Turn::of(self.core) })
    }

    fn call_here<R>(
        &self,
        turn: Turn,
        handler: impl FnOnce(&mut A) -> R,
        location: &'static Location<'static>,
    ) -> Result<R, TaskError> {
        let core = self.core();
        let registry = &*core.registry;
        let answer = Local::within(core.subject(), || {
            // SAFETY: the turn is this call's. An actor that is idle has a state.
            panics::catch_here(|| unsafe { state::<A>(core) }.map(handler))
        });
        core.head.end_part_of_turn();
        let error = match answer {
            Ok(Some(answer)) => {
                turn.release(registry);
                return Ok(answer);
            }
            Ok(None) => TaskError::new(TaskErrorKind::ActorEnded(None)),
            Err(kind) => TaskError::of_task(kind, core.head.id(), location),
        };
        match turn.after_panic(error.clone()) {
            Ok(()) => turn.release(registry),
            Err(over) => {
                registry.count_created(1);
                turn.end(registry, over);
            }
        }
        Err(error)
    }

    /// Has the actor run `handler` on its state, and tells nobody what came of it. A panic of the handler counts as any
    /// other ([`OnPanic`](crate::OnPanic)). O(1).
    ///
    /// If the actor has a [bounded](crate::ActorOptions::mailbox) mailbox that is full, this waits for room; a task lends
    /// its core meanwhile. A handler never waits for room in its own actor's mailbox.
    ///
    /// # Errors
    /// [`TaskError::is_actor_ended`], or why the executor takes nothing any more. Of a wait for room: as of any other wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let sum = ex.actor(|| 0_u64);
    /// for i in 0..100 {
    ///     sum.tell(move |sum| *sum += i)?;
    /// }
    /// assert_eq!(sum.ask(|sum| *sum).result()?, 4950);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn tell(&self, handler: impl FnOnce(&mut A) + Send + 'static) -> Result<(), TaskError> {
        match self.core().room() {
            None => self.tell_now(Location::caller(), handler),
            Some(room) => {
                self.admit()?;
                let place = room::enter(room, self.core())?;
                self.tell_in(Location::caller(), place, handler)
            }
        }
    }

    /// Before a wait for room, which nobody might end.
    fn admit(&self) -> Result<(), TaskError> {
        let registry = &*self.core().registry;
        if registry.may_refuse() { registry.admit() } else { Ok(()) }
    }

    /// As [`tell`](Self::tell), without waiting.
    ///
    /// # Errors
    /// As of `tell`, and [`TaskError::is_mailbox_full`].
    ///
    /// ```
    /// use heist::ActorOptions;
    /// let ex = heist::Executor::new()?;
    /// let actor = ex.actor_with(ActorOptions::new().mailbox(1), || ())?;
    /// let (promise, gate) = ex.promise::<()>();
    /// actor.tell(move |()| { let _ = gate.wait(); })?;
    /// let full = (0..10).find_map(|_| actor.try_tell(|()| ()).err());
    /// assert!(full.unwrap().is_mailbox_full());
    /// promise.fulfil(());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_tell(&self, handler: impl FnOnce(&mut A) + Send + 'static) -> Result<(), TaskError> {
        match self.core().room() {
            None => self.tell_now(Location::caller(), handler),
            Some(room) => match room::try_enter(room, self.core()) {
                Some(place) => self.tell_in(Location::caller(), place, handler),
                None => Err(TaskError::new(TaskErrorKind::MailboxFull)),
            },
        }
    }

    /// As [`tell`](Self::tell), for async tasks. Nothing is told before the future is polled, nor if it is dropped early.
    ///
    /// # Errors
    /// As of `tell`.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let actor = ex.actor(|| 1);
    /// let teller = actor.clone();
    /// ex.spawn(async move { teller.tell_async(|n| *n += 1).await }).result()??;
    /// assert_eq!(actor.ask(|n| *n).result()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn tell_async(
        &self,
        handler: impl FnOnce(&mut A) + Send + 'static,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        self.tell_when_room(Location::caller(), handler)
    }

    pub(super) async fn tell_when_room(
        &self,
        location: &'static Location<'static>,
        handler: impl FnOnce(&mut A) + Send + 'static,
    ) -> Result<(), TaskError> {
        match self.core().room() {
            None => self.tell_now(location, handler),
            Some(room) => {
                self.admit()?;
                let place = room::enter_async(room, self.core()).await?;
                self.tell_in(location, place, handler)
            }
        }
    }

    fn tell_in(
        &self,
        location: &'static Location<'static>,
        place: Place,
        handler: impl FnOnce(&mut A) + Send + 'static,
    ) -> Result<(), TaskError> {
        self.tell_now(location, move |state: &mut A| {
            drop(place);
            handler(state);
        })
    }

    /// Tells it, whether or not its mailbox has room.
    #[inline]
    pub(crate) fn tell_now(
        &self,
        location: &'static Location<'static>,
        handler: impl FnOnce(&mut A) + Send + 'static,
    ) -> Result<(), TaskError> {
        self.deliver(location, Call(handler, PhantomData))
    }

    #[inline]
    fn deliver(&self, location: &'static Location<'static>, errand: impl Errand<Output = ()>) -> Result<(), TaskError> {
        let core = self.core();
        let registry = &*core.registry;
        if registry.may_refuse() {
            registry.admit()?;
        }
        registry.count_created(1);
        let message = task::tell(registry.birth(location), core.subject(), errand);
        core.send(message).map_err(|message| {
            message.refuse(core.refusal(), &mut Helping(registry));
            TaskError::new(core.refusal())
        })
    }

    /// Asks with a handler that is async and may borrow the state across its awaits. The actor handles nothing else until it
    /// has ended. If the handler awaits what it has [asked](Self::ask) of its own actor, which would wait for ever, it gets an
    /// error ([`TaskError::is_deadlock`]); longer ways round, through other actors or tasks, are not found.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let other = ex.actor(|| 20);
    /// let actor = ex.actor(|| 1);
    /// let sum = actor.ask_async(move |n| Box::pin(async move {
    ///     *n += other.ask(|n| *n).await.unwrap_or(0);
    ///     *n
    /// }));
    /// assert_eq!(sum.result()?, 21);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn ask_async<R, F>(&self, handler: F) -> TaskFuture<R>
    where
        F: for<'a> FnOnce(&'a mut A) -> Borrowing<'a, R> + Send + 'static,
        R: Send + 'static,
    {
        let location = Location::caller();
        let (promise, answer) = Promise::new(&self.core().registry, location);
        let reply = Reply::new(promise, self.core());
        // What became of the message is what becomes of the promise in it.
        let _ = self.deliver(location, Begin { call: handler, reply, of: PhantomData });
        answer
    }

    /// Asks with a handler that gives a future, which runs beside the actor: that goes on with its other messages at once.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let (promise, opened) = ex.promise::<u32>();
    /// let door = ex.actor(move || opened);
    /// let waits: Vec<_> = (0..10).map(|_| door.ask_spawn(|opened| { let opened = opened.clone(); async move { opened.await } })).collect();
    /// door.ask(move |_| promise.fulfil(7)).wait()?;
    /// for wait in waits {
    ///     assert_eq!(wait.result()??, 7);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn ask_spawn<R, F, Fut>(&self, handler: F) -> TaskFuture<R>
    where
        F: FnOnce(&mut A) -> Fut + Send + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Send + 'static,
    {
        let location = Location::caller();
        let (promise, answer) = Promise::new(&self.core().registry, location);
        let reply = Reply::new(promise, self.core());
        // As in `ask_async`.
        let _ = self.deliver(location, Launch { call: handler, reply, location, of: PhantomData });
        answer
    }

    /// Ends the actor when all that was sent before is handled, also while others refer to it: what they ask later fails
    /// with [`TaskError::is_actor_ended`].
    ///
    /// # Errors
    /// As of [`tell`](Self::tell).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let actor = ex.actor(|| 1);
    /// let before = actor.ask(|n| *n);
    /// actor.stop()?;
    /// actor.ended().result()?;
    /// assert_eq!(before.result()?, 1);
    /// assert!(actor.ask(|n| *n).result().unwrap_err().is_actor_ended());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn stop(&self) -> Result<(), TaskError> {
        self.deliver(Location::caller(), Stop)
    }

    /// A future that ends when the actor does: with a value when the last reference is gone and all messages are handled,
    /// else with the error that ended it. It does not keep the actor, nor does the executor wait for it.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let actor = ex.actor(|| 1);
    /// let ended = actor.ended();
    /// drop(actor);
    /// ended.result()?;
    ///
    /// let broken = ex.actor(|| -> u32 { panic!("no room") });
    /// assert_eq!(broken.ended().result().unwrap_err().panic_message(), Some("no room"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn ended(&self) -> TaskFuture<()> {
        TaskFuture::new(self.end(Whose::Users, Location::caller()))
    }

    fn end(&self, whose: Whose, location: &'static Location<'static>) -> Typed<()> {
        self.core().end(whose, location)
    }

    /// Has `monitor` told, once, when this actor ends: why, if not because nobody referred to it any more. A monitor that is
    /// gone by then is told nothing.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let log = ex.actor(Vec::new);
    /// let worker = ex.actor(|| ());
    /// worker.monitor(&log, |log, why| log.push(why.unwrap_err().to_string()));
    /// worker.ask(|()| panic!("out of cheese")).wait()?;
    /// worker.ended().wait()?;
    /// assert!(log.ask(|log| log[0].contains("out of cheese")).result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn monitor<B: Send + 'static>(
        &self,
        monitor: &ActorRef<B>,
        handler: impl FnOnce(&mut B, Result<(), TaskError>) + Send + 'static,
    ) {
        let monitor = monitor.downgrade();
        let ended = TaskFuture::new(self.end(Whose::Monitors, Location::caller()));
        ended.on_done(move |ended| {
            let why = ended.error().map_or(Ok(()), Err);
            if let Some(monitor) = monitor.upgrade() {
                // Nobody is told that the monitor has ended too.
                let _ = monitor.tell_now(Location::caller(), move |state| handler(state, why));
            }
        });
    }

    /// A reference that does not keep the actor.
    #[must_use]
    pub fn downgrade(&self) -> WeakRef<A> {
        self.core().clone_weak();
        WeakRef { core: self.core, of: PhantomData }
    }

    /// What it was named, else the name of its type.
    #[must_use]
    pub fn name(&self) -> &str {
        self.core().name()
    }

    /// The number of the actor, among those of tasks.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.core().head.id()
    }

    /// How many messages wait in its mailbox, at the moment of the call.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core().waiting()
    }
}

impl<A> WeakRef<A> {
    pub(super) fn core(&self) -> &Core {
        // SAFETY: a weak reference keeps the memory of its actor.
        unsafe { self.core.as_ref() }
    }
}

impl<A: Send + 'static> WeakRef<A> {
    /// A counted reference, unless the last one is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<ActorRef<A>> {
        let is_there = self.core().upgrade();
        is_there.then_some(ActorRef { core: self.core, of: PhantomData })
    }
}

impl<A> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        // SAFETY: a reference keeps its actor.
        unsafe { self.core.as_ref() }.clone_reference();
        Self { core: self.core, of: PhantomData }
    }
}

impl<A> Drop for ActorRef<A> {
    fn drop(&mut self) {
        // SAFETY: the one reference ends here.
        unsafe { Core::drop_reference(self.core) };
    }
}

impl<A> Clone for WeakRef<A> {
    fn clone(&self) -> Self {
        self.core().clone_weak();
        Self { core: self.core, of: PhantomData }
    }
}

impl<A> Drop for WeakRef<A> {
    fn drop(&mut self) {
        // SAFETY: the one weak reference ends here.
        unsafe { Core::drop_weak(self.core) };
    }
}

/// References to the same actor are equal.
impl<A> PartialEq for ActorRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.core == other.core
    }
}

impl<A> Eq for ActorRef<A> {}

impl<A> Hash for ActorRef<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.core.hash(state);
    }
}

impl<A: Send + 'static> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorRef").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

impl<A> fmt::Debug for WeakRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakRef").field("of", &format_args!("{}", std::any::type_name::<A>())).finish()
    }
}

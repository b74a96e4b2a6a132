//! How functions that have travelled meet the actor that they are for.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{Location, resume_unwind};

use serde::{Deserialize, Serialize};

use super::home::{Home, complain};
use super::options::WireOptions;
use crate::actor::{self, ActorRef};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{TaskFuture, spawn};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::ship::{Calls, Opened, Purpose, Shipped, ship};
use crate::rank::codec::{Packed, pack};
use crate::rank::object::ObjectId;
use crate::rank::task::{ReadAll, Received, with_fetched};
use crate::rank::world::{Rank, Shared};

/// A reference to an actor whose type is not told.
pub(super) trait Erased: Any + Send + Sync {
    fn ended(&self) -> TaskFuture<()>;
    fn stop(&self) -> Result<(), TaskError>;
}

impl<A: Send + 'static> Erased for ActorRef<A> {
    fn ended(&self) -> TaskFuture<()> {
        ActorRef::ended(self)
    }
    fn stop(&self) -> Result<(), TaskError> {
        ActorRef::stop(self)
    }
}

/// Called with an answer; must not run what is the user's.
type Done = Box<dyn FnOnce(&Arc<Shared>, Result<Packed, TaskError>) + Send>;

/// Where an answer goes.
#[derive(Clone)]
pub(super) enum Back {
    Nowhere,
    /// To another rank, by the ticket.
    Rank {
        to: Rank,
        ticket: u64,
    },
    /// To who waits on this rank, once.
    Here(Arc<Mutex<Option<Done>>>),
}

impl Back {
    pub(super) fn here(done: impl FnOnce(&Arc<Shared>, Result<Packed, TaskError>) + Send + 'static) -> Self {
        Self::Here(Arc::new(Mutex::new(Some(Box::new(done)))))
    }

    pub(super) fn give(&self, world: &Arc<Shared>, what: Result<Packed, TaskError>) {
        match self {
            Self::Nowhere => {}
            Self::Rank { to, ticket } => world.answer(*to, *ticket, what),
            Self::Here(done) => {
                let done = done.lock().take();
                if let Some(done) = done {
                    done(world, what);
                }
            }
        }
    }

    pub(super) fn give_empty(&self, world: &Arc<Shared>, what: Result<(), TaskError>) {
        self.give(world, what.map(|()| Packed::default()));
    }
}

/// Arguments where they have arrived, with the values of the futures among them.
pub(super) struct Arguments {
    pub(super) packed: Packed,
    pub(super) fetched: Vec<(ObjectId, Arc<Packed>)>,
}

impl Arguments {
    fn read<D: ReadAll>(self, world: &Arc<Shared>) -> Result<D::Values, TaskError> {
        with_fetched(self.fetched, || self.packed.unpack::<Received<D>>(world)).map(|received| received.0)
    }
}

/// A function, and the code that reads its arguments and calls it, as they travel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Code {
    code: Shipped,
    function: Shipped,
}

impl Code {
    /// Of a constructor.
    pub(super) fn of_constructor<A: Send + 'static, D: ReadAll>(
        constructor: fn(D::Values) -> A,
    ) -> Result<Self, TaskError> {
        let code = ship::<Make, _>(make::<A, D> as fn(Birth) -> Made)?;
        Ok(Self { code, function: ship::<Constructor<D::Values, A>, _>(constructor)? })
    }

    /// Of a handler.
    pub(super) fn of_handler<A, D, R>(handler: for<'a> fn(&'a mut A, D::Values) -> R) -> Result<Self, TaskError>
    where
        A: Send + 'static,
        D: ReadAll,
        R: Serialize + Send + 'static,
    {
        let code = ship::<Handle, _>(handle::<A, D, R> as fn(Call) -> Handled)?;
        Ok(Self { code, function: ship::<Handler<A, D::Values, R>, _>(handler)? })
    }

    pub(super) fn make(self, birth: Birth) -> Made {
        self.code.open::<Make>()?.call(birth)
    }

    pub(super) fn handle(self, call: Call) -> Handled {
        self.code.open::<Handle>()?.call(call)
    }
}

/// What is at hand for an actor that is made.
pub(super) struct Birth {
    pub(super) world: Arc<Shared>,
    pub(super) code: Code,
    pub(super) options: WireOptions,
    pub(super) arguments: Arguments,
}

pub(super) type Made = Result<Box<dyn Erased>, TaskError>;

/// Code that makes actors.
struct Make;

impl Purpose for Make {
    type Given<'a> = Birth;
    type Gives = Made;
}

impl Calls<fn(Birth) -> Made> for Make {
    fn call(code: fn(Birth) -> Made, birth: Birth) -> Made {
        code(birth)
    }
}

/// Constructors.
struct Constructor<V, A>(PhantomData<fn(V) -> A>);

impl<V: 'static, A: 'static> Purpose for Constructor<V, A> {
    type Given<'a> = V;
    type Gives = A;
}

impl<V: 'static, A: 'static> Calls<fn(V) -> A> for Constructor<V, A> {
    fn call(constructor: fn(V) -> A, values: V) -> A {
        constructor(values)
    }
}

fn make<A: Send + 'static, D: ReadAll>(birth: Birth) -> Made {
    let Birth { world, code, options, arguments } = birth;
    let constructor = code.function.open::<Constructor<D::Values, A>>()?;
    let registry = world.registry().clone();
    let made = actor::spawn(&registry, Location::caller(), options.open::<A>()?, move || {
        match arguments.read::<D>(&world) {
            Ok(values) => constructor.call(values),
            // A constructor has no other way to fail.
            Err(error) => resume_unwind(Box::new(error.to_string())),
        }
    });
    match made {
        Ok(actor) => Ok(Box::new(actor)),
        Err(error) => Err(TaskError::new(TaskErrorKind::Failed(Box::new(error)))),
    }
}

/// What a handler is to be run for.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Ask,
    Tell,
    /// When there is room; is it waited for?
    TellInRoom {
        waits: bool,
    },
}

/// What is at hand for a message.
pub(super) struct Call {
    pub(super) world: Arc<Shared>,
    pub(super) actor: Arc<Home>,
    pub(super) code: Code,
    pub(super) how: How,
    pub(super) arguments: Arguments,
    pub(super) back: Back,
}

/// What was asked, which answers by itself unless it fails; what is told tells itself.
pub(super) type Handled = Result<Option<TaskFuture<()>>, TaskError>;

/// Code that makes messages.
struct Handle;

impl Purpose for Handle {
    type Given<'a> = Call;
    type Gives = Handled;
}

impl Calls<fn(Call) -> Handled> for Handle {
    fn call(code: fn(Call) -> Handled, call: Call) -> Handled {
        code(call)
    }
}

/// Handlers.
struct Handler<A, V, R>(PhantomData<fn(A, V) -> R>);

impl<A: 'static, V: 'static, R: 'static> Purpose for Handler<A, V, R> {
    type Given<'a> = (&'a mut A, V);
    type Gives = R;
}

impl<A: 'static, V: 'static, R: 'static> Calls<for<'a> fn(&'a mut A, V) -> R> for Handler<A, V, R> {
    fn call(handler: for<'a> fn(&'a mut A, V) -> R, (state, values): (&mut A, V)) -> R {
        handler(state, values)
    }
}

fn handle<A, D, R>(call: Call) -> Handled
where
    A: Send + 'static,
    D: ReadAll,
    R: Serialize + Send + 'static,
{
    let Call { world, actor, code, how, arguments, back } = call;
    let handler = code.function.open::<Handler<A, D::Values, R>>()?;
    let Some(actor) = actor.actor::<A>() else {
        let text = format!("a handler for an actor that is no {}", std::any::type_name::<A>());
        return Err(TaskError::new(TaskErrorKind::Codec(text)));
    };
    match how {
        How::Ask => {
            return Ok(Some(actor.ask(move |state| {
                let answer = arguments.read::<D>(&world).and_then(|values| pack(&handler.call((state, values))));
                back.give(&world, answer);
            })));
        }
        How::Tell => {
            // Who sent this learns by his watch that it has ended.
            let _ = actor.tell_now(Location::caller(), move |state| run::<A, D, R>(&world, &handler, state, arguments));
        }
        How::TellInRoom { waits } => tell_in_room::<A, D, R>(world, actor, handler, arguments, back, waits),
    }
    Ok(None)
}

/// Runs a handler of whose answer nobody hears.
fn run<A: 'static, D: ReadAll, R: 'static>(
    world: &Arc<Shared>,
    handler: &Opened<Handler<A, D::Values, R>>,
    state: &mut A,
    arguments: Arguments,
) {
    match arguments.read::<D>(world) {
        Ok(values) => drop(handler.call((state, values))),
        Err(error) => complain(world, error),
    }
}

/// Tells an actor with a bounded mailbox, and answers when that has room.
fn tell_in_room<A, D, R>(
    world: Arc<Shared>,
    actor: &ActorRef<A>,
    handler: Opened<Handler<A, D::Values, R>>,
    arguments: Arguments,
    back: Back,
    waits: bool,
) where
    A: Send + 'static,
    D: ReadAll,
    R: Send + 'static,
{
    // For that of the two that gets in.
    let all = Arc::new(Mutex::new(Some((handler, arguments))));
    let message = || {
        let (within, all) = (world.clone(), all.clone());
        move |state: &mut A| {
            let taken = all.lock().take();
            if let Some((handler, arguments)) = taken {
                run::<A, D, R>(&within, &handler, state, arguments);
            }
        }
    };
    match actor.try_tell(message()) {
        Err(error) if error.is_mailbox_full() && waits => {
            let (actor, message) = (actor.clone(), message());
            let registry = world.registry().clone();
            let told = spawn(&registry, Location::caller(), async move { actor.tell_async(message).await });
            told.on_done(move |told| {
                let what = told.try_result().unwrap_or_else(|| Err(TaskError::new(TaskErrorKind::PromiseDropped)));
                back.give_empty(&world, what.and_then(|told| told));
            });
        }
        told => back.give_empty(&world, told),
    }
}

//! Tasks of this rank that run on others, and those of others that run here.
//!
//! What is submitted together goes as one `order`: the function, the arguments of each task, what was said about them. Where
//! it arrives, each becomes an ordinary task (`incoming`), whose result goes home with others that come at the same time
//! (`outbox`). At home an ordinary future awaits it (`object/awaited`). A task that may run anywhere is a `shippable` until it is
//! decided where.

mod args;
mod builder;
mod code;
mod incoming;
mod order;
mod outbox;
mod shippable;
mod submit;

pub use args::{All, Arg, Args, all};
pub(crate) use args::{OUTSIDE, ReadAll, Received, SMALL, pack_args, with_fetched};
pub use builder::RemoteTask;
pub(crate) use incoming::Incoming;
pub(crate) use outbox::Outboxes;
pub(crate) use shippable::Shippable;

use serde::{Deserialize, Serialize};

use super::codec::{Packed, pack, unpack_answer};
use super::message::{Kind, Message};
use super::object::Came;
use super::world::{Rank, Shared};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use order::{Head, Order};
use outbox::{Answered, What};

/// What ranks tell each other about tasks.
#[derive(Serialize, Deserialize)]
enum Told {
    /// Tasks to run; the arguments follow.
    Run(Head),
    /// Results; the values follow.
    Came(Vec<Answered>),
    /// A task of an order was cancelled, or, without a reason, nobody wants it any more.
    Withdraw { order: u64, number: u64, reason: Option<String> },
    /// Tasks that were sent on are there now.
    Moved { numbers: Vec<u64>, to: Rank },
}

/// As it travels, before what follows.
fn telling(told: &Told, mut follows: Packed) -> Result<Packed, TaskError> {
    let mut packed = pack(told)?;
    packed.bytes.append(&mut follows.bytes);
    Ok(Packed { bytes: packed.bytes, ..follows })
}

/// Tells the rank to which a task was sent that it was cancelled, or that nobody wants it any more.
pub(super) fn withdraw(world: &Arc<Shared>, to: Rank, order: u64, number: u64, reason: Option<&str>) {
    let told = Told::Withdraw { order, number, reason: reason.map(str::to_owned) };
    if let Ok(packed) = pack(&told) {
        world.tell(to, Kind::Task, packed);
    }
}

pub(super) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    if let Err(corrupt) = take(world, from, message.packed) {
        world.lose(from, &corrupt);
    }
}

fn take(world: &Arc<Shared>, from: Rank, mut packed: Packed) -> Result<(), TaskError> {
    let (told, follows) = postcard::take_from_bytes::<Told>(&packed.bytes).map_err(|_| corrupt("of tasks"))?;
    let follows = packed.bytes.len() - follows.len();
    match told {
        Told::Run(head) => {
            let order = Order::read(head, follows, packed).ok_or_else(|| corrupt("that orders tasks"))?;
            if order.maker.index() >= world.size() {
                return Err(corrupt("that orders tasks for nobody"));
            }
            incoming::begin(world, order);
        }
        Told::Came(answers) => {
            packed.bytes.drain(..follows);
            let mut values = outbox::Values::of(packed);
            let mut ready = Vec::with_capacity(answers.len());
            for Answered { number, what, size } in answers {
                let value = values.next(size).ok_or_else(|| corrupt("with results"))?;
                let came = match what {
                    What::Value => Ok(Came::Here(value)),
                    What::Error => unpack_answer(value).map(Came::Here),
                    What::Stays(bytes) => value
                        .references
                        .into_iter()
                        .next()
                        .map(|at| Came::At(at, bytes))
                        .ok_or_else(|| corrupt("with a result")),
                };
                world.awaited.comes(world, number, came, &mut ready);
            }
            world.registry().queue_supplied(&mut ready);
        }
        Told::Withdraw { order, number, reason } => incoming::withdraw(world, from, order, number, reason),
        Told::Moved { numbers, to } => numbers.into_iter().for_each(|number| world.awaited.moved(number, to)),
    }
    Ok(())
}

fn corrupt(what: &str) -> TaskError {
    TaskError::new(TaskErrorKind::Codec(format!("a message {what} that cannot be read")))
}

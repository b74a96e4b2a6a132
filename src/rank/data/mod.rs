//! Data that ranks pass each other.
//!
//! A scattered value is an object whose home is the rank it was given to (`given`). A value that all are to have goes
//! from rank to rank along a `tree`, and is held as a copy of what is at its home (`copies`). Large memory is lent to ranks of
//! the host, not sent (`loans`).

mod copies;
mod given;
mod holdings;
mod loans;
mod spread;
mod tree;

use serde::{Deserialize, Serialize};

pub use holdings::RankData;
pub(super) use loans::{lend, thank};
pub use spread::Replicated;

use super::codec::Packed;
use super::message::Message;
use super::object::ObjectId;
use super::world::{Rank, Shared};
use crate::error::TaskError;
use crate::primitive::sync::Arc;
use holdings::Holds;
use tree::Tree;

/// What ranks tell each other of data, or ask.
#[derive(Serialize, Deserialize)]
enum Told {
    /// Memory that was lent is mapped there now.
    Mapped(Vec<u64>),
    /// A value to be kept under that name, in memory of the domain of that number if it is worth it.
    Keep { id: ObjectId, domain: Option<u32>, value: Packed },
    /// A copy of an object, to be held and passed on.
    Copy { id: ObjectId, tree: Tree, value: Packed },
    /// The copies are not wanted any more.
    LetGo { id: ObjectId, tree: Tree },
    /// What is held, by domain?
    Holds,
}

pub(super) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    let told = match message.packed.unpack(world) {
        Ok(told) => told,
        Err(corrupt) => return world.lose(from, &corrupt),
    };
    match told {
        Told::Mapped(loans) => loans::end(world, from, &loans),
        Told::Keep { id, domain, value } => given::keep(world, id, domain, value),
        Told::Copy { id, tree, value } => {
            let ticket = message.ticket;
            let all_have = move |world: &Arc<Shared>, what: Result<(), TaskError>| {
                world.answer(from, ticket, what.map(|()| Packed::default()));
            };
            copies::pass_on(world, id, tree, &value, all_have);
            copies::hold(world, id, value);
        }
        Told::LetGo { id, tree } => copies::let_go(world, id, tree),
        Told::Holds => world.answer(from, message.ticket, Holds::of(world.registry()).pack()),
    }
}

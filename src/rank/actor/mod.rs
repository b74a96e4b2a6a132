//! Actors of other ranks: references that go anywhere, messages that keep the order of their senders.
#![doc = include_str!("README.md")]

mod function;
mod home;
mod letter;
mod line;
mod options;
mod outbox;
mod proxy;
mod remote_ref;

use std::collections::HashMap;
use std::sync::{OnceLock, Weak};

use self::function::Back;
use self::home::{Arrived, Calls, Early};
use self::outbox::Outbox;
use self::proxy::Proxy;
pub use self::remote_ref::RemoteRef;
use super::codec::Packed;
use super::message::Message;
use super::object::ObjectId;
use super::world::{Rank, Shared};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// What a rank knows of actors: those that it has for others, and those that others have for it.
#[derive(Default)]
struct Actors {
    outboxes: OnceLock<Box<[Arc<Outbox>]>>,
    /// The actors of other ranks that are referred to here.
    proxies: Mutex<HashMap<ObjectId, Weak<Proxy>>>,
    early: Early,
    calls: Calls,
    /// How many actors were made from here on each rank that was left to choose.
    made: Mutex<Vec<u64>>,
}

impl Actors {
    fn of(world: &Shared) -> Arc<Self> {
        world.part::<Self>()
    }

    fn outbox(&self, world: &Shared, to: Rank) -> Option<&Arc<Outbox>> {
        let all = self.outboxes.get_or_init(|| (0..world.size()).map(|_| Arc::default()).collect());
        all.get(to.index())
    }

    /// The rank on which the fewest actors were made that had the choice; first the next one.
    fn least(&self, world: &Shared) -> Rank {
        let mut made = self.made.lock();
        made.resize(world.size(), 0);
        let order = (1..=world.size()).map(|step| (world.rank().index() + step) % world.size());
        let least = order.min_by_key(|&rank| made[rank]).unwrap_or(0);
        made[least] += 1;
        Rank(least as u32)
    }
}

/// A rank is lost: it makes no actors any more, and waits for no answers.
pub(super) fn lost(world: &Arc<Shared>, rank: Rank, error: &TaskError) {
    Actors::of(world).lost(world, rank, error);
}

/// Sees to a message of another rank about actors of this one.
pub(super) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    let (actors, ticket) = (Actors::of(world), message.ticket);
    let read = letter::each(message.packed, |letter, is_last| {
        if letter.actor.home != world.rank() {
            let error = TaskError::new(TaskErrorKind::Codec(format!("a letter to an actor of {}", letter.actor.home)));
            return world.lose(from, &error);
        }
        let has_ticket = is_last && ticket != 0;
        let is_answered = letter.what.is_answered();
        let back = if has_ticket && is_answered { Back::Rank { to: from, ticket } } else { Back::Nowhere };
        actors.take(world, Arrived { from, letter, back });
        if has_ticket && !is_answered {
            world.answer(from, ticket, Ok(Packed::default()));
        }
    });
    if let Err(error) = read {
        world.lose(from, &error);
    }
}

//! Tasks that may run on any rank.

use super::order::Order;
use super::{Told, incoming};
use crate::error::TaskError;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::message::Kind;
use crate::rank::object::Reference;
use crate::rank::world::{Rank, Shared};

/// Tasks of one order that are not bound to a rank: to be run here, or to be sent to where they are run. Whoever
/// has it must do one of both: their futures wait for it.
pub(crate) struct Shippable(Order);

impl Shippable {
    pub(super) fn new(order: Order) -> Self {
        Self(order)
    }

    /// Whose tasks they are.
    pub(crate) fn maker(&self) -> Rank {
        self.0.maker
    }

    /// How many tasks.
    pub(crate) fn count(&self) -> usize {
        self.0.tasks.len()
    }

    /// What they wait for, or fetch before they run.
    pub(crate) fn inputs(&self) -> Vec<Reference> {
        self.0.inputs()
    }

    /// Whether anybody still waits for one of them. Asked where they were made.
    pub(crate) fn are_awaited(&self, world: &Shared) -> bool {
        self.0.tasks.iter().any(|task| world.awaited.has(task.number))
    }

    /// Takes so many of them out, of more: the first or the last.
    pub(crate) fn split(&mut self, count: usize, first: bool) -> Self {
        Self(self.0.split(count, first))
    }

    /// Takes the task with that number out, if it is one of them.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Self> {
        self.0.remove(number).map(Self)
    }

    /// Makes them tasks of this rank.
    pub(crate) fn run_here(self, world: &Arc<Shared>) {
        incoming::begin(world, self.0);
    }

    /// Some on their way to another rank. Their makers are told, who have to know whom to tell of a cancellation.
    pub(crate) fn pack(all: Vec<Self>, world: &Arc<Shared>, to: Rank) -> Result<Packed, TaskError> {
        for Self(order) in &all {
            let numbers = order.numbers();
            if order.maker == world.rank() {
                numbers.iter().for_each(|number| world.awaited.moved(*number, to));
            } else {
                world.tell(order.maker, Kind::Task, pack(&Told::Moved { numbers, to })?);
            }
        }
        Order::write_all(all.into_iter().map(|shippable| shippable.0).collect())
    }

    /// What [`pack`](Self::pack) has packed; `None` if that is not what it is.
    pub(crate) fn unpack(packed: Packed, world: &Shared) -> Option<Vec<Self>> {
        let orders = Order::read_all(packed)?;
        let are_known = orders.iter().all(|order| order.maker.index() < world.size() && !order.tasks.is_empty());
        are_known.then(|| orders.into_iter().map(Self).collect())
    }
}

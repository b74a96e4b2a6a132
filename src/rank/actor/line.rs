//! Letters of one sender in their order, some of which need values that are fetched first.

use std::collections::{HashMap, VecDeque};
use std::panic::Location;

use super::home::Arrived;
use super::letter::What;
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::future::{Inputs, TaskFuture};
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::object::{ObjectId, Reference, import};
use crate::rank::world::{Rank, Shared};
use crate::scheduler::detach;
use crate::task::Anywhere;

pub(super) type Fetched = Result<Vec<(ObjectId, Arc<Packed>)>, TaskError>;

/// A letter that waits for what it needs, or behind one that does.
struct Waiting {
    number: u64,
    arrived: Arrived,
    /// `None`: not yet.
    fetched: Option<Fetched>,
}

/// The senders of whom something waits: a rank, and a number of its own.
#[derive(Default)]
pub(super) struct Lines {
    lines: HashMap<(Rank, u64), VecDeque<Waiting>>,
    drawn: u64,
}

/// Where a letter waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    sender: (Rank, u64),
    number: u64,
}

/// What becomes of a letter that has come.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub(super) enum Turn {
    Now(Arrived),
    /// When these are here.
    Later(Place, Vec<Reference>),
    /// When those before it have had theirs.
    Behind,
}

impl Lines {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A letter has come.
    pub(super) fn enter(&mut self, arrived: Arrived) -> Turn {
        let sender = (arrived.from, arrived.letter.sender);
        let needs = arrived.letter.needed();
        let line = self.lines.get_mut(&sender);
        if line.is_none() && needs.is_empty() {
            return Turn::Now(arrived);
        }
        self.drawn += 1;
        let number = self.drawn;
        let fetched = needs.is_empty().then(|| Ok(Vec::new()));
        self.lines.entry(sender).or_default().push_back(Waiting { number, arrived, fetched });
        if needs.is_empty() { Turn::Behind } else { Turn::Later(Place { sender, number }, needs) }
    }

    /// What a letter needs is here, or will never be: those that have nothing to wait for any more.
    pub(super) fn fetched(&mut self, place: Place, fetched: Fetched) -> Vec<(Arrived, Fetched)> {
        if let Some(line) = self.lines.get_mut(&place.sender)
            && let Some(waiting) = line.iter_mut().find(|waiting| waiting.number == place.number)
            && waiting.fetched.is_none()
        {
            waiting.fetched = Some(fetched);
        }
        self.advance(place.sender)
    }

    /// As [`fetched`](Self::fetched), of a question that nobody waits for any more.
    pub(super) fn withdraw(&mut self, from: Rank, of: u64, reason: &CancelReason) -> Vec<(Arrived, Fetched)> {
        let is_meant = |waiting: &&mut Waiting| {
            waiting.arrived.from == from
                && matches!(waiting.arrived.letter.what, What::Ask { number, .. } if number == of)
        };
        let mut lines = self.lines.iter_mut();
        let found = lines.find_map(|(sender, line)| Some((*sender, line.iter_mut().find(is_meant)?)));
        let Some((sender, waiting)) = found else { return Vec::new() };
        waiting.fetched = Some(Err(TaskError::new(TaskErrorKind::Cancelled(reason.clone()))));
        self.advance(sender)
    }

    fn advance(&mut self, sender: (Rank, u64)) -> Vec<(Arrived, Fetched)> {
        let mut free = Vec::new();
        let Some(line) = self.lines.get_mut(&sender) else { return free };
        while let Some(first) = line.pop_front_if(|waiting| waiting.fetched.is_some()) {
            free.extend(first.fetched.map(|fetched| (first.arrived, fetched)));
        }
        if line.is_empty() {
            self.lines.remove(&sender);
        }
        free
    }
}

/// Calls `done` on a worker when all that is referred to is here, or one of it will never be.
pub(super) fn fetch(world: &Arc<Shared>, references: Vec<Reference>, done: impl FnOnce(Fetched) + Send + 'static) {
    let imports: Vec<_> = references.into_iter().map(|reference| import(world, reference)).collect();
    let inputs: Vec<TaskFuture<Arc<Packed>>> = imports.iter().map(|import| import.value.clone()).collect();
    let mut told = Told(Some(done));
    let call = move |inputs: &<Vec<TaskFuture<Arc<Packed>>> as Inputs>::Owned| {
        let values = Vec::<TaskFuture<Arc<Packed>>>::results(inputs);
        let all = imports.iter().zip(values).map(|(import, value)| Ok((import.id, value?.clone()))).collect();
        told.tell(all);
        Ok(())
    };
    let registry = world.registry();
    let task = registry.submit_after::<Anywhere, _, _, ()>(Location::caller(), inputs.own(), true, call);
    detach(task.into_handle());
}

/// Is told of it in any case, also when the executor starts nothing any more.
struct Told<D: FnOnce(Fetched)>(Option<D>);

impl<D: FnOnce(Fetched)> Told<D> {
    fn tell(&mut self, fetched: Fetched) {
        if let Some(done) = self.0.take() {
            done(fetched.map_err(|error| error.for_dependents()));
        }
    }
}

impl<D: FnOnce(Fetched)> Drop for Told<D> {
    fn drop(&mut self) {
        self.tell(Err(TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED))));
    }
}

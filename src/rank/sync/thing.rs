//! What a name leads to at its owner: a primitive of this process, which holds values that stay packed.

use std::future::ready;
use std::pin::Pin;
use std::sync::Weak;

use super::wire::{Answer, Key, Kind, Like, Op, Refused};
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::world::Shared;
use crate::sync::{Barrier, Event, Permit, PutError, Queue, Semaphore, Variable};

/// A value that the owner keeps. What it refers to may be the last handle on something of the user's: a worker drops it.
#[derive(Clone)]
pub(super) struct Kept {
    packed: Packed,
    world: Weak<Shared>,
}

impl Kept {
    pub(super) fn new(world: &Arc<Shared>, packed: Packed) -> Self {
        Self { packed, world: Arc::downgrade(world) }
    }

    pub(super) fn into_packed(mut self) -> Packed {
        std::mem::take(&mut self.packed)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.packed.references.is_empty()
            && let Some(world) = self.world.upgrade()
        {
            let packed = std::mem::take(&mut self.packed);
            world.queue(move || drop(packed));
        }
    }
}

pub(super) struct Thing {
    pub(super) key: Key,
    pub(super) like: Like,
    pub(super) primitive: Primitive,
}

pub(super) enum Primitive {
    Queue(Queue<Kept>),
    Variable(Variable<Kept>),
    /// Of a lock, one permit.
    Permits(Semaphore),
    Event(Event),
    Barrier(Barrier),
}

/// What somebody gets.
pub(super) struct Given {
    pub(super) answer: Answer,
    pub(super) values: Vec<Kept>,
    pub(super) permit: Option<Permit>,
}

impl Given {
    pub(super) fn just(answer: Answer) -> Self {
        Self { answer, values: Vec::new(), permit: None }
    }

    fn values(values: Vec<Kept>) -> Self {
        Self { answer: Answer::Items, values, permit: None }
    }

    pub(super) fn refused(why: Refused) -> Self {
        Self::just(Answer::Refused(why))
    }

    fn impossible(text: String) -> Self {
        Self::refused(Refused::Impossible(text))
    }
}

/// A wish: in line from its first poll on, until it is met or dropped.
pub(super) type Wish = Pin<Box<dyn Future<Output = Given> + Send>>;

impl Thing {
    /// `None` for what cannot be.
    pub(super) fn new(key: Key, like: Like) -> Option<Self> {
        let size = |default: u64| usize::try_from(like.size.unwrap_or(default)).ok();
        let primitive = match key.kind {
            Kind::Queue => Primitive::Queue(match like.size {
                Some(_) => Queue::bounded(size(0)?),
                None => Queue::unbounded(),
            }),
            Kind::Variable => Primitive::Variable(Variable::new()),
            Kind::Lock | Kind::Semaphore => Primitive::Permits(Semaphore::new(size(1)?).ok()?),
            Kind::Event => Primitive::Event(Event::new()),
            Kind::Barrier => Primitive::Barrier(Barrier::new(size(1)?)),
            Kind::Dataset => return None,
        };
        Some(Self { key, like, primitive })
    }

    pub(super) fn wish(&self, op: Op, values: Vec<Kept>) -> Wish {
        let now = |given: Given| -> Wish { Box::pin(ready(given)) };
        match (&self.primitive, op) {
            (Primitive::Queue(queue), op) => of_queue(queue, op, values),
            (Primitive::Variable(variable), op) => of_variable(variable, op, values),
            (Primitive::Permits(permits), Op::Acquire { count }) => {
                let acquired = permits.acquire_many_async(usize::try_from(count).unwrap_or(usize::MAX));
                Box::pin(async move {
                    match acquired.await {
                        Ok(permit) => Given { permit: Some(permit), ..Given::just(Answer::Done) },
                        Err(error) if error.is_closed() => Given::refused(Refused::Closed),
                        Err(error) => Given::impossible(error.to_string()),
                    }
                })
            }
            (Primitive::Permits(permits), Op::End) => {
                let held = permits.close() as u64;
                now(Given::just(Answer::State { count: held, closed: true }))
            }
            (Primitive::Permits(permits), Op::State) => {
                let count = permits.available() as u64;
                now(Given::just(Answer::State { count, closed: permits.is_closed() }))
            }
            (Primitive::Event(event), Op::Wait) => {
                let set = event.wait_async();
                Box::pin(async move { Given::just(Answer::Is(set.await.is_ok())) })
            }
            (Primitive::Event(event), Op::Raise) => {
                event.set();
                now(Given::just(Answer::Done))
            }
            (Primitive::Event(event), Op::Clear) => {
                event.clear();
                now(Given::just(Answer::Done))
            }
            (Primitive::Event(event), Op::State) => now(Given::just(Answer::Is(event.is_set()))),
            (Primitive::Barrier(barrier), Op::Wait) => {
                let come = barrier.wait_async();
                Box::pin(async move { Given::just(Answer::Is(come.await.unwrap_or(false))) })
            }
            (Primitive::Barrier(barrier), Op::State) => {
                let count = barrier.waiting() as u64;
                now(Given::just(Answer::State { count, closed: false }))
            }
            (_, op) => now(Given::impossible(format!("{op:?} of a {}", self.key.kind))),
        }
    }
}

fn of_queue(queue: &Queue<Kept>, op: Op, mut values: Vec<Kept>) -> Wish {
    let given = match op {
        Op::Put => {
            let Some(value) = values.pop() else { return Box::pin(ready(Given::impossible("no value".to_owned()))) };
            let put = queue.put_async(value);
            return Box::pin(async move {
                match put.await {
                    Ok(()) => Given::just(Answer::Done),
                    Err(failed) => closed(failed),
                }
            });
        }
        Op::Get { count } => {
            let got = queue.get_batch_async(usize::try_from(count).unwrap_or(usize::MAX));
            return Box::pin(async move { got.await.map_or_else(|_| Given::refused(Refused::Closed), Given::values) });
        }
        Op::GetAll => Given::values(queue.get_all()),
        Op::End => Given::just(Answer::Is(queue.close())),
        Op::State => Given::just(Answer::State { count: queue.len() as u64, closed: queue.is_closed() }),
        op => Given::impossible(format!("{op:?} of a queue")),
    };
    Box::pin(ready(given))
}

fn closed(_refused: PutError<Kept>) -> Given {
    Given::refused(Refused::Closed)
}

fn of_variable(variable: &Variable<Kept>, op: Op, mut values: Vec<Kept>) -> Wish {
    let given = match (op, values.pop()) {
        (Op::Value, _) => {
            let got = variable.get_async();
            return Box::pin(async move {
                got.await.map_or_else(|_| Given::refused(Refused::Closed), |value| Given::values(vec![value]))
            });
        }
        (Op::Set, Some(value)) => {
            variable.set(value);
            Given::just(Answer::Done)
        }
        (Op::Delete, _) => {
            variable.delete();
            Given::just(Answer::Done)
        }
        (Op::State, _) => Given::just(Answer::Is(variable.is_set())),
        (op, _) => Given::impossible(format!("{op:?} of a variable")),
    };
    Box::pin(ready(given))
}

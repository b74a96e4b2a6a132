//! One collective call of one rank, and how the ranks make sure that they all do the same.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};

use super::bridge::{self, Bridge, Linked};
use super::exchange::{self, Data, Exchange, mismatch};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::rank::identity::Type;
use crate::rank::world::{Rank, Shared};

/// The tags from here on are of data; those below, of rounds of the agreement.
pub(super) const DATA: u32 = 64;

/// What a rank has called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) what: Cow<'static, str>,
    /// Of what, and how many of these; unsaid where ranks may differ.
    pub(super) items: Option<(Type, Option<u64>)>,
    pub(super) by: Option<Type>,
    pub(super) root: Option<Rank>,
    /// What a rank gives or gets at most, if that is the same for all.
    bytes: Option<u64>,
}

impl Shape {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what: Cow::Borrowed(what), items: None, by: None, root: None, bytes: None }
    }

    pub(super) fn of<T: 'static>(mut self, count: Option<usize>) -> Self {
        self.items = Some((Type::of::<T>(), count.map(|count| count as u64)));
        self.bytes = count.map(|count| count as u64 * size_of::<T>() as u64);
        self
    }

    pub(super) fn by<R: 'static>(mut self) -> Self {
        self.by = Some(Type::of::<R>());
        self
    }

    pub(super) fn root(mut self, root: Rank) -> Self {
        self.root = Some(root);
        self
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.items {
            Some((items, Some(count))) => write!(f, " of {count} {items}")?,
            Some((items, None)) => write!(f, " of {items}")?,
            None => {}
        }
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        match self.root {
            Some(root) => write!(f, " with {root} as root"),
            None => Ok(()),
        }
    }
}

/// What a rank knows of those that it has heard of.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Word {
    /// They have all called this; and whether all may go over the bridge.
    Same(Shape, bool),
    /// They have not, or one has called what cannot be.
    Differ(String),
}

/// A call that is under way. Dropped before its end, it tells the other ranks that this one takes no part in it.
pub(super) struct Call {
    world: Arc<Shared>,
    exchange: Arc<Exchange>,
    linked: Arc<Linked>,
    number: u64,
    /// This rank may go over the bridge.
    is_alone: bool,
    /// What the ranks have agreed on: that they all go over it, or none.
    crosses: OnceLock<bool>,
    settled: bool,
}

impl Call {
    pub(super) fn begin(world: &Arc<Shared>) -> Self {
        let exchange = world.part::<Exchange>();
        // The world has ended before: its end has not seen this.
        if world.is_over() {
            exchange.close(&TaskError::new(TaskErrorKind::WorldEnded));
        }
        let (number, is_alone) = exchange.begin();
        let (world, linked, crosses) = (world.clone(), world.part::<Linked>(), OnceLock::new());
        Self { world, exchange, linked, number, is_alone, crosses, settled: false }
    }

    /// Why it can come to nothing, if so.
    pub(super) fn check(&self, context: &mut Context<'_>) -> Result<(), TaskError> {
        self.exchange.check(self.number, context).map_or(Ok(()), Err)
    }

    /// The bridge to other hosts, if the ranks go over it. Where there is one, ready when they have agreed.
    pub(super) async fn bridge(&self) -> Option<Bridge<'_>> {
        let link = self.linked.0.get()?;
        let crosses = poll_fn(|_| self.crosses.get().map_or(Poll::Pending, |crosses| Poll::Ready(*crosses))).await;
        crosses.then_some(Bridge { call: self, link })
    }

    /// Whether this rank would go over the bridge for that.
    fn may_cross(&self, shape: &Shape) -> bool {
        let fits = |bytes: u64| bytes > 0 && bytes.saturating_mul(self.size() as u64) <= bridge::MOST;
        self.is_alone && self.linked.0.get().is_some() && shape.bytes.is_some_and(fits)
    }

    pub(super) fn rank(&self) -> usize {
        self.world.rank().index()
    }

    pub(super) fn size(&self) -> usize {
        self.world.size()
    }

    pub(super) fn send(&self, to: usize, tag: u32, data: &Data) {
        exchange::send(&self.world, Rank(to as u32), self.number, tag, data);
    }

    pub(super) async fn receive(&self, from: usize, tag: u32) -> Result<Data, TaskError> {
        let from = Rank(from as u32);
        poll_fn(|context| self.exchange.poll(self.number, from, tag, context)).await
    }

    /// Has heard of all ranks when it is ready, as all ranks have then: after so many rounds as the number of ranks has
    /// digits, each with one message to a rank twice as far as the one before.
    pub(super) async fn agree(&self, mut word: Word) -> Result<(), TaskError> {
        let (rank, size) = (self.rank(), self.size());
        if let Word::Same(shape, crosses) = &mut word {
            *crosses = self.may_cross(shape);
        }
        let mut distance = 1;
        let mut round = 0;
        while distance < size {
            let sent = postcard::to_stdvec(&word).unwrap_or_default();
            self.send((rank + distance) % size, round, &Data::of(&sent));
            let from = (rank + size - distance) % size;
            let heard = self.receive(from, round).await?;
            let heard = postcard::from_bytes(&heard).map_err(|_| unreadable(from))?;
            word = both(word, heard, rank, from);
            distance *= 2;
            round += 1;
        }
        match word {
            Word::Same(_, crosses) => {
                self.crosses.get_or_init(|| crosses);
                Ok(())
            }
            Word::Differ(text) => Err(mismatch(text)),
        }
    }

    /// The end of a call: unless the others know of the error, they are told.
    pub(super) fn end<R>(mut self, result: Result<R, TaskError>) -> Result<R, TaskError> {
        self.settled = result
            .as_ref()
            .err()
            .is_none_or(|error| error.is_mismatch() || error.is_rank_lost() || error.is_world_ended());
        result
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.exchange.end(self.number);
        if !self.settled {
            self.exchange.breaks();
            let others = (0..self.size()).filter(|rank| *rank != self.rank());
            others.for_each(|to| {
                let why = "its wait for the others has ended early";
                exchange::send_gave_up(&self.world, Rank(to as u32), self.number, why);
            });
        }
    }
}

pub(super) fn unreadable(from: usize) -> TaskError {
    TaskError::new(TaskErrorKind::Codec(format!("what rank {from} has sent in a collective call")))
}

fn both(own: Word, heard: Word, rank: usize, from: usize) -> Word {
    match (own, heard) {
        (Word::Same(own, crosses), Word::Same(heard, theirs)) if own == heard => Word::Same(own, crosses && theirs),
        (Word::Same(own, _), Word::Same(heard, _)) => {
            Word::Differ(format!("the ranks have not called the same: rank {rank} {own}, rank {from} {heard}"))
        }
        (Word::Differ(text), _) | (_, Word::Differ(text)) => Word::Differ(text),
    }
}

/// The result of `work`, if all ranks agree. The agreement is brought to its end also when the work has failed, as others
/// need it; if it fails, the work is not waited for.
pub(super) async fn together<R>(
    agreement: impl Future<Output = Result<(), TaskError>>,
    work: impl Future<Output = Result<R, TaskError>>,
) -> Result<R, TaskError> {
    let (mut agreement, mut work) = (pin!(agreement), pin!(work));
    let (mut agreed, mut worked) = (false, None);
    poll_fn(|context| {
        // First, as the work may wait for it.
        if !agreed && let Poll::Ready(result) = agreement.as_mut().poll(context) {
            match result {
                Ok(()) => agreed = true,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if worked.is_none()
            && let Poll::Ready(result) = work.as_mut().poll(context)
        {
            worked = Some(result);
        }
        match worked.take() {
            Some(result) if agreed => Poll::Ready(result),
            unfinished => {
                worked = unfinished;
                Poll::Pending
            }
        }
    })
    .await
}

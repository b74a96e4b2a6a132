//! Results on their way home: those that come at about the same time go together.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::order::Size;
use super::{SMALL, Told, telling};
use crate::error::TaskError;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::bell;
use crate::rank::codec::{Packed, pack_answer};
use crate::rank::message::Kind;
use crate::rank::object::{Came, store};
use crate::rank::world::{Rank, Shared};

/// Results that go together at most, and for how long one is kept back while others of its order are about to come.
const TOGETHER: usize = 64;
const KEPT_BACK: Duration = Duration::from_micros(20);
/// After so long it is sent even if none of the others has come.
pub(crate) const AT_MOST: Duration = Duration::from_millis(1);

/// What has come of a task.
#[derive(Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) number: u64,
    pub(super) what: What,
    pub(super) size: Size,
}

#[derive(Serialize, Deserialize)]
pub(super) enum What {
    Value,
    Error,
    /// A value that is large, and stays where it is.
    Stays(usize),
}

/// What goes to one rank.
struct Outbox {
    answers: Vec<Answered>,
    values: Packed,
    /// When the first of them came.
    since: Instant,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { answers: Vec::new(), values: Packed::default(), since: Instant::now() }
    }
}

/// By rank.
pub(crate) struct Outboxes {
    ranks: Box<[Mutex<Outbox>]>,
    /// Orders under way that keep results back.
    orders: AtomicUsize,
}

impl Outboxes {
    pub(crate) fn new(ranks: usize) -> Self {
        Self { ranks: (0..ranks).map(|_| Mutex::default()).collect(), orders: AtomicUsize::new(0) }
    }

    /// Results of an order may be kept back from now on.
    pub(super) fn begin(&self, world: &Shared) {
        // ORDERING: Relaxed; the wake comes after.
        if self.orders.fetch_add(1, Ordering::Relaxed) == 0 {
            world.transport.bell().call(bell::PROGRESS);
        }
    }

    pub(super) fn end(&self) {
        // ORDERING: Relaxed; as above.
        self.orders.fetch_sub(1, Ordering::Relaxed);
    }

    /// When to look again what was kept back too long.
    pub(crate) fn due(&self) -> Option<Instant> {
        // ORDERING: Relaxed; as above.
        (self.orders.load(Ordering::Relaxed) > 0).then(|| Instant::now() + AT_MOST)
    }

    /// Sends what was kept back too long.
    pub(crate) fn tick(&self, world: &Arc<Shared>) {
        // ORDERING: Relaxed; as above.
        if self.orders.load(Ordering::Relaxed) == 0 {
            return;
        }
        for (rank, outbox) in self.ranks.iter().enumerate() {
            let mut outbox = outbox.lock();
            if !outbox.answers.is_empty() && outbox.since.elapsed() >= AT_MOST {
                let full = std::mem::take(&mut *outbox);
                drop(outbox);
                full.send(world, Rank(rank as u32));
            }
        }
    }

    /// Sends the result of a task home, by itself.
    pub(super) fn answer_now(&self, world: &Arc<Shared>, to: Rank, number: u64, result: Result<Packed, TaskError>) {
        self.answer(world, to, number, result, || false);
    }

    /// Sends the result of a task home; `more` says whether others of the same order are to come, in the order in which
    /// results are put here.
    pub(super) fn answer(
        &self,
        world: &Arc<Shared>,
        to: Rank,
        number: u64,
        result: Result<Packed, TaskError>,
        more: impl FnOnce() -> bool,
    ) {
        if to == world.rank() {
            more();
            return world.awaited.came(world, number, result.map(Came::Here));
        }
        let (what, value) = match result {
            Ok(packed) if packed.size() > SMALL => {
                (What::Stays(packed.size()), Packed { references: vec![store(packed)], ..Packed::default() })
            }
            Ok(packed) => (What::Value, packed),
            error => (What::Error, pack_answer(error)),
        };
        let Some(outbox) = self.ranks.get(to.index()) else {
            more();
            return;
        };
        let mut outbox = outbox.lock();
        outbox.add(number, what, value);
        let is_full = !more() || outbox.answers.len() >= TOGETHER || outbox.since.elapsed() >= KEPT_BACK;
        if is_full {
            let full = std::mem::take(&mut *outbox);
            drop(outbox);
            full.send(world, to);
        }
    }
}

impl Outbox {
    fn add(&mut self, number: u64, what: What, mut value: Packed) {
        if self.answers.is_empty() {
            self.since = Instant::now();
        }
        let size = Size {
            bytes: value.bytes.len() as u64,
            blobs: value.blobs.len() as u64,
            references: value.references.len() as u64,
        };
        self.answers.push(Answered { number, what, size });
        self.values.bytes.append(&mut value.bytes);
        self.values.blobs.append(&mut value.blobs);
        self.values.references.append(&mut value.references);
    }

    fn send(self, world: &Arc<Shared>, to: Rank) {
        if let Ok(packed) = telling(&Told::Came(self.answers), self.values) {
            world.tell(to, Kind::Task, packed);
        }
    }
}

/// The values that have come, one after the other.
pub(super) struct Values {
    bytes: std::vec::IntoIter<u8>,
    blobs: std::vec::IntoIter<crate::rank::codec::Blob>,
    references: std::vec::IntoIter<crate::rank::object::Reference>,
}

impl Values {
    pub(super) fn of(packed: Packed) -> Self {
        Self {
            bytes: packed.bytes.into_iter(),
            blobs: packed.blobs.into_iter(),
            references: packed.references.into_iter(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() + self.blobs.len() + self.references.len() == 0
    }

    pub(super) fn next(&mut self, size: Size) -> Option<Packed> {
        let (bytes, blobs, references) = (size.bytes as usize, size.blobs as usize, size.references as usize);
        if bytes > self.bytes.len() || blobs > self.blobs.len() || references > self.references.len() {
            return None;
        }
        let own = self.bytes.as_slice()[..bytes].to_vec();
        if bytes > 0 {
            self.bytes.nth(bytes - 1);
        }
        Some(Packed {
            bytes: own,
            blobs: self.blobs.by_ref().take(blobs).collect(),
            references: self.references.by_ref().take(references).collect(),
        })
    }
}

//! What a rank keeps for others, and how it learns that they need it no more.
//!
//! The home of an object keeps a signed count for each rank, and lets go of the object when all of them are 0. Who sends a
//! reference tells the home "one more for the receiver" before it could tell "one less for me", on the same way; so the
//! sum never looks like nothing while a reference is under way, and nobody has to acknowledge anything: the receiver's "one
//! less" may come first, and leaves a count below 0, which is not 0.
//!
//! A future that is sent is an object of the rank that sends it (`export`); so the result of a remote task is one of the rank that
//! submitted it, unless it is large and stays where it was made (`stored`). Where a reference arrives it becomes a future
//! again (`future`), or is fetched as it is for the arguments of a task (`import`). Futures whose values are to come from
//! elsewhere, by either way, are known to `awaited`.

mod awaited;
mod export;
mod future;
mod import;
mod stored;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use awaited::{Asked, Awaited, Came, Link, Source, await_elsewhere};
pub(super) use export::refer;
pub(crate) use future::future_of;
pub(super) use import::{Import, Imports, have, import};
pub(crate) use stored::{store, stored};

use super::codec::{Packed, pack};
use super::message::{Kind, Message};
use super::world::{Rank, Shared};
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// Names an object in the whole world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ObjectId {
    /// Where it is, or will be.
    pub(crate) home: Rank,
    /// Who drew the number.
    pub(crate) maker: Rank,
    pub(crate) number: u64,
}

/// A counted hold on an object.
#[derive(Clone)]
pub(crate) struct Reference(Arc<Hold>);

enum Hold {
    /// One count of this rank; given back when dropped.
    Counted { id: ObjectId, world: std::sync::Weak<Shared> },
    /// Something of this rank that has no name yet: it is given one when it is sent.
    Own(Arc<dyn Object>),
}

/// What can be had by a reference.
pub(crate) trait Object: Any + Send + Sync {
    /// Answers who asks, now or when it is there. Called where messages are seen to.
    fn asked(self: Arc<Self>, world: &Arc<Shared>, asker: Asker);
    /// Somebody has cancelled it. May run the user's code.
    fn cancel(&self, reason: CancelReason) {
        drop(reason);
    }
    /// What it was made of, if that is not there yet: then that is sent instead.
    fn original(&self, world: &Shared) -> Option<Reference> {
        let _ = world;
        None
    }
    /// The number it is known by while it has a name, if it is not to be drawn.
    fn number(&self) -> Option<u64> {
        None
    }
}

/// Who is to be answered, and what with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    rank: Rank,
    ticket: u64,
    /// Only if it is small; else that it is there.
    only_small: bool,
}

/// What is told to an object's home, or asked of it.
#[derive(Serialize, Deserialize)]
enum Told {
    Count { id: ObjectId, of: Rank, by: i64 },
    Ask { id: ObjectId, only_small: bool },
    Cancel { id: ObjectId, reason: String },
}

/// In an answer, behind the bytes: the value.
const HERE: u8 = 0;
/// It is what is referred to.
const AT: u8 = 1;

/// Tables, so that threads seldom meet.
const SHARDS: usize = 16;

/// The objects whose home is this rank.
#[derive(Default)]
pub(crate) struct Objects {
    drawn: AtomicU64,
    shards: [Mutex<HashMap<ObjectId, Kept>>; SHARDS],
}

#[derive(Default)]
struct Kept {
    object: Option<Arc<dyn Object>>,
    counts: HashMap<Rank, i64>,
    /// Who has asked before it was there.
    early: Vec<Asker>,
}

impl Objects {
    fn shard(&self, id: ObjectId) -> &Mutex<HashMap<ObjectId, Kept>> {
        &self.shards[(id.number as usize ^ id.maker.index()) % SHARDS]
    }
}

/// Numbers of objects that have none of their own: above those of tasks.
const DRAWN: u64 = 1 << 62;

impl Reference {
    /// The name of what was received or named.
    pub(crate) fn id(&self) -> Option<ObjectId> {
        match &*self.0 {
            Hold::Counted { id, .. } => Some(*id),
            Hold::Own(_) => None,
        }
    }

    fn of_own(object: Arc<dyn Object>) -> Self {
        Self(Arc::new(Hold::Own(object)))
    }

    /// The same by its name, which it gets now if it has none.
    pub(super) fn named(self, world: &Arc<Shared>) -> (Self, ObjectId) {
        match &*self.0 {
            Hold::Counted { id, .. } => {
                let id = *id;
                (self, id)
            }
            Hold::Own(object) => {
                if let Some(original) = object.original(world) {
                    return original.named(world);
                }
                let number = object.number().unwrap_or_else(|| draw(world));
                let id = ObjectId { home: world.rank(), maker: world.rank(), number };
                count(world, id, world.rank(), 1);
                keep(world, id, object.clone());
                (received(world, id), id)
            }
        }
    }
}

/// Calls `done` where messages are seen to, once it is known where the value is and how many bytes it has, or that it is small,
/// or never will be.
pub(super) fn locate(
    world: &Arc<Shared>,
    reference: Reference,
    done: impl FnOnce(&Arc<Shared>, Option<(Rank, usize)>) + Send + 'static,
) {
    let (reference, id) = reference.named(world);
    ask(world, id, true, move |world, answer| {
        let at = match answer {
            Ok(Came::At(at, bytes)) => Some((at.id().map_or(world.rank(), |id| id.home), bytes)),
            Ok(Came::Here(_)) | Err(_) => None,
        };
        drop(reference);
        done(world, at);
    });
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reference").field(&self.id()).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Self::Counted { id, world } = self
            && let Some(world) = world.upgrade()
        {
            count(&world, *id, world.rank(), -1);
        }
    }
}

fn draw(world: &Shared) -> u64 {
    // ORDERING: Relaxed; the number only has to be new.
    DRAWN | world.objects.drawn.fetch_add(1, Ordering::Relaxed)
}

/// A new name for something that is, or will be, at `home`; this rank has one count.
pub(crate) fn name(world: &Arc<Shared>, home: Rank) -> Reference {
    let id = ObjectId { home, maker: world.rank(), number: draw(world) };
    count(world, id, world.rank(), 1);
    received(world, id)
}

/// Keeps an object of this rank for as long as anybody counts on it.
pub(crate) fn keep(world: &Arc<Shared>, id: ObjectId, object: Arc<dyn Object>) {
    let early = {
        let mut shard = world.objects.shard(id).lock();
        let kept = shard.entry(id).or_default();
        kept.object.get_or_insert_with(|| object.clone());
        std::mem::take(&mut kept.early)
    };
    for asker in early {
        object.clone().asked(world, asker);
    }
}

/// An object of this rank.
pub(crate) fn find(world: &Shared, id: ObjectId) -> Option<Arc<dyn Object>> {
    world.objects.shard(id).lock().get(&id)?.object.clone()
}

/// Counts for the receiver of a reference that is being sent.
pub(super) fn lent(world: &Arc<Shared>, to: Rank, reference: Reference) -> ObjectId {
    let (reference, id) = reference.named(world);
    count(world, id, to, 1);
    drop(reference);
    id
}

/// A reference that has come, counted by who sent it.
pub(super) fn received(world: &Arc<Shared>, id: ObjectId) -> Reference {
    Reference(Arc::new(Hold::Counted { id, world: Arc::downgrade(world) }))
}

fn count(world: &Arc<Shared>, id: ObjectId, of: Rank, by: i64) {
    if id.home == world.rank() {
        return counted(world, id, of, by);
    }
    if let Ok(packed) = pack(&Told::Count { id, of, by }) {
        world.tell(id.home, Kind::Object, packed);
    }
}

fn counted(world: &Arc<Shared>, id: ObjectId, of: Rank, by: i64) {
    let mut kept = world.objects.shard(id).lock();
    let entry = kept.entry(id).or_default();
    let count = entry.counts.entry(of).or_default();
    *count = count.saturating_add(by);
    if *count == 0 {
        entry.counts.remove(&of);
    }
    // Counts of those who have asked early may look like nothing before that of its maker is here.
    let gone = if entry.counts.is_empty() && entry.early.is_empty() { kept.remove(&id) } else { None };
    drop(kept);
    if let Some(Kept { object: Some(object), .. }) = gone {
        // Its drop may run the user's code.
        world.queue(move || drop(object));
    }
}

/// Asks for an object, or only for whether it is there if it is not small.
pub(super) fn ask(
    world: &Arc<Shared>,
    id: ObjectId,
    only_small: bool,
    done: impl FnOnce(&Arc<Shared>, Result<Came, TaskError>) + Send + 'static,
) {
    match pack(&Told::Ask { id, only_small }) {
        Ok(packed) => world.ask(id.home, Kind::Object, packed, |world, answer| done(world, answer.and_then(read))),
        Err(error) => done(world, Err(error)),
    }
}

fn read(mut answer: Packed) -> Result<Came, TaskError> {
    match answer.bytes.pop() {
        Some(HERE) => Ok(Came::Here(answer)),
        Some(AT) if answer.references.len() == 1 => {
            let size = postcard::from_bytes(&answer.bytes).unwrap_or(0);
            Ok(Came::At(answer.references.remove(0), size))
        }
        _ => Err(TaskError::new(TaskErrorKind::Codec("an answer that is no object".to_owned()))),
    }
}

impl Asker {
    /// Answers with what it is, where it is, or why it will never be.
    pub(super) fn answer(self, world: &Arc<Shared>, what: Result<Came, TaskError>) {
        let what = what.map(|came| match came {
            Came::Here(mut packed) => {
                packed.bytes.push(HERE);
                packed
            }
            Came::At(reference, size) => {
                let mut packed = pack(&size).unwrap_or_default();
                packed.bytes.push(AT);
                packed.references.push(reference);
                packed
            }
        });
        world.answer(self.rank, self.ticket, what);
    }
}

/// Has the home of an object cancel it.
pub(super) fn cancel(world: &Arc<Shared>, id: ObjectId, reason: &str) {
    if let Ok(packed) = pack(&Told::Cancel { id, reason: reason.to_owned() }) {
        world.tell(id.home, Kind::Object, packed);
    }
}

pub(super) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    let ticket = message.ticket;
    match message.packed.unpack::<Told>(world) {
        Ok(Told::Count { id, of, by }) if id.home == world.rank() => counted(world, id, of, by),
        Ok(Told::Ask { id, only_small }) if id.home == world.rank() => {
            let asker = Asker { rank: from, ticket, only_small };
            // What this rank has named itself was kept before anybody could ask.
            let may_come = id.maker != world.rank();
            let object = {
                let mut shard = world.objects.shard(id).lock();
                let object = shard.get(&id).and_then(|kept| kept.object.clone());
                if object.is_none() && may_come {
                    shard.entry(id).or_default().early.push(asker);
                }
                object
            };
            match object {
                Some(object) => object.asked(world, asker),
                None if may_come => {}
                None => {
                    let gone = TaskErrorKind::Codec("what is asked for is not there any more".to_owned());
                    asker.answer(world, Err(TaskError::new(gone)));
                }
            }
        }
        Ok(Told::Cancel { id, reason }) if id.home == world.rank() => {
            if let Some(object) = find(world, id) {
                world.queue(move || object.cancel(reason.into()));
            }
        }
        Ok(_) => {}
        Err(corrupt) => world.lose(from, &corrupt),
    }
}

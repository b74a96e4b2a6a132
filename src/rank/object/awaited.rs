//! Futures of this rank whose values are to come from another.
//!
//! A value comes with the word that it is done, if it is small. Else that word says where it is, and it is fetched when
//! somebody here first waits for it; others who have asked for the future are sent there directly.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Occupied;
use std::marker::PhantomData;
use std::sync::Weak;

use serde::de::DeserializeOwned;

use super::{Asker, Reference, ask, cancel};
use crate::error::{CancelReason, TaskError, TaskErrorKind, TaskId};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::task;
use crate::rank::world::{Rank, Shared};
use crate::scheduler::FromAfar;
use crate::task::Birth;
use crate::task::{Afar, Header, Lacking, Ready, Receive, Rule, Typed, lacking, with_error};

/// Tables, so that threads seldom meet.
const SHARDS: usize = 64;
/// Tasks with neighbouring numbers lie in one table.
const NEIGHBOURS: u64 = 64;

/// What has come of an object.
pub(crate) enum Came {
    Here(Packed),
    /// It is done, and is there: so many bytes, if that is known.
    At(Reference, usize),
}

/// Where a value is to come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A task, sent in an order with that number to a rank.
    Task { to: Rank, order: u64 },
    /// An object.
    Object(Reference),
    /// Something that was asked for, and can be called off.
    Asked(Arc<dyn Asked>),
}

/// What was asked for elsewhere.
pub(crate) trait Asked: std::fmt::Debug + Send + Sync {
    /// It was cancelled, or, without a reason, nobody wants it any more.
    fn call_off(&self, number: u64, reason: Option<&str>);
}

type Supply = Result<Packed, TaskError>;

struct Entry {
    claim: Lacking<Supply>,
    source: Source,
    wanted: bool,
    /// What few have.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    /// Where it is, once it is done.
    at: Option<Reference>,
    /// Its bytes, if they are known.
    size: usize,
    is_fetched: bool,
    /// Others who have asked.
    also: Vec<Asker>,
}

/// The futures, by the numbers of their tasks: neighbours, which are made one after the other, lie in one page.
pub(crate) struct Awaited {
    shards: Box<[Mutex<Pages>]>,
}

#[derive(Default)]
struct Pages(HashMap<u64, Page, Mixed>);

/// Its entries, and how many there are.
type Page = Box<([Option<Entry>; PAGE], usize)>;

const PAGE: usize = 16;

impl Pages {
    fn get(&mut self, number: u64) -> Option<&mut Entry> {
        self.0.get_mut(&(number / PAGE as u64))?.0[number as usize % PAGE].as_mut()
    }

    fn insert(&mut self, number: u64, entry: Entry) {
        let page = self.0.entry(number / PAGE as u64).or_default();
        page.1 += 1;
        page.0[number as usize % PAGE] = Some(entry);
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let Occupied(mut page) = self.0.entry(number / PAGE as u64) else { return None };
        let entry = page.get_mut().0[number as usize % PAGE].take()?;
        page.get_mut().1 -= 1;
        if page.get().1 == 0 {
            page.remove();
        }
        Some(entry)
    }

    /// Takes out those of which `which` is true, with their numbers.
    fn extract(&mut self, which: impl Fn(&Entry) -> bool) -> Vec<(u64, Entry)> {
        let is_meant = |entry: &Option<Entry>| entry.as_ref().is_some_and(&which);
        let mut meant = Vec::new();
        for (number, page) in &self.0 {
            let first = number * PAGE as u64;
            meant.extend((first..).zip(&page.0).filter(|(_, entry)| is_meant(entry)).map(|(number, _)| number));
        }
        meant.into_iter().filter_map(|number| Some((number, self.remove(number)?))).collect()
    }
}

impl Entry {
    fn at(&self) -> Option<&Reference> {
        self.more.as_ref()?.at.as_ref()
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn take_also(&mut self) -> Vec<Asker> {
        self.more.as_mut().map(|more| std::mem::take(&mut more.also)).unwrap_or_default()
    }
}

/// Numbers of tasks are as good as drawn at random once they are mixed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mixed(u64);

impl std::hash::BuildHasher for Mixed {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl std::hash::Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Default for Awaited {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

/// Unpacks what has come.
struct Unpack<T> {
    world: Arc<Shared>,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> Receive<Supply> for Unpack<T> {
    type Output = T;
    fn name() -> &'static str {
        std::any::type_name::<T>()
    }
    fn receive(self, what: Supply) -> Result<T, TaskErrorKind> {
        what.and_then(|packed| packed.unpack(&self.world)).map_err(TaskError::into_kind)
    }
}

/// A future whose value is to come from `source`, noted before anything is asked for it. A closed executor refuses.
pub(crate) fn await_elsewhere<T: DeserializeOwned + Send + 'static>(
    world: &Arc<Shared>,
    birth: Birth,
    rule: Option<Rule>,
    source: Source,
) -> Typed<T> {
    let registry = world.registry();
    let refused = match world.is_over() {
        true => Err(TaskError::new(TaskErrorKind::WorldEnded)),
        false if registry.may_refuse() => registry.admit(),
        false => Ok(()),
    };
    if let Err(error) = refused {
        return with_error(birth, error);
    }
    registry.count_created(1);
    let (claim, task) = lacking(birth, rule, Unpack { world: world.clone(), value: PhantomData });
    let id = task.handle().head().id();
    let entry = Entry { claim, source, wanted: false, more: None };
    world.awaited.shard(id.0).lock().insert(id.0, entry);
    // Looked at after it is in the table, which a closing thread empties after it has closed.
    if let Err(error) = registry.admit_counted() {
        crate::task::cancel(task.handle(), error);
    }
    task
}

impl Awaited {
    fn shard(&self, number: u64) -> &Mutex<Pages> {
        &self.shards[(number / NEIGHBOURS) as usize % SHARDS]
    }

    fn take(&self, number: u64) -> Option<Entry> {
        self.shard(number).lock().remove(number)
    }

    /// What was asked for has come, or will not. Called where messages are seen to.
    pub(crate) fn came(&self, world: &Arc<Shared>, number: u64, what: Result<Came, TaskError>) {
        let mut ready = Vec::new();
        self.comes(world, number, what, &mut ready);
        world.registry().queue_supplied(&mut ready);
    }

    /// As [`came`](Self::came), of one of several: what is to be queued goes to `ready`.
    pub(crate) fn comes(
        &self,
        world: &Arc<Shared>,
        number: u64,
        what: Result<Came, TaskError>,
        ready: &mut Vec<Ready>,
    ) {
        match what {
            Ok(Came::At(reference, size)) => {
                let (reference, _) = reference.named(world);
                let mut shard = self.shard(number).lock();
                let Some(entry) = shard.get(number) else {
                    drop(shard);
                    return drop(reference);
                };
                let fetch = entry.wanted;
                let also = entry.take_also();
                let before = entry.more().at.replace(reference.clone());
                entry.more().size = size;
                entry.more().is_fetched |= fetch;
                drop(shard);
                drop(before);
                for asker in also {
                    asker.answer(world, Ok(Came::At(reference.clone(), size)));
                }
                if fetch {
                    fetch_now(world, number, reference);
                }
            }
            Ok(Came::Here(packed)) => ready.extend(self.supply(world, number, Ok(packed))),
            Err(error) => ready.extend(self.supply(world, number, Err(error))),
        }
    }

    fn supply(&self, world: &Arc<Shared>, number: u64, what: Supply) -> Option<Ready> {
        let mut entry = self.take(number)?;
        let also = entry.take_also();
        // Others are told what the future will say.
        let what = match what {
            Err(error) if !also.is_empty() => Err(entry.claim.head().failure(error.into_kind())),
            what => what,
        };
        for asker in also {
            asker.answer(world, what.clone().map(Came::Here));
        }
        entry.claim.supply(what)
    }

    /// Somebody else asks for the future: he is answered as soon as it is known where the value is. False when it is known
    /// to be here.
    pub(super) fn also(&self, world: &Arc<Shared>, id: TaskId, asker: Asker) -> bool {
        let mut shard = self.shard(id.0).lock();
        let Some(entry) = shard.get(id.0) else { return false };
        let Some(reference) = entry.at().cloned() else {
            entry.more().also.push(asker);
            return true;
        };
        let size = entry.more().size;
        drop(shard);
        asker.answer(world, Ok(Came::At(reference, size)));
        true
    }

    /// Where a value is that has not been fetched, and how large it is.
    pub(crate) fn at(&self, id: TaskId) -> Option<(Rank, usize)> {
        let mut shard = self.shard(id.0).lock();
        let more = shard.get(id.0)?.more.as_ref()?;
        Some((more.at.as_ref()?.id()?.home, more.size))
    }

    /// The object that a future is to have its value from.
    pub(super) fn original(&self, id: TaskId) -> Option<Reference> {
        match &self.shard(id.0).lock().get(id.0)?.source {
            Source::Object(reference) => Some(reference.clone()),
            Source::Task { .. } | Source::Asked(_) => None,
        }
    }

    /// Whether a future of this rank is still to come, and wanted.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.shard(number).lock().get(number).is_some()
    }

    /// A task of this rank is somewhere else now.
    pub(crate) fn moved(&self, number: u64, to: Rank) {
        if let Some(entry) = self.shard(number).lock().get(number)
            && let Source::Task { to: at, .. } = &mut entry.source
        {
            *at = to;
        }
    }

    /// Ends what was to come from a rank.
    pub(crate) fn lost(&self, world: &Arc<Shared>, rank: Rank, error: &TaskError) {
        self.end(world, error, |entry| match &entry.source {
            Source::Task { to, .. } => *to == rank,
            Source::Object(_) | Source::Asked(_) => false,
        });
    }

    /// Ends everything.
    pub(crate) fn end_all(&self, world: &Arc<Shared>, error: &TaskError) {
        self.end(world, error, |_| true);
    }

    fn end(&self, world: &Arc<Shared>, error: &TaskError, which: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            let meant = shard.lock().extract(&which);
            let mut ready = Vec::new();
            for (_, mut entry) in meant {
                for asker in entry.take_also() {
                    asker.answer(world, Err(error.clone()));
                }
                ready.extend(entry.claim.supply(Err(error.clone())));
            }
            world.registry().queue_supplied(&mut ready);
        }
    }
}

/// Fetches a large value from where it is.
fn fetch_now(world: &Arc<Shared>, number: u64, reference: Reference) {
    let (reference, id) = reference.named(world);
    ask(world, id, false, move |world, answer| {
        match answer {
            Ok(Came::At(elsewhere, _)) => fetch_now(world, number, elsewhere),
            other => world.awaited.came(world, number, other),
        }
        drop(reference);
    });
}

/// Leads from an executor to what its tasks wait for.
pub(crate) struct Link(pub(crate) Weak<Shared>);

impl FromAfar for Link {
    fn told(&self, id: TaskId, what: Afar<'_>) -> bool {
        let Some(world) = self.0.upgrade() else { return false };
        match what {
            Afar::IsDone => world.awaited.shard(id.0).lock().get(id.0).is_some_and(|entry| entry.at().is_some()),
            Afar::Wanted => {
                let mut shard = world.awaited.shard(id.0).lock();
                let Some(entry) = shard.get(id.0) else { return false };
                entry.wanted = true;
                let more = entry.more.as_mut().filter(|more| !more.is_fetched);
                let fetch = more.and_then(|more| {
                    let at = more.at.clone();
                    more.is_fetched |= at.is_some();
                    at
                });
                drop(shard);
                if let Some(reference) = fetch {
                    fetch_now(&world, id.0, reference);
                }
                false
            }
            Afar::Ended(error) => {
                if let Some(entry) = world.awaited.take(id.0) {
                    let reason = error.cancel_reason().map_or("", CancelReason::text);
                    entry.let_go(&world, id, error, Some(reason));
                }
                false
            }
            Afar::Abandoned => {
                if let Some(entry) = world.awaited.take(id.0) {
                    entry.let_go(&world, id, &TaskError::new(TaskErrorKind::Unwanted), None);
                }
                false
            }
        }
    }

    fn cancel(&self, error: &TaskError, which: &dyn Fn(&Header) -> bool) {
        let Some(world) = self.0.upgrade() else { return };
        for shard in &world.awaited.shards {
            let meant = shard.lock().extract(|entry| which(entry.claim.head()));
            for (number, entry) in meant {
                let reason = error.cancel_reason().map_or("", CancelReason::text);
                entry.let_go(&world, TaskId(number), error, Some(reason));
            }
        }
    }
}

impl Entry {
    /// Ends the task, if it has not ended, and tells where the value was to come from: that it was cancelled, or, without a
    /// reason, that nobody wants it.
    fn let_go(mut self, world: &Arc<Shared>, id: TaskId, error: &TaskError, reason: Option<&str>) {
        for asker in self.take_also() {
            asker.answer(world, Err(error.clone()));
        }
        match (&self.source, reason) {
            (Source::Task { to, order }, reason) if self.at().is_none() => {
                task::withdraw(world, *to, *order, id.0, reason);
            }
            (Source::Asked(asked), reason) => asked.call_off(id.0, reason),
            (Source::Object(reference), Some(reason)) => {
                if let Some(id) = reference.id() {
                    cancel(world, id, reason);
                }
            }
            _ => {}
        }
        self.claim.fail(error.clone());
    }
}

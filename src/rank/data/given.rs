//! Values that were scattered: kept by the rank they were given to, as they came.

use std::panic::Location;

use heist_numa::{PageSize, Pod, Policy, Region};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Told, holdings};
use crate::counters::ledger::Entry;
use crate::error::{Error, ErrorKind, TaskError};
use crate::future::TaskFuture;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Array, Blob, Packed, pack};
use crate::rank::message::Kind;
use crate::rank::object::{self, ObjectId};
use crate::rank::world::{Rank, Shared, World};
use crate::task::{self, Whereabouts};

/// Bytes of a part of a value that are moved to the domain it was meant for.
const WORTH_MOVING: usize = 64 << 10;

/// Bytes that this rank has given to each.
#[derive(Default)]
struct Given(Mutex<Vec<u64>>);

/// The rank that was given least, by this one; of several such the first after it.
fn least(world: &Shared) -> Rank {
    let given = world.part::<Given>();
    let mut given = given.0.lock();
    given.resize(world.size(), 0);
    let from = world.rank().index();
    let order = (0..given.len()).map(|step| (from + step) % given.len());
    Rank(order.min_by_key(|&rank| given[rank]).unwrap_or(from) as u32)
}

fn note(world: &Shared, to: Rank, bytes: usize) {
    let given = world.part::<Given>();
    let mut given = given.0.lock();
    given.resize(world.size(), 0);
    given[to.index()] += bytes as u64;
}

/// Gives a value to a rank, which is one of the world.
fn give<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
    world: &Arc<Shared>,
    location: &'static Location<'static>,
    to: Rank,
    domain: Option<u32>,
    value: T,
) -> TaskFuture<T> {
    let registry = world.registry();
    if to == world.rank() {
        note(world, to, size_of::<T>());
        let (at, bytes) = (registry.ledger.least_loaded(), size_of::<T>());
        let entry = Entry::new(&registry.ledger, at, bytes);
        return TaskFuture::new(task::with_value_and(
            registry.birth(location),
            value,
            entry,
            Whereabouts::on(at, bytes),
        ));
    }
    let reference = object::name(world, to);
    let told = pack(&value).and_then(|value| {
        note(world, to, value.size());
        let id = reference.id().ok_or_else(|| crate::rank::codec::malformed("a name without a number"))?;
        pack(&Told::Keep { id, domain, value })
    });
    match told {
        Ok(packed) => {
            world.tell(to, Kind::Data, packed);
            object::future_of(world, reference)
        }
        Err(error) => TaskFuture::new(task::with_error(registry.birth(location), error)),
    }
}

/// Keeps what was given, once its memory is where it is to be.
pub(super) fn keep(world: &Arc<Shared>, id: ObjectId, domain: Option<u32>, value: Packed) {
    if id.home != world.rank() {
        return;
    }
    let registry = world.registry();
    let here =
        (0..registry.domain_count()).find(|&at| domain.is_some() && registry.settings.seating.memory[at] == domain);
    let entry = Entry::new(&registry.ledger, here.unwrap_or_else(|| registry.ledger.least_loaded()), value.size());
    match domain.filter(|_| registry.domain_count() > 1) {
        None => object::keep(world, id, object::stored(value, entry)),
        Some(domain) => {
            let there = world.clone();
            world.queue(move || object::keep(&there, id, object::stored(moved(value, domain), entry)));
        }
    }
}

/// With its large parts in memory of that domain.
fn moved(mut value: Packed, domain: u32) -> Packed {
    for blob in value.blobs.iter_mut().filter(|blob| blob.len() >= WORTH_MOVING) {
        let region = Region::builder().policy(Policy::Preferred(domain)).pages(PageSize::Huge).allocate(blob.len());
        // Without memory there it stays where it is.
        if let Ok(mut region) = region {
            region.copy_from_slice(blob);
            *blob = Blob::of_region(region);
        }
    }
    value
}

impl World {
    /// Gives `value` to the rank that this one has given least, which keeps it until the last handle on it, anywhere, is
    /// dropped, or this rank fetches it by waiting for it: then it is here. Tasks that take the future go to where the value is,
    /// if it is what is largest of what they take.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let world = ex.world();
    /// let table = world.scatter(vec![3, 1, 2]);
    /// let most = world.submit(|(table,): (Vec<i32>,)| table.into_iter().max(), (&table,));
    /// assert_eq!(most.result()?, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter<T: Serialize + DeserializeOwned + Send + Sync + 'static>(&self, value: T) -> TaskFuture<T> {
        let world = self.shared();
        give(world, Location::caller(), least(world), None, value)
    }

    /// As [`scatter`](Self::scatter), to one rank.
    ///
    /// # Errors
    /// [`Error::is_impossible_place`] when there is no such rank.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let there = ranks[0].world().scatter_on(Rank(1), "text".to_owned())?;
    /// assert_eq!(there.result()?, "text");
    /// assert!(ranks[0].world().scatter_on(Rank(2), 1).unwrap_err().is_impossible_place());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter_on<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
        &self,
        rank: Rank,
        value: T,
    ) -> Result<TaskFuture<T>, Error> {
        let world = self.shared();
        if rank.index() >= world.size() {
            return Err(Error::new(ErrorKind::NoRank { rank: rank.0, ranks: world.size() }));
        }
        Ok(give(world, Location::caller(), rank, None, value))
    }

    /// As [`scatter`](Self::scatter) of each item.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let words = ex.world().scatter_vec(vec!["a".to_owned(), "b".to_owned()]);
    /// assert_eq!(ex.gather(words)?, ["a", "b"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter_vec<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
        &self,
        items: Vec<T>,
    ) -> Vec<TaskFuture<T>> {
        let location = Location::caller();
        let world = self.shared();
        items.into_iter().map(|item| give(world, location, least(world), None, item)).collect()
    }

    /// Cuts values into parts, one for each domain of each rank and as large as it has workers, and gives each part to its
    /// rank, in memory of its domain where a rank has several. The parts come in the order of their values.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] when a rank has ended, or that of the wait for what the ranks tell of their domains.
    ///
    /// ```
    /// use heist::{Array, Executor};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let parts = world.scatter_slice((0..1_000_u64).collect::<Vec<_>>())?;
    /// let sums: Vec<_> =
    ///     parts.iter().map(|part| world.submit(|(part,): (Array<u64>,)| part.iter().sum::<u64>(), (part,))).collect();
    /// assert_eq!(ranks[0].gather(sums)?.iter().sum::<u64>(), 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter_slice<T: Pod + Send + Sync>(
        &self,
        values: impl Into<Array<T>>,
    ) -> Result<Vec<TaskFuture<Array<T>>>, TaskError> {
        let location = Location::caller();
        let (world, values) = (self.shared(), values.into());
        let ranks = holdings::all(world)?;
        let places: Vec<_> = (0..)
            .zip(&ranks)
            .flat_map(|(rank, holds)| holds.0.iter().map(move |domain| (Rank(rank), domain)))
            .collect();
        let workers: usize = places.iter().map(|(_, domain)| domain.workers as usize).sum();
        let mut before = 0;
        let parts = places.into_iter().map(|(rank, domain)| {
            let end = before + domain.workers as usize;
            let cut = |workers_before: usize| {
                (values.len() as u128 * workers_before as u128 / workers.max(1) as u128) as usize
            };
            let part = values.part(cut(before)..cut(end));
            before = end;
            give(world, location, rank, domain.memory, part)
        });
        Ok(parts.collect())
    }
}

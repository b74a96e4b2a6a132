//! Values that many ranks have a copy of.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Weak;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::copies;
use super::tree::Tree;
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Promise, TaskFuture};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::object::ObjectId;
use crate::rank::world::{Rank, Shared, World};
use crate::task::{self, Whereabouts};

/// Which ranks have copies of what is this rank's, by its number.
#[derive(Default)]
struct Known(Mutex<HashMap<u64, Vec<Rank>>>);

/// Lets go of the copies when it is dropped.
struct Everywhere {
    world: Weak<Shared>,
    id: ObjectId,
    tree: Tree,
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            world.part::<Known>().0.lock().remove(&self.id.number);
            copies::let_go(&world, self.id, std::mem::take(&mut self.tree));
        }
    }
}

/// Sends copies of what has that number on this rank to some others, and waits until they have it.
fn spread<T: Serialize>(
    world: &Arc<Shared>,
    number: u64,
    ranks: &[Rank],
    value: &T,
) -> Result<(Packed, Everywhere), TaskError> {
    let mut packed = pack(value)?;
    packed.blobs = packed.blobs.into_iter().map(|blob| blob.settled(world.registry(), Location::caller())).collect();
    let id = ObjectId { home: world.rank(), maker: world.rank(), number };
    let tree = Tree::of(world.rank(), ranks.iter().copied(), |rank| world.host_of(rank).unwrap_or_default());
    let copies = Everywhere { world: Arc::downgrade(world), id, tree: tree.clone() };
    let (promise, all_have) = Promise::new(world.registry(), Location::caller());
    copies::pass_on(world, id, tree, &packed, move |_, what| match what {
        Ok(()) => promise.fulfil(()),
        Err(error) => promise.fail_with(TaskErrorKind::Dependency(error)),
    });
    all_have.result()?;
    world.part::<Known>().0.lock().insert(number, ranks.to_vec());
    Ok((packed, copies))
}

/// The ranks after this one, around to it.
fn others(world: &Shared) -> Vec<Rank> {
    let (own, size) = (world.rank().0, world.size() as u32);
    (1..size).map(|step| Rank((own + step) % size)).collect()
}

impl World {
    /// Gives all ranks a copy of `value`, and returns when they have it: wherever a task runs that takes the future, its
    /// value is there. Large [`Array`](crate::Array)s are in memory once on every host, and mapped by the ranks there; from
    /// host to host they go along a binomial tree. The copies live as long as handles on the future do.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] when a rank has ended, [`TaskError::is_codec`] when the value cannot travel, or that of
    /// the wait.
    ///
    /// ```
    /// use heist::{Array, Executor, Rank};
    /// let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let table = world.broadcast(Array::from(vec![2.0, 3.0]))?;
    /// let sum = |(table,): (Array<f64>,)| table.iter().sum::<f64>();
    /// assert_eq!(world.on(Rank(2)).submit(sum, (&table,)).result()?, 5.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn broadcast<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
        &self,
        value: T,
    ) -> Result<TaskFuture<T>, TaskError> {
        let world = self.shared();
        let birth = world.registry().birth(Location::caller());
        let (packed, copies) = spread(world, birth.id().0, &others(world), &value)?;
        // Of what was moved to a segment that is then the only copy.
        let value = if packed.blobs.is_empty() {
            value
        } else {
            let moved = packed.unpack(world)?;
            world.queue(move || drop(value));
            moved
        };
        Ok(TaskFuture::new(task::with_value_and(birth, value, copies, Whereabouts::NOWHERE)))
    }

    /// Has copies of a future's value on so many ranks, this one among them, for as long as what it gives is kept; waits for
    /// the value, and until they are there. Tasks of this rank that take the future find them.
    ///
    /// # Errors
    /// That of the future, or as [`broadcast`](Self::broadcast).
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1))?;
    /// let (ex, world) = (&ranks[0], ranks[0].world());
    /// let words = ex.submit(|| vec!["a".to_owned(); 100]);
    /// let copies = world.replicate(&words, 2)?;
    /// assert_eq!(copies.ranks(), [Rank(0), Rank(1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replicate<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
        &self,
        future: &TaskFuture<T>,
        copies: usize,
    ) -> Result<Replicated, TaskError> {
        let world = self.shared();
        let mut chosen = others(world);
        chosen.truncate(copies.saturating_sub(1));
        let (_, copies) = spread(world, future.id().0, &chosen, future.value()?)?;
        let ranks = std::iter::once(world.rank()).chain(chosen).collect();
        Ok(Replicated { ranks, _copies: copies })
    }

    /// The ranks where the values of futures are, as far as this one knows: itself, where one has been left, and those that
    /// have copies by it. None for what is not done, or has no value.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let (here, both) = (ranks[0].submit(|| 1), world.broadcast(2)?);
    /// assert!(here.wait().is_ok());
    /// assert_eq!(world.who_has([&here, &both]), [vec![Rank(0)], vec![Rank(0), Rank(1)]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn who_has<'a, T: Send + 'a>(&self, futures: impl IntoIterator<Item = &'a TaskFuture<T>>) -> Vec<Vec<Rank>> {
        let world = self.shared();
        let known = world.part::<Known>();
        let ranks = |future: &TaskFuture<T>| {
            let id = future.id();
            let mut ranks: Vec<_> = match world.awaited.at(id).map(|(rank, _)| rank) {
                Some(rank) => vec![rank],
                None if future.done() && future.error().is_none() => vec![world.rank()],
                None => Vec::new(),
            };
            ranks.extend(known.0.lock().get(&id.0).into_iter().flatten());
            ranks.sort_unstable();
            ranks.dedup();
            ranks
        };
        futures.into_iter().map(ranks).collect()
    }
}

/// The copies that [`World::replicate`] has made, let go of when this is dropped.
#[must_use = "the copies live as long as this"]
pub struct Replicated {
    ranks: Vec<Rank>,
    _copies: Everywhere,
}

impl Replicated {
    /// The ranks that have one.
    #[must_use]
    pub fn ranks(&self) -> &[Rank] {
        &self.ranks
    }
}

impl fmt::Debug for Replicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicated").field("ranks", &self.ranks).finish()
    }
}

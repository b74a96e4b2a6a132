//! Futures as values: they are sent as references, and are futures again where they arrive.

use std::panic::Location;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::awaited::{Source, await_elsewhere};
use super::export::{back, refer};
use super::{Reference, ask, find};
use crate::future::TaskFuture;
use crate::primitive::sync::Arc;
use crate::rank::codec::{lend_reference, take_reference};
use crate::rank::task::OUTSIDE;
use crate::rank::world::Shared;

/// Within what is sent to another rank; elsewhere an error.
///
/// ```
/// use heist::TaskFuture;
/// let ex = heist::Executor::new()?;
/// let futures = ex.map(0..3_u64, |n| n * n);
/// let sum = |(futures,): (Vec<TaskFuture<u64>>,)| futures.iter().map(|f| f.result().unwrap()).sum::<u64>();
/// assert_eq!(ex.world().submit(sum, (futures,)).result()?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Serialize + Send + Sync + 'static> Serialize for TaskFuture<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        lend_reference(refer(self)).ok_or_else(|| S::Error::custom(OUTSIDE))?.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned + Send + 'static> Deserialize<'de> for TaskFuture<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let place = u32::deserialize(from)?;
        let (reference, world) = take_reference(place).ok_or_else(|| D::Error::custom(OUTSIDE))?;
        Ok(future_of(&world, reference))
    }
}

/// The future of what is referred to; of this rank's own the future that was sent. Large values are fetched when somebody
/// waits for them.
pub(crate) fn future_of<T: DeserializeOwned + Send + 'static>(
    world: &Arc<Shared>,
    reference: Reference,
) -> TaskFuture<T> {
    let (reference, id) = reference.named(world);
    if id.home == world.rank()
        && let Some(future) = find(world, id).and_then(back::<T>)
    {
        return future;
    }
    let birth = world.registry().birth(Location::caller());
    let number = birth.id();
    let task = await_elsewhere(world, birth, None, Source::Object(reference));
    ask(world, id, true, move |world, what| world.awaited.came(world, number.0, what));
    TaskFuture::new(task)
}

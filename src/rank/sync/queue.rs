//! A queue that all ranks of a world have.

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::client::{Handle, Reply};
use super::wire::{Answer, Kind, Op};
use crate::error::{Error, TaskError, TaskErrorKind};
use crate::future::TaskFuture;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::identity::Type;
use crate::rank::world::World;
use crate::sync::PutError;

/// A queue of a world, for the tasks, async tasks and threads of all its ranks: first in, first out, and first come, first
/// served. From [`World::queue`].
///
/// One rank keeps it; items lie there as the bytes they travel in, and futures among them are kept wanted. Clones are handles
/// on the same queue, and so are those that travel to other ranks as values. A task that waits lends its core.
///
/// ```
/// use heist::Executor;
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let (here, there) = (ranks[0].world().queue::<i32>("rows", Some(2))?, ranks[1].world().queue("rows", Some(2))?);
/// let producer = ranks[1].submit(move || {
///     (0..10).try_for_each(|i| there.put(i)).unwrap();
///     there.close().is_ok()
/// });
/// assert_eq!(here.iter().sum::<i32>(), 45);
/// assert!(producer.result()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WorldQueue<T> {
    handle: Arc<Handle>,
    items: PhantomData<fn(T) -> T>,
}

impl World {
    /// The queue of this name in this world. Made at the first call of any rank, gone with its last handle, or when it is
    /// closed; what it holds goes with it.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if it has items of another type or another bound; [`Error::is_closed`] if this rank has left
    /// its world, or the rank that keeps the name is lost.
    pub fn queue<T>(&self, name: &str, bound: Option<usize>) -> Result<WorldQueue<T>, Error>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Handle::open(self.shared(), Kind::Queue, name, Some(Type::of::<T>()), bound).map(WorldQueue::of)
    }
}

fn counted(answer: Answer) -> (u64, bool) {
    match answer {
        Answer::State { count, closed } => (count, closed),
        _ => (0, false),
    }
}

fn nothing() -> TaskError {
    TaskError::new(TaskErrorKind::Codec("no item came".to_owned()))
}

impl<T> WorldQueue<T> {
    fn of(handle: Arc<Handle>) -> Self {
        Self { handle, items: PhantomData }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// How many items it may hold, if that is bounded.
    #[must_use]
    pub fn bound(&self) -> Option<usize> {
        self.handle.size()
    }

    /// How many items it holds, at some moment during the call.
    ///
    /// # Errors
    /// Of every call: [`TaskError::is_rank_lost`] if the rank that keeps the name is lost, [`TaskError::is_world_ended`].
    pub fn len(&self) -> Result<usize, TaskError> {
        self.handle.state().map(|state| counted(state).0 as usize)
    }

    /// Whether it holds none, at some moment during the call.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, TaskError> {
        self.len().map(|len| len == 0)
    }

    /// Whether it was closed.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    pub fn is_closed(&self) -> Result<bool, TaskError> {
        self.handle.state().map(|state| counted(state).1)
    }

    /// As [`Queue::close`](crate::Queue::close), for all ranks.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    pub fn close(&self) -> Result<bool, TaskError> {
        let (said, _) = self.handle.wait(Op::End, Vec::new(), None)?;
        Ok(matches!(said, Answer::Is(true)))
    }
}

impl<T: Serialize> WorldQueue<T> {
    fn put_for(&self, value: T, timeout: Option<Duration>) -> Result<(), PutError<T>> {
        let put = pack(&value).and_then(|packed| self.handle.wait(Op::Put, vec![packed], timeout));
        put.map(drop).map_err(|error| PutError::new(value, error))
    }

    /// Waits until there is room, and puts `value`.
    ///
    /// # Errors
    /// With the value: [`TaskError::is_closed`] if the queue is closed or being closed, [`TaskError::is_codec`] if the value
    /// cannot be made into bytes, [`TaskError::is_rank_lost`] if any rank is lost meanwhile, [`TaskError::is_world_ended`];
    /// within a task also [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, when the value
    /// may have been put all the same, and [`TaskError::is_stalled`].
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_for(value, None)
    }

    /// Puts `value` if there is room and nobody waits to put.
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`TaskError::is_timeout`] if there is no room.
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_for(value, Some(Duration::ZERO))
    }

    /// As [`put`](Self::put), for no longer than `timeout` and the way to the rank that keeps the queue; tries once when
    /// that is zero.
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`TaskError::is_timeout`].
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_for(value, Some(timeout))
    }

    /// As [`put`](Self::put), awaited under any async runtime. Dropped while there is no room, it has put nothing.
    ///
    /// # Errors
    /// As [`put`](Self::put), but for those of tasks.
    pub fn put_async(&self, value: T) -> impl Future<Output = Result<(), PutError<T>>> + use<T> {
        let handle = self.handle.clone();
        async move {
            let put = match pack(&value) {
                Ok(packed) => handle.wait_async(Op::Put, vec![packed]).await,
                Err(error) => Err(error),
            };
            put.map(drop).map_err(|error| PutError::new(value, error))
        }
    }
}

impl<T> WorldQueue<TaskFuture<T>>
where
    TaskFuture<T>: Serialize,
{
    /// As [`put`](Self::put), for a future that may have been cancelled.
    ///
    /// # Errors
    /// As [`put`](Self::put); with the future's own error if it is cancelled ([`TaskError::is_cancelled`]).
    pub fn put_future(&self, future: TaskFuture<T>) -> Result<(), PutError<TaskFuture<T>>> {
        match future.error() {
            Some(error) if error.is_cancelled() => Err(PutError::new(future, error)),
            _ => self.put(future),
        }
    }
}

impl<T: DeserializeOwned> WorldQueue<T> {
    fn opened(&self, values: Vec<Packed>) -> Result<Vec<T>, TaskError> {
        values.into_iter().map(|value| value.unpack(self.handle.world())).collect()
    }

    fn get_for(&self, count: usize, timeout: Option<Duration>) -> Result<Vec<T>, TaskError> {
        let (_, values) = self.handle.wait(Op::Get { count: count as u64 }, Vec::new(), timeout)?;
        self.opened(values)
    }

    /// Waits for an item, and takes it.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] if the queue is closed and empty, [`TaskError::is_rank_lost`] if any rank is lost meanwhile,
    /// [`TaskError::is_world_ended`]. Within a task also [`TaskError::is_cancelled`] if the task, or its executor, was
    /// cancelled meanwhile, and [`TaskError::is_stalled`].
    pub fn get(&self) -> Result<T, TaskError> {
        self.get_for(1, None)?.pop().ok_or_else(nothing)
    }

    /// Takes an item, if there is one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn try_get(&self) -> Result<Option<T>, TaskError> {
        match self.get_for(1, Some(Duration::ZERO)) {
            Ok(mut got) => Ok(got.pop()),
            Err(error) if error.is_timeout() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`get`](Self::get), for no longer than `timeout` and the way to the rank that keeps the queue; tries once when that
    /// is zero.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`TaskError::is_timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TaskError> {
        self.get_for(1, Some(timeout))?.pop().ok_or_else(nothing)
    }

    /// As [`get`](Self::get), awaited under any async runtime. Dropped before its end, it has taken nothing: an item on its
    /// way goes back to the front.
    ///
    /// # Errors
    /// As [`get`](Self::get), but for those of tasks.
    pub fn get_async(&self) -> impl Future<Output = Result<T, TaskError>> + use<T> {
        let got = self.get_batch_async(1);
        async { got.await?.pop().ok_or_else(nothing) }
    }

    /// Waits for exactly `count` items, and takes them together. Who comes later gets none before; if the wait ends early,
    /// what had come goes back to the front.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`TaskError::is_closed`] also if fewer are left in a closed queue, where they stay.
    pub fn get_batch(&self, count: usize) -> Result<Vec<T>, TaskError> {
        self.get_for(count, None)
    }

    /// As [`get_batch`](Self::get_batch), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`get_batch`](Self::get_batch), and [`TaskError::is_timeout`].
    pub fn get_batch_timeout(&self, count: usize, timeout: Duration) -> Result<Vec<T>, TaskError> {
        self.get_for(count, Some(timeout))
    }

    /// As [`get_batch`](Self::get_batch), awaited under any async runtime. Dropped before its end, it has taken nothing.
    ///
    /// # Errors
    /// As [`get_batch`](Self::get_batch), but for those of tasks.
    pub fn get_batch_async(&self, count: usize) -> impl Future<Output = Result<Vec<T>, TaskError>> + use<T> {
        let this = self.clone();
        async move {
            let got: Reply = this.handle.clone().wait_async(Op::Get { count: count as u64 }, Vec::new()).await?;
            this.opened(got.1)
        }
    }

    /// Takes all items there are, without waiting for any; of a queue that holds none, those that others wait to put.
    ///
    /// # Errors
    /// As [`len`](Self::len), and [`TaskError::is_codec`].
    pub fn get_all(&self) -> Result<Vec<T>, TaskError> {
        let (_, values) = self.handle.wait(Op::GetAll, Vec::new(), None)?;
        self.opened(values)
    }

    /// Blocking gets until the queue is closed and empty, or the wait could not go on.
    #[must_use]
    pub fn iter(&self) -> WorldQueueIter<T> {
        WorldQueueIter { queue: self.clone(), ended: None }
    }
}

/// See [`WorldQueue::iter`].
#[derive(Debug)]
pub struct WorldQueueIter<T> {
    queue: WorldQueue<T>,
    ended: Option<TaskError>,
}

impl<T> WorldQueueIter<T> {
    /// Why the iteration ended: the queue is closed, or the wait could not go on.
    #[must_use]
    pub fn ended(&self) -> Option<&TaskError> {
        self.ended.as_ref()
    }
}

impl<T: DeserializeOwned> Iterator for WorldQueueIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.ended.is_some() {
            return None;
        }
        self.queue.get().map_err(|error| self.ended = Some(error)).ok()
    }
}

impl<T: DeserializeOwned> FusedIterator for WorldQueueIter<T> {}

impl<T: DeserializeOwned> IntoIterator for &WorldQueue<T> {
    type Item = T;
    type IntoIter = WorldQueueIter<T>;

    fn into_iter(self) -> WorldQueueIter<T> {
        self.iter()
    }
}

impl<T> Clone for WorldQueue<T> {
    fn clone(&self) -> Self {
        Self::of(self.handle.clone())
    }
}

impl<T> std::fmt::Debug for WorldQueue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldQueue({:?})", self.handle)
    }
}

impl<T> Serialize for WorldQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T: 'static> Deserialize<'de> for WorldQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, Kind::Queue, Some(Type::of::<T>())).map(Self::of)
    }
}

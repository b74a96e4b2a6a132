//! Events and barriers that all ranks of a world have.

use std::time::Duration;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::client::Handle;
use super::wire::{Answer, Kind, Op};
use crate::error::{Error, TaskError};
use crate::primitive::sync::Arc;
use crate::rank::world::World;

/// A flag, clear at birth, that the tasks, async tasks and threads of all ranks of a world wait for. From [`World::event`].
///
/// Who waits while it is set goes on, also if it is cleared right after. Clones are handles on the same flag, and so are those
/// that travel to other ranks as values. A task that waits lends its core.
///
/// ```
/// use heist::Executor;
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let go = ranks[0].world().event("go")?;
/// let runner = ranks[0].submit_result(move || go.wait());
/// ranks[1].world().event("go")?.set()?;
/// runner.result()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WorldEvent(Arc<Handle>);

/// Lets nobody pass before so many have come, from any ranks of a world, again and again. From [`World::barrier`]. Where each
/// rank comes once, [`Collective::barrier`](crate::Collective::barrier) is faster.
///
/// Whose wait ends early has not come. Clones are handles on the same barrier, and so are those that travel to other ranks as
/// values. A task that waits lends its core.
///
/// ```
/// use heist::Executor;
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let tasks: Vec<_> = (0..4)
///     .map(|index| {
///         let ex = &ranks[index % 2];
///         let barrier = ex.world().barrier("step", 4).unwrap();
///         ex.submit_result(move || barrier.wait())
///     })
///     .collect();
/// let last = tasks.iter().filter(|task| matches!(task.result(), Ok(true)));
/// assert_eq!(last.count(), 1);
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone)]
pub struct WorldBarrier(Arc<Handle>);

fn is(answer: &Answer) -> bool {
    matches!(answer, Answer::Is(true))
}

impl World {
    /// The event of this name in this world. Made at the first call of any rank, gone with its last handle.
    ///
    /// # Errors
    /// [`Error::is_closed`] if this rank has left its world, or the rank that keeps the name is lost.
    pub fn event(&self, name: &str) -> Result<WorldEvent, Error> {
        Handle::open(self.shared(), Kind::Event, name, None, None).map(WorldEvent)
    }

    /// The barrier of this name in this world. Made at the first call of any rank, gone with its last handle.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if it is for another number; [`Error::is_closed`] if this rank has left its world, or the rank
    /// that keeps the name is lost.
    pub fn barrier(&self, name: &str, count: usize) -> Result<WorldBarrier, Error> {
        Handle::open(self.shared(), Kind::Barrier, name, None, Some(count.max(1))).map(WorldBarrier)
    }
}

impl WorldEvent {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Sets the flag; all who wait go on. It is set when the call returns.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if the rank that keeps the name is lost, [`TaskError::is_world_ended`].
    pub fn set(&self) -> Result<(), TaskError> {
        self.0.wait(Op::Raise, Vec::new(), None).map(drop)
    }

    /// Clears the flag; who waits from now on waits for the next [`set`](Self::set).
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn clear(&self) -> Result<(), TaskError> {
        self.0.wait(Op::Clear, Vec::new(), None).map(drop)
    }

    /// Whether the flag is set, at some moment during the call.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn is_set(&self) -> Result<bool, TaskError> {
        self.0.state().map(|state| is(&state))
    }

    /// Waits until the flag is set.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if any rank is lost meanwhile, [`TaskError::is_world_ended`]. Within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`].
    pub fn wait(&self) -> Result<(), TaskError> {
        self.0.wait(Op::Wait, Vec::new(), None).map(drop)
    }

    /// As [`wait`](Self::wait), for no longer than `timeout` and the way to the rank that keeps the event; whether it was set
    /// in that time. Looks once when `timeout` is zero.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, TaskError> {
        match self.0.wait(Op::Wait, Vec::new(), Some(timeout)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// As [`wait`](Self::wait), awaited under any async runtime. Dropped before its end, it leaves no trace.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), but for those of tasks.
    pub fn wait_async(&self) -> impl Future<Output = Result<(), TaskError>> + Send + use<> {
        let set = self.0.clone().wait_async(Op::Wait, Vec::new());
        async { set.await.map(drop) }
    }
}

impl WorldBarrier {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// How many pass together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.size().unwrap_or(1)
    }

    /// How many wait, at some moment during the call.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if the rank that keeps the name is lost, [`TaskError::is_world_ended`].
    pub fn waiting(&self) -> Result<usize, TaskError> {
        match self.0.state()? {
            Answer::State { count, .. } => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            _ => Ok(0),
        }
    }

    /// Waits until all have come; true for the last of them.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if any rank is lost meanwhile, [`TaskError::is_world_ended`]. Within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`].
    pub fn wait(&self) -> Result<bool, TaskError> {
        self.0.wait(Op::Wait, Vec::new(), None).map(|(answer, _)| is(&answer))
    }

    /// As [`wait`](Self::wait), for no longer than `timeout` and the way to the rank that keeps the barrier; passes only as the
    /// last one when that is zero.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`TaskError::is_timeout`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, TaskError> {
        self.0.wait(Op::Wait, Vec::new(), Some(timeout)).map(|(answer, _)| is(&answer))
    }

    /// As [`wait`](Self::wait), awaited under any async runtime. Dropped before its end, it has not come.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), but for those of tasks.
    pub fn wait_async(&self) -> impl Future<Output = Result<bool, TaskError>> + Send + use<> {
        let come = self.0.clone().wait_async(Op::Wait, Vec::new());
        async { come.await.map(|(answer, _)| is(&answer)) }
    }
}

impl std::fmt::Debug for WorldEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldEvent({:?})", self.0)
    }
}

impl std::fmt::Debug for WorldBarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldBarrier({:?})", self.0)
    }
}

impl Serialize for WorldEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WorldEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, Kind::Event, None).map(Self)
    }
}

impl Serialize for WorldBarrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WorldBarrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, Kind::Barrier, None).map(Self)
    }
}

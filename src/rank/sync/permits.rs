//! Locks and semaphores that all ranks of a world have.

use std::time::Duration;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::client::Handle;
use super::wire::{Answer, Kind, Op};
use crate::error::{Error, TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::rank::world::World;

/// A mutual exclusion without data, for the tasks, async tasks and threads of all ranks of a world. First come, first served.
/// From [`World::lock`].
///
/// Each time it is taken it has a higher [token](WorldLockGuard::token): what is written under the lock can carry it, and who
/// keeps what is written can refuse a lower one than he has seen. When a rank is lost, its locks are given back, and all who
/// wait are told that it is ([`TaskError::is_rank_lost`]), and whether it held what they wait for.
///
/// Clones are handles on the same lock, and so are those that travel to other ranks as values. A task that waits lends its
/// core. Not reentrant.
///
/// ```
/// use heist::Executor;
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let (here, there) = (ranks[0].world().lock("log file")?, ranks[1].world().lock("log file")?);
/// let guard = here.lock()?;
/// assert!(there.try_lock()?.is_none());
/// let first = guard.token();
/// guard.unlock();
/// assert!(there.lock()?.token() > first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WorldLock(Arc<Handle>);

/// A lock that is held; given back when dropped.
#[must_use = "the lock is given back at once when the guard is dropped"]
pub struct WorldLockGuard(Held);

/// A number of permits, for the tasks, async tasks and threads of all ranks of a world. First come, first served: who wants
/// many is not overtaken by those who want few. From [`World::semaphore`].
///
/// Tokens and lost ranks are as with a [`WorldLock`]. Clones are handles on the same permits, and so are those that travel to
/// other ranks as values. A task that waits lends its core.
///
/// ```
/// use heist::Executor;
/// let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1))?;
/// let licences = ranks[1].world().semaphore("licences", 4)?;
/// let three = ranks[2].world().semaphore("licences", 4)?.acquire_many(3)?;
/// assert_eq!((licences.available()?, licences.try_acquire_many(2)?.is_none()), (1, true));
/// drop(three);
/// assert_eq!(licences.acquire_many(4)?.count(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WorldSemaphore(Arc<Handle>);

/// Permits that were taken; given back when dropped, once.
#[must_use = "the permit is given back at once when it is dropped"]
pub struct WorldPermit(Held);

struct Held {
    handle: Arc<Handle>,
    token: u64,
    count: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.handle.release(self.token);
    }
}

fn held(handle: &Arc<Handle>, count: usize, answer: &Answer) -> Result<Held, TaskError> {
    match answer {
        Answer::Granted { token } => Ok(Held { handle: handle.clone(), token: *token, count }),
        _ => Err(TaskError::new(TaskErrorKind::Codec("no permit came".to_owned()))),
    }
}

fn acquire(handle: &Arc<Handle>, count: usize, timeout: Option<Duration>) -> Result<Held, TaskError> {
    let (answer, _) = handle.wait(Op::Acquire { count: count as u64 }, Vec::new(), timeout)?;
    held(handle, count, &answer)
}

fn try_acquire(handle: &Arc<Handle>, count: usize) -> Result<Option<Held>, TaskError> {
    match acquire(handle, count, Some(Duration::ZERO)) {
        Ok(held) => Ok(Some(held)),
        Err(error) if error.is_timeout() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn acquire_async(handle: Arc<Handle>, count: usize) -> Result<Held, TaskError> {
    let (answer, _) = handle.clone().wait_async(Op::Acquire { count: count as u64 }, Vec::new()).await?;
    held(&handle, count, &answer)
}

fn free(handle: &Arc<Handle>) -> Result<(usize, bool), TaskError> {
    match handle.state()? {
        Answer::State { count, closed } => Ok((usize::try_from(count).unwrap_or(usize::MAX), closed)),
        _ => Ok((0, false)),
    }
}

impl World {
    /// The lock of this name in this world. Made at the first call of any rank, gone with its last handle or guard. Each kind
    /// of primitive has names of its own, and so has each rank's executor.
    ///
    /// # Errors
    /// [`Error::is_closed`] if this rank has left its world, or the rank that keeps the name is lost.
    pub fn lock(&self, name: &str) -> Result<WorldLock, Error> {
        Handle::open(self.shared(), Kind::Lock, name, None, None).map(WorldLock)
    }

    /// The semaphore of this name in this world. Made at the first call of any rank, gone with its last handle or permit, or
    /// when it is closed.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if it has another number of permits, [`Error::is_setting`] for more than 2³² − 1 of them;
    /// [`Error::is_closed`] if this rank has left its world, or the rank that keeps the name is lost.
    pub fn semaphore(&self, name: &str, permits: usize) -> Result<WorldSemaphore, Error> {
        Handle::open(self.shared(), Kind::Semaphore, name, None, Some(permits)).map(WorldSemaphore)
    }
}

impl WorldLock {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Waits until the lock is free, and takes it.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if any rank is lost meanwhile, [`TaskError::is_world_ended`]. Within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`].
    pub fn lock(&self) -> Result<WorldLockGuard, TaskError> {
        acquire(&self.0, 1, None).map(WorldLockGuard)
    }

    /// Takes the lock if it is free and nobody waits for it.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if the rank that keeps the name is lost, [`TaskError::is_world_ended`].
    pub fn try_lock(&self) -> Result<Option<WorldLockGuard>, TaskError> {
        Ok(try_acquire(&self.0, 1)?.map(WorldLockGuard))
    }

    /// As [`lock`](Self::lock), for no longer than `timeout` and the way to the rank that keeps the lock; tries once when that
    /// is zero.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`TaskError::is_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<WorldLockGuard, TaskError> {
        acquire(&self.0, 1, Some(timeout)).map(WorldLockGuard)
    }

    /// As [`lock`](Self::lock), awaited under any async runtime. Dropped before its end, it leaves the line.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), but for those of tasks.
    pub fn lock_async(&self) -> impl Future<Output = Result<WorldLockGuard, TaskError>> + Send + use<> {
        let handle = self.0.clone();
        async { acquire_async(handle, 1).await.map(WorldLockGuard) }
    }

    /// Whether somebody holds it, at some moment during the call.
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock).
    pub fn is_locked(&self) -> Result<bool, TaskError> {
        free(&self.0).map(|(free, _)| free == 0)
    }
}

impl WorldLockGuard {
    /// The number of this holding: higher than that of every one before.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// Gives the lock back, as a drop does.
    pub fn unlock(self) {
        drop(self.0);
    }
}

impl WorldSemaphore {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Permits there are.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.0.size().unwrap_or_default()
    }

    fn possible(&self, count: usize) -> Result<usize, TaskError> {
        let permits = self.permits();
        if (1..=permits).contains(&count) {
            return Ok(count);
        }
        let text = format!("{count} permits of a semaphore that has {permits}");
        Err(TaskError::new(TaskErrorKind::Impossible(text)))
    }

    /// Waits for a permit, and takes it.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] if the semaphore is closed or being closed, [`TaskError::is_impossible`] if there are not so
    /// many, or `count` is 0; [`TaskError::is_rank_lost`] if any rank is lost meanwhile, [`TaskError::is_world_ended`]. Within a
    /// task also [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and
    /// [`TaskError::is_stalled`].
    pub fn acquire(&self) -> Result<WorldPermit, TaskError> {
        self.acquire_many(1)
    }

    /// Waits for `count` permits, and takes them together.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub fn acquire_many(&self, count: usize) -> Result<WorldPermit, TaskError> {
        acquire(&self.0, self.possible(count)?, None).map(WorldPermit)
    }

    /// Takes a permit if one is free and nobody waits; `None` otherwise.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), but for those of waits.
    pub fn try_acquire(&self) -> Result<Option<WorldPermit>, TaskError> {
        self.try_acquire_many(1)
    }

    /// As [`try_acquire`](Self::try_acquire), `count` together.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, count: usize) -> Result<Option<WorldPermit>, TaskError> {
        Ok(try_acquire(&self.0, self.possible(count)?)?.map(WorldPermit))
    }

    /// As [`acquire`](Self::acquire), for no longer than `timeout` and the way to the rank that keeps the semaphore; tries once
    /// when that is zero.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), and [`TaskError::is_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<WorldPermit, TaskError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), `count` together.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> Result<WorldPermit, TaskError> {
        acquire(&self.0, self.possible(count)?, Some(timeout)).map(WorldPermit)
    }

    /// As [`acquire`](Self::acquire), awaited under any async runtime. Dropped before its end, it leaves the line.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), but for those of tasks.
    pub fn acquire_async(&self) -> impl Future<Output = Result<WorldPermit, TaskError>> + Send + use<> {
        self.acquire_many_async(1)
    }

    /// As [`acquire_async`](Self::acquire_async), `count` together.
    ///
    /// # Errors
    /// As [`acquire_async`](Self::acquire_async).
    pub fn acquire_many_async(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<WorldPermit, TaskError>> + Send + use<> {
        let this = self.clone();
        async move {
            let count = this.possible(count)?;
            acquire_async(this.0, count).await.map(WorldPermit)
        }
    }

    /// Permits that are free, at some moment during the call.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if the rank that keeps the name is lost, [`TaskError::is_world_ended`].
    pub fn available(&self) -> Result<usize, TaskError> {
        free(&self.0).map(|(free, _)| free)
    }

    /// Permits that are held, at some moment during the call.
    ///
    /// # Errors
    /// As [`available`](Self::available).
    pub fn value(&self) -> Result<usize, TaskError> {
        self.available().map(|free| self.permits().saturating_sub(free))
    }

    /// As [`Semaphore::close`](crate::Semaphore::close), for all ranks.
    ///
    /// # Errors
    /// As [`available`](Self::available).
    pub fn close(&self) -> Result<usize, TaskError> {
        match self.0.wait(Op::End, Vec::new(), None)?.0 {
            Answer::State { count, .. } => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            _ => Ok(0),
        }
    }

    /// Whether it was closed.
    ///
    /// # Errors
    /// As [`available`](Self::available).
    pub fn is_closed(&self) -> Result<bool, TaskError> {
        free(&self.0).map(|(_, closed)| closed)
    }
}

impl WorldPermit {
    /// How many permits these are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// As of a [lock](WorldLockGuard::token).
    #[must_use]
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// Gives them back, as a drop does.
    pub fn release(self) {
        drop(self.0);
    }
}

impl std::fmt::Debug for WorldLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldLock({:?})", self.0)
    }
}

impl std::fmt::Debug for WorldLockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorldLockGuard").field("token", &self.token()).finish()
    }
}

impl std::fmt::Debug for WorldSemaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldSemaphore({:?})", self.0)
    }
}

impl std::fmt::Debug for WorldPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorldPermit").field("count", &self.count()).field("token", &self.token()).finish()
    }
}

impl Serialize for WorldLock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WorldLock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, Kind::Lock, None).map(Self)
    }
}

impl Serialize for WorldSemaphore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WorldSemaphore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, Kind::Semaphore, None).map(Self)
    }
}

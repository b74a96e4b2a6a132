//! A variable that all ranks of a world have.

use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::client::{Handle, Reply};
use super::wire::{Answer, Kind, Op};
use crate::error::{Error, TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::rank::codec::pack;
use crate::rank::identity::Type;
use crate::rank::world::World;

/// One value of a world, set and got by any rank; who gets before it is first set waits. It may be a future, which is kept
/// wanted until another value takes its place. From [`World::variable`].
///
/// Clones are handles on the same variable, and so are those that travel to other ranks as values. A task that waits lends
/// its core.
///
/// ```
/// use heist::Executor;
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let best = ranks[0].world().variable::<f64>("best")?;
/// let reader = ranks[0].submit_result(move || best.get());
/// ranks[1].world().variable("best")?.set(&0.5)?;
/// assert_eq!(reader.result()?, 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WorldVariable<T> {
    handle: Arc<Handle>,
    values: PhantomData<fn(T) -> T>,
}

impl World {
    /// The variable of this name in this world. Made at the first call of any rank, gone with its last handle; its value goes
    /// with it.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if its values are of another type; [`Error::is_closed`] if this rank has left its world, or
    /// the rank that keeps the name is lost.
    pub fn variable<T>(&self, name: &str) -> Result<WorldVariable<T>, Error>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Handle::open(self.shared(), Kind::Variable, name, Some(Type::of::<T>()), None).map(WorldVariable::of)
    }
}

impl<T> WorldVariable<T> {
    fn of(handle: Arc<Handle>) -> Self {
        Self { handle, values: PhantomData }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Takes the value away, if there is one: who gets from now on waits for the next [`set`](Self::set).
    ///
    /// # Errors
    /// Of every call: [`TaskError::is_rank_lost`] if the rank that keeps the name is lost, [`TaskError::is_world_ended`].
    pub fn delete(&self) -> Result<(), TaskError> {
        self.handle.wait(Op::Delete, Vec::new(), None).map(drop)
    }

    /// Whether there is a value, at some moment during the call.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn is_set(&self) -> Result<bool, TaskError> {
        self.handle.state().map(|state| matches!(state, Answer::Is(true)))
    }
}

impl<T: Serialize> WorldVariable<T> {
    /// Sets the value; all who wait for one get it. It is set when the call returns.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and [`TaskError::is_codec`] if it cannot be made into bytes.
    pub fn set(&self, value: &T) -> Result<(), TaskError> {
        self.handle.wait(Op::Set, vec![pack(value)?], None).map(drop)
    }
}

impl<T: DeserializeOwned> WorldVariable<T> {
    fn opened(&self, (_, values): Reply) -> Result<T, TaskError> {
        let nothing = || TaskError::new(TaskErrorKind::Codec("no value came".to_owned()));
        values.into_iter().next().ok_or_else(nothing)?.unpack(self.handle.world())
    }

    /// The value, if there is one.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and [`TaskError::is_codec`].
    pub fn try_get(&self) -> Result<Option<T>, TaskError> {
        match self.get_timeout(Duration::ZERO) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_timeout() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for a value, of which this is a copy.
    ///
    /// # Errors
    /// [`TaskError::is_rank_lost`] if any rank is lost meanwhile, [`TaskError::is_world_ended`]. Within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`].
    pub fn get(&self) -> Result<T, TaskError> {
        self.opened(self.handle.wait(Op::Value, Vec::new(), None)?)
    }

    /// As [`get`](Self::get), for no longer than `timeout` and the way to the rank that keeps the variable; tries once when
    /// that is zero.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`TaskError::is_timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TaskError> {
        self.opened(self.handle.wait(Op::Value, Vec::new(), Some(timeout))?)
    }

    /// As [`get`](Self::get), awaited under any async runtime. Dropped before its end, it leaves no trace.
    ///
    /// # Errors
    /// As [`get`](Self::get), but for those of tasks.
    pub fn get_async(&self) -> impl Future<Output = Result<T, TaskError>> + use<T> {
        let this = self.clone();
        async move {
            let reply = this.handle.clone().wait_async(Op::Value, Vec::new()).await?;
            this.opened(reply)
        }
    }
}

impl<T> Clone for WorldVariable<T> {
    fn clone(&self) -> Self {
        Self::of(self.handle.clone())
    }
}

impl<T> std::fmt::Debug for WorldVariable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorldVariable({:?})", self.handle)
    }
}

impl<T> Serialize for WorldVariable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T: 'static> Deserialize<'de> for WorldVariable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, Kind::Variable, Some(Type::of::<T>())).map(Self::of)
    }
}

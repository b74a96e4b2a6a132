//! How a function is called where its arguments arrive.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{ReadAll, Received, with_fetched};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::failed;
use crate::primitive::sync::Arc;
use crate::rank::codec::ship::{Calls, Purpose, Shipped, ship};
use crate::rank::codec::{Packed, pack};
use crate::rank::object::ObjectId;
use crate::rank::world::Shared;

/// What is at hand for one call.
pub(super) struct Job {
    pub(super) world: Arc<Shared>,
    pub(super) function: Shipped,
    pub(super) args: Packed,
    /// The values of futures among the arguments.
    pub(super) fetched: Vec<(ObjectId, Arc<Packed>)>,
}

pub(super) type Done = Result<Packed, TaskErrorKind>;

/// Code that reads the arguments, calls the function and packs what it returns.
pub(super) struct Run;

impl Purpose for Run {
    type Given<'a> = Job;
    type Gives = Done;
}

impl Calls<fn(Job) -> Done> for Run {
    fn call(code: fn(Job) -> Done, job: Job) -> Done {
        code(job)
    }
}

/// The function itself.
struct Apply<A, R>(PhantomData<fn(A) -> R>);

impl<A: 'static, R: 'static> Purpose for Apply<A, R> {
    type Given<'a> = A;
    type Gives = R;
}

impl<A: 'static, R: 'static> Calls<fn(A) -> R> for Apply<A, R> {
    fn call(function: fn(A) -> R, values: A) -> R {
        function(values)
    }
}

/// Both, as they travel.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) run: Shipped,
    pub(super) function: Shipped,
}

impl Code {
    fn of<A: 'static, R: 'static>(run: fn(Job) -> Done, function: fn(A) -> R) -> Result<Self, TaskError> {
        let refused = |malformed| TaskError::new(TaskErrorKind::Codec(format!("{malformed}")));
        let run = ship::<Run, _>(run).map_err(refused)?;
        Ok(Self { run, function: ship::<Apply<A, R>, _>(function).map_err(refused)? })
    }

    pub(super) fn of_args<D: ReadAll, R: Serialize + 'static>(function: fn(D::Values) -> R) -> Result<Self, TaskError> {
        Self::of(with_args::<D, R>, function)
    }

    pub(super) fn of_args_result<D, R, E>(function: fn(D::Values) -> Result<R, E>) -> Result<Self, TaskError>
    where
        D: ReadAll,
        R: Serialize + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Self::of(with_args_result::<D, R, E>, function)
    }

    pub(super) fn of_item<A: DeserializeOwned + 'static, R: Serialize + 'static>(
        function: fn(A) -> R,
    ) -> Result<Self, TaskError> {
        Self::of(with_item::<A, R>, function)
    }

    pub(super) fn of_item_result<A, R, E>(function: fn(A) -> Result<R, E>) -> Result<Self, TaskError>
    where
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Self::of(with_item_result::<A, R, E>, function)
    }
}

fn with_args<D: ReadAll, R: Serialize + 'static>(job: Job) -> Done {
    packed(&call::<D::Values, R>(job, unpack_args::<D>)?)
}

fn with_args_result<D, R, E>(job: Job) -> Done
where
    D: ReadAll,
    R: Serialize + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    packed(&call::<D::Values, Result<R, E>>(job, unpack_args::<D>)?.map_err(failed)?)
}

fn with_item<A: DeserializeOwned + 'static, R: Serialize + 'static>(job: Job) -> Done {
    packed(&call::<A, R>(job, Packed::unpack)?)
}

fn with_item_result<A, R, E>(job: Job) -> Done
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    packed(&call::<A, Result<R, E>>(job, Packed::unpack)?.map_err(failed)?)
}

fn unpack_args<D: ReadAll>(args: Packed, world: &Arc<Shared>) -> Result<D::Values, TaskError> {
    args.unpack::<Received<D>>(world).map(|received| received.0)
}

fn call<A: 'static, R: 'static>(
    job: Job,
    unpack: impl FnOnce(Packed, &Arc<Shared>) -> Result<A, TaskError>,
) -> Result<R, TaskErrorKind> {
    let Job { world, function, args, fetched } = job;
    let function = function.open::<Apply<A, R>>().map_err(|malformed| TaskErrorKind::Codec(format!("{malformed}")))?;
    let values = with_fetched(fetched, || unpack(args, &world)).map_err(TaskError::into_kind)?;
    Ok(function.call(values))
}

fn packed(value: &impl Serialize) -> Done {
    pack(value).map_err(TaskError::into_kind)
}

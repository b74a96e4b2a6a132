//! Tasks for other ranks about which more is said than their function: `world.task().on(Rank(1)).name("x").submit(f, args)`.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::Args;
use super::code::Code;
use super::submit::{submit_args, submit_each, submit_items};
use crate::error::TaskError;
use crate::future::{Gather, Options, TaskFuture};
use crate::rank::world::{Rank, World};
use crate::task::{Key, Place, Priority, Where};

/// Where tasks are to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whither {
    Anywhere,
    Rank(Rank),
    Host(usize),
}

/// What is said about tasks before they are submitted to a [`World`]; made by [`World::task`], [`World::on`],
/// [`World::on_host`] and [`World::here`].
///
/// What cannot be had is the error of the future, as with [`Executor::task`](crate::Executor::task).
///
/// ```
/// use heist::{Executor, Priority, Rank};
/// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
/// let world = ranks[0].world();
/// let square = world.on(Rank(1)).name("square").priority(Priority::HIGH).submit(|(n,)| n * n, (7_u64,));
/// assert_eq!(square.result()?, 49);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a task is not submitted before a call such as `submit`"]
#[derive(Clone)]
pub struct RemoteTask<'w> {
    pub(super) world: &'w World,
    pub(super) whither: Whither,
    pub(super) options: Options,
    is_strict: bool,
}

impl World {
    /// A task about which something is to be said.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let answer = ex.world().task().retries(2).submit(|(n,)| n + 1, (41,));
    /// assert_eq!(answer.result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task(&self) -> RemoteTask<'_> {
        self.whither(Whither::Anywhere)
    }

    /// Tasks for one rank.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let there = world.on(Rank(1)).submit(|(n,)| n * 2, (21,));
    /// assert_eq!(there.result()?, 42);
    /// assert!(world.on(Rank(7)).submit(|(n,)| n, (1,)).error().unwrap().is_impossible_place());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(&self, rank: Rank) -> RemoteTask<'_> {
        self.whither(Whither::Rank(rank))
    }

    /// Tasks for the ranks of one host, in turn.
    pub fn on_host(&self, host: usize) -> RemoteTask<'_> {
        self.whither(Whither::Host(host))
    }

    /// Tasks for this rank.
    pub fn here(&self) -> RemoteTask<'_> {
        self.whither(Whither::Rank(self.rank()))
    }

    /// As [`Executor::gather`](crate::Executor::gather), of this rank's futures, wherever their values come from.
    ///
    /// # Errors
    /// As [`Executor::gather`](crate::Executor::gather).
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// let (f, g) = (world.submit(|(n,)| n + 1, (1_u64,)), world.on(Rank(1)).submit(|(n,)| n * 2, (2_u64,)));
    /// assert_eq!(world.gather([f, g])?, [2, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gather<G: Gather>(&self, futures: G) -> Result<G::Values, TaskError> {
        futures.values_of(self.shared().registry().id)
    }

    fn whither(&self, whither: Whither) -> RemoteTask<'_> {
        RemoteTask { world: self, whither, options: Options::default(), is_strict: false }
    }

    /// Runs `f` on a rank that has time for it, with the values of `args`: a tuple of serde values and of futures, of this
    /// rank or any other, of which `f` gets the values. `f` is a function, or a closure that captures nothing.
    ///
    /// ```
    /// fn area(side: (f64, f64)) -> f64 {
    ///     side.0 * side.1
    /// }
    /// let ex = heist::Executor::new()?;
    /// let world = ex.world();
    /// let a = world.submit(area, (2.0, 3.0));
    /// let b = world.submit(|(a, n)| a * f64::from(n), (&a, 7_u32));
    /// assert_eq!(b.result()?, 42.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit<I, R>(&self, f: fn(I::Values) -> R, args: I) -> TaskFuture<R>
    where
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.task().submit(f, args)
    }

    /// As [`submit`](Self::submit), for a function that may fail.
    #[track_caller]
    pub fn submit_result<I, R, E>(&self, f: fn(I::Values) -> Result<R, E>, args: I) -> TaskFuture<R>
    where
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.task().submit_result(f, args)
    }

    /// Runs `f` for each of `inputs`, as [`RemoteTask::map_after`], on ranks that have time for it.
    #[track_caller]
    pub fn map_after<It, I, R>(&self, inputs: It, f: fn(I::Values) -> R) -> Vec<TaskFuture<R>>
    where
        It: IntoIterator<Item = I>,
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.task().map_after(inputs, f)
    }

    /// Runs `f` for each of `items`, on ranks that have time for it. The futures come in the order of the items.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let squares = ex.world().map(0..4_u64, |n| n * n);
    /// assert_eq!(ex.gather(squares)?, [0, 1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<It, R>(&self, items: It, f: fn(It::Item) -> R) -> Vec<TaskFuture<R>>
    where
        It: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.task().map(items, f)
    }
}

impl RemoteTask<'_> {
    /// Has it run on this rank and no other.
    pub fn on(mut self, rank: Rank) -> Self {
        self.whither = Whither::Rank(rank);
        self
    }

    /// Has it run on a rank of this host.
    pub fn on_host(mut self, host: usize) -> Self {
        self.whither = Whither::Host(host);
        self
    }

    /// As [`TaskBuilder::name`](crate::TaskBuilder::name).
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// As [`TaskBuilder::key`](crate::TaskBuilder::key): keys are those of the rank that submits.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// As [`TaskBuilder::priority`](crate::TaskBuilder::priority), among the tasks of the rank where it runs.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// As [`TaskBuilder::place`](crate::TaskBuilder::place), on the rank where it runs.
    pub fn place(mut self, place: Place) -> Self {
        self.options.place = place.or_only(self.is_strict);
        self
    }

    /// As [`TaskBuilder::strict`](crate::TaskBuilder::strict).
    pub fn strict(mut self) -> Self {
        self.is_strict = true;
        if let Where::Domain { strict, .. } | Where::Worker { strict, .. } = &mut self.options.place {
            *strict = true;
        }
        self
    }

    /// As [`TaskBuilder::resource`](crate::TaskBuilder::resource), of the rank where it runs.
    pub fn resource(mut self, name: impl Into<Cow<'static, str>>, amount: u64) -> Self {
        let name = name.into();
        self.options.resources.retain(|(known, _)| *known != name);
        self.options.resources.push((name, amount));
        self
    }

    /// As [`TaskBuilder::retries`](crate::TaskBuilder::retries). The arguments are read anew for each run.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// As [`World::submit`].
    #[track_caller]
    pub fn submit<I, R>(self, f: fn(I::Values) -> R, args: I) -> TaskFuture<R>
    where
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        submit_args(self, Location::caller(), Code::of_args::<I::Read, R>(f), args)
    }

    /// As [`World::submit_result`].
    #[track_caller]
    pub fn submit_result<I, R, E>(self, f: fn(I::Values) -> Result<R, E>, args: I) -> TaskFuture<R>
    where
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        submit_args(self, Location::caller(), Code::of_args_result::<I::Read, R, E>(f), args)
    }

    /// As [`World::map`]. What was said holds for each of the tasks; a key gets the item's number added.
    #[track_caller]
    pub fn map<It, R>(self, items: It, f: fn(It::Item) -> R) -> Vec<TaskFuture<R>>
    where
        It: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        submit_items(self, Location::caller(), Code::of_item(f), items)
    }

    /// Runs `f` for each of `inputs`, tuples of [`Arg`](crate::Arg)s, once the futures in it are done; otherwise as
    /// [`map`](Self::map).
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let (ex, world) = (&ranks[0], ranks[0].world());
    /// let squares = ex.map(0..3_u64, |n| n * n);
    /// let moved = world.on(Rank(1)).map_after(squares.iter().map(|square| (square, 10_u64)), |(square, by)| square + by);
    /// assert_eq!(ex.gather(moved)?, [10, 11, 14]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_after<It, I, R>(self, inputs: It, f: fn(I::Values) -> R) -> Vec<TaskFuture<R>>
    where
        It: IntoIterator<Item = I>,
        I: Args,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        submit_each(self, Location::caller(), Code::of_args::<I::Read, R>(f), inputs)
    }

    /// As [`map`](Self::map), for a function that may fail.
    #[track_caller]
    pub fn map_result<It, R, E>(self, items: It, f: fn(It::Item) -> Result<R, E>) -> Vec<TaskFuture<R>>
    where
        It: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
        R: Serialize + DeserializeOwned + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        submit_items(self, Location::caller(), Code::of_item_result(f), items)
    }
}

impl fmt::Debug for RemoteTask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTask")
            .field("whither", &self.whither)
            .field("name", &self.options.name)
            .field("key", &self.options.key)
            .field("priority", &self.options.priority)
            .field("place", &self.options.place)
            .field("retries", &self.options.retries)
            .field("resources", &self.options.resources)
            .finish_non_exhaustive()
    }
}

//! Futures published under a name: kept wanted until they are unpublished, found by any rank.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{self, Reply};
use super::thing::Kept;
use super::wire::{Answer, Dataset, Key, Kind, Refused, Request};
use crate::error::{Error, ErrorKind, TaskError, TaskErrorKind};
use crate::future::TaskFuture;
use crate::rank::codec::{Packed, pack};
use crate::rank::identity::Type;
use crate::rank::world::{Rank, World};

/// Those whose names this rank owns.
#[derive(Default)]
pub(super) struct Datasets(BTreeMap<Box<str>, (Type, Kept)>);

impl Datasets {
    pub(super) fn request(&mut self, request: Dataset, mut values: Vec<Kept>) -> (Answer, Vec<Kept>) {
        let taken = |name: &str, why: &str| {
            Answer::Refused(Refused::Taken(format!("the dataset `{name}` exists already, {why}")))
        };
        let said = match request {
            Dataset::Publish { name, values: of, replace } => {
                let Some(future) = values.pop() else { return (Answer::Refused(Refused::Busy), Vec::new()) };
                match self.0.entry(name) {
                    Entry::Occupied(entry) if !replace => {
                        taken(entry.key(), "published before; unpublish or republish it")
                    }
                    Entry::Occupied(mut entry) => {
                        entry.insert((of, future));
                        Answer::Is(true)
                    }
                    Entry::Vacant(entry) => {
                        entry.insert((of, future));
                        Answer::Is(false)
                    }
                }
            }
            Dataset::Unpublish { name } => Answer::Is(self.0.remove(&name).is_some()),
            Dataset::Get { name, values: of } => match self.0.get(&name) {
                None => Answer::Items,
                Some((known, future)) if *known == of => return (Answer::Items, vec![future.clone()]),
                Some((known, _)) => taken(&name, &format!("with values of type {known}")),
            },
            Dataset::Names => Answer::Names(self.0.keys().map(ToString::to_string).collect()),
        };
        (said, Vec::new())
    }
}

fn error(error: TaskError) -> Error {
    Error::new(ErrorKind::Closed(error))
}

impl World {
    fn of_dataset(&self, owner: Rank, request: Dataset, values: Vec<Packed>) -> Result<Reply, Error> {
        let reply = client::ask(self.shared(), owner, &Request::Dataset(request), values).map_err(error)?;
        match reply {
            (Answer::Refused(Refused::Taken(text)), _) => Err(Error::new(ErrorKind::NameTaken(text))),
            (Answer::Refused(other), _) => Err(error(other.into_error(Kind::Dataset))),
            reply => Ok(reply),
        }
    }

    fn owner_of_dataset(&self, name: &str) -> Rank {
        client::owner(self.shared(), &Key { kind: Kind::Dataset, name: name.into() })
    }

    fn publish_as<T: 'static>(&self, name: &str, future: TaskFuture<T>, replace: bool) -> Result<bool, Error>
    where
        TaskFuture<T>: Serialize,
    {
        let packed = pack(&future).map_err(error)?;
        let request = Dataset::Publish { name: name.into(), values: Type::of::<T>(), replace };
        let (said, _) = self.of_dataset(self.owner_of_dataset(name), request, vec![packed])?;
        Ok(matches!(said, Answer::Is(true)))
    }

    /// Keeps `future` wanted, under a name by which every rank finds it, until it is [unpublished](Self::unpublish).
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if something is published so; [`Error::is_closed`] if this rank has left its world, or the
    /// rank that keeps the name is lost.
    ///
    /// ```
    /// use heist::Executor;
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let (here, there) = (ranks[0].world(), ranks[1].world());
    /// here.publish("table", ranks[0].submit(|| vec![1, 2, 3]))?;
    /// let table = there.published::<Vec<i32>>("table")?.unwrap();
    /// assert_eq!(table.result()?.len(), 3);
    /// assert_eq!(there.datasets()?, ["table"]);
    /// assert!(there.unpublish("table")? && here.datasets()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish<T: 'static>(&self, name: &str, future: TaskFuture<T>) -> Result<(), Error>
    where
        TaskFuture<T>: Serialize,
    {
        self.publish_as(name, future, false).map(drop)
    }

    /// As [`publish`](Self::publish), in place of what is published so; whether there was something.
    ///
    /// # Errors
    /// [`Error::is_closed`], as of [`publish`](Self::publish).
    pub fn republish<T: 'static>(&self, name: &str, future: TaskFuture<T>) -> Result<bool, Error>
    where
        TaskFuture<T>: Serialize,
    {
        self.publish_as(name, future, true)
    }

    /// Takes back what was published so; whether there was something.
    ///
    /// # Errors
    /// [`Error::is_closed`], as of [`publish`](Self::publish).
    pub fn unpublish(&self, name: &str) -> Result<bool, Error> {
        let (said, _) =
            self.of_dataset(self.owner_of_dataset(name), Dataset::Unpublish { name: name.into() }, vec![])?;
        Ok(matches!(said, Answer::Is(true)))
    }

    /// What is published so, if anything.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if its values are of another type, [`Error::is_closed`].
    pub fn published<T: 'static>(&self, name: &str) -> Result<Option<TaskFuture<T>>, Error>
    where
        TaskFuture<T>: DeserializeOwned,
    {
        let request = Dataset::Get { name: name.into(), values: Type::of::<T>() };
        let (_, values) = self.of_dataset(self.owner_of_dataset(name), request, vec![])?;
        let future = values.into_iter().next().map(|packed| packed.unpack(self.shared()));
        future.transpose().map_err(error)
    }

    /// The names of what is published in the world, in order.
    ///
    /// # Errors
    /// [`Error::is_closed`], as of [`publish`](Self::publish).
    pub fn datasets(&self) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for rank in 0..self.size() {
            match self.of_dataset(Rank(rank as u32), Dataset::Names, vec![])? {
                (Answer::Names(names), _) => all.extend(names),
                _ => return Err(error(TaskError::new(TaskErrorKind::Codec("the names of datasets".to_owned())))),
            }
        }
        all.sort_unstable();
        Ok(all)
    }
}

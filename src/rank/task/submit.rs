//! Tasks of this rank are packed, and sent to where they run.

use std::panic::Location;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Args, Given};
use super::builder::{RemoteTask, Whither};
use super::code::Code;
use super::order::{Order, Said};
use super::shippable::Shippable;
use crate::error::{Refusal, TaskError, TaskErrorKind};
use crate::future::{Options, TaskFuture, born_failed, refused};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::sync::Arc;
use crate::rank::balance;
use crate::rank::message::Kind;
use crate::rank::object::{Source, await_elsewhere};
use crate::rank::world::{Rank, Shared};
use crate::task::{Handle, Priority, Rule, Typed, with_error};

/// Tasks that go together, and bytes of their arguments.
const TOGETHER: usize = 64;
const BYTES: usize = 32 << 10;

/// Whose turn it is of the ranks of a host.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Tasks that are being made, all for the same rank and by the same code.
struct Making<'a> {
    world: &'a Arc<Shared>,
    location: &'static Location<'static>,
    code: Result<Code, TaskError>,
    whither: Result<Option<Rank>, TaskErrorKind>,
    /// Where most of what the order works on is that is being made.
    most: Option<Rank>,
    /// What concerns this rank: name, key, priority.
    own: Options,
    all: Options,
    /// What concerns the other, and for which class that was made.
    said: Option<(Priority, Option<Box<Said>>)>,
}

impl<'a> Making<'a> {
    fn new(task: RemoteTask<'a>, location: &'static Location<'static>, code: Result<Code, TaskError>) -> Self {
        let world = task.world.shared();
        let whither = match task.whither {
            Whither::Anywhere => Ok(None),
            Whither::Rank(rank) => rank_of(world, rank).map(Some),
            Whither::Host(host) => rank_on(world, host).map(Some),
        };
        let own = Options {
            name: task.options.name.clone(),
            key: task.options.key.clone(),
            priority: task.options.priority,
            ..Options::default()
        };
        Self { world, location, code, whither, most: None, own, all: task.options, said: None }
    }

    /// Makes one task and adds it to `order`, which it begins if there is none.
    fn make<R: DeserializeOwned + Send + 'static>(
        &mut self,
        order: &mut Option<Order>,
        number: Option<usize>,
        args: impl FnOnce() -> Result<Given, TaskError>,
    ) -> TaskFuture<R> {
        let registry = self.world.registry();
        let code = match (&self.whither, &self.code) {
            (Ok(_), Ok(code)) => *code,
            (Err(kind), _) => return TaskFuture::new(born_failed(registry, self.location, again(kind))),
            (_, Err(error)) => return self.failed(error.clone()),
        };
        let whither = self.whither.as_ref().ok().copied().flatten();
        let nearest = &mut self.most;
        let world = self.world;
        let location = self.location;
        let priority = self.own.priority;
        let all = &self.all;
        let said = &mut self.said;
        let make = |rule: Option<Rule>| -> Typed<R> {
            let birth = match priority {
                None => registry.birth(location),
                priority => registry.birth_of(location, priority),
            };
            let id = birth.id();
            let Given { packed, needs, most } = match args() {
                Ok(given) => given,
                Err(error) => return with_error(birth, TaskError::of_task(error.into_kind(), id, location)),
            };
            let class = Priority::of_raw(birth.raw_id);
            let first = order.as_ref().map_or(id.0, |order| order.number);
            *nearest = most;
            let source = Source::Task { to: whither.unwrap_or(world.rank()), order: first };
            let task = await_elsewhere(world, birth, rule, source);
            if task.error().is_none() {
                if said.as_ref().is_none_or(|(known, _)| *known != class) {
                    *said = Some((class, Said::of(all, class)));
                }
                let order = order.get_or_insert_with(|| {
                    let said = said.as_ref().and_then(|(_, said)| said.clone());
                    Order::new(world.rank(), code, said)
                });
                order.add(id.0, packed, needs);
            }
            task
        };
        if self.own.name.is_none() && self.own.key.is_none() {
            return TaskFuture::new(make(None));
        }
        let mut own = self.own.clone();
        if let (Some(key), Some(number)) = (&mut own.key, number) {
            *key = key.with(number);
        }
        TaskFuture::new(own.submit(registry, self.location, Handle::is_cancelled, |rule| make(Some(rule))))
    }

    fn failed<R: Send + 'static>(&self, error: TaskError) -> TaskFuture<R> {
        TaskFuture::new(born_failed(self.world.registry(), self.location, error.into_kind()))
    }

    /// Sends what was made.
    fn send(&self, order: Option<Order>) {
        let Some(order) = order else { return };
        match self.whither.as_ref().ok().copied().flatten() {
            Some(to) if to != self.world.rank() => {
                let numbers = order.numbers();
                match order.write() {
                    Ok(packed) => self.world.tell(to, Kind::Task, packed),
                    Err(error) => {
                        for number in numbers {
                            self.world.awaited.came(self.world, number, Err(error.clone()));
                        }
                    }
                }
            }
            None => balance::submit(self.world, Shippable::new(order), self.most),
            _ => super::incoming::begin(self.world, order),
        }
    }
}

/// The same refusal for each of several tasks.
fn again(kind: &TaskErrorKind) -> TaskErrorKind {
    match kind {
        TaskErrorKind::Refused { refusal, text } => refused(*refusal, text.clone()),
        _ => refused(Refusal::Place, "there is no such rank".to_owned()),
    }
}

fn rank_of(world: &Shared, rank: Rank) -> Result<Rank, TaskErrorKind> {
    if rank.index() < world.size() {
        return Ok(rank);
    }
    let text = format!("there is no {rank}: this world has {}, numbered from 0", world.size());
    Err(refused(Refusal::Place, text))
}

fn rank_on(world: &Shared, host: usize) -> Result<Rank, TaskErrorKind> {
    let ranks: Vec<_> = (0..world.size() as u32).map(Rank).filter(|rank| world.host_of(*rank) == Some(host)).collect();
    // ORDERING: Relaxed; whose turn it is matters little.
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let none = || refused(Refusal::Place, format!("there is no host {host} in this world; hosts are numbered from 0"));
    ranks.get(turn % ranks.len().max(1)).copied().ok_or_else(none)
}

pub(super) fn submit_args<I: Args, R: DeserializeOwned + Send + 'static>(
    task: RemoteTask<'_>,
    location: &'static Location<'static>,
    code: Result<Code, TaskError>,
    args: I,
) -> TaskFuture<R> {
    let task_world = task.world.shared();
    let mut making = Making::new(task, location, code);
    let mut order = None;
    let future = making.make(&mut order, None, || Given::of_args(task_world, &args));
    making.send(order);
    future
}

pub(super) fn submit_items<It, R>(
    task: RemoteTask<'_>,
    location: &'static Location<'static>,
    code: Result<Code, TaskError>,
    items: It,
) -> Vec<TaskFuture<R>>
where
    It: IntoIterator<Item: Serialize>,
    R: DeserializeOwned + Send + 'static,
{
    let mut making = Making::new(task, location, code);
    let mut order = None;
    let mut futures = Vec::new();
    for (number, item) in items.into_iter().enumerate() {
        futures.push(making.make(&mut order, Some(number), || Given::of_item(&item)));
        if order.as_ref().is_some_and(|order: &Order| order.tasks.len() >= TOGETHER || order.size() >= BYTES) {
            making.send(order.take());
        }
    }
    making.send(order);
    futures
}

/// One task for each of `inputs`, which may hold futures.
pub(super) fn submit_each<It, R>(
    task: RemoteTask<'_>,
    location: &'static Location<'static>,
    code: Result<Code, TaskError>,
    inputs: It,
) -> Vec<TaskFuture<R>>
where
    It: IntoIterator<Item: Args>,
    R: DeserializeOwned + Send + 'static,
{
    let world = task.world.shared();
    let mut making = Making::new(task, location, code);
    let mut submit = |(number, args): (usize, It::Item)| {
        let mut order = None;
        let future = making.make(&mut order, Some(number), || Given::of_args(world, &args));
        making.send(order);
        future
    };
    inputs.into_iter().enumerate().map(&mut submit).collect()
}

//! Work that is not placed goes where there is somebody to do it.
//!
//! Each rank keeps its own on a [`pile`], from which its workers are fed by *tickets*: tasks that take something off the pile
//! and have it done, never more of them than there are workers. What is on the pile has not begun, so it may be given to a rank
//! that asks, which one does whose worker is about to sleep; there it lies on the pile again.

mod inputs;
mod pile;
#[cfg(test)]
mod simulation;
mod victims;

use std::panic::Location;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::codec::{Packed, pack};
use super::message::{Kind, Message};
use super::task::Shippable;
use super::world::{Rank, Shared};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::Plain;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::local;
use pile::{Gift, Pile, Together};
use victims::Victims;

/// What a rank has to do that may be done elsewhere.
#[derive(Default)]
pub(crate) struct Balance(OnceLock<Mutex<Own>>);

struct Own {
    pile: Pile<Shippable>,
    /// Tickets that are queued.
    tickets: usize,
}

/// What ranks tell each other of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Told {
    /// So many workers ask; the answer is what they get.
    Wanted { workers: u32 },
    /// Something to do follows: for one who has asked in vain, or has its inputs.
    Given,
}

impl Together for Shippable {
    fn count(&self) -> usize {
        Self::count(self)
    }
    fn split(&mut self, count: usize, first: bool) -> Self {
        Self::split(self, count, first)
    }
}

/// Has tasks done wherever there is somebody to do them, once their inputs are done: by whom these are `near`, if he has the
/// time, as far as that is known.
pub(super) fn submit(world: &Arc<Shared>, tasks: Shippable, near: Option<Rank>) {
    if world.size() == 1 {
        return tasks.run_here(world);
    }
    let inputs = if near.is_none() { tasks.inputs() } else { Vec::new() };
    match near.filter(|rank| *rank != world.rank()) {
        Some(rank) => give(world, rank, vec![tasks]),
        None if inputs.is_empty() => put(world, tasks),
        None => inputs::place(world, tasks, inputs),
    }
}

/// Puts tasks that wait for nothing on the own pile.
fn put(world: &Arc<Shared>, tasks: Shippable) {
    let is_nested = local(|local| local.serves(world.registry()));
    with_pile(world, |pile, idle| if is_nested { pile.add_first(tasks, idle) } else { pile.add(tasks, idle) });
}

/// A task was cancelled, or nobody wants it any more: if it has not begun, it never will.
pub(super) fn withdraw(world: &Arc<Shared>, maker: Rank, number: u64) {
    let mut found = None;
    world.balance.own(world).lock().pile.retain(|tasks| {
        if found.is_none() && tasks.maker() == maker {
            found = tasks.remove(number);
        }
        tasks.count() > 0
    });
    // Dropped outside of the lock: its arguments may refer to something.
    drop(found);
}

/// This rank has joined the others. (Its workers may have gone to sleep before.)
pub(super) fn begin(world: &Arc<Shared>) {
    ask(world, 1);
}

/// A worker of this rank is about to sleep.
pub(super) fn idle(world: &Arc<Shared>) {
    if world.size() > 1 {
        ask(world, world.registry().idle_workers());
    }
}

/// Nothing comes from that rank any more.
pub(super) fn lost(world: &Arc<Shared>, rank: Rank) {
    world.balance.own(world).lock().pile.lost(rank);
}

/// Lets go of all that has not begun.
pub(super) fn clear(world: &Arc<Shared>) {
    let left = world.balance.own(world).lock().pile.take_all();
    drop(left);
}

impl Balance {
    fn own(&self, world: &Shared) -> &Mutex<Own> {
        self.0.get_or_init(|| {
            let victims = Victims::of(world.rank(), world.hosts());
            let pile = Pile::new(world.registry().settings.workers, world.size(), victims);
            Mutex::new(Own { pile, tickets: 0 })
        })
    }
}

/// Does something with the pile, and then what follows: tickets are queued and gifts sent.
fn with_pile(world: &Arc<Shared>, change: impl FnOnce(&mut Pile<Shippable>, usize) -> Vec<Gift<Shippable>>) {
    let idle = world.registry().idle_workers();
    let mut own = world.balance.own(world).lock();
    let gifts = change(&mut own.pile, idle);
    let wanted = own.pile.count().min(world.registry().settings.workers);
    let more = wanted.saturating_sub(own.tickets);
    own.tickets += more;
    drop(own);
    (0..more).for_each(|_| queue_ticket(world));
    gifts.into_iter().for_each(|Gift { to, items }| give(world, to, items));
}

/// Puts tasks on the pile of another rank.
fn give(world: &Arc<Shared>, to: Rank, tasks: Vec<Shippable>) {
    match Shippable::pack(tasks, world, to).and_then(|packed| telling(Told::Given, packed)) {
        Ok(packed) => world.tell(to, Kind::Balance, packed),
        // What was packed once can be packed again.
        Err(error) => world.lose(to, &error),
    }
}

/// Queues a ticket that is counted.
fn queue_ticket(world: &Arc<Shared>) {
    let inner = world.clone();
    world.registry().submit_loose(Location::caller(), Plain(move || use_ticket(&inner)));
}

/// The next ticket is queued before this one's tasks, so that they run first, and while they run another worker may use it.
fn use_ticket(world: &Arc<Shared>) {
    let mut own = world.balance.own(world).lock();
    own.tickets -= 1;
    let tasks = own.pile.take();
    let goes_on = own.pile.count() > own.tickets && own.tickets < world.registry().settings.workers;
    own.tickets += usize::from(goes_on);
    drop(own);
    if goes_on {
        queue_ticket(world);
    }
    if let Some(tasks) = tasks {
        tasks.run_here(world);
    }
}

/// Asks another rank for something to do, if so many workers here have nothing and there is one to ask.
fn ask(world: &Arc<Shared>, idle: usize) {
    let Some(victim) = world.balance.own(world).lock().pile.idle(idle) else { return };
    let workers = u32::try_from(world.registry().settings.workers).unwrap_or(u32::MAX);
    let Ok(packed) = pack(&Told::Wanted { workers }) else { return };
    world.ask(victim, Kind::Balance, packed, move |world, what| {
        // Else the rank is lost, which its other messages tell, or this one's world has ended.
        if let Ok(packed) = what {
            got(world, victim, packed);
        }
    });
}

fn got(world: &Arc<Shared>, from: Rank, packed: Packed) {
    let Some(tasks) = Shippable::unpack(packed, world) else { return world.lose(from, &corrupt()) };
    with_pile(world, |pile, _| pile.got(from, tasks));
    idle(world);
}

fn telling(told: Told, mut follows: Packed) -> Result<Packed, TaskError> {
    let mut bytes = pack(&told)?.bytes;
    bytes.append(&mut follows.bytes);
    Ok(Packed { bytes, ..follows })
}

pub(super) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    let Message { ticket, mut packed, .. } = message;
    match postcard::take_from_bytes::<Told>(&packed.bytes).map(|(told, rest)| (told, rest.len())) {
        Ok((Told::Wanted { workers }, 0)) if ticket != 0 => {
            let idle = world.registry().idle_workers();
            let given = world.balance.own(world).lock().pile.asked(from, workers as usize, idle);
            world.answer(from, ticket, Shippable::pack(given, world, from));
        }
        Ok((Told::Given, rest)) => {
            packed.bytes.drain(..packed.bytes.len() - rest);
            got(world, from, packed);
        }
        _ => world.lose(from, &corrupt()),
    }
}

fn corrupt() -> TaskError {
    TaskError::new(TaskErrorKind::Codec("a message about work that cannot be read".to_owned()))
}

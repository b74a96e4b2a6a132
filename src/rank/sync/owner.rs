//! The owner's side: what the names lead to, who waits for what, who holds what.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Weak;
use std::task::{Context, Poll, Wake, Waker};

use super::datasets::Datasets;
use super::thing::{Given, Kept, Primitive, Thing, Wish};
use super::wire::{Answer, Key, Kind, Like, Op, Refused, Request};
use crate::error::TaskError;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::message::Message;
use crate::rank::world::{Rank, Shared};
use crate::sync::Permit;

/// The names that a rank owns. What happens is put into one line, and whoever puts something there sees to it unless
/// somebody does already: so answers may be sent, values dropped and waiters woken while the names are being changed.
#[derive(Default)]
pub(super) struct Owner {
    events: Mutex<VecDeque<Event>>,
    seen_to: AtomicBool,
    names: Mutex<Names>,
}

enum Event {
    Came(Rank, Message),
    /// A wish may be met.
    Woken((Rank, u64)),
    Lost(Rank, String),
}

#[derive(Default)]
struct Names {
    things: HashMap<Key, Weak<Thing>>,
    /// What each handle of a rank leads to.
    handles: HashMap<(Rank, u64), Arc<Thing>>,
    wishes: BTreeMap<(Rank, u64), Waiting>,
    /// Permits that are out, by the number of their grant, with whose they are.
    grants: BTreeMap<u64, Grant>,
    granted: u64,
    datasets: Datasets,
    lost: Option<(u32, String)>,
}

/// A wish that is in line.
struct Waiting {
    wish: Wish,
    of: Asker,
    thing: Arc<Thing>,
}

/// Whom to answer.
#[derive(Clone, Copy)]
struct Asker {
    rank: Rank,
    ticket: u64,
}

struct Grant {
    rank: Rank,
    thing: Arc<Thing>,
    permit: Permit,
}

/// Has a wish looked at again.
struct Ring {
    world: Weak<Shared>,
    wish: (Rank, u64),
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        if let Some(world) = self.world.upgrade() {
            world.part::<Owner>().put(&world, Event::Woken(self.wish));
        }
    }
}

/// A message for this rank as an owner.
pub(in crate::rank) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    world.part::<Owner>().put(world, Event::Came(from, message));
}

/// A rank is lost: who waits is told, and what it held is given back.
pub(in crate::rank) fn lost(world: &Arc<Shared>, rank: Rank, why: &TaskError) {
    world.part::<Owner>().put(world, Event::Lost(rank, why.to_string()));
}

impl Owner {
    fn put(&self, world: &Arc<Shared>, event: Event) {
        self.events.lock().push_back(event);
        // ORDERING: SeqCst, so that of two threads the one that leaves and the one that comes, one sees the other's event.
        while !self.events.lock().is_empty() && !self.seen_to.swap(true, Ordering::SeqCst) {
            loop {
                let event = self.events.lock().pop_front();
                let Some(event) = event else { break };
                self.names.lock().see_to(world, event);
            }
            self.seen_to.store(false, Ordering::SeqCst);
        }
    }
}

fn answer(world: &Arc<Shared>, of: Asker, answer: &Answer, values: Vec<Kept>) {
    // Nobody waits for the answer to what was told.
    if of.ticket != 0 {
        let values: Vec<_> = values.into_iter().map(Kept::into_packed).collect();
        world.answer(of.rank, of.ticket, pack(&(answer, values)));
    }
}

impl Names {
    fn see_to(&mut self, world: &Arc<Shared>, event: Event) {
        match event {
            Event::Came(from, message) => {
                let of = Asker { rank: from, ticket: message.ticket };
                match message.packed.unpack::<(Request, Vec<Packed>)>(world) {
                    Ok((request, values)) => {
                        let values = values.into_iter().map(|value| Kept::new(world, value)).collect();
                        self.request(world, of, request, values);
                    }
                    Err(corrupt) => world.lose(from, &corrupt),
                }
            }
            Event::Woken(wish) => self.look_at(world, wish),
            Event::Lost(rank, why) => self.lost(world, rank, &why),
        }
    }

    fn request(&mut self, world: &Arc<Shared>, of: Asker, request: Request, values: Vec<Kept>) {
        match request {
            Request::Open { handle, key, like } => {
                let opened = match self.open(key, like) {
                    Ok(thing) => {
                        self.handles.insert((of.rank, handle), thing);
                        Answer::Done
                    }
                    Err(why) => Answer::Refused(why),
                };
                answer(world, of, &opened, Vec::new());
            }
            Request::Close { handle } => {
                let thing = self.handles.remove(&(of.rank, handle));
                self.let_go(thing);
            }
            Request::Call { handle, wish, op, waits } => self.call(world, of, (handle, wish), op, values, waits),
            Request::Withdraw { wish } => {
                if let Some(Waiting { wish, of, thing }) = self.wishes.remove(&(of.rank, wish)) {
                    drop(wish);
                    self.let_go(Some(thing));
                    answer(world, of, &Answer::Refused(Refused::Withdrawn), Vec::new());
                }
            }
            Request::Release { token } => {
                let is_theirs = self.grants.get(&token).is_some_and(|grant| grant.rank == of.rank);
                if is_theirs && let Some(Grant { permit, thing, .. }) = self.grants.remove(&token) {
                    drop(permit);
                    self.let_go(Some(thing));
                }
            }
            Request::Return { handle } => {
                if let Some(Primitive::Queue(queue)) = self.thing(of.rank, handle).map(|thing| &thing.primitive) {
                    queue.give_back(values);
                }
            }
            Request::Dataset(dataset) => {
                let (said, values) = self.datasets.request(dataset, values);
                answer(world, of, &said, values);
            }
        }
    }

    fn thing(&self, rank: Rank, handle: u64) -> Option<&Arc<Thing>> {
        self.handles.get(&(rank, handle))
    }

    fn open(&mut self, key: Key, like: Like) -> Result<Arc<Thing>, Refused> {
        if let Some(thing) = self.things.get(&key).and_then(Weak::upgrade) {
            return match thing.like == like {
                true => Ok(thing),
                false => Err(Refused::Taken(format!(
                    "the {} `{}` exists already, {}; use another name, or the same type and size",
                    key.kind,
                    key.name,
                    thing.like.unlike(&like, key.kind)
                ))),
            };
        }
        let refused = || Refused::Impossible(format!("a {} of size {:?}", key.kind, like.size));
        let thing = Arc::new(Thing::new(key.clone(), like.clone()).ok_or_else(refused)?);
        self.things.insert(key, Arc::downgrade(&thing));
        Ok(thing)
    }

    /// The name goes with the last handle.
    fn let_go(&mut self, thing: Option<Arc<Thing>>) {
        if let Some(thing) = thing.and_then(Arc::into_inner) {
            self.give_up(&thing.key, |known| known.strong_count() == 0);
        }
    }

    fn give_up(&mut self, key: &Key, is_it: impl FnOnce(&Weak<Thing>) -> bool) {
        if self.things.get(key).is_some_and(is_it) {
            self.things.remove(key);
        }
    }

    fn call(
        &mut self,
        world: &Arc<Shared>,
        of: Asker,
        (handle, number): (u64, u64),
        op: Op,
        values: Vec<Kept>,
        waits: bool,
    ) {
        let Some(thing) = self.thing(of.rank, handle).cloned() else {
            let taken = Refused::Taken("a name that stands for something else".to_owned());
            return answer(world, of, &Answer::Refused(taken), Vec::new());
        };
        if matches!((&op, thing.key.kind), (Op::End, Kind::Queue | Kind::Semaphore)) {
            self.give_up(&thing.key, |known| known.as_ptr() == Arc::as_ptr(&thing));
        }
        let mut wish = thing.wish(op, values);
        let ring = Waker::from(Arc::new(Ring { world: Arc::downgrade(world), wish: (of.rank, number) }));
        match wish.as_mut().poll(&mut Context::from_waker(&ring)) {
            Poll::Ready(given) => self.give(world, of, thing, given),
            Poll::Pending => {
                let refused = match &self.lost {
                    None if waits => {
                        self.wishes.insert((of.rank, number), Waiting { wish, of, thing });
                        return;
                    }
                    Some((rank, why)) if waits => Refused::Lost { rank: *rank, why: why.clone() },
                    _ => Refused::Busy,
                };
                drop(wish);
                answer(world, of, &Answer::Refused(refused), Vec::new());
            }
        }
    }

    /// A wish that was woken.
    fn look_at(&mut self, world: &Arc<Shared>, at: (Rank, u64)) {
        let Some(waiting) = self.wishes.get_mut(&at) else { return };
        let ring = Waker::from(Arc::new(Ring { world: Arc::downgrade(world), wish: at }));
        if let Poll::Ready(given) = waiting.wish.as_mut().poll(&mut Context::from_waker(&ring))
            && let Some(Waiting { of, thing, .. }) = self.wishes.remove(&at)
        {
            self.give(world, of, thing, given);
        }
    }

    fn give(&mut self, world: &Arc<Shared>, of: Asker, thing: Arc<Thing>, given: Given) {
        let Given { answer: mut said, values, permit } = given;
        if let Some(permit) = permit {
            self.granted += 1;
            let token = self.granted;
            self.grants.insert(token, Grant { rank: of.rank, thing, permit });
            said = Answer::Granted { token };
        }
        answer(world, of, &said, values);
    }

    fn lost(&mut self, world: &Arc<Shared>, rank: Rank, why: &str) {
        self.lost.get_or_insert((rank.0, why.to_owned()));
        let held: Vec<_> = self.grants.extract_if(.., |_, grant| grant.rank == rank).collect();
        for ((asker, _), Waiting { wish, of, thing }) in std::mem::take(&mut self.wishes) {
            drop(wish);
            if asker != rank {
                let why = match held.iter().find(|(_, grant)| Arc::ptr_eq(&grant.thing, &thing)) {
                    None => why.to_owned(),
                    Some((token, grant)) => {
                        let Key { kind, name } = &thing.key;
                        let count = grant.permit.count();
                        format!("{why}; it held {count} of the {kind} `{name}` (token {token})")
                    }
                };
                answer(world, of, &Answer::Refused(Refused::Lost { rank: rank.0, why }), Vec::new());
            }
            self.let_go(Some(thing));
        }
        for (_, Grant { permit, thing, .. }) in held {
            drop(permit);
            self.let_go(Some(thing));
        }
        let gone: Vec<_> = self.handles.extract_if(|(of, _), _| *of == rank).collect();
        gone.into_iter().for_each(|(_, thing)| self.let_go(Some(thing)));
    }
}

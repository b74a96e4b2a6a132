//! The side of who uses a name: handles, and wishes that the owner meets.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::wire::{Answer, Key, Kind, Like, Op, Refused, Request};
use crate::error::{Error, ErrorKind, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{self, Packed, pack};
use crate::rank::identity::{Type, number};
use crate::rank::message;
use crate::rank::wait::block_on;
use crate::rank::world::{Rank, Shared};

/// What the owner answers, and the values that come with it.
pub(super) type Reply = (Answer, Vec<Packed>);

/// Numbers of this rank's handles and wishes.
#[derive(Default)]
struct Drawn(AtomicU64);

fn draw(world: &Shared) -> u64 {
    // ORDERING: Relaxed; the number only has to be new.
    world.part::<Drawn>().0.fetch_add(1, Ordering::Relaxed)
}

/// The rank that keeps what has this name.
pub(super) fn owner(world: &Shared, key: &Key) -> Rank {
    Rank((number(key) % world.size() as u64) as u32)
}

fn tell(world: &Arc<Shared>, owner: Rank, request: &Request, values: Vec<Packed>) {
    if let Ok(packed) = pack(&(request, values)) {
        world.tell(owner, message::Kind::Sync, packed);
    }
}

/// Asks what is answered at once, and waits for that.
pub(super) fn ask(
    world: &Arc<Shared>,
    owner: Rank,
    request: &Request,
    values: Vec<Packed>,
) -> Result<Reply, TaskError> {
    block_on(pin!(Asked::of(world, owner, request, values, None)), None)?
}

/// A handle of this rank on what has a name. The owner keeps that until the last one is gone.
pub(super) struct Handle {
    world: Arc<Shared>,
    owner: Rank,
    number: u64,
    key: Key,
    like: Like,
}

impl Handle {
    fn new(world: &Arc<Shared>, key: Key, like: Like) -> (Self, Request) {
        let handle = Self { world: world.clone(), owner: owner(world, &key), number: draw(world), key, like };
        let request = Request::Open { handle: handle.number, key: handle.key.clone(), like: handle.like.clone() };
        (handle, request)
    }

    /// # Errors
    /// If the name stands for something unlike this; if the owner cannot answer.
    pub(super) fn open(
        world: &Arc<Shared>,
        kind: Kind,
        name: &str,
        values: Option<Type>,
        size: Option<usize>,
    ) -> Result<Arc<Self>, Error> {
        let like = Like { values, size: size.map(|size| size as u64) };
        let (handle, request) = Self::new(world, Key { kind, name: name.into() }, like);
        match ask(world, handle.owner, &request, Vec::new()) {
            Ok((Answer::Refused(Refused::Taken(text)), _)) => Err(Error::new(ErrorKind::NameTaken(text))),
            Ok((Answer::Refused(Refused::Impossible(text)), _)) => Err(Error::new(ErrorKind::Setting(text))),
            Ok(_) => Ok(Arc::new(handle)),
            Err(error) => Err(Error::new(ErrorKind::Closed(error))),
        }
    }

    pub(super) fn world(&self) -> &Arc<Shared> {
        &self.world
    }

    pub(super) fn name(&self) -> &str {
        &self.key.name
    }

    pub(super) fn size(&self) -> Option<usize> {
        self.like.size.and_then(|size| usize::try_from(size).ok())
    }

    /// Asks something of what has the name; who does not wait is answered at once.
    fn wish(self: &Arc<Self>, op: Op, values: Vec<Packed>, waits: bool) -> Asked {
        let wish = draw(&self.world);
        let request = Request::Call { handle: self.number, wish, op, waits };
        Asked::of(&self.world, self.owner, &request, values, Some((self.clone(), wish)))
    }

    fn accept(&self, reply: Reply) -> Result<Reply, TaskError> {
        match reply {
            (Answer::Refused(why), _) => Err(why.into_error(self.key.kind)),
            reply => Ok(reply),
        }
    }

    /// Waits until a wish is met, for no longer than `timeout`; tries once when that is zero.
    pub(super) fn wait(
        self: &Arc<Self>,
        op: Op,
        values: Vec<Packed>,
        timeout: Option<Duration>,
    ) -> Result<Reply, TaskError> {
        let waits = timeout.is_none_or(|timeout| !timeout.is_zero());
        let deadline = timeout.filter(|_| waits).and_then(|timeout| Instant::now().checked_add(timeout));
        self.accept(self.wish(op, values, waits).wait(deadline)?)
    }

    /// As [`wait`](Self::wait), awaited. Dropped before its end, the wish leaves no trace.
    pub(super) async fn wait_async(self: Arc<Self>, op: Op, values: Vec<Packed>) -> Result<Reply, TaskError> {
        let reply = self.wish(op, values, true).await?;
        self.accept(reply)
    }

    /// What is known at once.
    pub(super) fn state(self: &Arc<Self>) -> Result<Answer, TaskError> {
        Ok(self.wait(Op::State, Vec::new(), None)?.0)
    }

    pub(super) fn release(&self, token: u64) {
        tell(&self.world, self.owner, &Request::Release { token }, Vec::new());
    }

    /// Gives back what came when nobody waited for it any more.
    fn give_back(&self, came: Result<Packed, TaskError>) {
        match came.and_then(|reply| reply.unpack::<Reply>(&self.world)) {
            Ok((Answer::Granted { token }, _)) => self.release(token),
            Ok((Answer::Items, values)) if self.key.kind == Kind::Queue => {
                tell(&self.world, self.owner, &Request::Return { handle: self.number }, values);
            }
            // They may be the user's.
            Ok((Answer::Items, values)) => self.world.queue(move || drop(values)),
            _ => {}
        }
    }

    /// As a value within a message of heist's: a name.
    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !codec::is_packing() {
            return Err(S::Error::custom("what has a name in a world travels in heist's own messages only"));
        }
        (&self.key.name, self.like.size).serialize(serializer)
    }

    /// A further handle, by the name in a message. Whether the name stands for what it did is known when it is used.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        kind: Kind,
        values: Option<Type>,
    ) -> Result<Arc<Self>, D::Error> {
        let (name, size) = <(Box<str>, Option<u64>)>::deserialize(deserializer)?;
        let world = codec::world_of_unpacker()
            .ok_or_else(|| D::Error::custom("what has a name in a world comes in heist's own messages only"))?;
        let (handle, request) = Self::new(&world, Key { kind, name }, Like { values, size });
        tell(&world, handle.owner, &request, Vec::new());
        Ok(Arc::new(handle))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        tell(&self.world, self.owner, &Request::Close { handle: self.number }, Vec::new());
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}` of {}", self.key.kind, self.key.name, self.owner)
    }
}

/// What comes to a wish.
enum Slot {
    Open(Option<Waker>),
    Came(Result<Packed, TaskError>),
    /// It was taken, or is wanted no more.
    Over,
}

/// A wish that the owner was told of. Dropped before it was met, it is withdrawn; what is on its way is given back when it
/// comes.
struct Asked {
    world: Arc<Shared>,
    slot: Arc<Mutex<Slot>>,
    /// Whose wish it is, and its number. Also kept until the answer has come.
    of: Option<(Arc<Handle>, u64)>,
}

impl Asked {
    fn of(
        world: &Arc<Shared>,
        owner: Rank,
        request: &Request,
        values: Vec<Packed>,
        of: Option<(Arc<Handle>, u64)>,
    ) -> Self {
        let slot = Arc::new(Mutex::new(Slot::Open(None)));
        let asked = Self { world: world.clone(), slot: slot.clone(), of };
        match pack(&(request, values)) {
            // Of what this rank owned itself, too, nothing is had any more.
            Ok(_) if world.is_over() => *slot.lock() = Slot::Came(Err(TaskError::new(TaskErrorKind::WorldEnded))),
            Ok(packed) => {
                let handle = asked.of.as_ref().map(|(handle, _)| handle.clone());
                world.ask(owner, message::Kind::Sync, packed, move |_, came| arrived(&slot, handle.as_deref(), came));
            }
            Err(error) => *slot.lock() = Slot::Came(Err(error)),
        }
        asked
    }

    fn withdraw(&self) {
        if let Some((handle, wish)) = &self.of {
            tell(&handle.world, handle.owner, &Request::Withdraw { wish: *wish }, Vec::new());
        }
    }

    /// Blocks. When the time is up, the owner says whether the wish has been met meanwhile.
    fn wait(self, deadline: Option<Instant>) -> Result<Reply, TaskError> {
        let mut asked = pin!(self);
        match block_on(asked.as_mut(), deadline) {
            Ok(reply) => reply,
            Err(error) if error.is_timeout() => {
                asked.withdraw();
                block_on(asked.as_mut(), None)?
            }
            Err(error) => Err(error),
        }
    }
}

fn arrived(slot: &Mutex<Slot>, handle: Option<&Handle>, came: Result<Packed, TaskError>) {
    let mut state = slot.lock();
    if let Slot::Open(waker) = &mut *state {
        let waker = waker.take();
        *state = Slot::Came(came);
        drop(state);
        if let Some(waker) = waker {
            panics::catch_drop(|| waker.wake());
        }
        return;
    }
    drop(state);
    if let Some(handle) = handle {
        handle.give_back(came);
    }
}

impl Future for Asked {
    type Output = Result<Reply, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.slot.lock();
        match std::mem::replace(&mut *slot, Slot::Over) {
            Slot::Came(came) => {
                drop(slot);
                Poll::Ready(came.and_then(|reply| reply.unpack(&self.world)))
            }
            Slot::Open(before) => {
                *slot = Slot::Open(Some(context.waker().clone()));
                drop(slot);
                panics::catch_drop(|| drop(before));
                Poll::Pending
            }
            Slot::Over => Poll::Ready(Err(TaskError::new(TaskErrorKind::Timeout))),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.slot.lock(), Slot::Over);
        match (left, &self.of) {
            (Slot::Open(waker), _) => {
                panics::catch_drop(|| drop(waker));
                self.withdraw();
            }
            (Slot::Came(came), Some((handle, _))) => handle.give_back(came),
            _ => {}
        }
    }
}

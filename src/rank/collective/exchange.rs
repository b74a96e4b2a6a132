//! What has come for each collective call, and who waits for it.

use std::collections::HashMap;
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

use crate::error::{Refusal, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::lock::{Guard, Mutex};
use crate::primitive::sync::Arc;
use crate::rank::codec::{Blob, Packed};
use crate::rank::message::{Kind, Message};
use crate::rank::world::{Rank, Shared};

/// Data of more bytes than these travels beside the message, so that who passes it on does not copy it.
const BESIDE: usize = 4096;

/// What precedes the data of a message.
#[derive(Serialize, Deserialize)]
enum Head {
    /// Data of a call; the tag says which.
    Data { call: u64, tag: u32 },
    /// The sender takes no part in a call any more, for this reason.
    GaveUp { call: u64, why: String },
}

/// Data that has come, or that goes to several ranks.
#[derive(Clone)]
pub(super) enum Data {
    Written { bytes: Arc<Vec<u8>>, from: usize },
    Beside(Blob),
}

impl Data {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes.len() {
            ..=BESIDE => Self::Written { bytes: Arc::new(bytes.to_vec()), from: 0 },
            _ => Self::Beside(Blob::copy_of(bytes)),
        }
    }
}

impl std::ops::Deref for Data {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Written { bytes, from } => &bytes[*from..],
            Self::Beside(blob) => blob,
        }
    }
}

/// The collective calls of one rank.
#[derive(Default)]
pub(super) struct Exchange(Mutex<State>);

#[derive(Default)]
struct State {
    /// The number of the next call that begins here.
    next: u64,
    /// Calls that are under way, here or elsewhere.
    calls: HashMap<u64, Slot>,
    /// Why there is nothing to wait for any more.
    over: Option<TaskError>,
    /// Some call was given up.
    broken: bool,
}

#[derive(Default)]
struct Slot {
    came: HashMap<(Rank, u32), Data>,
    gave_up: Option<(Rank, String)>,
    waker: Option<Waker>,
}

impl Slot {
    /// Who waits is to look again.
    fn wake(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        panics::catch_drop(|| waker.wake());
    }
}

impl State {
    /// The slot of a call that has not ended here.
    fn slot(&mut self, call: u64) -> Option<&mut Slot> {
        if call < self.next { self.calls.get_mut(&call) } else { Some(self.calls.entry(call).or_default()) }
    }
}

impl Exchange {
    /// The number of a call that begins; and whether no other is under way here, and none was ever given up.
    pub(super) fn begin(&self) -> (u64, bool) {
        let mut state = self.0.lock();
        let call = state.next;
        let is_alone = !state.broken && state.calls.keys().all(|other| *other >= call);
        state.next += 1;
        state.calls.entry(call).or_default();
        (call, is_alone)
    }

    /// A call is given up here.
    pub(super) fn breaks(&self) {
        self.0.lock().broken = true;
    }

    /// Forgets a call that has ended here.
    pub(super) fn end(&self, call: u64) {
        let ended = self.0.lock().calls.remove(&call);
        drop(ended);
    }

    /// What that rank has sent, once it is there. One task waits for a call.
    pub(super) fn poll(
        &self,
        call: u64,
        from: Rank,
        tag: u32,
        context: &mut Context<'_>,
    ) -> Poll<Result<Data, TaskError>> {
        let mut state = self.0.lock();
        if let Some(data) = state.calls.get_mut(&call).and_then(|slot| slot.came.remove(&(from, tag))) {
            return Poll::Ready(Ok(data));
        }
        Self::look(state, call, context).map_or(Poll::Pending, |ended| Poll::Ready(Err(ended)))
    }

    /// Why a call can come to nothing; until then, who waits is woken when something comes.
    pub(super) fn check(&self, call: u64, context: &mut Context<'_>) -> Option<TaskError> {
        Self::look(self.0.lock(), call, context)
    }

    fn look(mut state: Guard<'_, State>, call: u64, context: &mut Context<'_>) -> Option<TaskError> {
        let over = state.over.clone();
        let slot = state.calls.entry(call).or_default();
        if let Some((rank, why)) = &slot.gave_up {
            return Some(mismatch(format!("{rank} has given up a collective call: {why}")));
        }
        if over.is_some() {
            return over;
        }
        let before = slot.waker.replace(context.waker().clone());
        drop(state);
        panics::catch_drop(|| drop(before));
        None
    }

    fn bring(&self, call: u64, from: Rank, tag: u32, data: Data) {
        let mut state = self.0.lock();
        let Some(slot) = state.slot(call) else { return };
        slot.came.insert((from, tag), data);
        let waker = slot.wake();
        drop(state);
        wake(waker);
    }

    fn give_up(&self, call: u64, from: Rank, why: String) {
        let mut state = self.0.lock();
        state.broken = true;
        let Some(slot) = state.slot(call) else { return };
        slot.gave_up.get_or_insert((from, why));
        let waker = slot.wake();
        drop(state);
        wake(waker);
    }

    /// Ends all waits, and those to come.
    pub(super) fn close(&self, error: &TaskError) {
        let mut state = self.0.lock();
        state.over.get_or_insert_with(|| error.clone());
        let wakers: Vec<_> = state.calls.values_mut().filter_map(Slot::wake).collect();
        drop(state);
        wakers.into_iter().for_each(|waker| wake(Some(waker)));
    }
}

/// That ranks did not do the same.
pub(super) fn mismatch(text: String) -> TaskError {
    TaskError::new(TaskErrorKind::Refused { refusal: Refusal::Collective, text })
}

fn packed(head: &Head) -> Packed {
    Packed { bytes: postcard::to_stdvec(head).unwrap_or_default(), ..Packed::default() }
}

pub(super) fn send(world: &Arc<Shared>, to: Rank, call: u64, tag: u32, data: &Data) {
    let mut message = packed(&Head::Data { call, tag });
    match data {
        Data::Written { .. } => message.bytes.extend_from_slice(data),
        Data::Beside(blob) => message.blobs.push(blob.clone()),
    }
    world.tell(to, Kind::Collective, message);
}

pub(super) fn send_gave_up(world: &Arc<Shared>, to: Rank, call: u64, why: &str) {
    world.tell(to, Kind::Collective, packed(&Head::GaveUp { call, why: why.to_owned() }));
}

/// Keeps what has come for who waits for it, or will.
pub(in crate::rank) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    let Packed { bytes, mut blobs, .. } = message.packed;
    let Ok((head, rest)) = postcard::take_from_bytes::<Head>(&bytes) else {
        let text = format!("a message of a collective call that cannot be read, of {from}");
        return world.lose(from, &TaskError::new(TaskErrorKind::Codec(text)));
    };
    let exchange = world.part::<Exchange>();
    match head {
        Head::Data { call, tag } => {
            let read = bytes.len() - rest.len();
            let data = match blobs.pop() {
                Some(blob) => Data::Beside(blob),
                None => Data::Written { bytes: Arc::new(bytes), from: read },
            };
            exchange.bring(call, from, tag, data);
        }
        Head::GaveUp { call, why } => exchange.give_up(call, from, why),
    }
}

/// Ends all waits for other ranks: one of them is lost, or this one has left.
pub(in crate::rank) fn close(world: &Shared, error: &TaskError) {
    world.part::<Exchange>().close(error);
}

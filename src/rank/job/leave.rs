//! How ranks leave together: each says goodbye and serves the others until all have.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
use crate::rank::codec;
use crate::rank::message::{Kind, Message};
use crate::rank::world::{Rank, Shared};

/// How often a waiting rank looks whether its world is over, which nobody tells it.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Word {
    /// Of any rank, to the first one: it asks for nothing more.
    Goodbye,
    /// Of the first rank, to all: everybody has said goodbye.
    Part,
    /// Of the first rank of a host: it is alive.
    Alive,
}

/// What a rank knows of the others' leaving.
#[derive(Default)]
pub(super) struct Leaving {
    state: Mutex<State>,
    changed: Condvar,
    heard: AtomicBool,
}

#[derive(Default)]
struct State {
    /// By rank, on the first rank: has said goodbye.
    gone: Vec<bool>,
    /// All have.
    parted: bool,
}

pub(in crate::rank) fn handle(world: &Arc<Shared>, from: Rank, message: Message) {
    let leaving = world.part::<Leaving>();
    match message.packed.unpack::<Word>(world) {
        Ok(Word::Goodbye) => leaving.goodbye_of(world, from),
        Ok(Word::Part) => leaving.part(),
        // ORDERING: Relaxed; a lone flag.
        Ok(Word::Alive) => leaving.heard.store(true, Ordering::Relaxed),
        Err(corrupt) => world.lose(from, &corrupt),
    }
}

fn tell(world: &Arc<Shared>, to: Rank, word: Word) {
    if let Ok(packed) = codec::pack(&word) {
        world.tell(to, Kind::Control, packed);
    }
}

/// Says goodbye, and waits until all have. Not for a worker of this rank, which would no longer serve the others.
pub(super) fn leave(world: &Arc<Shared>) {
    let leaving = world.part::<Leaving>();
    tell(world, Rank(0), Word::Goodbye);
    let mut state = leaving.state.lock();
    while !state.parted && !world.is_over() {
        state = leaving.changed.wait_until(state, Instant::now() + LOOK);
    }
}

/// Tells a rank that this one is alive.
pub(super) fn tell_alive(world: &Arc<Shared>, to: Rank) {
    tell(world, to, Word::Alive);
}

/// Whether another rank has said since the last call that it is alive.
pub(super) fn was_heard(world: &Arc<Shared>) -> bool {
    // ORDERING: Relaxed; as in `handle`.
    world.part::<Leaving>().heard.swap(false, Ordering::Relaxed)
}

impl Leaving {
    fn goodbye_of(&self, world: &Arc<Shared>, rank: Rank) {
        let mut state = self.state.lock();
        state.gone.resize(world.size(), false);
        state.gone[rank.index()] = true;
        if !state.gone.iter().all(|gone| *gone) {
            return;
        }
        drop(state);
        let others = (0..world.size()).map(|other| Rank(other as u32)).filter(|&other| other != world.rank());
        others.for_each(|other| tell(world, other, Word::Part));
        self.part();
    }

    fn part(&self) {
        self.state.lock().parted = true;
        self.changed.notify_all();
    }
}

//! Letters on their way to one rank: the first at once, those that come while it is under way together.

use super::letter::{self, Letter};
use crate::error::TaskError;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::message::Kind;
use crate::rank::object::Reference;
use crate::rank::world::{Rank, Shared};

/// Letters and bytes with which a bundle goes, whatever is under way: what a message costs is little beside these.
const LETTERS: usize = 512;
const BYTES: usize = 1 << 15;

#[derive(Default)]
pub(super) struct Outbox(Mutex<State>);

#[derive(Default)]
struct State {
    bundle: Packed,
    letters: usize,
    /// Of the actors that are written to: they must not be let go of before.
    kept: Vec<Reference>,
    /// Whether a bundle was not acknowledged yet.
    is_under_way: bool,
}

/// What a bundle refers to: dropped when the outbox is open again, since that may run anything.
type Spent = (Vec<Reference>, Vec<Reference>);

impl State {
    fn add(&mut self, letter: Letter, kept: &Reference) -> Result<(), TaskError> {
        letter::add(&mut self.bundle, letter)?;
        self.letters += 1;
        self.kept.push(kept.clone());
        Ok(())
    }

    fn take(&mut self) -> (Packed, Spent) {
        self.letters = 0;
        let bundle = std::mem::take(&mut self.bundle);
        let spent = (bundle.references.clone(), std::mem::take(&mut self.kept));
        (bundle, spent)
    }
}

impl Outbox {
    /// Sends a letter to which no answer comes, at once or with those that come soon.
    pub(super) fn tell(
        this: &Arc<Self>,
        world: &Arc<Shared>,
        to: Rank,
        letter: Letter,
        kept: &Reference,
    ) -> Result<(), TaskError> {
        let mut state = this.0.lock();
        state.add(letter, kept)?;
        if state.is_under_way && state.letters < LETTERS && state.bundle.bytes.len() < BYTES {
            return Ok(());
        }
        let (bundle, spent) = state.take();
        if std::mem::replace(&mut state.is_under_way, true) {
            world.tell(to, Kind::Actor, bundle);
        } else {
            this.send(world, to, bundle);
        }
        drop(state);
        drop(spent);
        Ok(())
    }

    /// Sends a letter, and all that wait, at once; `done` is called with the answer.
    pub(super) fn ask(
        &self,
        world: &Arc<Shared>,
        to: Rank,
        letter: Letter,
        kept: &Reference,
        done: impl FnOnce(&Arc<Shared>, Result<Packed, TaskError>) + Send + 'static,
    ) {
        let mut state = self.0.lock();
        if let Err(error) = state.add(letter, kept) {
            drop(state);
            return done(world, Err(error));
        }
        let (bundle, spent) = state.take();
        world.ask(to, Kind::Actor, bundle, done);
        drop(state);
        drop(spent);
    }

    /// Sends a bundle that is to be acknowledged.
    fn send(self: &Arc<Self>, world: &Arc<Shared>, to: Rank, bundle: Packed) {
        let this = self.clone();
        world.ask(to, Kind::Actor, bundle, move |world, what| {
            // Else the rank is lost, or this one has left, and this may be called with the outbox locked.
            if what.is_ok() {
                this.acknowledged(world, to);
            }
        });
    }

    fn acknowledged(self: &Arc<Self>, world: &Arc<Shared>, to: Rank) {
        let mut state = self.0.lock();
        if state.letters == 0 {
            state.is_under_way = false;
            return;
        }
        let (bundle, spent) = state.take();
        self.send(world, to, bundle);
        drop(state);
        drop(spent);
    }
}

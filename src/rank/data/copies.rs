//! Copies of what is elsewhere, held until their home lets go of them.

use std::collections::HashMap;

use super::Told;
use super::tree::Tree;
use crate::counters::ledger::Entry;
use crate::error::TaskError;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::message::Kind;
use crate::rank::object::{self, Import, ObjectId};
use crate::rank::world::Shared;

#[derive(Default)]
struct Copies(Mutex<HashMap<ObjectId, (Arc<Import>, Entry)>>);

/// Holds a copy, which whoever wants the object here finds.
pub(super) fn hold(world: &Arc<Shared>, id: ObjectId, value: Packed) {
    let registry = world.registry();
    let entry = Entry::new(&registry.ledger, registry.ledger.least_loaded(), value.size());
    let import = object::have(world, id, value);
    let replaced = world.part::<Copies>().0.lock().insert(id, (import, entry));
    drop(replaced);
}

/// Sends it on to those who get it from this rank, and calls `done` when all who get it, by them too, have it, or when one
/// of them is lost.
pub(super) fn pass_on(
    world: &Arc<Shared>,
    id: ObjectId,
    tree: Tree,
    value: &Packed,
    done: impl FnOnce(&Arc<Shared>, Result<(), TaskError>) + Send + 'static,
) {
    let branches = tree.branches();
    // One more, so that it is not done before all are asked.
    let waiting = Waiting { left: branches.len() + 1, result: Ok(()), done: Some(Box::new(done)) };
    let waiting = Arc::new(Mutex::new(waiting));
    for (to, tree) in branches {
        let waiting = waiting.clone();
        match pack(&Told::Copy { id, tree, value: value.clone() }) {
            Ok(packed) => {
                world.ask(to, Kind::Data, packed, move |world, answer| one_has(world, &waiting, answer.map(drop)));
            }
            Err(error) => one_has(world, &waiting, Err(error)),
        }
    }
    one_has(world, &waiting, Ok(()));
}

struct Waiting {
    left: usize,
    result: Result<(), TaskError>,
    done: Option<Done>,
}

type Done = Box<dyn FnOnce(&Arc<Shared>, Result<(), TaskError>) + Send>;

fn one_has(world: &Arc<Shared>, waiting: &Mutex<Waiting>, what: Result<(), TaskError>) {
    let mut all = waiting.lock();
    all.left -= 1;
    if what.is_err() {
        all.result = what;
    }
    if all.left > 0 {
        return;
    }
    let result = std::mem::replace(&mut all.result, Ok(()));
    let done = all.done.take();
    drop(all);
    if let Some(done) = done {
        done(world, result);
    }
}

/// Lets go of the copy of this rank, and has those do it who got it from here: the way that it came, so that it comes there
/// after the copy.
pub(super) fn let_go(world: &Arc<Shared>, id: ObjectId, tree: Tree) {
    for (to, tree) in tree.branches() {
        if let Ok(packed) = pack(&Told::LetGo { id, tree }) {
            world.tell(to, Kind::Data, packed);
        }
    }
    let held = world.part::<Copies>().0.lock().remove(&id);
    drop(held);
}

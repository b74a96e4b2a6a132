//! What tasks of this rank need of others, fetched once for all who need it at the time.

use std::collections::HashMap;
use std::panic::Location;
use std::time::{Duration, Instant};

use super::{Came, ObjectId, Reference, ask};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Promise, TaskFuture};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::bell;
use crate::rank::codec::Packed;
use crate::rank::world::Shared;

/// For how long what was fetched is kept when nothing here uses it any more, and how much of it.
const IDLE: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 256 << 20;
/// How often that is looked at.
const LOOKS: Duration = Duration::from_millis(500);

/// What is being fetched, or is here: for who uses it, and for a while for who may use it next. A name is never given to
/// another value, so nobody needs to be asked whether it still holds.
#[derive(Default)]
pub(crate) struct Imports(Mutex<Table>);

#[derive(Default)]
struct Table {
    kept: HashMap<ObjectId, Kept>,
}

struct Kept {
    import: Arc<Import>,
    /// When it was last asked for.
    used: Instant,
}

/// One fetched value, as it came.
pub(crate) struct Import {
    pub(crate) id: ObjectId,
    pub(crate) value: TaskFuture<Arc<Packed>>,
}

impl Kept {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.import) == 1 && self.import.value.done()
    }

    fn size(&self) -> usize {
        let packed = self.import.value.peek().and_then(Result::ok);
        packed.map_or(0, |packed| packed.size())
    }
}

impl Table {
    /// A value that is to come, and what was kept in its place.
    fn begin(&mut self, world: &Arc<Shared>, id: ObjectId) -> (Promise<Arc<Packed>>, Arc<Import>, Option<Kept>) {
        if self.kept.is_empty() {
            world.transport.bell().call(bell::PROGRESS);
        }
        let (promise, value) = Promise::new(world.registry(), Location::caller());
        let import = Arc::new(Import { id, value });
        let before = self.kept.insert(id, Kept { import: import.clone(), used: Instant::now() });
        (promise, import, before)
    }
}

impl Imports {
    /// When to look again at what is kept.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.0.lock().kept.is_empty()).then(|| Instant::now() + LOOKS)
    }

    /// Lets go of what was not used for a while, and of the oldest of what is too much.
    pub(crate) fn tick(&self) {
        let mut table = self.0.lock();
        let mut gone: Vec<_> = table.kept.extract_if(|_, kept| kept.is_idle() && kept.used.elapsed() >= IDLE).collect();
        let mut idle: Vec<_> = table
            .kept
            .iter()
            .filter(|(_, kept)| kept.is_idle())
            .map(|(id, kept)| (kept.used, *id, kept.size()))
            .collect();
        let mut bytes: usize = idle.iter().map(|(_, _, size)| size).sum();
        idle.sort_unstable_by_key(|(used, _, _)| *used);
        for (_, id, size) in idle {
            if bytes <= MOST_BYTES {
                break;
            }
            bytes -= size;
            gone.extend(table.kept.remove(&id).map(|kept| (id, kept)));
        }
        drop(table);
        drop(gone);
    }
}

/// The value that is referred to, to come.
pub(crate) fn import(world: &Arc<Shared>, reference: Reference) -> Arc<Import> {
    let (reference, id) = reference.named(world);
    let mut table = world.imports.0.lock();
    if let Some(known) = table.kept.get_mut(&id).filter(|known| known.import.value.error().is_none()) {
        known.used = Instant::now();
        let import = known.import.clone();
        drop(table);
        return import;
    }
    let (promise, import, before) = table.begin(world, id);
    drop(table);
    drop(before);
    fetch(world, id, reference, promise);
    import
}

/// A value that has come unasked: what is fetched from now on, for as long as this is kept, is found here.
pub(crate) fn have(world: &Arc<Shared>, id: ObjectId, packed: Packed) -> Arc<Import> {
    let mut table = world.imports.0.lock();
    if let Some(known) = table.kept.get_mut(&id).filter(|known| known.import.value.error().is_none()) {
        known.used = Instant::now();
        return known.import.clone();
    }
    let (promise, import, before) = table.begin(world, id);
    drop(table);
    drop(before);
    promise.fulfil(Arc::new(packed));
    import
}

/// Fetches from where it is, which it is kept by `reference`.
fn fetch(world: &Arc<Shared>, id: ObjectId, reference: Reference, promise: Promise<Arc<Packed>>) {
    ask(world, id, false, move |world, answer| {
        match answer {
            Ok(Came::Here(packed)) => promise.fulfil(Arc::new(packed)),
            Ok(Came::At(elsewhere, _)) => {
                let (elsewhere, id) = elsewhere.named(world);
                fetch(world, id, elsewhere, promise);
            }
            Err(error) => promise.fail_with(TaskErrorKind::Dependency(TaskError::clone(error.root()))),
        }
        drop(reference);
    });
}

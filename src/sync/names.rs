//! Primitives by name: made when a name is first asked for, gone with the last handle.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Weak;

use crate::error::{Error, ErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

type Key = (&'static str, Box<str>);
type Erased = dyn Any + Send + Sync;

/// The names of one executor. Each kind of primitive has names of its own.
#[derive(Default)]
pub(crate) struct Names(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    next: u64,
}

struct Entry {
    number: u64,
    named: Weak<Erased>,
}

/// A name that a primitive has; given up when dropped.
pub(super) struct Named {
    names: Arc<Names>,
    key: Key,
    number: u64,
}

impl Named {
    /// Leaves the name to others; who has a handle keeps what he has.
    pub(super) fn give_up(&self) {
        let mut table = self.names.0.lock();
        if table.entries.get(&self.key).is_some_and(|entry| entry.number == self.number) {
            table.entries.remove(&self.key);
            if table.entries.len() < table.entries.capacity() / 8 {
                table.entries.shrink_to_fit();
            }
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// That a name stands for something else.
pub(super) fn taken(kind: &str, name: &str, as_what: &str) -> Error {
    Error::new(ErrorKind::NameTaken(format!(
        "the {kind} `{name}` exists already, {as_what}; use another name, or the same type and size"
    )))
}

impl Names {
    /// The handle that `revive` makes of what has this name, or that `make` makes of what gets it now.
    pub(super) fn open<P: Send + Sync + 'static, H>(
        self: &Arc<Self>,
        kind: &'static str,
        name: &str,
        revive: impl FnOnce(&Arc<P>) -> Option<H>,
        make: impl FnOnce(Named) -> (Weak<P>, H),
    ) -> Result<H, Error> {
        let key = (kind, Box::from(name));
        let mut table = self.0.lock();
        // Dropped after the lock: its end may give a name up.
        let found = table.entries.get(&key).and_then(|entry| entry.named.upgrade());
        let known = found.clone().map(Arc::downcast::<P>).transpose();
        let revived = match &known {
            Ok(known) => Ok(known.as_ref().and_then(revive)),
            Err(_) => Err(taken(kind, name, "with values of another type")),
        };
        let handle = match revived {
            Ok(None) => {
                let number = table.next;
                table.next += 1;
                let (named, handle) = make(Named { names: self.clone(), key: key.clone(), number });
                table.entries.insert(key, Entry { number, named });
                Ok(handle)
            }
            Ok(Some(handle)) => Ok(handle),
            Err(error) => Err(error),
        };
        drop(table);
        drop((found, known));
        handle
    }
}

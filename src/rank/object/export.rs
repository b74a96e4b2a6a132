//! Futures of this rank that others were told of.

use std::any::Any;

use serde::Serialize;

use super::{Asker, Came, Object, Reference};
use crate::error::{CancelReason, TaskError};
use crate::future::TaskFuture;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Packed, pack};
use crate::rank::task::SMALL;
use crate::rank::world::Shared;
use crate::task::{Action, Listener, listen};

pub(super) struct Export<T> {
    future: TaskFuture<T>,
    /// The value, once somebody has asked for it.
    packed: Mutex<Option<Packed>>,
}

/// A reference to a future of this rank.
pub(crate) fn refer<T: Serialize + Send + Sync + 'static>(future: &TaskFuture<T>) -> Reference {
    Reference::of_own(Arc::new(Export { future: future.clone(), packed: Mutex::new(None) }))
}

impl<T: Serialize + Send + Sync + 'static> Export<T> {
    /// Of a future that is done. Runs the user's code.
    fn packed(&self) -> Result<Packed, TaskError> {
        if let Some(packed) = self.packed.lock().clone() {
            return Ok(packed);
        }
        let value = self.future.peek().ok_or_else(|| crate::rank::codec::malformed("a value that is not there"))??;
        let packed = pack(value)?;
        *self.packed.lock() = Some(packed.clone());
        Ok(packed)
    }

    fn answer(self: Arc<Self>, world: &Arc<Shared>, asker: Asker) {
        let what = self.packed().map(|packed| {
            let size = packed.size();
            if asker.only_small && size > SMALL { Came::At(Reference::of_own(self), size) } else { Came::Here(packed) }
        });
        asker.answer(world, what);
    }
}

impl<T: Serialize + Send + Sync + 'static> Object for Export<T> {
    fn asked(self: Arc<Self>, world: &Arc<Shared>, asker: Asker) {
        let head = self.future.handle().head();
        if !head.state.load().is_done() && world.awaited.also(world, head.id(), asker) {
            return;
        }
        let (this, at) = (self.clone(), Arc::downgrade(world));
        let answer = move || {
            let Some(world) = at.upgrade() else { return };
            let inner = world.clone();
            world.queue(move || this.answer(&inner, asker));
        };
        if head.state.load().is_done() {
            return answer();
        }
        let listener = Listener::new(Action::Call(Box::new(answer)));
        if listen(head, &listener).is_err() {
            listener.fire();
        }
    }

    fn cancel(&self, reason: CancelReason) {
        self.future.cancel(reason);
    }

    fn original(&self, world: &Shared) -> Option<Reference> {
        let head = self.future.handle().head();
        if head.is_afar() { world.awaited.original(head.id()) } else { None }
    }

    /// That of the task: a future has one name, however often it is sent.
    fn number(&self) -> Option<u64> {
        Some(self.future.id().0)
    }
}

/// The future itself, where it came from.
pub(super) fn back<T: Send + 'static>(object: Arc<dyn Object>) -> Option<TaskFuture<T>> {
    let object: Arc<dyn Any + Send + Sync> = object;
    Some(object.downcast::<Export<T>>().ok()?.future.clone())
}

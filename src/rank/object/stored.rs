//! Values that stay where they were made, as they would travel.

use super::{Asker, Came, Object, Reference};
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::world::Shared;

/// With what is to be dropped when nobody wants it any more.
struct Stored<G>(Packed, G);

/// Keeps a value for whoever refers to it.
pub(crate) fn store(value: Packed) -> Reference {
    Reference::of_own(Arc::new(Stored(value, ())))
}

/// A value as it came, to be kept under a name that it has.
pub(crate) fn stored<G: Send + Sync + 'static>(value: Packed, guard: G) -> Arc<dyn Object> {
    Arc::new(Stored(value, guard))
}

impl<G: Send + Sync + 'static> Object for Stored<G> {
    fn asked(self: Arc<Self>, world: &Arc<Shared>, asker: Asker) {
        let what = if asker.only_small {
            Came::At(Reference::of_own(self.clone()), self.0.size())
        } else {
            Came::Here(self.0.clone())
        };
        asker.answer(world, Ok(what));
    }
}

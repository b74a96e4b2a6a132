//! What the layers above keep with an executor: one value of each type, made when it is first asked for.

use std::any::{Any, TypeId};
use std::collections::HashMap;

use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

#[derive(Default)]
pub(crate) struct Extensions(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Extensions {
    /// The value of type `E`. O(1), under a lock: to be asked for once and kept.
    pub(crate) fn get<E: Default + Send + Sync + 'static>(&self) -> Arc<E> {
        let mut all = self.0.lock();
        let value = all.entry(TypeId::of::<E>()).or_insert_with(|| Arc::new(E::default()));
        value.clone().downcast().unwrap_or_else(|_| unreachable!("a value lies under its own type"))
    }

    /// Lets go of all values, which may lead back to the executor.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        // One by one: a panic in the drop of one must not keep the others.
        all.into_values().for_each(|value| crate::panics::catch_drop(|| drop(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in the drop of a value");
        }
    }

    #[derive(Default)]
    struct Good(Mutex<Option<Arc<()>>>);

    #[test]
    fn a_value_whose_drop_panics_does_not_keep_the_others() {
        let kept = Arc::new(());
        // In any order, the map's.
        for _ in 0..16 {
            let extensions = Extensions::default();
            extensions.get::<Bad>();
            *extensions.get::<Good>().0.lock() = Some(kept.clone());
            extensions.clear();
        }
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn there_is_one_value_of_a_type() {
        let extensions = Extensions::default();
        extensions.get::<AtomicU32>().store(7, Ordering::Relaxed);
        assert_eq!(extensions.get::<AtomicU32>().load(Ordering::Relaxed), 7);
        extensions.clear();
        assert_eq!(extensions.get::<AtomicU32>().load(Ordering::Relaxed), 0);
    }
}

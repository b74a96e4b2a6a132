//! The worker deque: crossbeam's LIFO deque in a build; a small locked twin, with spurious retries, in a model.

/// What a look into somebody's deque brought.
#[derive(Debug)]
#[must_use]
pub(crate) enum Steal<T> {
    /// The item.
    Success(T),
    /// There was nothing.
    Empty,
    /// Somebody was quicker: look again.
    Retry,
}

#[cfg(not(heist_loom))]
mod twin {
    use super::Steal;

    #[derive(Debug)]
    pub(crate) struct Deque<T>(crossbeam_deque::Worker<T>);
    #[derive(Debug)]
    pub(crate) struct Stealer<T>(crossbeam_deque::Stealer<T>);

    impl<T> Deque<T> {
        pub(crate) fn new() -> Self {
            Self(crossbeam_deque::Worker::new_lifo())
        }
        #[inline]
        pub(crate) fn push(&self, item: T) {
            self.0.push(item);
        }
        #[inline]
        pub(crate) fn pop(&self) -> Option<T> {
            self.0.pop()
        }
        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        pub(crate) fn stealer(&self) -> Stealer<T> {
            Stealer(self.0.stealer())
        }
    }

    impl<T> Stealer<T> {
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }
        /// Takes the oldest item.
        pub(crate) fn steal(&self) -> Steal<T> {
            match self.0.steal() {
                crossbeam_deque::Steal::Success(item) => Steal::Success(item),
                crossbeam_deque::Steal::Empty => Steal::Empty,
                crossbeam_deque::Steal::Retry => Steal::Retry,
            }
        }
        /// Takes some of the oldest items: one is returned, the rest go to `into`.
        pub(crate) fn steal_into(&self, into: &Deque<T>) -> Steal<T> {
            match self.0.steal_batch_and_pop(&into.0) {
                crossbeam_deque::Steal::Success(item) => Steal::Success(item),
                crossbeam_deque::Steal::Empty => Steal::Empty,
                crossbeam_deque::Steal::Retry => Steal::Retry,
            }
        }
    }
}

#[cfg(heist_loom)]
mod twin {
    use std::collections::VecDeque;

    use super::Steal;
    use crate::primitive::lock::Mutex;
    use crate::primitive::sync::Arc;

    #[derive(Debug)]
    struct Items<T> {
        items: VecDeque<T>,
        retried: bool,
    }
    #[derive(Debug)]
    pub(crate) struct Deque<T>(Arc<Mutex<Items<T>>>);
    #[derive(Debug)]
    pub(crate) struct Stealer<T>(Arc<Mutex<Items<T>>>);

    impl<T> Deque<T> {
        pub(crate) fn new() -> Self {
            Self(Arc::new(Mutex::new(Items { items: VecDeque::new(), retried: false })))
        }
        pub(crate) fn push(&self, item: T) {
            self.0.lock().items.push_back(item);
        }
        pub(crate) fn pop(&self) -> Option<T> {
            self.0.lock().items.pop_back()
        }
        pub(crate) fn len(&self) -> usize {
            self.0.lock().items.len()
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }
        pub(crate) fn stealer(&self) -> Stealer<T> {
            Stealer(self.0.clone())
        }
    }

    impl<T> Stealer<T> {
        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().items.is_empty()
        }
        /// The first look at a filled deque loses its race, as crossbeam's may.
        pub(crate) fn steal(&self) -> Steal<T> {
            let mut this = self.0.lock();
            if !this.items.is_empty() && !this.retried {
                this.retried = true;
                return Steal::Retry;
            }
            this.items.pop_front().map_or(Steal::Empty, Steal::Success)
        }
        pub(crate) fn steal_into(&self, _into: &Deque<T>) -> Steal<T> {
            self.steal()
        }
    }
}

pub(crate) use twin::{Deque, Stealer};

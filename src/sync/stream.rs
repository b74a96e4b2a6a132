//! A queue read to its end: by a loop that blocks, by an async stream.

use std::fmt;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::queue::{Getters, Queue, Wish};
use super::turn::Seat;
use crate::error::TaskError;

/// See [`Queue::iter`].
pub struct QueueIter<T> {
    queue: Queue<T>,
    ended: Option<TaskError>,
}

impl<T> QueueIter<T> {
    pub(super) fn new(queue: Queue<T>) -> Self {
        Self { queue, ended: None }
    }

    /// Why the iteration ended: the queue is closed, or the wait could not go on.
    ///
    /// ```
    /// let queue = heist::Queue::<u32>::unbounded();
    /// queue.close();
    /// let mut items = queue.iter();
    /// assert!(items.next().is_none() && items.ended().unwrap().is_closed());
    /// ```
    #[must_use]
    pub fn ended(&self) -> Option<&TaskError> {
        self.ended.as_ref()
    }
}

impl<T> Iterator for QueueIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.ended.is_some() {
            return None;
        }
        self.queue.get().map_err(|error| self.ended = Some(error)).ok()
    }
}

impl<T> FusedIterator for QueueIter<T> {}

impl<T> fmt::Debug for QueueIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueIter").field("queue", &self.queue).field("ended", &self.ended).finish()
    }
}

/// See [`Queue::stream`]. Ends when the queue is closed and empty.
pub struct QueueStream<T> {
    seat: Seat<Getters<T>>,
    ended: bool,
}

impl<T> QueueStream<T> {
    pub(super) fn new(seat: Seat<Getters<T>>) -> Self {
        Self { seat, ended: false }
    }
}

impl<T> Unpin for QueueStream<T> {}

impl<T> Stream for QueueStream<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = match this.seat.is_in_line() {
            true => this.seat.check(context.waker()),
            false => this.seat.enter(context.waker(), Wish::for_items(1)),
        };
        polled.map(|got| {
            let item = got.ok().and_then(|got| got.into_iter().next());
            this.ended = item.is_none();
            item
        })
    }
}

impl<T> fmt::Debug for QueueStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueStream").field("ended", &self.ended).finish()
    }
}

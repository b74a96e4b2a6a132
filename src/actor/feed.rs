//! Streams that feed a mailbox.

use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::actor_ref::{ActorRef, WeakRef};
use crate::error::TaskError;
use crate::future::{TaskFuture, spawn};
use crate::panics;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// Items of a stream that is always ready, before others have their turn.
const ITEMS: u32 = 64;

/// Wakes a feeder at the end of its actor; taken back when dropped.
struct Leash<A: Send + 'static> {
    actor: WeakRef<A>,
    waker: Arc<Mutex<Option<Waker>>>,
    at_end: Option<u64>,
}

impl<A: Send + 'static> Leash<A> {
    fn new(actor: WeakRef<A>) -> Self {
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let end = waker.clone();
        let wake = move || {
            let waker = end.lock().take();
            panics::catch_drop(|| waker.into_iter().for_each(Waker::wake));
        };
        let at_end = actor.core().at_end(Box::new(wake));
        Self { actor, waker, at_end }
    }

    /// The next item, or why the actor takes none any more.
    fn poll_next<S: Stream>(
        &self,
        stream: Pin<&mut S>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<S::Item>, TaskError>> {
        if let Poll::Ready(item) = stream.poll_next(context) {
            return Poll::Ready(Ok(item));
        }
        let before = self.waker.lock().replace(context.waker().clone());
        drop(before);
        // Behind the waker: who ends the actor after this look wakes it.
        if self.actor.core().over().is_some() { Poll::Ready(Err(self.ended())) } else { Poll::Pending }
    }

    fn ended(&self) -> TaskError {
        TaskError::new(self.actor.core().refusal())
    }
}

impl<A: Send + 'static> Drop for Leash<A> {
    fn drop(&mut self) {
        let core = self.actor.core();
        if let Some(at_end) = self.at_end.take().filter(|_| !core.registry.is_forked()) {
            core.not_at_end(at_end);
        }
    }
}

async fn feed<A, S, F>(
    actor: WeakRef<A>,
    location: &'static Location<'static>,
    stream: S,
    handler: F,
) -> Result<(), TaskError>
where
    A: Send + 'static,
    S: Stream<Item: Send + 'static> + Send + 'static,
    F: Fn(&mut A, S::Item) + Send + Sync + 'static,
{
    let mut stream = pin!(stream);
    let handler = Arc::new(handler);
    let leash = Leash::new(actor);
    let mut items = 0;
    while let Some(item) = poll_fn(|context| leash.poll_next(stream.as_mut(), context)).await? {
        let Some(actor) = leash.actor.upgrade() else { return Err(leash.ended()) };
        let handler = handler.clone();
        actor.tell_when_room(location, move |state| handler(state, item)).await?;
        items += 1;
        if items == ITEMS {
            items = 0;
            give_way().await;
        }
    }
    Ok(())
}

/// Lets others have their turn.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<A: Send + 'static> ActorRef<A> {
    /// Tells the actor each item of a stream, as it comes. If the mailbox is [bounded](crate::ActorOptions::mailbox), nothing
    /// is taken from the stream while there is no room. The stream does not keep the actor, and is dropped when that ends.
    ///
    /// The future has what became of it: `Ok` when the stream has ended and all of it was told, else the error of
    /// [`tell`](Self::tell). Cancel it to stop before; [detach](TaskFuture::detach) it if nobody is to wait. As every task it
    /// is waited for by `shutdown(Wait)`, and cancelled by `restart`.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let lines = heist::Queue::unbounded();
    /// let count = ex.actor(|| 0);
    /// let fed = count.tell_each(lines.stream(), |count, line: String| *count += line.len());
    /// lines.put("one".to_owned())?;
    /// lines.put("three".to_owned())?;
    /// lines.close();
    /// fed.result()??;
    /// assert_eq!(count.ask(|count| *count).result()?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn tell_each<S, F>(&self, stream: S, handler: F) -> TaskFuture<Result<(), TaskError>>
    where
        S: Stream<Item: Send + 'static> + Send + 'static,
        F: Fn(&mut A, S::Item) + Send + Sync + 'static,
    {
        let location = Location::caller();
        spawn(&self.core().registry, location, feed(self.downgrade(), location, stream, handler))
    }
}

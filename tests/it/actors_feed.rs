//! Streams that feed a mailbox: in order, no faster than there is room, for as long as both are there.

use std::task::Poll;

use futures::stream::{self, StreamExt};
use heist::{ActorOptions, Queue, Shutdown};

use crate::support::{Count, Drops, executor, guard, never, until};

#[test]
fn every_item_is_told_in_order() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let actor = ex.actor(Vec::new);
            let fed = actor.tell_each(stream::iter(0..1000), Vec::push);
            fed.result().unwrap().unwrap();
            assert_eq!(actor.ask(std::mem::take).result().unwrap(), (0..1000).collect::<Vec<_>>());
        }
    });
}

#[test]
fn the_bound_of_the_mailbox_holds_the_stream_back() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().mailbox(3), || ()).unwrap();
        let (taken, handled) = (Count::default(), Count::default());
        let (promise, gate) = never::<()>(&ex);
        actor.tell(move |()| gate.wait().unwrap()).unwrap();
        let (mine, done) = (taken.clone(), handled.clone());
        let items = stream::iter(0..500).inspect(move |_| {
            // Three wait, one is being handled, one is in hand.
            assert!(mine.add() <= done.get() + 5);
        });
        let fed = actor.tell_each(items, move |(), _| _ = handled.add());
        until("it is held back", || taken.get() == 4);
        promise.fulfil(());
        fed.result().unwrap().unwrap();
        assert_eq!(taken.get(), 500);
    });
}

#[test]
fn a_stream_ends_with_its_actor_which_it_does_not_keep() {
    guard(|| {
        let ex = executor(2);
        for breaks in [false, true] {
            let drops = Drops::default();
            let (piece, handlers) = (drops.piece(), drops.piece());
            let items = stream::pending::<()>().inspect(move |()| _ = &piece);
            let actor = ex.actor(|| ());
            let fed = actor.tell_each(items, move |(), ()| _ = &handlers);
            let ended = actor.ended();
            if breaks {
                actor.tell(|()| panic!("broken")).unwrap();
            } else {
                drop(actor);
            }
            ended.wait().unwrap();
            let error = fed.result().unwrap().unwrap_err();
            assert!(error.is_actor_ended() && error.to_string().contains("broken") == breaks, "{error}");
            assert_eq!(drops.count(), 2);
        }
    });
}

#[test]
fn a_stream_that_waits_for_room_ends_with_its_actor() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().mailbox(1), || ()).unwrap();
        let (promise, gate) = never::<()>(&ex);
        actor.tell(move |()| panic!("{:?}", gate.wait())).unwrap();
        let taken = Count::default();
        let mine = taken.clone();
        let fed = actor.tell_each(stream::repeat(()).inspect(move |()| _ = mine.add()), |(), ()| ());
        until("it is held back", || taken.get() == 2);
        promise.fulfil(());
        assert!(fed.result().unwrap().unwrap_err().is_actor_ended());
    });
}

#[test]
fn cancelled_it_lets_go_of_the_stream_and_the_actor_goes_on() {
    guard(|| {
        let ex = executor(1);
        let queue = Queue::unbounded();
        let actor = ex.actor(|| 0);
        let drops = Drops::default();
        let piece = drops.piece();
        let items = queue.stream().inspect(move |_| _ = &piece);
        let fed = actor.tell_each(items, |sum, item: i32| *sum += item);
        queue.put(5).unwrap();
        until("it is told", || actor.ask(|sum| *sum).result().unwrap() == 5);
        assert!(fed.cancel("enough"));
        until("the stream is gone", || drops.count() == 1);
        assert_eq!(actor.ask(|sum| *sum).result().unwrap(), 5);
    });
}

#[test]
fn a_stream_that_is_always_ready_lets_others_run() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| 0_u64);
        let fed = actor.tell_each(stream::repeat(1), |sum, item| *sum += item);
        until("it is fed", || actor.ask(|sum| *sum).result().unwrap() > 0);
        assert_eq!(ex.submit(|| 7).result().unwrap(), 7);
        fed.cancel("enough");
    });
}

#[test]
fn a_panic_of_the_stream_is_the_error_of_the_future() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| 1);
        let items = stream::poll_fn(|_| -> Poll<Option<()>> { panic!("dry") });
        let fed = actor.tell_each(items, |_, ()| ());
        assert_eq!(fed.result().unwrap_err().panic_message(), Some("dry"));
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 1);
    });
}

#[test]
fn a_stream_ends_with_the_executor() {
    guard(|| {
        let ex = executor(2);
        let drops = Drops::default();
        let actor = ex.actor(|| ());
        for _ in 0..3 {
            let piece = drops.piece();
            let items = stream::pending::<()>().inspect(move |()| _ = &piece);
            actor.tell_each(items, |(), ()| ()).detach();
        }
        ex.restart().unwrap();
        until("the streams are gone", || drops.count() == 3);
        let actor = ex.actor(|| ());
        let piece = drops.piece();
        let fed = actor.tell_each(stream::pending::<()>().inspect(move |()| _ = &piece), |(), ()| ());
        ex.shutdown(Shutdown::Cancel);
        assert!(fed.result().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 4);
    });
}

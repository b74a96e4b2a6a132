//! Bounded mailboxes, async handlers.

use std::sync::mpsc;
use std::thread;

use heist::{ActorOptions, OnPanic, Shutdown};

use crate::support::{Drops, executor, guard, never, running, until};

#[test]
fn a_full_mailbox_refuses_what_does_not_wait() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor_with(ActorOptions::new().mailbox(3), Vec::new).unwrap();
        actor.ask(|_| ()).wait().unwrap();
        let (end, task) = running(&ex, ());
        for i in 0..3 {
            actor.try_tell(move |list| list.push(i)).unwrap();
        }
        let drops = Drops::default();
        let piece = drops.piece();
        assert!(actor.try_tell(move |_| drop(piece)).unwrap_err().is_mailbox_full());
        assert_eq!(drops.count(), 1);
        // What is asked is not bounded.
        let asked = actor.ask(|list| list.clone());
        drop(end);
        task.wait().unwrap();
        assert_eq!(asked.result().unwrap(), [0, 1, 2]);
        actor.try_tell(|list| list.push(3)).unwrap();
        assert!(ex.actor_with(ActorOptions::new().mailbox(0), || ()).unwrap_err().is_setting());
    });
}

#[test]
fn tell_waits_for_room_in_order() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let actor = ex.actor_with(ActorOptions::new().mailbox(2), Vec::new).unwrap();
            let outside = {
                let actor = actor.clone();
                thread::spawn(move || (0..500).for_each(|i| actor.tell(move |list| list.push((0, i))).unwrap()))
            };
            let tasks: Vec<_> = (1..4)
                .map(|sender| {
                    let actor = actor.clone();
                    ex.submit(move || (0..200).for_each(|i| actor.tell(move |list| list.push((sender, i))).unwrap()))
                })
                .collect();
            let teller = actor.clone();
            let spawned = ex.spawn(async move {
                for i in 0..200 {
                    teller.tell_async(move |list| list.push((4, i))).await.unwrap();
                }
            });
            outside.join().unwrap();
            ex.gather(tasks).unwrap();
            spawned.result().unwrap();
            let list = actor.ask(std::mem::take).result().unwrap();
            for (sender, count) in [(0, 500), (1, 200), (2, 200), (3, 200), (4, 200)] {
                let own = list.iter().filter(|(from, _)| *from == sender).map(|(_, i)| *i);
                assert_eq!(own.collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
            }
        }
    });
}

#[test]
fn a_handler_never_waits_for_room_of_its_own() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor_with(ActorOptions::new().mailbox(1), || 0).unwrap();
        let own = actor.clone();
        actor.ask(move |_| (0..50).for_each(|_| own.tell(|n| *n += 1).unwrap())).wait().unwrap();
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 50);
    });
}

#[test]
fn actors_that_wait_for_room_of_each_other_are_told_so() {
    guard(|| {
        let ex = executor(2);
        let make = |name| ex.actor_with(ActorOptions::new().name(name).mailbox(1), || ()).unwrap();
        let (a, b) = (make("ann"), make("bob"));
        let flood = |to: heist::ActorRef<()>| move |(): &mut ()| (0..10).try_for_each(|_| to.tell(|()| ()));
        let both = [a.ask(flood(b.clone())), b.ask(flood(a.clone()))];
        let results = both.map(|answer| answer.result().unwrap());
        assert!(
            results.iter().flatten().count()
                + results.iter().filter(|r| r.as_ref().is_err_and(heist::TaskError::is_deadlock)).count()
                == 2
        );
        a.ask(|()| ()).result().unwrap();
        b.ask(|()| ()).result().unwrap();
    });
}

#[test]
fn who_waits_for_room_is_told_of_the_end() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().mailbox(1), || ()).unwrap();
        let (promise, gate) = never::<()>(&ex);
        let stuck = actor.ask(move |()| {
            gate.wait().unwrap();
            panic!("broken")
        });
        let waits: Vec<_> = (0..5)
            .map(|_| {
                let actor = actor.clone();
                thread::spawn(move || (0..).try_for_each(|_: u64| actor.tell(|()| ())))
            })
            .collect();
        // An async wait that is dropped leaves no trace.
        drop(ex.spawn({
            let actor = actor.clone();
            async move { actor.tell_async(|()| ()).await }
        }));
        until("one waits", || actor.waiting() > 0);
        promise.fulfil(());
        stuck.wait().unwrap();
        for wait in waits {
            assert!(wait.join().unwrap().unwrap_err().is_actor_ended());
        }
    });
}

#[test]
fn async_handlers_are_handled_one_at_a_time() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let list = ex.actor(Vec::new);
            let (promises, gates): (Vec<_>, Vec<_>) = (0..5).map(|_| never::<u32>(&ex)).unzip();
            let answers: Vec<_> = gates
                .into_iter()
                .map(|gate| {
                    list.ask_async(move |list| {
                        Box::pin(async move {
                            let n = gate.await.unwrap();
                            list.push(n);
                            list.len()
                        })
                    })
                })
                .collect();
            let after = list.ask(|list| list.clone());
            // Kept in the other order: the first is waited for all the same.
            for (n, promise) in promises.into_iter().enumerate().rev() {
                assert!(!after.done());
                promise.fulfil(n as u32);
            }
            assert_eq!(after.result().unwrap(), [0, 1, 2, 3, 4]);
            assert_eq!(ex.gather(answers).unwrap(), [1, 2, 3, 4, 5]);
        }
    });
}

/// Dask's `test_waiter`: many callers await an event inside the actor without blocking it.
#[test]
fn many_await_an_event_inside_an_actor_that_goes_on() {
    guard(|| {
        let ex = executor(1);
        let (promise, event) = never::<u32>(&ex);
        struct Waiter {
            event: heist::TaskFuture<u32>,
            promise: Option<heist::Promise<u32>>,
        }
        let waiter = ex.actor(move || Waiter { event, promise: Some(promise) });
        let waits: Vec<_> = (0..100)
            .map(|_| {
                waiter.ask_spawn(|waiter| {
                    let event = waiter.event.clone();
                    async move { event.await.unwrap() }
                })
            })
            .collect();
        assert!(waiter.ask(|waiter| waiter.event.done()).result().is_ok_and(|done| !done));
        waiter.tell(|waiter| waiter.promise.take().unwrap().fulfil(3)).unwrap();
        assert_eq!(ex.gather(waits).unwrap(), vec![3; 100]);
    });
}

#[test]
fn async_handlers_that_panic_are_cancelled_or_let_go() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().on_panic(OnPanic::go_on()), || 0_u32).unwrap();
        let early = actor.ask_async(|_| -> std::pin::Pin<Box<dyn Future<Output = u32> + Send>> { panic!("early") });
        assert_eq!(early.result().unwrap_err().panic_message(), Some("early"));
        let late = actor.ask_async(|_| Box::pin(async { panic!("late") }));
        assert_eq!(late.wait().ok().and(late.error()).unwrap().panic_message(), Some("late"));
        let spawned = actor.ask_spawn(|_| async { panic!("beside") });
        assert_eq!(spawned.wait().ok().and(spawned.error()).unwrap().panic_message(), Some("beside"));
        // A cancelled one is dropped, and the actor goes on.
        let drops = Drops::default();
        let piece = drops.piece();
        let (promise, gate) = never::<()>(&ex);
        let (started, is_started) = mpsc::channel();
        let waits = actor.ask_async(move |n| {
            Box::pin(async move {
                let _piece = piece;
                started.send(()).unwrap();
                *n += 1;
                gate.await.unwrap();
            })
        });
        is_started.recv().unwrap();
        waits.cancel("enough");
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 1);
        assert_eq!(drops.count(), 1);
        drop(promise);
        // By default the actor ends, and what waited is told so.
        let stops = ex.actor(|| ());
        let (promise, gate) = never::<()>(&ex);
        let bad = stops.ask_async(move |()| {
            Box::pin(async move {
                gate.await.unwrap();
                panic!("broken")
            })
        });
        let others = [stops.ask_async(|()| Box::pin(async {})), stops.ask_spawn(|()| async {}), stops.ask(|()| ())];
        promise.fulfil(());
        assert!(bad.wait().is_ok() && bad.error().unwrap().is_panic());
        for other in others {
            assert!(other.result().unwrap_err().is_actor_ended());
        }
    });
}

#[test]
fn an_async_handler_under_way_ends_with_its_executor() {
    guard(|| {
        let drops = Drops::default();
        for mode in [Shutdown::Cancel, Shutdown::Wait] {
            let ex = executor(1);
            let (promise, gate) = never::<()>(&ex);
            let piece = [drops.piece(), drops.piece()];
            let (started, is_started) = mpsc::channel();
            let actor = ex.actor(|| 0);
            let answer = actor.ask_async(move |n| {
                Box::pin(async move {
                    let _piece = piece;
                    started.send(()).unwrap();
                    *n = 1;
                    let _ = gate.await;
                    *n
                })
            });
            is_started.recv().unwrap();
            let keeper = thread::spawn(move || {
                thread::yield_now();
                promise.fulfil(());
            });
            ex.shutdown(mode);
            match answer.result() {
                Ok(n) => assert_eq!(n, 1),
                Err(error) => assert!(mode == Shutdown::Cancel && error.is_cancelled()),
            }
            keeper.join().unwrap();
        }
        assert_eq!(drops.count(), 4);
    });
}

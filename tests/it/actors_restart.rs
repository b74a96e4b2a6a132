//! `restart` ends the actors that were there, whatever they are in the middle of.

use std::sync::mpsc;
use std::thread;

use heist::{ActorOptions, ActorRef, OnPanic, TaskError};

use crate::support::{Drops, Piece, SOON, executor, guard, never, until};

fn is_restart(error: &TaskError) -> bool {
    error.cancel_reason().is_some_and(heist::CancelReason::is_restart)
}

#[test]
fn idle_actors_end_at_once() {
    guard(|| {
        let ex = executor(2);
        for round in 1..20 {
            let drops = Drops::default();
            let actors: Vec<ActorRef<Piece>> = (0..100)
                .map(|_| {
                    let piece = drops.piece();
                    ex.actor(move || piece)
                })
                .collect();
            let ended: Vec<_> = actors.iter().map(ActorRef::ended).collect();
            ex.gather(actors.iter().map(|actor| actor.ask(|_| ())).collect::<Vec<_>>()).unwrap();
            ex.restart().unwrap();
            for end in ended {
                assert!(is_restart(&end.result().unwrap_err()), "round {round}");
            }
            assert_eq!(drops.count(), 100);
            assert!(actors.iter().all(|actor| is_restart(&actor.ask(|_| ()).error().unwrap())));
            assert!(actors.iter().all(|actor| actor.tell(|_| ()).is_err()));
            assert!(ex.actors().is_empty());
        }
        let fresh = ex.actor(|| 1);
        assert_eq!(fresh.ask(|n| *n).result().unwrap(), 1);
    });
}

#[test]
fn an_actor_in_the_middle_of_a_handler_ends_after_it() {
    guard(|| {
        let ex = executor(2);
        let options = || ActorOptions::new().on_panic(OnPanic::go_on());
        let handling = ex.actor_with(options(), || ()).unwrap();
        let called = ex.actor_with(options(), || ()).unwrap();
        called.ask(|()| ()).wait().unwrap();
        let (started, is_started) = mpsc::channel();
        let (end, ends): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
        let mut ends = ends.into_iter().map(|ends| {
            let started = started.clone();
            move |(): &mut ()| {
                started.send(()).unwrap();
                let _ = ends.recv();
            }
        });
        handling.tell(ends.next().unwrap()).unwrap();
        let (caller, handler) = (called.clone(), ends.next().unwrap());
        ex.submit(move || caller.call(handler)).detach();
        (0..2).for_each(|_| is_started.recv_timeout(SOON).unwrap());
        let ended = [handling.ended(), called.ended()];
        ex.restart().unwrap();
        drop(end);
        assert!(ended.into_iter().all(|ended| is_restart(&ended.result().unwrap_err())));
    });
}

#[test]
fn an_async_handler_that_waits_ends_with_its_actor() {
    guard(|| {
        let ex = executor(2);
        let other = executor(1);
        let actor = ex.actor(|| ());
        let (_promise, gate) = never::<()>(&other);
        let drops = Drops::default();
        let piece = drops.piece();
        let (started, is_started) = mpsc::channel();
        let asked = actor.ask_async(move |()| {
            Box::pin(async move {
                let _piece = piece;
                started.send(()).unwrap();
                let _ = gate.await;
            })
        });
        is_started.recv_timeout(SOON).unwrap();
        let ended = actor.ended();
        ex.restart().unwrap();
        assert!(is_restart(&asked.result().unwrap_err()));
        assert!(is_restart(&ended.result().unwrap_err()));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn no_actor_is_passed_over_that_is_talked_to_meanwhile() {
    guard(|| {
        let ex = executor(2);
        for _ in 0..100 {
            let actors: Vec<_> = (0..4).map(|_| ex.actor(|| 0_u64)).collect();
            let ended: Vec<_> = actors.iter().map(ActorRef::ended).collect();
            let tellers: Vec<_> = (0..2)
                .map(|_| {
                    let actors = actors.clone();
                    thread::spawn(move || while actors.iter().all(|actor| actor.tell(|n| *n += 1).is_ok()) {})
                })
                .collect();
            let (known, inner) = (actors.clone(), ex.clone());
            ex.submit(move || {
                (0..50).for_each(|_| known.iter().for_each(|actor| _ = actor.call(|n| *n += 1)));
                drop(inner);
            })
            .detach();
            ex.restart().unwrap();
            ended.into_iter().for_each(|ended| assert!(is_restart(&ended.result().unwrap_err())));
            tellers.into_iter().for_each(|teller| teller.join().unwrap());
        }
        until("all have ended", || ex.actors().is_empty());
    });
}

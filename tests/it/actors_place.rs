//! Where actors are put: their turns are queued there, and taken elsewhere when nobody there is free.

use std::sync::mpsc;
use std::thread;

use heist::{ActorOptions, ActorRef, Executor, Place};

use crate::support::{SOON, executor, guard};

fn actor(ex: &Executor, place: Place) -> ActorRef<()> {
    let actor = ex.actor_with(ActorOptions::new().place(place), || ()).unwrap();
    actor.ask(|()| ()).wait().unwrap();
    actor
}

/// Whether a task on worker 0 that asks the actor, and calls it, handles that on its own stack.
fn handled_by_asker(ex: &Executor, actor: &ActorRef<()>) -> [bool; 2] {
    let actor = actor.clone();
    let asks = ex.task().place(Place::Worker(0)).strict().submit(move || {
        let here = thread::current().id();
        let asked = actor.ask(|()| thread::current().id()).result().unwrap();
        [asked == here, actor.call(|()| thread::current().id()).unwrap() == here]
    });
    asks.result().unwrap()
}

#[test]
fn an_actor_is_handled_where_it_was_put_or_by_whoever_is_free() {
    guard(|| {
        let ex = executor(2);
        let (here, there) = (actor(&ex, Place::Worker(0)), actor(&ex, Place::Worker(1)));
        let (domain, anywhere) = (actor(&ex, Place::Domain(0)), actor(&ex, Place::Any));
        let (started, is_started) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let held = ex.task().place(Place::Worker(1)).strict().submit(move || {
            started.send(()).unwrap();
            let _ = ends.recv();
        });
        is_started.recv_timeout(SOON).unwrap();
        for own in [&here, &domain, &anywhere] {
            assert_eq!(handled_by_asker(&ex, own), [true, true]);
        }
        assert_eq!(handled_by_asker(&ex, &there), [false, false]);
        drop(end);
        held.wait().unwrap();
        let known = there.clone();
        let calls = ex.task().place(Place::Worker(1)).strict().submit(move || {
            let here = thread::current().id();
            known.call(|()| thread::current().id()).unwrap() == here
        });
        assert!(calls.result().unwrap());
        let home = |of: &ActorRef<()>| ex.actors().into_iter().find(|info| info.id == of.id()).unwrap().home;
        let last_domain = ex.has_what().len() - 1;
        assert_eq!((home(&there), home(&domain)), (Some(last_domain), Some(0)));
    });
}

#[test]
fn a_place_that_is_not_there_is_an_error() {
    let ex = executor(2);
    let make = |place| ex.actor_with(ActorOptions::new().place(place), || ());
    for place in [Place::Worker(2), Place::Worker(usize::MAX), Place::Domain(2), Place::Domain(usize::MAX)] {
        let error = make(place).unwrap_err();
        assert!(error.is_impossible_place(), "{error}");
    }
    assert!(make(Place::Worker(2)).unwrap_err().to_string().contains("worker 2"));
    assert!(ex.actors().is_empty());
}

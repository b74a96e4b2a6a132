//! How actors end: let go of, broken, restarted, with their executor; and who is told.

use std::sync::mpsc;

use heist::{ActorOptions, ActorRef, OnPanic, Shutdown};

use crate::support::{Count, Drops, busy, executor, guard, never, running, until};

struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("in the drop of a state");
    }
}

/// Dask's `test_exceptions_create`.
#[test]
fn a_constructor_that_panics_is_the_error_of_everything_asked() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| -> u32 { panic!("no room") });
        let ended = actor.ended();
        let asked: Vec<_> = (0..10).map(|_| actor.ask(|n| *n)).collect();
        for answer in asked {
            let error = answer.result().unwrap_err();
            assert!(error.is_panic() && error.is_actor_ended(), "{error}");
            assert_eq!(error.panic_message(), Some("no room"));
            assert!(error.to_string().contains("constructor"), "{error}");
        }
        assert_eq!(ended.result().unwrap_err().panic_message(), Some("no room"));
        let late = actor.ask(|n| *n).result().unwrap_err();
        assert!(late.is_actor_ended() && late.is_panic());
        assert!(actor.tell(|_| ()).unwrap_err().is_actor_ended());
        assert!(actor.call(|_| ()).unwrap_err().is_actor_ended());
        assert!(actor.ended().result().unwrap_err().is_panic());
        until("it is told of no more", || ex.actors().is_empty());
        // What depends on such an answer has the same root.
        let next = ex.submit_after(actor.ask(|n| *n), |n| n + 1).result().unwrap_err();
        assert!(next.is_dependency() && next.is_actor_ended() && next.is_panic());
    });
}

/// Dask's `test_exceptions_method`.
#[test]
fn an_error_value_of_a_handler_is_a_value_and_the_actor_works_on() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| 0_u32);
        assert_eq!(actor.ask(|_| Err::<u32, _>("no")).result().unwrap(), Err("no"));
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 0);
    });
}

#[test]
fn a_panic_ends_the_actor_by_default() {
    guard(|| {
        let ex = executor(2);
        let drops = Drops::default();
        let piece = drops.piece();
        let actor = ex.actor(move || piece);
        let ended = actor.ended();
        let (promise, gate) = never::<()>(&ex);
        actor.tell(move |_| gate.wait().unwrap()).unwrap();
        let bad = actor.ask(|_| -> u32 { panic!("broken") });
        let after: Vec<_> = (0..5).map(|_| actor.ask(|_| ())).collect();
        promise.fulfil(());
        assert_eq!(bad.result().unwrap_err().panic_message(), Some("broken"));
        for answer in after {
            let error = answer.result().unwrap_err();
            assert!(error.is_actor_ended() && !error.is_panic(), "{error}");
            assert!(error.to_string().contains("broken"), "{error}");
        }
        assert_eq!(ended.result().unwrap_err().panic_message(), Some("broken"));
        assert_eq!(drops.count(), 1);
        assert!(actor.ask(|_| ()).result().unwrap_err().is_actor_ended());
        assert!(actor.call(|_| ()).unwrap_err().is_actor_ended());
    });
}

#[test]
fn a_panic_of_what_was_told_or_called_counts_as_well() {
    guard(|| {
        let ex = executor(1);
        let told = ex.actor(|| 0_u32);
        told.tell(|_| panic!("told")).unwrap();
        assert_eq!(told.ended().result().unwrap_err().panic_message(), Some("told"));
        let called = ex.actor(|| 0_u32);
        let caller = called.clone();
        called.ask(|_| ()).wait().unwrap();
        let error = ex.submit(move || caller.call(|_| -> u32 { panic!("called") })).result().unwrap().unwrap_err();
        assert_eq!(error.panic_message(), Some("called"));
        assert_eq!(called.ended().result().unwrap_err().panic_message(), Some("called"));
        assert!(called.ask(|n| *n).result().unwrap_err().is_actor_ended());
    });
}

#[test]
fn an_actor_that_goes_on_keeps_its_state() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().on_panic(OnPanic::go_on()), || 0_u32).unwrap();
        let bad = actor.ask(|n| {
            *n = 7;
            panic!("half done")
        });
        assert!(bad.wait().is_ok() && bad.error().unwrap().is_panic());
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 7);
    });
}

#[test]
fn a_restarted_actor_goes_on_with_its_mailbox_and_a_new_state() {
    guard(|| {
        let ex = executor(2);
        let (made, drops) = (Count::default(), Drops::default());
        let make = {
            let (made, drops) = (made.clone(), drops.clone());
            move || (made.add(), drops.piece())
        };
        let options = ActorOptions::new().on_panic(OnPanic::restart(make.clone()));
        let actor = ex.actor_with(options, make).unwrap();
        let (promise, gate) = never::<()>(&ex);
        actor.tell(move |_| gate.wait().unwrap()).unwrap();
        let bad = actor.ask(|_| -> u32 { panic!("again") });
        let after = actor.ask(|state| state.0);
        promise.fulfil(());
        assert!(bad.result().unwrap_err().is_panic());
        assert_eq!((after.result().unwrap(), made.get(), drops.count()), (2, 2, 1));
        let ended = actor.ended();
        drop(actor);
        ended.result().unwrap();
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_factory_that_panics_ends_the_actor() {
    guard(|| {
        let ex = executor(2);
        let options = ActorOptions::new().on_panic(OnPanic::restart(|| panic!("no second one")));
        let actor = ex.actor_with(options, || 1_u32).unwrap();
        assert_eq!(actor.ask(|_| -> u32 { panic!("first") }).result().unwrap_err().panic_message(), Some("first"));
        assert_eq!(actor.ended().result().unwrap_err().panic_message(), Some("no second one"));
        assert!(actor.ask(|n| *n).result().unwrap_err().is_actor_ended());
    });
}

#[test]
fn what_was_sent_is_handled_before_the_end() {
    guard(|| {
        let ex = executor(2);
        for _ in 0..200 {
            let count = Count::default();
            let actor = ex.actor(|| ());
            for _ in 0..20 {
                let count = count.clone();
                actor
                    .tell(move |()| {
                        count.add();
                    })
                    .unwrap();
            }
            let ended = actor.ended();
            drop(actor);
            ended.result().unwrap();
            assert_eq!(count.get(), 20);
        }
    });
}

#[test]
fn a_weak_reference_in_the_own_state_does_not_keep_an_actor() {
    guard(|| {
        let ex = executor(2);
        struct Selfish(Option<heist::WeakRef<Self>>);
        let actor = ex.actor(|| Selfish(None));
        let weak = actor.downgrade();
        actor.tell(move |own| own.0 = Some(weak)).unwrap();
        assert!(actor.ask(|own| own.0.as_ref().unwrap().upgrade().is_some()).result().unwrap());
        let ended = actor.ended();
        drop(actor);
        ended.result().unwrap();
    });
}

#[test]
fn monitors_are_told_why() {
    guard(|| {
        let ex = executor(2);
        let log = ex.actor(Vec::new);
        let note = |log: &mut Vec<String>, why: Result<(), heist::TaskError>| {
            log.push(
                why.map_or_else(|error| error.panic_message().unwrap_or("?").to_owned(), |()| "let go".to_owned()),
            );
        };
        let (quiet, broken, unborn) = (ex.actor(|| ()), ex.actor(|| ()), ex.actor(|| panic!("unborn")));
        quiet.monitor(&log, note);
        broken.monitor(&log, note);
        unborn.monitor(&log, note);
        let ends = [quiet.ended(), broken.ended(), unborn.ended()];
        broken.tell(|()| panic!("broken")).unwrap();
        drop(quiet);
        ends.iter().for_each(|end| end.wait().unwrap());
        let told = || log.ask(|log| log.clone()).result().unwrap();
        until("all three are told", || told().len() == 3);
        let mut told = told();
        told.sort_unstable();
        assert_eq!(told, ["broken", "let go", "unborn"]);
    });
}

#[test]
fn the_future_of_the_end_can_be_cancelled_and_asked_for_again() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| ());
        let first = actor.ended();
        assert!(first.cancel("never mind"));
        let second = actor.ended();
        assert!(first.cancelled() && !second.done());
        drop(actor);
        second.result().unwrap();
        // An executor does not wait for it.
        let kept = ex.actor(|| ());
        let end = kept.ended();
        ex.shutdown(Shutdown::Wait);
        assert!(end.result().unwrap_err().cancel_reason().unwrap().is_executor_closed());
    });
}

#[test]
fn shutdown_waits_for_messages() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let (count, drops) = (Count::default(), Drops::default());
            let piece = drops.piece();
            let actor = ex.actor(move || piece);
            let further = actor.clone();
            for _ in 0..100 {
                let (count, further) = (count.clone(), further.clone());
                // A handler may still send while the executor drains.
                actor
                    .tell(move |_| {
                        let count = count.clone();
                        further
                            .tell(move |_| {
                                count.add();
                            })
                            .unwrap();
                    })
                    .unwrap();
            }
            drop(further);
            ex.shutdown(Shutdown::Wait);
            assert_eq!((count.get(), drops.count()), (100, 1));
            let late = actor.ask(|_| ());
            assert!(late.cancelled() && actor.tell(|_| ()).unwrap_err().is_cancelled());
            assert!(actor.ended().cancelled());
        }
    });
}

#[test]
fn cancel_lets_the_running_handler_end_and_drops_what_waits() {
    guard(|| {
        let ex = executor(1);
        let (drops, ran) = (Drops::default(), Count::default());
        let piece = drops.piece();
        let actor = ex.actor(move || piece);
        let (started, is_started) = mpsc::channel();
        let (ran2, pieces) = (ran.clone(), [drops.piece(), drops.piece()]);
        let first = actor.ask(move |_| {
            started.send(()).unwrap();
            until("the executor is closed", heist::cancelled);
            ran2.add();
        });
        is_started.recv().unwrap();
        let [a, b] = pieces;
        let asked = actor.ask(move |_| drop(a));
        actor.tell(move |_| drop(b)).unwrap();
        ex.close();
        assert_eq!(first.result().unwrap(), ());
        assert!(asked.result().unwrap_err().cancel_reason().unwrap().is_executor_closed());
        assert_eq!((ran.get(), drops.count()), (1, 3));
        assert!(actor.ended().cancelled());
    });
}

#[test]
fn cancel_ends_idle_actors_and_those_whose_turn_is_queued() {
    guard(|| {
        for _ in 0..50 {
            let ex = executor(2);
            let drops = Drops::default();
            let actors: Vec<_> = (0..20)
                .map(|_| {
                    let piece = drops.piece();
                    ex.actor(move || piece)
                })
                .collect();
            let busy = busy(&ex);
            actors.iter().step_by(2).for_each(|actor| actor.tell(|_| ()).unwrap());
            let ends: Vec<_> = actors.iter().map(ActorRef::ended).collect();
            let closing = {
                let ex = ex.clone();
                std::thread::spawn(move || ex.close())
            };
            drop(busy);
            closing.join().unwrap();
            assert_eq!(drops.count(), 20);
            assert!(ends.iter().all(heist::TaskFuture::done));
        }
    });
}

/// Sends, drops and the end of the executor from many threads at once: nothing hangs, nothing is left.
#[test]
fn races_of_sends_drops_and_the_end() {
    guard(|| {
        for round in 0..60 {
            let ex = executor(2);
            let drops = Drops::default();
            let piece = drops.piece();
            let actor = ex.actor(move || piece);
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (actor, drops) = (actor.clone(), drops.clone());
                    std::thread::spawn(move || {
                        let mut asked = Vec::new();
                        for i in 0..200 {
                            let piece = drops.piece();
                            if i % 2 == 0 {
                                let _ = actor.tell(move |_| drop(piece));
                            } else {
                                asked.push(actor.ask(move |_| drop(piece)));
                            }
                            if i % 16 == 0 {
                                asked.clear();
                            }
                        }
                        let _ = actor.ended();
                        drop(actor);
                        asked.iter().for_each(|answer| answer.wait().unwrap());
                    })
                })
                .collect();
            let ended = actor.ended();
            drop(actor);
            match round % 3 {
                0 => ex.shutdown(Shutdown::Wait),
                1 => ex.close(),
                _ => {}
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            ended.wait().unwrap();
            drop(ex);
            until("everything is dropped", || drops.count() == 1 + 3 * 200);
        }
    });
}

#[test]
fn a_state_whose_drop_panics_does_no_harm() {
    guard(|| {
        let ex = executor(1);
        let before = heist::drop_panics();
        let actor = ex.actor(|| Bad);
        let ended = actor.ended();
        drop(actor);
        ended.result().unwrap();
        assert!(heist::drop_panics() > before);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        // So does a message that is dropped unrun.
        let actor = ex.actor(|| ());
        let (end, task) = running(&ex, ());
        let bad = Bad;
        let asked = actor.ask(move |()| drop(std::hint::black_box(bad)));
        drop(asked);
        drop(end);
        task.wait().unwrap();
        actor.ask(|()| ()).result().unwrap();
    });
}

#[test]
fn an_actor_of_a_closed_executor_is_born_ended() {
    guard(|| {
        let ex = executor(1);
        ex.close();
        let drops = Drops::default();
        let piece = drops.piece();
        let actor = ex.actor(move || piece);
        assert_eq!(drops.count(), 1);
        assert!(actor.ask(|_| ()).cancelled() && actor.ended().cancelled());
        assert!(ex.actors().is_empty());
    });
}

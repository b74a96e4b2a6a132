//! Waiting for answers: on the asker's own stack, without the core, in circles; order and fairness among messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use heist::{ActorOptions, ActorRef, TaskError};

use crate::support::{Count, SOON, busy, executor, guard, never, running, until};

fn thread_of(actor: &ActorRef<()>) -> heist::TaskFuture<thread::ThreadId> {
    actor.ask(|()| thread::current().id())
}

#[test]
fn a_task_that_waits_handles_the_messages_up_to_its_own_on_its_stack() {
    guard(|| {
        let ex = executor(1);
        let list = ex.actor(Vec::new);
        list.ask(|_| ()).wait().unwrap();
        let inner = list.clone();
        let (before, during) = ex
            .submit(move || {
                inner.tell(|list| list.push((1, thread::current().id()))).unwrap();
                let second = inner.ask(|list| list.push((2, thread::current().id())));
                inner.tell(|list| list.push((3, thread::current().id()))).unwrap();
                second.wait().unwrap();
                (thread::current().id(), inner.waiting())
            })
            .result()
            .unwrap();
        assert_eq!(during, 1, "the third is left");
        let seen = list.ask(|list| list.clone()).result().unwrap();
        assert_eq!(seen.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(seen[..2].iter().all(|(_, at)| *at == before));
        assert_eq!(ex.stats().spare_threads, 0);
    });
}

#[test]
fn a_task_may_wait_for_several_actors_in_any_order() {
    guard(|| {
        let ex = executor(1);
        let actors: Vec<_> = (0..6).map(|_| ex.actor(|| ())).collect();
        let here = ex
            .submit(move || {
                let answers: Vec<_> = actors.iter().map(thread_of).collect();
                let own = thread::current().id();
                answers.iter().all(|answer| answer.result().unwrap() == own)
            })
            .result()
            .unwrap();
        assert!(here);
        assert_eq!(ex.stats().spare_threads, 0);
    });
}

#[test]
fn a_call_of_an_idle_actor_runs_at_once_and_others_wait_their_turn() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| ());
        actor.ask(|()| ()).wait().unwrap();
        let inner = actor.clone();
        let (own, at) = ex
            .submit(move || (thread::current().id(), inner.call(|()| thread::current().id()).unwrap()))
            .result()
            .unwrap();
        assert_eq!(own, at);
        // While a call runs, messages wait, and are handled after it.
        let (inner, teller) = (actor.clone(), actor.clone());
        let seen = ex
            .submit(move || {
                let later = inner.call(move |()| {
                    let later = teller.ask(|()| 1);
                    assert!(!later.done());
                    later
                });
                later.unwrap().result().unwrap()
            })
            .result()
            .unwrap();
        assert_eq!(seen, 1);
        // Outside of tasks it is an ask.
        assert_eq!(actor.call(|()| 5).unwrap(), 5);
    });
}

/// Dask's deadlock #4224: one actor calls another on the same worker.
#[test]
fn actors_call_actors_on_one_worker() {
    guard(|| {
        let ex = executor(1);
        let leaf = ex.actor(|| 1_u64);
        let middle = {
            let leaf = leaf.clone();
            ex.actor(move || leaf)
        };
        let top = {
            let middle = middle.clone();
            ex.actor(move || middle)
        };
        let sum = top.ask(|middle| middle.ask(|leaf| leaf.ask(|n| *n + 1).result().unwrap() + 1).result().unwrap() + 1);
        assert_eq!(sum.result().unwrap(), 4);
        let sum = top.ask(|middle| middle.call(|leaf| leaf.call(|n| *n + 1).unwrap() + 1).unwrap() + 1);
        assert_eq!(sum.result().unwrap(), 4);
    });
}

#[test]
fn an_actor_that_waits_for_itself_is_told_so() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let actor = ex.actor_with(ActorOptions::new().name("narcissus"), || 0_u32).unwrap();
            let own = actor.clone();
            let error = actor.ask(move |_| own.ask(|n| *n).result()).result().unwrap().unwrap_err();
            assert!(error.is_deadlock(), "{error}");
            assert!(error.to_string().contains("`narcissus` waits for itself"), "{error}");
            let own = actor.clone();
            assert!(actor.ask(move |_| own.call(|n| *n)).result().unwrap().unwrap_err().is_deadlock());
            // Without waiting it may well talk to itself.
            let own = actor.clone();
            actor.ask(move |_| own.tell(|n| *n += 1)).result().unwrap().unwrap();
            assert_eq!(actor.ask(|n| *n).result().unwrap(), 1);
        }
    });
}

/// Two actors that wait for each other, by asks or calls, on one worker and on two: one of them is told.
#[test]
fn a_circle_of_actors_is_found_and_named() {
    guard(|| {
        for workers in [1, 2, 4] {
            for round in 0..20 {
                let ex = executor(workers);
                let named = |name| ex.actor_with(ActorOptions::new().name(name), || ()).unwrap();
                let [a, b, c] = ["ann", "bob", "cid"].map(named);
                let (to_b, to_c, to_a) = (b.clone(), c.clone(), a.clone());
                let circle = a.ask(move |()| -> Result<(), TaskError> {
                    to_b.ask(move |()| to_c.ask(move |()| to_a.ask(|()| ()).result()).result()?).result()?
                });
                let error = circle.result().unwrap().unwrap_err();
                assert!(error.is_deadlock(), "{error}");
                let text = error.to_string();
                assert!(["ann", "bob", "cid"].iter().all(|name| text.contains(name)), "{text}");
                // All three are well.
                assert!([&a, &b, &c].iter().all(|actor| actor.ask(|()| 1).result().unwrap() == 1), "{round}");
            }
        }
    });
}

#[test]
fn two_actors_that_ask_each_other_at_once_both_get_an_answer_or_an_error() {
    guard(|| {
        let ex = executor(2);
        let (a, b) = (ex.actor(|| ()), ex.actor(|| ()));
        for _ in 0..300 {
            let (to_b, to_a) = (b.clone(), a.clone());
            let one = a.ask(move |()| to_b.ask(|()| 1).result());
            let two = b.ask(move |()| to_a.ask(|()| 2).result());
            for answer in [one.result().unwrap(), two.result().unwrap()] {
                assert!(answer.map_or_else(|error| error.is_deadlock(), |n| n > 0));
            }
        }
    });
}

/// No circle: the answer that is waited for is there already, though the wait has not ended.
#[test]
fn a_handler_may_wait_for_an_actor_that_waited_for_it_before() {
    guard(|| {
        let ex = executor(2);
        let (a, b) = (ex.actor(|| ()), ex.actor(|| ()));
        for _ in 0..500 {
            let (to_b, to_a) = (b.clone(), a.clone());
            let one = a.ask(move |()| to_b.ask(|()| ()).result());
            assert!(one.result().unwrap().is_ok());
            let two = b.ask(move |()| to_a.ask(|()| ()).result());
            assert!(two.result().unwrap().is_ok());
        }
    });
}

#[test]
fn a_waiting_task_lends_its_core() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| ());
        let (promise, gate) = never::<u32>(&ex);
        let slow = actor.ask(move |()| gate.result().unwrap());
        let inner = actor.clone();
        let waits = ex.submit(move || inner.ask(|()| 1).result().unwrap());
        assert_eq!(ex.submit(|| 2).result().unwrap(), 2);
        promise.fulfil(7);
        assert_eq!((slow.result().unwrap(), waits.result().unwrap()), (7, 1));
    });
}

/// An actor that never has nothing to do keeps neither tasks nor other actors from running on the only worker.
#[test]
fn a_busy_actor_starves_nobody() {
    guard(|| {
        let ex = executor(1);
        let (stop, handled) = (Arc::new(AtomicUsize::new(0)), Count::default());
        struct Busy {
            own: Option<heist::WeakRef<Self>>,
            stop: Arc<AtomicUsize>,
            handled: Count,
        }
        fn again(busy: &mut Busy) {
            busy.handled.add();
            if busy.stop.load(Ordering::SeqCst) == 0
                && let Some(own) = busy.own.as_ref().and_then(heist::WeakRef::upgrade)
            {
                own.tell(again).unwrap();
            }
        }
        let make = {
            let (stop, handled) = (stop.clone(), handled.clone());
            move || Busy { own: None, stop, handled }
        };
        let busy = ex.actor(make);
        let weak = busy.downgrade();
        busy.tell(move |busy| busy.own = Some(weak)).unwrap();
        (0..3).for_each(|_| busy.tell(again).unwrap());
        until("it is busy", || handled.get() > 1000);
        let other = ex.actor(|| 1);
        for i in 0..50 {
            assert_eq!(ex.submit(move || i).result().unwrap(), i);
            assert_eq!(other.ask(|n| *n).result().unwrap(), 1);
        }
        let inner = ex.clone();
        let nested = ex.submit(move || inner.submit(|| 1).result().unwrap());
        assert_eq!(nested.result().unwrap(), 1);
        stop.store(1, Ordering::SeqCst);
        busy.ask(|_| ()).wait().unwrap();
    });
}

#[test]
fn senders_on_many_threads_keep_their_order() {
    guard(|| {
        let ex = executor(3);
        let seen = ex.actor(|| vec![Vec::new(); 8]);
        let outside: Vec<_> = (0..4)
            .map(|sender| {
                let seen = seen.clone();
                thread::spawn(move || (0..2000).for_each(|i| seen.tell(move |seen| seen[sender].push(i)).unwrap()))
            })
            .collect();
        let inside: Vec<_> = (4..8)
            .map(|sender| {
                let seen = seen.clone();
                ex.submit(move || {
                    for i in 0..2000 {
                        match i % 10 {
                            0 => seen.ask(move |seen| seen[sender].push(i)).wait().unwrap(),
                            1 => seen.call(move |seen| seen[sender].push(i)).unwrap(),
                            _ => seen.tell(move |seen| seen[sender].push(i)).unwrap(),
                        }
                    }
                })
            })
            .collect();
        outside.into_iter().for_each(|thread| thread.join().unwrap());
        ex.gather(inside).unwrap();
        let seen = seen.ask(std::mem::take).result().unwrap();
        assert!(seen.iter().all(|seen| *seen == (0..2000).collect::<Vec<_>>()));
    });
}

#[test]
fn a_cancelled_asker_leaves_the_actor_well() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| 0_u32);
        let (promise, gate) = never::<()>(&ex);
        actor.tell(move |_| drop(gate.wait())).unwrap();
        let inner = actor.clone();
        let asker = ex.submit(move || inner.ask(|n| *n).result());
        until("it waits", || actor.waiting() > 0);
        assert!(asker.cancel("enough"));
        promise.fulfil(());
        assert_eq!(actor.ask(|n| *n + 1).result().unwrap(), 1);
    });
}

#[test]
fn answers_outlive_their_actor() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| "kept".to_owned());
        let answer = actor.ask(|state| state.clone());
        let (end, task) = running(&ex, ());
        drop((actor, end));
        task.wait().unwrap();
        assert_eq!(answer.value().unwrap(), "kept");
        drop(ex);
        assert_eq!(answer.result().unwrap(), "kept");
    });
}

#[test]
fn an_async_handler_that_awaits_its_own_actor_is_told_so() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().name("ouroboros"), || 1).unwrap();
        let (own, other) = (actor.clone(), ex.actor(|| 10));
        let asked = actor.ask_async(move |n| {
            Box::pin(async move {
                // Of another actor, which is nothing to do with it.
                *n += other.ask(|n| *n).await.unwrap();
                let kept = own.ask(|n| *n);
                let errors = [(&kept).await.unwrap_err(), own.ask(|n| *n).await.unwrap_err()];
                (errors, kept)
            })
        });
        let Ok(Ok((errors, kept))) = asked.into_result() else { panic!("the handler has no value") };
        for error in errors {
            assert!(error.is_deadlock() && error.to_string().contains("actor `ouroboros` waits for itself"), "{error}");
        }
        // What was asked is answered when the handler has ended.
        assert_eq!(kept.result().unwrap(), 11);
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 11);
    });
}

#[test]
fn an_answer_cancelled_while_its_handler_waits_ends_that_wait_and_the_actor_goes_on() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| 0_u32);
        let lock = heist::Lock::new();
        let held = lock.lock().unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (told, is_told) = std::sync::mpsc::channel();
        let waits = actor.ask({
            let lock = lock.clone();
            move |n| {
                *n += 1;
                begun.send(()).unwrap();
                told.send(lock.lock().map(drop)).unwrap();
            }
        });
        has_begun.recv_timeout(SOON).unwrap();
        let next = actor.ask(|n| *n);
        assert!(!next.done());
        assert!(waits.cancel("enough"));
        assert!(is_told.recv_timeout(SOON).unwrap().unwrap_err().is_cancelled());
        assert_eq!(next.result().unwrap(), 1);
        drop(held);
        assert!(lock.try_lock().is_some(), "nothing is left in line");
    });
}

#[test]
fn what_was_asked_before_a_restart_is_cancelled_and_everybody_is_told_of_the_actors_end() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let (idle, queued) = (ex.actor(|| 1_u32), ex.actor(|| 2_u32));
            ex.gather([idle.ask(|n| *n), queued.ask(|n| *n)]).unwrap();
            let busy = busy(&ex);
            let (asked, end) = (queued.ask(|n| *n), queued.ended());
            ex.restart().unwrap();
            drop(busy);
            for error in [asked.result().unwrap_err(), queued.ask(|n| *n).result().unwrap_err()] {
                assert!(error.cancel_reason().unwrap().is_restart(), "{error}");
            }
            assert!(end.result().is_err());
            let told = idle.ask(|n| *n).result();
            assert!(told.is_err_and(|error| error.cancel_reason().is_some_and(heist::CancelReason::is_restart)));
            assert_eq!(ex.actor(|| 3_u32).ask(|n| *n).result().unwrap(), 3);
        }
    });
}

//! Actors where it is tight: restarts, ends on the way, drops that talk, handlers that never rest, circles that are none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};

use heist::{ActorOptions, ActorRef, CancelReason, OnPanic, Shutdown, TaskError};

use crate::support::{Count, Drops, SOON, executor, guard, never, running, until};

fn is_restart(error: &TaskError) -> bool {
    error.cancel_reason().is_some_and(CancelReason::is_restart)
}

/// What runs is told, what waits behind it is refused, and every message is counted once.
#[test]
fn a_restart_ends_actors_in_the_middle_of_their_turn() {
    guard(|| {
        for by_call in [false, true] {
            let ex = executor(2);
            let (drops, ran) = (Drops::default(), Count::default());
            let piece = drops.piece();
            let actor = ex.actor(move || piece);
            actor.ask(|_| ()).wait().unwrap();
            let (started, is_started) = mpsc::channel();
            let handler = move |_: &mut _| {
                started.send(()).unwrap();
                until("it is told", heist::cancelled);
            };
            let caller = actor.clone();
            let called = match by_call {
                true => Some(ex.submit(move || drop(caller.call(handler)))),
                false => {
                    actor.tell(handler).unwrap();
                    None
                }
            };
            is_started.recv_timeout(SOON).unwrap();
            let later = ran.clone();
            let asked = actor.ask(move |_| later.add());
            let later = ran.clone();
            actor.tell(move |_| _ = later.add()).unwrap();
            let ended = actor.ended();
            ex.restart().unwrap();
            assert!(is_restart(&asked.result().unwrap_err()));
            assert!(is_restart(&ended.result().unwrap_err()));
            assert!(called.is_none_or(|called| is_restart(&called.result().unwrap_err())));
            assert_eq!(drops.count(), 1);
            assert!(is_restart(&actor.ask(|_| ()).result().unwrap_err()));
            assert_eq!(ex.actor(|| 1).ask(|n| *n).result().unwrap(), 1);
            ex.shutdown(Shutdown::Wait);
            let stats = ex.stats();
            assert_eq!((ran.get(), stats.submitted), (0, stats.finished));
        }
    });
}

/// As its page says: the flag is raised when the task ends by itself.
#[test]
fn the_end_of_a_handler_raises_its_token() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| ());
        let token = || heist::current().unwrap().cancel_token();
        let (sender, receiver) = mpsc::channel();
        actor.tell(move |()| sender.send(token()).unwrap()).unwrap();
        let told = receiver.recv_timeout(SOON).unwrap();
        until("what was told has ended", || told.is_cancelled());
        let caller = actor.clone();
        actor.ask(|()| ()).wait().unwrap();
        let called = ex.submit(move || caller.call(move |()| token()).unwrap().is_cancelled());
        assert!(called.result().unwrap());
    });
}

/// An async handler that only yields lets others run, on the only worker, and while somebody waits for a later message.
#[test]
fn an_async_handler_that_wakes_itself_starves_nobody() {
    guard(|| {
        let ex = executor(1);
        for waits in [false, true] {
            let actor = ex.actor(|| ());
            let open = Arc::new(AtomicBool::new(false));
            let (is_open, polls) = (open.clone(), Count::default());
            let polled = polls.clone();
            let spins = move |_: &mut ()| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
                Box::pin(std::future::poll_fn(move |context| {
                    polled.add();
                    context.waker().wake_by_ref();
                    if is_open.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                }))
            };
            let inner = actor.clone();
            let answer = match waits {
                false => actor.ask_async(|()| spins(&mut ())),
                true => ex.submit(move || {
                    let _first = inner.ask_async(|()| spins(&mut ()));
                    inner.ask(|()| ()).result().unwrap();
                }),
            };
            until("it is polled", || polls.get() > 0);
            ex.submit(move || open.store(true, Ordering::SeqCst)).result().unwrap();
            answer.result().unwrap();
        }
        // Nor does it keep its executor from ending.
        let actor = ex.actor(|| ());
        let (started, is_started) = mpsc::channel();
        let answer = actor.ask_async(|()| {
            Box::pin(std::future::poll_fn(move |context| -> Poll<()> {
                let _ = started.send(());
                context.waker().wake_by_ref();
                Poll::Pending
            }))
        });
        is_started.recv_timeout(SOON).unwrap();
        ex.close();
        assert!(answer.cancelled());
    });
}

#[test]
fn a_monitor_is_told_whatever_others_do_with_their_future_of_the_end() {
    guard(|| {
        let ex = executor(1);
        let (log, watched) = (ex.actor(Vec::new), ex.actor(|| ()));
        watched.monitor(&log, |log, why| log.push(why.is_ok()));
        assert!(watched.ended().cancel("never mind"));
        assert!(log.ask(|log| log.is_empty()).result().unwrap());
        let ended = watched.ended();
        drop(watched);
        ended.result().unwrap();
        until("it is told", || log.ask(|log| *log == [true]).result().unwrap());
    });
}

/// A state that talks to its own actor while it is dropped.
struct Talks {
    own: Option<heist::WeakRef<Self>>,
    heard: mpsc::Sender<(bool, bool)>,
}

impl Drop for Talks {
    fn drop(&mut self) {
        let Some(own) = self.own.as_ref().and_then(heist::WeakRef::upgrade) else { return };
        let told = (0..5).map(|_| own.tell(|_| ())).all(|told| told.is_ok());
        let asked = own.ask(|_| ()).result();
        let _ = self.heard.send((told, asked.is_err_and(|error| error.is_deadlock())));
    }
}

#[test]
fn the_drop_of_a_state_may_talk_to_its_actor() {
    guard(|| {
        let ex = executor(1);
        let (heard, hears) = mpsc::channel();
        let actor = ex.actor_with(ActorOptions::new().mailbox(1), || Talks { own: None, heard }).unwrap();
        let weak = actor.downgrade();
        actor.ask(|state| state.own = Some(weak)).wait().unwrap();
        let _ = actor.ask(|_| panic!("broken")).wait();
        assert_eq!(hears.recv_timeout(SOON).unwrap(), (true, true));
        assert!(actor.ended().result().unwrap_err().is_panic());
    });
}

struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("in the drop of a factory");
    }
}

#[test]
fn a_factory_whose_drop_panics_does_no_harm() {
    guard(|| {
        let ex = executor(1);
        let before = heist::drop_panics();
        let bad = Bad;
        let make = move || {
            let _bad = &bad;
        };
        let actor = ex.actor_with(ActorOptions::new().on_panic(OnPanic::restart(make)), || ()).unwrap();
        let ended = actor.ended();
        drop(actor);
        ended.result().unwrap();
        until("the factory is dropped", || heist::drop_panics() > before);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn an_actor_made_while_its_executor_drains_is_told_why_it_ended() {
    guard(|| {
        let ex = executor(1);
        let (end, task) = running(&ex, ());
        let closing = {
            let ex = ex.clone();
            std::thread::spawn(move || ex.shutdown(Shutdown::Wait))
        };
        until("it drains", || ex.submit(|| ()).cancelled());
        let error = ex.actor(|| ()).ended().result().unwrap_err();
        assert!(error.cancel_reason().unwrap().is_executor_closed(), "{error}");
        drop(end);
        task.wait().unwrap();
        closing.join().unwrap();
    });
}

/// Kept for its drop.
#[expect(dead_code)]
struct Link(Vec<ActorRef<Self>>, crate::support::Piece);

/// Actors that only actors refer to end with their executor, on whatever thread that ends, and however long the chain.
#[test]
fn actors_that_keep_each_other_end_with_their_executor() {
    guard(|| {
        for how in [Shutdown::Wait, Shutdown::Cancel] {
            let ex = executor(2);
            let drops = Drops::default();
            let mut last = Vec::new();
            for _ in 0..5000 {
                let piece = drops.piece();
                last = vec![ex.actor(move || Link(last, piece))];
            }
            for _ in 0..50 {
                let leaves = (0..5).map(|_| {
                    let piece = drops.piece();
                    ex.actor(move || Link(Vec::new(), piece))
                });
                let leaves = leaves.collect();
                let piece = drops.piece();
                last.push(ex.actor(move || Link(leaves, piece)));
            }
            last.iter().for_each(|actor| actor.ask(|_| ()).wait().unwrap());
            let (end, task) = running(&ex, ());
            let closing = {
                let ex = ex.clone();
                std::thread::spawn(move || ex.shutdown(how))
            };
            until("it closes", || ex.submit(|| ()).cancelled());
            drop(end);
            let _ = task.wait();
            closing.join().unwrap();
            until("all states are dropped", || drops.count() == 5000 + 50 * 6);
        }
    });
}

/// With no thread to spare, on the only worker: whoever waits takes the turn wherever it is queued.
#[test]
fn a_turn_that_came_from_outside_is_taken_by_who_waits_for_it() {
    guard(|| {
        let ex = heist::Executor::builder().workers(1).max_spare_threads(0).build().unwrap();
        for way in 0..4 {
            let actor = ex.actor(|| 0_u32);
            actor.ask(|_| ()).wait().unwrap();
            let (go, goes) = mpsc::channel::<()>();
            let (started, is_started) = mpsc::channel();
            let inner = actor.clone();
            let task = ex.submit(move || {
                started.send(()).unwrap();
                let _ = goes.recv();
                let asked = inner.ask(|n| *n);
                match way {
                    0 => asked.result().unwrap(),
                    1 => heist::as_completed([asked]).next().unwrap().1.unwrap(),
                    2 => heist::wait_any(&[asked]).done[0].result().unwrap(),
                    _ => inner.call(|n| *n).unwrap(),
                }
            });
            is_started.recv_timeout(SOON).unwrap();
            actor.tell(|n| *n += 1).unwrap();
            drop(go);
            assert_eq!(task.result().unwrap(), 1);
        }
    });
}

/// A task that waits for all of some waits only for those that are left, however it began.
#[test]
fn a_wait_for_what_was_cancelled_meanwhile_closes_no_circle() {
    guard(|| {
        let ex = executor(4);
        let (promise, gate) = never::<()>(&ex);
        let (send, receive) = mpsc::channel::<heist::TaskFuture<usize>>();
        let (answer, is_answered) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let first = ex.submit(move || {
            started.send(()).unwrap();
            until("it is cancelled", heist::cancelled);
            let _ = answer.send(receive.recv().unwrap().result());
        });
        // Else who waits for it would run it on his own stack.
        is_started.recv_timeout(SOON).unwrap();
        let both = [first.clone(), gate];
        let (waits, is_waiting) = mpsc::channel();
        let all = ex.submit(move || {
            waits.send(()).unwrap();
            heist::wait_all(&both).done.len()
        });
        is_waiting.recv_timeout(SOON).unwrap();
        until("it waits", || ex.running().unwrap().iter().any(|task| task.id == all.id() && task.waiting));
        first.cancel("enough");
        send.send(all.clone()).unwrap();
        until("the cancelled one waits, or has ended", || ex.running().unwrap().iter().all(|task| task.waiting));
        promise.fulfil(());
        assert_eq!(all.result().unwrap(), 2);
        assert_eq!(is_answered.recv_timeout(SOON).unwrap().unwrap(), 2);
    });
}

/// What a handler has told its own actor beyond the bound goes before others are let in.
#[test]
fn a_mailbox_comes_back_to_its_bound() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().mailbox(1), Vec::new).unwrap();
        let teller = actor.clone();
        let told = async move { teller.tell_async(|seen: &mut Vec<_>| seen.push("let in")).await };
        let told = Arc::new(Mutex::new(Box::pin(told)));
        let poll = move || {
            let polled = told.lock().unwrap().as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if polled.is_ready() { "served" } else { "in line" }
        };
        let (own, polls) = (actor.clone(), poll.clone());
        let (started, is_started) = mpsc::channel();
        let (go, goes) = mpsc::channel::<()>();
        let first = actor.ask(move |_| {
            for _ in 0..5 {
                let poll = polls.clone();
                own.tell(move |seen| seen.push(poll())).unwrap();
            }
            started.send(()).unwrap();
            let _ = goes.recv();
        });
        is_started.recv_timeout(SOON).unwrap();
        assert_eq!(poll(), "in line");
        drop(go);
        first.result().unwrap();
        let seen = || actor.ask(|seen| seen.clone()).result().unwrap();
        until("all are handled", || seen().len() == 6);
        assert_eq!(seen(), ["in line", "in line", "in line", "in line", "served", "let in"]);
    });
}

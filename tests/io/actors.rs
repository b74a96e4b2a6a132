//! Timers of actors: never early, one tick at a time, no trace of those that were stopped or whose actor has ended.

use std::time::{Duration, Instant};

use heist::{ActorOptions, ActorRef, ActorTimer, OnPanic, Shutdown};

use crate::support::{Count, Drops, executor, guard, never, until};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(1);

/// Waits until so many ticks have come that others would have.
fn some_time(ex: &heist::Executor) {
    let count = ex.actor(|| 0);
    let _timer = count.tell_every(SHORT, |count| *count += 1).unwrap();
    until("it ticks", || count.ask(|count| *count).result().unwrap() >= 10);
}

fn hold(ex: &heist::Executor, actor: &ActorRef<u32>) -> heist::Promise<()> {
    let (promise, gate) = never::<()>(ex);
    let begun = Count::default();
    let mine = begun.clone();
    actor
        .tell(move |_| {
            mine.add();
            let _ = gate.wait();
        })
        .unwrap();
    until("it is held", || begun.get() == 1);
    promise
}

#[test]
fn a_handler_is_told_once_and_not_early() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(Vec::new);
        let begin = Instant::now();
        let timers = [5, 1, 3].map(|delay| {
            let delay = Duration::from_millis(delay);
            actor.tell_after(delay, move |rung| rung.push((delay, begin.elapsed()))).unwrap()
        });
        until("all have rung", || actor.ask(|rung| rung.len()).result().unwrap() == 3);
        some_time(&ex);
        let rung = actor.ask(std::mem::take).result().unwrap();
        assert!(rung.len() == 3 && rung.iter().all(|(delay, at)| at >= delay), "{rung:?}");
        drop(timers);
    });
}

#[test]
fn a_stopped_timer_lets_go_of_its_handler_at_once() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor(|| 0);
        let drops = Drops::default();
        let mut made = 0;
        for delay in [LONG, Duration::MAX] {
            let pieces = [drops.piece(), drops.piece()];
            let [once, often] = pieces.map(|piece| move |_: &mut u32| _ = &piece);
            let timers = [actor.tell_after(delay, once).unwrap(), actor.tell_every(delay, often).unwrap()];
            assert_eq!(drops.count(), made);
            let [once, often] = timers;
            once.stop();
            drop(often);
            made += 2;
            assert_eq!(drops.count(), made);
        }
    });
}

#[test]
fn what_was_stopped_does_not_begin_even_if_it_was_due() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| 0);
        let held = hold(&ex, &actor);
        let once = actor.tell_after(SHORT, |n| *n += 1).unwrap();
        let often = actor.tell_every(SHORT, |n| *n += 1).unwrap();
        until("both have come", || actor.waiting() == 2);
        once.stop();
        often.stop();
        held.fulfil(());
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 0);
        some_time(&ex);
        assert_eq!(actor.ask(|n| *n).result().unwrap(), 0);
    });
}

#[test]
fn a_tick_that_was_not_handled_holds_the_next_back() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor_with(ActorOptions::new().mailbox(1), || 0).unwrap();
        let held = hold(&ex, &actor);
        // The mailbox has no room left, of which a tick takes none.
        actor.try_tell(|_| ()).unwrap();
        assert!(actor.try_tell(|_| ()).unwrap_err().is_mailbox_full());
        let _timer = actor.tell_every(SHORT, |n| *n += 1).unwrap();
        until("a tick has come", || actor.waiting() == 2);
        some_time(&ex);
        assert_eq!(actor.waiting(), 2);
        held.fulfil(());
        until("it goes on", || actor.ask(|n| *n).result().unwrap() >= 5);
    });
}

#[test]
fn a_timer_ends_with_its_actor_which_it_does_not_keep() {
    guard(|| {
        let ex = executor(2);
        for breaks in [false, true] {
            let drops = Drops::default();
            let actor = ex.actor(|| 0_u32);
            let [one, two, three] = [(); 3].map(|()| drops.piece());
            let guard = actor.tell_after(LONG, move |_| _ = &one).unwrap();
            actor.tell_every(LONG, move |_| _ = &two).unwrap().detach();
            actor.tell_every(SHORT, move |_| _ = &three).unwrap().detach();
            let (ended, last) = (actor.ended(), actor.clone());
            if breaks {
                actor.tell(|_| panic!("broken")).unwrap();
                ended.wait().unwrap();
                for late in [last.tell_after(LONG, |_| ()), last.tell_every(LONG, |_| ())] {
                    assert!(late.unwrap_err().is_actor_ended());
                }
            }
            drop((actor, last));
            assert_eq!(ended.result().is_err(), breaks);
            until("the handlers are gone", || drops.count() == 3);
            drop(guard);
        }
    });
}

#[test]
fn a_timer_ends_with_the_executor_or_its_restart() {
    guard(|| {
        let ends: [fn(&heist::Executor); 3] =
            [|ex| ex.restart().unwrap(), |ex| ex.shutdown(Shutdown::Wait), |ex| ex.shutdown(Shutdown::Cancel)];
        for end in ends {
            let ex = executor(2);
            let drops = Drops::default();
            let actor = ex.actor(|| 0_u32);
            let timers: Vec<_> = [LONG, SHORT]
                .into_iter()
                .flat_map(|time| {
                    let [one, two] = [(); 2].map(|()| drops.piece());
                    let once = actor.tell_after(time, move |_| _ = &one).unwrap();
                    [once, actor.tell_every(time, move |_| _ = &two).unwrap()]
                })
                .collect();
            actor.ask(|_| ()).wait().unwrap();
            end(&ex);
            until("the handlers are gone", || drops.count() == 4);
            assert!(actor.tell_after(SHORT, |_| ()).is_err());
            drop(timers);
        }
    });
}

#[test]
fn an_interval_survives_a_panic_that_its_actor_survives() {
    guard(|| {
        let ex = executor(2);
        for on_panic in [OnPanic::go_on(), OnPanic::restart(|| 100)] {
            let ticks = Count::default();
            let mine = ticks.clone();
            let actor = ex.actor_with(ActorOptions::new().on_panic(on_panic), || 0).unwrap();
            let timer = actor.tell_every(SHORT, move |_| assert!(mine.add() % 2 == 0, "odd")).unwrap();
            until("it goes on", || ticks.get() >= 6);
            drop(timer);
        }
    });
}

#[test]
fn a_handler_may_stop_its_own_timer() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| (0, None::<ActorTimer>));
        let drops = Drops::default();
        let piece = drops.piece();
        let timer = actor.tell_every(SHORT, move |(ticks, timer)| {
            let _piece = &piece;
            *ticks += 1;
            if *ticks == 3 {
                *timer = None;
            }
        });
        let timer = timer.unwrap();
        actor.ask(move |(_, own)| *own = Some(timer)).wait().unwrap();
        until("it has stopped", || drops.count() == 1);
        assert_eq!(actor.ask(|(ticks, _)| *ticks).result().unwrap(), 3);
    });
}

#[test]
fn ten_thousand_timers_leave_no_trace() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| 0_u32);
        let drops = Drops::default();
        let timers: Vec<_> = (0..10_000)
            .map(|i| {
                let piece = drops.piece();
                let delay = if i % 2 == 0 { LONG } else { SHORT };
                actor.tell_after(delay, move |n| {
                    drop(piece);
                    *n += 1;
                })
            })
            .collect::<Result<_, _>>()
            .unwrap();
        until("half have rung", || actor.ask(|n| *n).result().unwrap() == 5_000);
        drop(timers);
        assert_eq!(drops.count(), 10_000);
    });
}

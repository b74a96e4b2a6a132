//! Actors of other ranks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use heist::{ActorOptions, OnPanic, Rank, RemoteRef};

use crate::world;

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::yield_now();
    }
}

/// Messages that wait for the one actor of a rank, once it is there.
fn waiting(ex: &heist::Executor) -> Option<usize> {
    ex.actors().first().map(|actor| actor.waiting)
}

fn push(all: &mut Vec<u64>, (n,): (u64,)) {
    all.push(n);
}

#[expect(clippy::ptr_arg, reason = "the state is one")]
fn all(all: &mut Vec<u64>, (): ()) -> Vec<u64> {
    all.clone()
}

fn list(world: &heist::World, rank: u32) -> RemoteRef<Vec<u64>> {
    world.actor_on(Rank(rank), |()| Vec::new(), ())
}

#[test]
fn an_actor_on_another_rank_keeps_its_state_between_calls() {
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    assert_eq!(list.rank(), Rank(1));
    assert!(list.local().is_none());
    for n in 0..10 {
        list.tell(push, (n,)).unwrap();
    }
    assert_eq!(list.ask(all, ()).result().unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!(ranks[1].actors().len(), 1);
    assert!(ranks[0].actors().is_empty());
}

#[test]
fn tells_and_asks_of_one_sender_keep_their_order() {
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    let mut counts = Vec::new();
    for n in 0..1000 {
        list.tell(push, (n,)).unwrap();
        if n % 7 == 0 {
            counts.push((n, list.ask(|all, ()| all.len() as u64, ())));
        }
    }
    for (n, count) in counts {
        assert_eq!(count.result().unwrap(), n + 1);
    }
}

#[test]
fn a_reference_goes_anywhere_and_comes_home_as_the_actor_itself() {
    let ranks = world::of(3);
    let list = list(&ranks[0].world(), 2);
    // An actor on rank 1 gets it in its arguments, keeps it, and gives it on to one on rank 2.
    let keeper = ranks[0].world().actor_on(Rank(1), |(list,): (RemoteRef<Vec<u64>>,)| list, (list.clone(),));
    keeper.ask(|list, ()| list.tell(push, (1,)).is_ok(), ()).result().unwrap();
    let home = ranks[0].world().actor_on(Rank(2), |(kept,): (Vec<RemoteRef<Vec<u64>>>,)| kept, (vec![list.clone()],));
    assert!(home.ask(|kept, ()| kept[0].local().is_some(), ()).result().unwrap());
    assert!(home.ask(|kept, ()| kept[0].tell(push, (2,)).is_ok(), ()).result().unwrap());
    let back: RemoteRef<Vec<u64>> = keeper.ask(|list, ()| list.clone(), ()).result().unwrap();
    assert_eq!(back, list);
    assert_eq!(back.ask(all, ()).result().unwrap(), [1, 2]);
}

#[test]
fn an_actor_ends_when_no_rank_refers_to_it() {
    let ranks = world::of(3);
    let list = list(&ranks[0].world(), 2);
    let ended = list.ended();
    let keeper = ranks[0].world().actor_on(Rank(1), |(list,): (RemoteRef<Vec<u64>>,)| Some(list), (list.clone(),));
    list.tell(push, (3,)).unwrap();
    drop(list);
    assert_eq!(keeper.ask(|kept, ()| kept.as_ref().unwrap().ask(all, ()).result().unwrap(), ()).result().unwrap(), [3]);
    assert!(!ended.done());
    keeper.ask(|kept, ()| drop(kept.take()), ()).result().unwrap();
    ended.result().unwrap();
    drop(keeper);
    until("the actors' end", || ranks.iter().all(|ex| ex.actors().is_empty()));
}

#[test]
fn a_shared_actor_is_reached_from_elsewhere() {
    let ranks = world::of(2);
    let total = ranks[0].actor(|| 0_u64);
    let shared = ranks[0].world().share_actor(&total);
    let adder = ranks[0].world().actor_on(Rank(1), |(total,): (RemoteRef<u64>,)| total, (shared,));
    for n in 1..=100_u64 {
        adder.tell(|total, (n,)| total.tell(|total, (n,)| *total += n, (n,)).unwrap(), (n,)).unwrap();
    }
    until("the sum", || total.ask(|total| *total).result().unwrap() == 5050);
}

#[test]
fn a_panic_of_a_handler_is_the_answer_and_ends_the_actor() {
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    let ended = list.ended();
    let bad = list.ask(|_: &mut Vec<u64>, ()| -> u64 { panic!("out of cheese") }, ());
    let error = bad.result().unwrap_err();
    assert_eq!(error.panic_message(), Some("out of cheese"));
    assert!(list.ask(all, ()).result().unwrap_err().is_actor_ended());
    assert_eq!(ended.result().unwrap_err().panic_message(), Some("out of cheese"));
    let error = list.tell(push, (1,)).unwrap_err();
    assert!(error.is_actor_ended() && error.to_string().contains("out of cheese"), "{error}");
}

#[test]
fn a_panic_of_the_constructor_is_the_error_of_all_that_is_asked() {
    let ranks = world::of(2);
    let broken: RemoteRef<u64> = ranks[0].world().actor_on(Rank(1), |()| panic!("no room"), ());
    let error = broken.ask(|n, ()| *n, ()).result().unwrap_err();
    assert!(error.is_actor_ended() && error.panic_message() == Some("no room"), "{error}");
    assert_eq!(broken.ended().result().unwrap_err().panic_message(), Some("no room"));
}

#[test]
fn options_hold_on_another_rank() {
    let ranks = world::of(2);
    let world = ranks[0].world();
    let options = ActorOptions::new().name("ledger").on_panic(OnPanic::restart_with(|| vec![7]));
    let list = world.actor_with(Rank(1), options, |()| Vec::new(), ()).unwrap();
    list.tell(push, (1,)).unwrap();
    assert!(list.ask(|_, ()| -> u64 { panic!("again") }, ()).result().unwrap_err().is_panic());
    assert_eq!(list.ask(all, ()).result().unwrap(), [7]);
    assert_eq!(ranks[1].actors()[0].name, "ledger");

    let closure = ActorOptions::new().on_panic(OnPanic::restart(Vec::new));
    assert!(world.actor_with(Rank(1), closure, |()| Vec::<u64>::new(), ()).unwrap_err().is_setting());
    let roomless = ActorOptions::new().mailbox(0);
    assert!(world.actor_with(Rank(1), roomless, |()| 0, ()).unwrap_err().is_setting());
    assert!(world.actor_with(Rank(2), ActorOptions::new(), |()| 0, ()).unwrap_err().is_impossible_place());
    assert!(world.actor_on(Rank(2), |()| 0, ()).ask(|n, ()| *n, ()).result().is_err());
}

#[test]
fn who_tells_waits_for_room_in_a_bounded_mailbox() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    let ranks = world::of(2);
    let options = ActorOptions::new().mailbox(1);
    let list = ranks[0].world().actor_with(Rank(1), options, |()| Vec::new(), ()).unwrap();
    list.tell(|_, ()| until("the gate", || OPEN.load(Ordering::Acquire)), ()).unwrap();
    // The gate's message gives its room back when it is begun.
    list.tell(push, (0,)).unwrap();
    assert!(list.try_tell(push, (100,)).unwrap_err().is_mailbox_full());
    std::thread::scope(|threads| {
        let told = threads.spawn(|| {
            for n in 1..100 {
                list.tell(push, (n,)).unwrap();
            }
            ranks[0]
                .spawn({
                    let list = list.clone();
                    async move { list.tell_async(push, (100,)).await }
                })
                .result()
        });
        // What is asked needs no room.
        let asked = list.ask(all, ());
        until("a third message", || waiting(&ranks[1]) == Some(2));
        assert!(!told.is_finished());
        OPEN.store(true, Ordering::Release);
        assert_eq!(asked.result().unwrap()[0], 0);
        told.join().unwrap().unwrap().unwrap();
    });
    assert_eq!(list.ask(all, ()).result().unwrap(), (0..=100).collect::<Vec<_>>());
}

#[test]
fn stop_ends_an_actor_that_others_refer_to() {
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    list.tell(push, (1,)).unwrap();
    let before = list.ask(all, ());
    list.stop().unwrap();
    list.ended().result().unwrap();
    assert_eq!(before.result().unwrap(), [1]);
    assert!(list.ask(all, ()).result().unwrap_err().is_actor_ended());
    assert!(list.tell(push, (1,)).unwrap_err().is_actor_ended());
}

#[test]
fn a_monitor_is_told_why_an_actor_of_another_rank_has_ended() {
    let ranks = world::of(2);
    let log = ranks[0].actor(Vec::<String>::new);
    let (one, two) = (list(&ranks[0].world(), 1), list(&ranks[0].world(), 1));
    one.monitor(&log, |log, why| log.push(why.unwrap_err().to_string()));
    two.monitor(&log, |log, why| log.push(format!("{why:?}")));
    one.ask(|_, ()| -> u64 { panic!("out of cheese") }, ()).wait().unwrap();
    until("the first end", || log.ask(|log| log.len()).result().unwrap() == 1);
    drop(two);
    until("the second end", || log.ask(|log| log.len()).result().unwrap() == 2);
    let told = log.ask(|log| log.clone()).result().unwrap();
    assert!(told[0].contains("out of cheese") && told[1] == "Ok(())", "{told:?}");
}

#[test]
fn what_is_cancelled_before_its_turn_does_not_run() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    list.tell(|_, ()| until("the gate", || OPEN.load(Ordering::Acquire)), ()).unwrap();
    let cancelled = list.ask(push, (1,));
    let released = list.ask(push, (2,));
    let kept = list.ask(push, (3,));
    assert!(cancelled.cancel("superseded"));
    drop(released);
    until("the cancel", || waiting(&ranks[1]) == Some(3));
    // The word of both goes the same way, and before this.
    let after = list.ask(all, ());
    until("the last", || waiting(&ranks[1]) == Some(4));
    OPEN.store(true, Ordering::Release);
    kept.result().unwrap();
    assert_eq!(after.result().unwrap(), [3]);
    assert_eq!(cancelled.error().unwrap().cancel_reason().unwrap().text(), "superseded");
}

#[test]
fn a_million_tells_of_three_senders_keep_their_order() {
    const EACH: u64 = if cfg!(debug_assertions) { 40_000 } else { 333_334 };
    let ranks = world::of(2);
    let actor = ranks[0].world().actor_on(Rank(1), |()| [0_u64; 3], ());
    std::thread::scope(|threads| {
        for sender in 0..3_usize {
            let actor = &actor;
            threads.spawn(move || {
                for n in 0..EACH {
                    let take = |next: &mut [u64; 3], (sender, n): (usize, u64)| {
                        assert_eq!(next[sender], n);
                        next[sender] += 1;
                    };
                    actor.tell(take, (sender, n)).unwrap();
                }
            });
        }
    });
    assert_eq!(actor.ask(|next, ()| *next, ()).result().unwrap(), [EACH; 3]);
}

#[test]
fn futures_are_arguments_of_constructors_and_handlers() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    let (promise, start) = ranks[0].promise::<u64>();
    let afar = world.task().on(Rank(2)).submit(|(n,)| n * 10, (4_u64,));
    let list = world.actor_on(Rank(1), |(start,): (u64,)| vec![start], (&start,));
    // It has to wait until the actor can be made.
    let first = list.ask(all, ());
    list.tell(push, (&afar,)).unwrap();
    promise.fulfil(7);
    assert_eq!(first.result().unwrap(), [7]);
    assert_eq!(list.ask(all, ()).result().unwrap(), [7, 40]);
}

#[test]
fn what_waits_for_a_future_keeps_its_place_among_what_its_sender_sends() {
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    let (promise, two) = ranks[0].promise::<u64>();
    list.tell(push, (1,)).unwrap();
    list.tell(push, (&two,)).unwrap();
    list.tell(push, (3,)).unwrap();
    let after = list.ask(all, ());
    // Another sender does not wait behind it.
    let other = list.clone();
    let other = ranks[0].submit(move || other.ask(|all, ()| all.len(), ()).result());
    assert_eq!(other.result().unwrap().unwrap(), 1);
    assert!(!after.done());
    promise.fulfil(2);
    assert_eq!(after.result().unwrap(), [1, 2, 3]);
}

#[test]
fn an_argument_that_failed_is_the_answer() {
    let ranks = world::of(2);
    let list = list(&ranks[0].world(), 1);
    let bad = ranks[0].submit(|| -> u64 { panic!("no value") });
    let early = list.ask(push, (&bad,));
    bad.wait().unwrap();
    let late = list.ask(push, (&bad,));
    for answer in [early, late] {
        let error = answer.result().unwrap_err();
        assert!(error.is_dependency() && error.panic_message() == Some("no value"), "{error}");
    }
    assert_eq!(list.ask(all, ()).result().unwrap(), []);
    let broken: RemoteRef<u64> = ranks[0].world().actor_on(Rank(1), |(n,)| n, (&bad,));
    assert_eq!(broken.ask(|n, ()| *n, ()).result().unwrap_err().panic_message(), Some("no value"));
}

#[test]
fn an_answer_is_an_argument_elsewhere() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    let list = list(&world, 1);
    let counts: Vec<_> = (0..10)
        .map(|n| {
            list.ask(
                |all, (n,)| {
                    all.push(n);
                    all.len() as u64
                },
                (n,),
            )
        })
        .collect();
    let sum = world.task().on(Rank(2)).submit(|(all,): (Vec<u64>,)| all.iter().sum::<u64>(), (heist::all(&counts),));
    assert_eq!(sum.result().unwrap(), 55);
    let bad = list.ask(|_, ()| -> u64 { panic!("spoilt") }, ());
    let next = world.task().on(Rank(2)).submit(|(n,)| n + 1, (&bad,));
    assert_eq!(next.result().unwrap_err().panic_message(), Some("spoilt"));
}

#[test]
fn a_reference_is_an_argument_of_a_task_and_keeps_the_actor() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    let list = list(&world, 1);
    let ended = list.ended();
    let tasks: Vec<_> = (0..20_u32)
        .map(|n| {
            let add = |(list, n): (RemoteRef<Vec<u64>>, u64)| list.ask(push, (n,)).result().is_ok();
            world.task().on(Rank(n % 3)).submit(add, (list.clone(), u64::from(n)))
        })
        .collect();
    let kept = world.task().on(Rank(2)).submit(|(list,): (RemoteRef<Vec<u64>>,)| list, (list.clone(),));
    drop(list);
    assert!(ranks[0].gather(tasks).unwrap().iter().all(|is_ok| *is_ok));
    let list: RemoteRef<Vec<u64>> = kept.into_result().unwrap().unwrap();
    let mut seen = list.ask(all, ()).result().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    assert!(!ended.done());
    drop(list);
    ended.result().unwrap();
}

#[test]
fn an_actor_asks_others_and_waits_without_blocking_its_rank() {
    let ranks = world::of(2);
    let world = ranks[0].world();
    // Both ranks have two workers; eight actors wait for answers of actors beside them at once.
    let ends: Vec<_> = (0..8_u32).map(|n| world.actor_on(Rank(n % 2), |(n,): (u32,)| n, (n,))).collect();
    let asks: Vec<_> = (0..8_usize)
        .map(|n| {
            let relay = world.actor_on(Rank(n as u32 % 2), |(end,): (RemoteRef<u32>,)| end, (ends[7 - n].clone(),));
            relay.ask(|end, ()| end.ask(|n, ()| *n, ()).result().unwrap(), ())
        })
        .collect();
    assert_eq!(ranks[0].gather(asks).unwrap(), (0..8).rev().collect::<Vec<_>>());
}

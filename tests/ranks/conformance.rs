//! Behaviours taken over from Dask's own test suite that have to do with several workers' processes, which are ranks here.
//! Those for which a rank has to be lost are tests within the crate (`executor/lost*`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heist::{Rank, RemoteRef, TaskFuture, World, as_completed};

use crate::world;

const SOON: Duration = Duration::from_secs(60);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::yield_now();
    }
}

fn here() -> Rank {
    heist::current().unwrap().executor().world().rank()
}

#[derive(Default)]
struct Counter {
    n: u64,
}

fn counter(world: &World, rank: u32) -> RemoteRef<Counter> {
    world.actor_on(Rank(rank), |()| Counter::default(), ())
}

fn increment(counter: &mut Counter, (): ()) -> u64 {
    counter.n += 1;
    counter.n
}

fn add(counter: &mut Counter, (n,): (u64,)) -> u64 {
    counter.n += n;
    counter.n
}

#[test]
fn an_actor_is_created_called_and_read_from_a_client_and_from_a_task() {
    let ranks = world::of(2);
    let actor = counter(&ranks[0].world(), 1);
    assert_eq!(actor.ask(increment, ()).result().unwrap(), 1);
    assert_eq!(actor.ask(add, (10,)).result().unwrap(), 11);
    let in_task = |(rank,): (Rank,)| {
        let actor = counter(&heist::current().unwrap().executor().world(), rank.0);
        actor.ask(add, (5,)).result().unwrap() + actor.ask(increment, ()).result().unwrap()
    };
    for (task, home) in [(0, 1), (1, 0), (1, 1)] {
        let sum = ranks[0].world().task().on(Rank(task)).submit(in_task, (Rank(home),));
        assert_eq!(sum.result().unwrap(), 11);
    }
}

#[test]
fn a_hundred_calls_arrive_in_order() {
    let ranks = world::of(2);
    let actor = ranks[0].world().actor_on(Rank(1), |()| Vec::new(), ());
    let calls: Vec<_> = (0..100_u32)
        .map(|n| {
            actor.ask(
                |all: &mut Vec<u32>, (n,): (u32,)| {
                    all.push(n);
                    all.clone()
                },
                (n,),
            )
        })
        .collect();
    let seen = calls[99].result().unwrap();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[test]
fn an_actor_that_was_an_argument_is_kept_by_the_task() {
    let ranks = world::of(3);
    for task in 0..3 {
        let actor = counter(&ranks[0].world(), 1);
        let (promise, gate) = ranks[0].promise::<u64>();
        let add_later = |(actor, n): (RemoteRef<Counter>, u64)| actor.ask(add, (n,)).result();
        let sum = ranks[0].world().task().on(Rank(task)).submit_result(add_later, (actor, &gate));
        promise.fulfil(7);
        assert_eq!(sum.result().unwrap(), 7);
        until("the actor's end", || ranks[1].actors().is_empty());
    }
}

#[test]
fn a_wait_for_a_slow_call_times_out_and_the_call_goes_on() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    let ranks = world::of(2);
    let actor = counter(&ranks[0].world(), 1);
    let slow = |counter: &mut Counter, (): ()| {
        until("the gate", || OPEN.load(Ordering::Acquire));
        increment(counter, ())
    };
    let call = actor.ask(slow, ());
    assert!(call.result_timeout(Duration::from_millis(20)).unwrap_err().is_timeout());
    OPEN.store(true, Ordering::Release);
    assert_eq!(call.result().unwrap(), 1);
}

#[test]
fn many_tasks_of_all_ranks_count_on_one_actor() {
    let ranks = world::of(3);
    let actor = counter(&ranks[0].world(), 2);
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let count = |(actor,): (RemoteRef<Counter>,)| {
                (0..10).map(|_| actor.ask(increment, ()).result().unwrap()).sum::<u64>()
            };
            ranks[0].world().task().on(Rank(n % 3)).submit(count, (actor.clone(),))
        })
        .collect();
    let sum: u64 = ranks[0].gather(tasks).unwrap().iter().sum();
    assert_eq!((sum, actor.ask(|counter, ()| counter.n, ()).result().unwrap()), ((1..=600).sum(), 600));
}

#[test]
fn handlers_of_one_actor_never_overlap() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let ranks = world::of(3);
    let actor = counter(&ranks[0].world(), 1);
    let alone = |counter: &mut Counter, (): ()| {
        let was_inside = INSIDE.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        INSIDE.fetch_sub(1, Ordering::SeqCst);
        counter.n += was_inside as u64;
        counter.n
    };
    let shared: Vec<RemoteRef<Counter>> = (0..3_u32)
        .map(|rank| {
            ranks[0]
                .world()
                .task()
                .on(Rank(rank))
                .submit(|(actor,)| actor, (actor.clone(),))
                .into_result()
                .unwrap()
                .unwrap()
        })
        .collect();
    let calls: Vec<_> = (0..300).map(|n| shared[n % 3].ask(alone, ())).collect();
    assert_eq!(ranks[0].gather(calls).unwrap().into_iter().max(), Some(0));
}

#[test]
fn actors_without_a_place_are_spread_over_the_ranks() {
    let ranks = world::of(3);
    let actors: Vec<_> = (0..6).map(|_| ranks[0].world().actor(|()| here(), ())).collect();
    let at: Vec<_> = actors.iter().map(|actor| actor.ask(|rank, ()| *rank, ()).result().unwrap()).collect();
    assert_eq!(at, actors.iter().map(RemoteRef::rank).collect::<Vec<_>>());
    assert_eq!(at.iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn answers_of_actors_are_yielded_as_they_complete() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    let ranks = world::of(2);
    let (slow, fast) = (counter(&ranks[0].world(), 1), counter(&ranks[0].world(), 1));
    let wait = |_: &mut Counter, (): ()| {
        until("the gate", || OPEN.load(Ordering::Acquire));
        0
    };
    let calls = vec![slow.ask(wait, ()), fast.ask(add, (1,)), fast.ask(|_, ()| -> u64 { panic!("no") }, ())];
    let mut order = Vec::new();
    for (_, result) in as_completed(calls) {
        order.push(result.map_err(|error| error.is_panic()));
        OPEN.store(order.len() == 2, Ordering::Release);
    }
    assert!(order[..2].contains(&Ok(1)) && order[..2].contains(&Err(true)) && order[2] == Ok(0), "{order:?}");
}

#[test]
fn two_who_wait_for_one_call_both_get_its_answer() {
    let ranks = world::of(2);
    let actor = counter(&ranks[0].world(), 1);
    let call = actor.ask(add, (3,));
    let waits: Vec<_> = (0..2)
        .map(|_| {
            ranks[0].spawn({
                let call = call.clone();
                async move { call.await }
            })
        })
        .collect();
    for wait in waits {
        assert_eq!(wait.result().unwrap().unwrap(), 3);
    }
    assert_eq!(call.result().unwrap(), 3);
}

#[test]
fn a_lock_that_is_held_is_not_lost_while_nobody_renews_it() {
    let ranks = world::of(2);
    let (holder, other) = (ranks[1].world().lock("kept").unwrap(), ranks[0].world().lock("kept").unwrap());
    let held = holder.lock().unwrap();
    for _ in 0..3 {
        assert!(other.lock_timeout(Duration::from_millis(30)).unwrap_err().is_timeout());
    }
    assert!(other.is_locked().unwrap());
    let token = held.token();
    held.unlock();
    assert!(other.lock_timeout(SOON).unwrap().token() > token);
}

#[test]
fn no_more_permits_are_out_than_a_semaphore_has() {
    static OUT: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let ranks = world::of(3);
    let enter = |(): ()| {
        let semaphore = heist::current().unwrap().executor().world().semaphore("two", 2).unwrap();
        let permit = semaphore.acquire().unwrap();
        MOST.fetch_max(OUT.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        OUT.fetch_sub(1, Ordering::SeqCst);
        permit.release();
    };
    let tasks: Vec<_> = (0..60).map(|n| ranks[0].world().task().on(Rank(n % 3)).submit(enter, ())).collect();
    ranks[0].gather(tasks).unwrap();
    assert!((1..=2).contains(&MOST.load(Ordering::SeqCst)));
    let semaphore = ranks[0].world().semaphore("two", 2).unwrap();
    let held: Vec<_> = ranks[1..].iter().map(|ex| ex.world().semaphore("two", 2).unwrap().acquire().unwrap()).collect();
    assert!(semaphore.try_acquire().unwrap().is_none());
    drop(held);
    assert_eq!(semaphore.acquire_many_timeout(2, SOON).unwrap().count(), 2);
}

#[test]
fn what_waited_for_another_rank_names_the_end_of_its_own_executor() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    let ranks = world::of(2);
    let actor = counter(&ranks[0].world(), 1);
    let wait = |_: &mut Counter, (): ()| until("the gate", || OPEN.load(Ordering::Acquire));
    let asked = actor.ask(wait, ());
    let submitted: TaskFuture<()> =
        ranks[0].world().task().on(Rank(1)).submit(|(): ()| until("the gate", || OPEN.load(Ordering::Acquire)), ());
    ranks[0].shutdown(heist::Shutdown::Cancel);
    for future in [asked, submitted] {
        let error = future.result_timeout(SOON).unwrap_err();
        assert!(error.is_cancelled() && error.to_string().contains("executor closed"), "{error}");
    }
    OPEN.store(true, Ordering::Release);
}

#[test]
fn gathers_of_one_value_at_once_unpack_no_more_than_they_must() {
    static READ: AtomicU64 = AtomicU64::new(0);

    /// Counts how often it is made of bytes.
    #[derive(Clone)]
    struct Big(Vec<u8>);
    impl serde::Serialize for Big {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }
    impl<'de> serde::Deserialize<'de> for Big {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            READ.fetch_add(1, Ordering::Relaxed);
            Vec::deserialize(from).map(Self)
        }
    }

    let ranks = world::of(2);
    let big = ranks[0].world().task().on(Rank(1)).submit(|(): ()| Big(vec![7; 1 << 20]), ());
    std::thread::scope(|threads| {
        for _ in 0..100 {
            let big = &big;
            let ex = &ranks[0];
            threads.spawn(move || assert_eq!(ex.gather(big).unwrap().0.len(), 1 << 20));
        }
    });
    assert_eq!(READ.load(Ordering::Relaxed), 1);
}

//! Tasks on other ranks: as on this one, wherever they run and whatever they are given.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use heist::{Executor, Place, Priority, Rank, TaskFuture};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::world;

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} within 30 s");
        std::thread::yield_now();
    }
}

/// The rank that runs this.
fn here() -> Rank {
    heist::current().unwrap().executor().world().rank()
}

fn twice(args: (u64,)) -> u64 {
    2 * args.0
}

fn same<T: Serialize + DeserializeOwned>((value,): (T,)) -> T {
    value
}

#[test]
fn functions_generic_ones_and_closures_run_where_they_are_sent() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    for rank in (0..3).map(Rank) {
        assert_eq!(world.on(rank).submit(twice, (21_u64,)).result().unwrap(), 42);
        assert_eq!(world.on(rank).submit(same, ("text".to_owned(),)).result().unwrap(), "text");
        assert_eq!(world.on(rank).submit(|(a, b)| a + b, (1.5, 2.5)).result().unwrap(), 4.0);
        assert_eq!(world.on(rank).submit(|(_,)| here(), ((),)).result().unwrap(), rank);
    }
    assert_eq!(world.here().submit(|(_,)| here(), ((),)).result().unwrap(), Rank(0));
    assert_eq!(world.submit(twice, (4_u64,)).result().unwrap(), 8);
    assert_eq!(world.on_host(0).submit(twice, (4_u64,)).result().unwrap(), 8);
}

#[test]
fn a_map_of_many_comes_back_in_order() {
    let ranks = world::of(2);
    let world = ranks[0].world();
    let squares = world.on(Rank(1)).map(0..10_000_u64, |n| n * n);
    let squares = ranks[0].gather(squares).unwrap();
    assert!(squares.iter().zip(0..).all(|(square, n)| *square == n * n) && squares.len() == 10_000);
    let halves = world.on(Rank(1)).map_result(0..4_u32, |n| if n % 2 == 0 { Ok(n / 2) } else { Err("odd") });
    assert_eq!(ranks[0].gather_ok(halves), [0, 1]);
}

#[test]
fn values_of_futures_of_any_rank_are_arguments() {
    let ranks = world::of(3);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let (promise, late) = ex.promise::<u64>();
    let own = ex.submit(|| 5_u64);
    let one = world.on(Rank(1)).submit(twice, (&own,));
    let two = world.on(Rank(2)).submit(|(a, b, c)| a + b + c, (&one, &late, 100_u64));
    let back = world.on(Rank(1)).submit(|(a, b)| a * b, (&two, &one));
    let local = ex.submit_after((&back, &two), |(a, b)| a + b);
    assert!(!local.done());
    promise.fulfil(1);
    assert_eq!(local.result().unwrap(), 111 * 10 + 111);
    let many = ex.map(0..100_u64, |n| n);
    let sum = world.on(Rank(2)).submit(|(many,): (Vec<u64>,)| many.iter().sum::<u64>(), (heist::all(&many),));
    assert_eq!(sum.result().unwrap(), 4950);
}

#[test]
fn a_chain_across_ranks_of_one_worker_blocks_nobody() {
    let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1)).unwrap();
    let world = ranks[0].world();
    let (promise, first) = ranks[0].promise::<u64>();
    let mut last = first;
    for step in 1..=300 {
        last = world.on(Rank(step % 3)).submit(|(n,)| n + 1, (&last,));
    }
    // Nobody waits on a worker meanwhile.
    for rank in (0..3).map(Rank) {
        assert_eq!(world.on(rank).submit(twice, (1_u64,)).result().unwrap(), 2);
    }
    promise.fulfil(0);
    assert_eq!(last.result().unwrap(), 300);
}

#[test]
fn futures_travel_within_values() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    let made: TaskFuture<Vec<TaskFuture<u64>>> = world.on(Rank(1)).submit(
        |(count,): (u64,)| {
            let ex = heist::current().unwrap().executor().clone();
            (0..count).map(|n| ex.submit(move || n)).collect()
        },
        (10,),
    );
    let made = made.into_result().unwrap_or_else(|_| panic!("the only handle")).unwrap();
    let sum = world.on(Rank(2)).submit(
        |(made,): (Vec<TaskFuture<u64>>,)| made.iter().map(|n| n.result().unwrap()).sum::<u64>(),
        (made.clone(),),
    );
    assert_eq!(sum.result().unwrap(), 45);
    assert_eq!(ranks[0].gather(made).unwrap(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_future_that_comes_home_is_the_one_that_was_sent() {
    let ranks = world::of(2);
    let (promise, own) = ranks[0].promise::<u32>();
    let back = ranks[0].world().on(Rank(1)).submit(same, (own.clone(),));
    assert!(back.into_result().unwrap_or_else(|_| panic!("the only handle")).unwrap() == own);
    promise.fulfil(1);
}

#[test]
fn tasks_submit_tasks_on_any_rank() {
    fn sum_below((n,): (u64,)) -> u64 {
        if n == 0 {
            return 0;
        }
        let world = heist::current().unwrap().executor().world();
        let next = Rank((world.rank().0 + 1) % world.size() as u32);
        n + world.on(next).submit(sum_below, (n - 1,)).result().unwrap()
    }
    let ranks = world::of(3);
    assert_eq!(ranks[0].world().on(Rank(1)).submit(sum_below, (20,)).result().unwrap(), 210);
}

#[test]
fn panics_and_errors_are_those_of_a_local_task() {
    let ranks = world::of(3);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let bad = world.on(Rank(1)).submit(|(n,): (u64,)| -> u64 { panic!("no {n}") }, (7_u64,));
    let error = bad.result().unwrap_err();
    assert!(error.is_panic() && !error.is_dependency());
    assert_eq!((error.panic_message(), error.task()), (Some("no 7"), Some(bad.id())));
    assert!(error.location().unwrap().file().ends_with("tasks.rs"));

    let next = world.on(Rank(2)).submit(twice, (&bad,));
    assert!(next.error().unwrap().is_dependency());
    let failed = world.on(Rank(1)).submit_result(|(text,): (String,)| text.parse::<u64>(), ("x".to_owned(),));
    let far = world.on(Rank(2)).submit(twice, (&failed,));
    let last = ex.submit_after(&far, |n| n + 1);
    let error = last.result().unwrap_err();
    assert!(error.is_failed() && error.is_dependency());
    assert!(error.root().to_string().contains("invalid digit"), "{error}");
    assert!(failed.error().unwrap().is_failed() && !failed.error().unwrap().is_dependency());
    assert_eq!(error.root().task(), Some(failed.id()));
}

#[test]
fn a_rank_that_there_is_not_is_refused() {
    let ranks = world::of(2);
    let world = ranks[0].world();
    assert!(world.on(Rank(2)).submit(twice, (1_u64,)).error().unwrap().is_impossible_place());
    assert!(world.on_host(1).map(0..3_u64, |n| n).iter().all(|f| f.error().unwrap().is_impossible_place()));
    let place = world.on(Rank(1)).place(Place::Worker(9)).submit(twice, (1_u64,));
    assert!(place.result().unwrap_err().is_impossible_place());
}

static STARTED: AtomicU32 = AtomicU32::new(0);
static SAW: AtomicU32 = AtomicU32::new(0);
static UNSTARTED: AtomicU32 = AtomicU32::new(0);

#[test]
fn cancel_travels_to_tasks_that_run_and_to_those_that_have_not_begun() {
    let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1)).unwrap();
    let world = ranks[0].world();
    let running = world.on(Rank(1)).submit(
        |(_,)| {
            STARTED.fetch_add(1, Ordering::SeqCst);
            while !heist::cancelled() {
                std::thread::yield_now();
            }
            SAW.fetch_add(1, Ordering::SeqCst);
        },
        ((),),
    );
    until("it runs", || STARTED.load(Ordering::SeqCst) == 1);
    let queued = world.on(Rank(1)).map(0..10_u32, |_| UNSTARTED.fetch_add(1, Ordering::SeqCst));
    let dropped = world.on(Rank(1)).map(0..10_u32, |_| UNSTARTED.fetch_add(1, Ordering::SeqCst));
    let mut dependent = world.on(Rank(1)).submit(twice, (1_u64,));
    assert!(queued.iter().all(|future| future.cancel("not needed")));
    drop(dropped);
    assert!(running.cancel("superseded"));
    assert_eq!(running.error().unwrap().cancel_reason().unwrap().text(), "superseded");
    until("the closure sees it", || SAW.load(Ordering::SeqCst) == 1);
    assert_eq!(dependent.result().unwrap(), 2);
    dependent = world.on(Rank(1)).submit(twice, (2_u64,));
    assert_eq!(dependent.result().unwrap(), 4);
    assert_eq!(UNSTARTED.load(Ordering::SeqCst), 0);
    assert!(queued.iter().all(TaskFuture::cancelled));
}

#[test]
fn a_large_result_stays_until_somebody_wants_it() {
    let ranks = world::of(3);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let large = world.on(Rank(1)).submit(|(n,): (u64,)| vec![n; 100_000], (1,));
    until("it is done", || large.done());
    assert_eq!(large.status(), heist::Status::Finished);
    let sum = world.on(Rank(2)).submit(|(large,): (Vec<u64>,)| large.iter().sum::<u64>(), (&large,));
    assert_eq!(sum.result().unwrap(), 100_000);
    let there = world.on(Rank(1)).submit(|(large,): (Vec<u64>,)| large.len(), (&large,));
    assert_eq!(there.result().unwrap(), 100_000);
    let after = ex.submit_after(&large, Vec::len);
    assert_eq!(after.result().unwrap(), 100_000);
    assert_eq!(large.value().unwrap().len(), 100_000);
    let awaited = world.on(Rank(1)).submit(|(n,): (u64,)| vec![n; 100_000], (1,));
    assert_eq!(awaited.into_result().unwrap_or_else(|_| panic!("the only handle")).unwrap().len(), 100_000);
}

#[test]
fn what_was_said_about_a_task_holds_where_it_runs() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static FAILS: AtomicU32 = AtomicU32::new(0);
    let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1).resource("gpu", 1)).unwrap();
    let (ex, world) = (&ranks[0], ranks[0].world());
    let flaky = world.on(Rank(1)).retries(2).submit_result(
        |(n,): (u32,)| if RUNS.fetch_add(1, Ordering::SeqCst) < n { Err("not yet") } else { Ok(n) },
        (2_u32,),
    );
    assert_eq!((flaky.result().unwrap(), RUNS.load(Ordering::SeqCst)), (2, 3));
    let input = ex.submit(|| 7_u32);
    let never = world.on(Rank(1)).retries(1).submit_result(
        |(n,): (u32,)| -> Result<u32, String> {
            FAILS.fetch_add(1, Ordering::SeqCst);
            Err(format!("never {n}"))
        },
        (&input,),
    );
    let error = never.result().unwrap_err();
    assert!(error.is_failed() && !error.is_dependency() && error.to_string().contains("never 7"), "{error}");
    assert_eq!(FAILS.load(Ordering::SeqCst), 2);
    let gpu = world.on(Rank(1)).resource("gpu", 1).name("on the gpu").priority(Priority::HIGH);
    assert_eq!(gpu.clone().submit(twice, (3_u64,)).result().unwrap(), 6);
    let too_much = gpu.resource("gpu", 2).submit(twice, (3_u64,));
    assert!(too_much.result().unwrap_err().is_unsatisfiable());
    let (promise, late) = ex.promise::<u64>();
    let first = world.on(Rank(1)).key("twice").submit(twice, (&late,));
    let again = world.on(Rank(1)).key("twice").submit(|(_,): (u64,)| -> u64 { unreachable!() }, (1_u64,));
    assert!(first == again);
    promise.fulfil(4);
    assert_eq!(again.result().unwrap(), 8);
}

#[test]
fn a_world_that_ends_fails_what_waits_for_it() {
    let mut ranks = world::of(2);
    let world = ranks[0].world();
    let ex = ranks.remove(0);
    let never = world.on(Rank(1)).submit(
        |(_,)| {
            while !heist::cancelled() {
                std::thread::yield_now();
            }
        },
        ((),),
    );
    ex.close();
    assert!(never.error().unwrap().is_cancelled());
    assert!(world.on(Rank(1)).submit(twice, (1_u64,)).result().is_err());
}

/// Knows how many of its kind there are in this process.
#[derive(Debug)]
struct Counted(Vec<u8>);

static ALIVE: AtomicU32 = AtomicU32::new(0);

impl Counted {
    fn new(size: usize) -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self(vec![1; size])
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.len().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        usize::deserialize(from).map(Self::new)
    }
}

#[test]
fn values_are_let_go_of_when_nobody_wants_them() {
    let ranks = world::of(3);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let (promise, late) = ex.promise::<Counted>();
    {
        let own = ex.submit(|| Counted::new(10));
        let far = world.on(Rank(1)).submit(|(own, late)| Counted::new(own.0.len() + late.0.len()), (&own, &late));
        let held = world.on(Rank(2)).submit(same, (far.clone(),));
        let dropped = world.on(Rank(2)).submit(|(far,): (TaskFuture<Counted>,)| drop(far), (far.clone(),));
        promise.fulfil(Counted::new(5));
        let back = held.into_result().unwrap_or_else(|_| panic!("the only handle")).unwrap();
        assert_eq!(back.value().unwrap().0.len(), 15);
        dropped.result().unwrap();
        assert!(ALIVE.load(Ordering::SeqCst) >= 3);
    }
    drop(late);
    until("all are gone", || ALIVE.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_detached_task_runs_with_nobody_holding_on() {
    static RAN: AtomicU32 = AtomicU32::new(0);
    let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1)).unwrap();
    let world = ranks[0].world();
    for future in world.on(Rank(1)).map(0..100_u32, |_| RAN.fetch_add(1, Ordering::SeqCst)) {
        future.detach();
    }
    until("they run", || RAN.load(Ordering::SeqCst) == 100);
    until("they are off the roll", || ranks[0].detached().is_empty());
}

#[test]
fn every_way_to_wait_is_that_of_a_local_future() {
    let ranks = world::of(2);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let large = || world.on(Rank(1)).submit(|(n,): (u64,)| vec![n; 20_000], (3,));
    assert_eq!(futures::executor::block_on(async { (&large()).await.unwrap().len() }), 20_000);
    let done: Vec<_> = heist::as_completed([large(), large()]).map(|(_, value)| value.unwrap().len()).collect();
    assert_eq!(done, [20_000; 2]);
    let (one, two) = ex.gather((large(), world.on(Rank(1)).submit(twice, (1_u64,)))).unwrap();
    assert_eq!((one.len(), two), (20_000, 2));
    let polled = large();
    until("it was fetched", || polled.try_result().is_some());
    let inside = ex.submit(move || polled.result().unwrap().len());
    assert_eq!(inside.result().unwrap(), 20_000);
    let never = world.on(Rank(1)).submit(
        |(_,)| {
            while !heist::cancelled() {
                std::thread::yield_now();
            }
        },
        ((),),
    );
    assert!(never.wait_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    never.cancel("enough");
}

#[test]
fn a_future_cancelled_where_it_was_sent_is_cancelled_at_home() {
    let ranks = world::of(2);
    let (_promise, own) = ranks[0].promise::<u32>();
    let cancelled =
        ranks[0].world().on(Rank(1)).submit(|(own,): (TaskFuture<u32>,)| own.cancel("from afar"), (own.clone(),));
    assert!(cancelled.result().unwrap());
    until("the word is there", || own.cancelled());
    assert_eq!(own.error().unwrap().cancel_reason().unwrap().text(), "from afar");
}

#[test]
fn what_cannot_be_packed_is_an_error_of_the_task() {
    #[derive(Debug, Clone)]
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    impl<'de> serde::Deserialize<'de> for Never {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("never"))
        }
    }
    let ranks = world::of(2);
    let world = ranks[0].world();
    assert!(world.on(Rank(1)).submit(|(_,): (Never,)| 1, (Never,)).result().unwrap_err().is_codec());
    assert!(world.on(Rank(1)).submit(|(_,): (u8,)| Never, (1,)).wait().is_ok());
    let result = world.on(Rank(1)).submit(|(_,): (u8,)| Never, (1,));
    assert!(result.result().unwrap_err().is_codec());
    let own = ranks[0].submit(|| Never);
    let error = world.on(Rank(1)).submit(|(_,): (Never,)| 1, (&own,)).result().unwrap_err();
    assert!(error.is_codec(), "{error}");
}

#[test]
fn small_inputs_go_to_the_large_one() {
    let ranks = world::of(3);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let large = world.on(Rank(2)).submit(|(n,): (u64,)| vec![n; 100_000], (1,));
    let array = world.on(Rank(1)).submit(|(n,): (usize,)| heist::Array::from(vec![1_u64; n]), (1_000_000,));
    let small = ex.submit(|| 5_u64);
    until("both are done", || large.done() && array.done());
    let at = world.submit(|(large, small): (Vec<u64>, u64)| (large.len() as u64 + small, here()), (&large, &small));
    assert_eq!(at.result().unwrap(), (100_005, Rank(2)));
    let at = world
        .submit(|(large, array): (Vec<u64>, heist::Array<u64>)| (large.len() + array.len(), here()), (&large, &array));
    assert_eq!(at.result().unwrap(), (1_100_000, Rank(1)));
    let own = ex.submit(|| vec![2_u64; 300_000]);
    own.wait().unwrap();
    let at = world.submit(|(large, own): (Vec<u64>, Vec<u64>)| (large.len() + own.len(), here()), (&large, &own));
    assert_eq!(at.result().unwrap().0, 400_000);
}

#[test]
fn a_map_may_take_futures() {
    let ranks = world::of(2);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let squares = ex.map(0..100_u64, |n| n * n);
    let next = world.on(Rank(1)).map(0..100_u64, |n| n + 1);
    let pairs = squares.iter().zip(&next).map(|(square, next)| (square, next, 1_u64));
    let sums = world.on(Rank(1)).map_after(pairs, |(square, next, one)| square + next + one);
    assert_eq!(world.gather(sums).unwrap(), (0..100).map(|n| n * n + n + 2).collect::<Vec<_>>());
}

#[test]
fn what_many_tasks_need_is_fetched_once() {
    static PACKED: AtomicU32 = AtomicU32::new(0);
    static UNPACKED: AtomicU32 = AtomicU32::new(0);
    #[derive(Clone, Debug)]
    struct Large(Vec<u64>);
    impl Serialize for Large {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            PACKED.fetch_add(1, Ordering::SeqCst);
            self.0.serialize(serializer)
        }
    }
    impl<'de> serde::Deserialize<'de> for Large {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            UNPACKED.fetch_add(1, Ordering::SeqCst);
            Vec::deserialize(from).map(Self)
        }
    }
    let ranks = world::of(2);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let (promise, large) = ex.promise::<Large>();
    let sizes = world.on(Rank(1)).map_after((0..50).map(|_| (&large,)), |(large,)| large.0.len());
    promise.fulfil(Large(vec![1; 50_000]));
    assert_eq!(world.gather(sizes).unwrap(), [50_000; 50]);
    assert_eq!((PACKED.load(Ordering::SeqCst), UNPACKED.load(Ordering::SeqCst)), (1, 50));
}

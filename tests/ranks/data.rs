//! Data that is spread over ranks, and found again.

use std::time::{Duration, Instant};

use heist::{Array, Rank, TaskFuture};

use crate::world;

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// Entries that each rank holds.
fn entries(world: &heist::World) -> Vec<usize> {
    world.has_what().unwrap().iter().map(|rank| rank.entries).collect()
}

#[test]
fn scattered_values_go_to_every_rank_in_turn_and_come_back() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    let words: Vec<String> = (0..9).map(|n| format!("word {n}")).collect();
    let futures = world.scatter_vec(words.clone());
    eventually("each rank holds its part", || entries(&world).iter().sum::<usize>() == 9);
    assert!(entries(&world).iter().all(|&entries| entries > 0), "{:?}", entries(&world));
    assert_eq!(ranks[0].gather(&futures).unwrap(), words);
    drop(futures);
    eventually("nothing is left", || entries(&world) == [0, 0, 0]);
}

#[test]
fn a_scattered_value_stays_until_the_last_handle_anywhere_is_dropped() {
    let ranks = world::of(3);
    let world = ranks[0].world();
    let there = world.scatter_on(Rank(2), vec![1_u64; 20_000]).unwrap();
    let length = |(there,): (Vec<u64>,)| there.len();
    let tasks: Vec<TaskFuture<usize>> = (0..3).map(|rank| world.on(Rank(rank)).submit(length, (&there,))).collect();
    drop(there);
    assert_eq!(ranks[0].gather(tasks).unwrap(), [20_000; 3]);
    eventually("it is dropped in the end", || entries(&world) == [0, 0, 0]);
}

#[test]
fn a_slice_is_cut_by_ranks_and_domains() {
    let ranks = world::of(3);
    let world = ranks[1].world();
    let values: Vec<u32> = (0..100_000).collect();
    let parts = world.scatter_slice(values.clone()).unwrap();
    assert!(parts.len() >= 3);
    let sum = |(part,): (Array<u32>,)| part.iter().map(|&n| u64::from(n)).sum::<u64>();
    let sums: Vec<_> = parts.iter().map(|part| world.submit(sum, (part,))).collect();
    assert_eq!(ranks[1].gather(sums).unwrap().iter().sum::<u64>(), 4_999_950_000);
    let whole: Vec<u32> = ranks[1].gather(&parts).unwrap().iter().flat_map(|part| part.to_vec()).collect();
    assert_eq!(whole, values);
    assert_eq!(world.scatter_slice(Vec::<u8>::new()).unwrap().len(), parts.len());
}

#[test]
fn a_broadcast_value_is_everywhere_at_once_and_goes_with_its_future() {
    let ranks = world::of(4);
    let world = ranks[2].world();
    let table = world.broadcast(Array::from((0..50_000_u64).collect::<Vec<_>>())).unwrap();
    assert_eq!(world.who_has([&table]), [(0..4).map(Rank).collect::<Vec<_>>()]);
    assert_eq!(entries(&world), [1, 1, 0, 1], "it is there when broadcast returns");
    let at = table.value().unwrap().as_ptr() as usize;
    let look = |(table,): (Array<u64>,)| (table.iter().sum::<u64>(), table.as_ptr() as usize);
    for rank in 0..4 {
        let (sum, seen) = world.on(Rank(rank)).submit(look, (&table,)).result().unwrap();
        assert_eq!(sum, 1_249_975_000);
        assert_eq!(seen, at, "one copy for ranks that share memory");
    }
    drop(table);
    eventually("the copies go with it", || entries(&world) == [0; 4]);
}

#[test]
fn copies_live_as_long_as_what_replicate_gives() {
    let ranks = world::of(3);
    let (ex, world) = (&ranks[0], ranks[0].world());
    let words = ex.submit(|| vec!["a".to_owned(); 50_000]);
    let copies = world.replicate(&words, 2).unwrap();
    assert_eq!((copies.ranks(), entries(&world)), (&[Rank(0), Rank(1)][..], vec![0, 1, 0]));
    assert_eq!(world.who_has([&words]), [[Rank(0), Rank(1)]]);
    let count = |(words,): (Vec<String>,)| words.len();
    assert_eq!(world.on(Rank(1)).submit(count, (&words,)).result().unwrap(), 50_000);
    drop(copies);
    eventually("the copy goes", || entries(&world) == [0; 3]);
    assert_eq!(world.who_has([&words]), [[Rank(0)]]);
    assert_eq!(world.on(Rank(1)).submit(count, (&words,)).result().unwrap(), 50_000);
    let bad = ex.submit_result(|| "x".parse::<i32>());
    assert!(world.replicate(&bad, 2).unwrap_err().is_failed());
}

#[test]
fn who_has_knows_where_a_result_was_left() {
    let ranks = world::of(2);
    let world = ranks[0].world();
    let large = world.on(Rank(1)).submit(|(n,): (usize,)| vec![7_u8; n], (1_000_000_usize,));
    eventually("it is done there", || large.done());
    assert_eq!(world.who_has([&large]), [[Rank(1)]]);
    assert_eq!(large.result().unwrap().len(), 1_000_000);
    assert_eq!(world.who_has([&large]), [[Rank(0)]]);
}

#[test]
fn arrays_travel_as_arguments_and_results() {
    let ranks = world::of(2);
    let world = ranks[0].world();
    let double = |(values,): (Array<f64>,)| values.iter().map(|x| x * 2.0).collect::<Array<f64>>();
    for len in [0, 1, 100, 10_000, 500_000] {
        let values: Array<f64> = (0..len).map(f64::from).collect();
        let doubled = world.on(Rank(1)).submit(double, (values.clone(),)).result().unwrap();
        assert!(doubled.iter().zip(&values).all(|(a, b)| *a == b * 2.0) && doubled.len() == values.len());
    }
}

#[test]
fn a_value_that_cannot_travel_is_an_error_and_not_lost() {
    #[derive(Clone, Debug, serde::Deserialize)]
    struct Stubborn;
    impl serde::Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it does not"))
        }
    }
    let ranks = world::of(2);
    let world = ranks[0].world();
    assert!(world.broadcast(Stubborn).unwrap_err().is_codec());
    assert!(world.scatter_on(Rank(1), Stubborn).unwrap().result().unwrap_err().is_codec());
    assert!(world.scatter_on(Rank(0), Stubborn).unwrap().result().is_ok());
}

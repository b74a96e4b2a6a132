//! Work that is not placed keeps all ranks busy.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heist::prelude::*;
use heist::{Array, PinPolicy, Rank};

/// Ranks of one worker each.
fn ranks(count: usize) -> Vec<Executor> {
    Executor::in_process_world(count, |_| Executor::builder().workers(1).pin(PinPolicy::None)).unwrap()
}

fn rank_here() -> u32 {
    current().unwrap().executor().world().rank().0
}

/// Takes so many microseconds, of nobody's core: four ranks are busy at once on however few cores.
fn last(micros: u64) -> (u32, u64) {
    let end = Instant::now() + Duration::from_micros(micros);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    (rank_here(), micros)
}

/// Lengths from 0 to twice 4 ms, and one of ten times that.
fn uneven(count: usize) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..count).map(|index| if index == count - 1 { 40_000 } else { random.u64(0..8_000) }).collect()
}

fn wave((length,): (usize,)) -> Array<f64> {
    vec![0.5; length].into()
}

fn sum((a, b): (Array<f64>, Array<f64>)) -> (u32, f64) {
    (rank_here(), a.iter().chain(b.iter()).sum())
}

#[test]
fn a_task_goes_to_the_largest_of_its_inputs() {
    static OVER: AtomicBool = AtomicBool::new(false);
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            OVER.store(true, Ordering::Relaxed);
        }
    }
    let ranks = ranks(4);
    let end = End;
    let world = ranks[0].world();
    let large = world.on(Rank(2)).submit(wave, (1 << 20,));
    let small = [(0, 100_000), (1, 100_000), (3, 10)];
    let small = small.map(|(rank, length)| (length, world.on(Rank(rank)).submit(wave, (length,))));
    // Not waited for, which would bring them here.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !(large.done() && small.iter().all(|(_, small)| small.done())) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    // Who is busy pulls nothing. (Rank 0 packs what was made for it.)
    let work = |(_,): (u8,)| {
        while !OVER.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    };
    let busy = [1, 3].map(|rank| world.on(Rank(rank)).submit(work, (0,)));
    for (length, small) in &small {
        let (at, total) = world.submit(sum, (small, &large)).result().unwrap();
        assert_eq!((at, total), (2, 0.5 * ((1 << 20) + length) as f64), "beside {length}");
    }
    drop(end);
    ranks[0].gather(busy).unwrap();
}

#[test]
fn tasks_wait_for_their_inputs_wherever_these_are_made() {
    let ranks = ranks(3);
    let world = ranks[0].world();
    let mut sums = world.map(0..64_u64, |n| n);
    while sums.len() > 1 {
        sums = sums.chunks(2).map(|pair| world.submit(|(a, b)| a + b, (&pair[0], &pair[1]))).collect();
    }
    assert_eq!(sums[0].result().unwrap(), 2016);
    let failing = world.submit_result(|(n,)| if n > 0 { Err("no") } else { Ok(n) }, (1_u32,));
    let after = world.submit(|(n,)| n + 1, (&failing,));
    assert!(after.result().unwrap_err().is_dependency());
}

/// So many tasks below it, each of which waits for those below.
fn tree((depth,): (u32,)) -> u64 {
    if depth == 0 {
        return 1;
    }
    let world = current().unwrap().executor().world();
    let below = [0, 1].map(|_| world.submit(tree, (depth - 1,)));
    below.into_iter().map(|below| below.result().unwrap()).sum()
}

#[test]
fn tasks_that_wait_for_tasks_they_submit_end_on_every_rank() {
    let ranks = ranks(4);
    assert_eq!(ranks[3].world().submit(tree, (7,)).result().unwrap(), 128);
}

#[test]
fn what_has_not_begun_and_is_cancelled_or_unwanted_never_does() {
    let ranks = ranks(2);
    let world = ranks[0].world();
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    let occupy = |(micros,)| {
        BUSY.fetch_add(1, Ordering::Relaxed);
        last(micros);
    };
    let busy: Vec<_> = (0..2).map(|rank| world.on(Rank(rank)).submit(occupy, (300_000,))).collect();
    // A rank that is still idle would ask for what is submitted next, and begin it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while BUSY.load(Ordering::Relaxed) < 2 {
        assert!(Instant::now() < deadline, "the ranks do not begin");
        std::thread::yield_now();
    }
    static BEGUN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let submit = |what: &str| world.submit(|(what,)| BEGUN.lock().unwrap().push(what), (what.to_owned(),));
    let (kept, cancelled) = (submit("kept"), submit("cancelled"));
    drop(submit("unwanted"));
    cancelled.cancel("not needed");
    kept.result().unwrap();
    ranks[0].gather(busy).unwrap();
    assert!(cancelled.cancelled());
    // Whatever was queued before these has been run or never will.
    for rank in 0..2 {
        world.on(Rank(rank)).submit(|(n,)| n, (0_u8,)).result().unwrap();
    }
    assert_eq!(*BEGUN.lock().unwrap(), ["kept"]);
}

#[test]
fn many_short_tasks_are_shared() {
    let ranks = ranks(3);
    let world = ranks[0].world();
    let done = ranks[0].gather(world.map(0..20_000_u64, |n| n * n)).unwrap();
    assert!(done.into_iter().eq((0..20_000).map(|n| n * n)));
}

#[test]
fn an_uneven_map_keeps_all_ranks_busy() {
    let ranks = ranks(4);
    let lengths = uneven(400);
    let ideal = lengths.iter().sum::<u64>() as f64 / 4.0;
    let done = ranks[0].gather(ranks[0].world().map(lengths.clone(), last)).unwrap();
    assert!(done.iter().map(|(_, length)| *length).eq(lengths));
    let mut busy = HashMap::<u32, u64>::new();
    done.iter().for_each(|(rank, length)| *busy.entry(*rank).or_default() += length);
    let longest = *busy.values().max().unwrap() as f64;
    assert!(ideal / longest > 0.8, "{} of ideal, {busy:?}", ideal / longest);
}

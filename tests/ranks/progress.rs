//! Who sees to messages, and who is woken for them.

use std::time::{Duration, Instant};

use heist::{Executor, PinPolicy, Rank};

/// Long enough that whoever waits for it has gone to sleep.
fn late((number,): (u64,)) -> u64 {
    let since = Instant::now();
    while since.elapsed() < Duration::from_micros(300) {
        std::hint::spin_loop();
    }
    number + 1
}

#[test]
fn a_round_trip_between_two_sleepers_wakes_each_once_and_makes_no_thread() {
    const TRIPS: u64 = 300;
    let build = |_| Executor::builder().workers(1).pin(PinPolicy::None);
    let ranks = Executor::in_process_world(2, build).unwrap();
    let ex = ranks[0].clone();
    let trips = ranks[0].submit(move || {
        let world = ex.world();
        for number in 0..TRIPS {
            let answer = world.on(Rank(1)).submit(late, (number,)).result().unwrap();
            assert_eq!(answer, number + 1);
        }
    });
    trips.result().unwrap();
    let stats: Vec<_> = ranks.iter().map(Executor::stats).collect();
    let woken: u64 = stats.iter().map(|stats| stats.ranks_woken).sum();
    // A few more for what else the ranks tell each other.
    assert!(woken <= 2 * TRIPS + TRIPS / 10, "{woken} for {TRIPS}");
    assert!(stats.iter().all(|stats| stats.spare_threads <= 1), "{stats:?}");
}

#[test]
fn a_rank_whose_workers_are_all_busy_still_answers() {
    let build = |_| Executor::builder().workers(1).pin(PinPolicy::None);
    let ranks = Executor::in_process_world(2, build).unwrap();
    let (promise, gate) = ranks[1].promise::<u64>();
    let (held, begun) = std::sync::mpsc::channel();
    // It is busy, and waits for nothing that heist knows of.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = ranks[1].submit(move || {
        held.send(()).unwrap();
        released.recv().unwrap();
    });
    begun.recv().unwrap();
    promise.fulfil(7);
    assert_eq!(gate.result().unwrap(), 7);
    let world = ranks[0].world();
    let queued = world.on(Rank(1)).submit(late, (1_u64,));
    // The message is seen to, by no worker: the task lies in a queue of the other rank.
    let deadline = Instant::now() + Duration::from_secs(30);
    while ranks[1].stats().submitted < 3 {
        assert!(Instant::now() < deadline, "{:?}", ranks[1].stats());
        std::thread::yield_now();
    }
    release.send(()).unwrap();
    busy.result().unwrap();
    assert_eq!(queued.result().unwrap(), 2);
}

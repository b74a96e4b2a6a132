//! Blocked waits: cores handed to spare threads and taken back, executors made and ended in a loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use heist::{Executor, Shutdown};

use crate::{executor, limit, stress, tasks, watchdog};

/// Tasks that wait for promises another thread keeps, many more at once than workers.
#[test]
fn stress_waits_that_hand_their_core_over() {
    for workers in [1, 2] {
        stress(workers, |ex| {
            for _ in 0..(tasks() / 2_000).max(3) {
                let (promises, gates): (Vec<_>, Vec<_>) = (0..100).map(|_| ex.promise::<u64>()).unzip();
                let waits = ex.map(gates, |gate| gate.result().unwrap() + 1);
                let keeper = thread::spawn(move || promises.into_iter().for_each(|promise| promise.fulfil(1)));
                // Others run while all of those wait.
                assert_eq!(ex.submit(|| 5).result().unwrap(), 5);
                assert_eq!(ex.gather(waits).unwrap().into_iter().sum::<u64>(), 200);
                keeper.join().unwrap();
            }
        });
    }
}

/// A relay: each task waits for a promise that the one before keeps, in random order of submission.
#[test]
fn stress_waits_in_a_relay() {
    for workers in [1, 2] {
        stress(workers, |ex| {
            for round in 0..(tasks() / 5_000).max(3) as u64 {
                let (mut promises, gates): (Vec<_>, Vec<_>) = (0..200).map(|_| ex.promise::<u64>()).unzip();
                let start = promises.remove(0);
                let end = gates[199].clone();
                let mut legs: Vec<_> = gates.into_iter().zip(promises).collect();
                fastrand::Rng::with_seed(round).shuffle(&mut legs);
                let legs = ex.map(legs, |(gate, next)| next.fulfil(gate.result().unwrap() + 1));
                start.fulfil(0);
                assert_eq!(end.result().unwrap(), 199);
                ex.gather(legs).unwrap();
            }
        });
    }
}

/// Waits that time out while what they wait for ends.
#[test]
fn stress_waits_that_time_out_at_the_end() {
    stress(2, |ex| {
        let timed_out = Arc::<AtomicUsize>::default();
        for round in 0..(tasks() / 100).max(10) as u64 {
            let (promise, gate) = ex.promise::<u64>();
            let waits = ex.map(0..4, {
                let (gate, timed_out) = (gate.clone(), timed_out.clone());
                move |i| match gate.result_timeout(Duration::from_micros(20 * (i + round % 5))) {
                    Ok(value) => assert_eq!(value, round),
                    Err(error) => {
                        assert!(error.is_timeout());
                        timed_out.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            promise.fulfil(round);
            assert_eq!(gate.result().unwrap(), round);
            ex.gather(waits).unwrap();
        }
    });
}

/// With few spare threads a wait that cannot be helped is given up; the others go on, and so does the executor.
#[test]
fn stress_waits_at_the_cap() {
    watchdog::within(limit(), String::new, || {
        for cap in [0, 1, 3] {
            let ex = Executor::builder().workers(2).max_spare_threads(cap).build().unwrap();
            for _ in 0..3 {
                let (promises, gates): (Vec<_>, Vec<_>) = (0..10).map(|_| ex.promise::<u64>()).unzip();
                let waits = ex.map(gates, |gate| match gate.result() {
                    Ok(value) => value,
                    Err(error) => u64::from(error.is_stalled()),
                });
                let keeper = ex.submit(move || promises.into_iter().for_each(|promise| promise.fulfil(1)));
                assert_eq!(ex.gather(waits).unwrap(), [1; 10]);
                keeper.wait().unwrap();
            }
            ex.shutdown(Shutdown::Wait);
        }
    });
}

#[test]
fn stress_executors_made_and_ended() {
    watchdog::within(limit(), String::new, || {
        for round in 0..(tasks() / 200).max(50) {
            let ex = executor(1 + round % 3);
            let (promise, gate) = ex.promise::<usize>();
            let waits = ex.map(0..8, {
                let gate = gate.clone();
                move |i| gate.result().map(|value| value + i)
            });
            let nested = ex.submit(|| heist::current().unwrap().executor().submit(|| 1).result());
            match round % 4 {
                0 => promise.fulfil(1),
                1 => drop(promise),
                2 => {
                    gate.cancel("the end");
                }
                // The drop of the executor ends the waits of its tasks.
                _ => {
                    thread::spawn(move || drop(promise));
                }
            }
            if round % 8 < 4 {
                ex.shutdown(Shutdown::Wait);
            }
            drop(ex);
            // The nested task may have held the last executor, whose drop then returned without waiting.
            for future in &waits {
                future.wait().unwrap();
            }
            nested.wait().unwrap();
        }
    });
}

//! Iterators that grow while they are read, and waits for some of many.

use std::time::Duration;

use heist::{as_completed, wait_all, wait_any, wait_n_timeout};

use crate::{stress, tasks};

#[test]
fn stress_as_completed_that_grows() {
    for workers in [1, 2] {
        stress(workers, |ex| {
            let (mut seen, mut made) = (0, 64);
            let mut completed = as_completed(ex.map(0..64, |i: usize| i));
            while let Some((future, value)) = completed.next() {
                assert!(future.done() && value.is_ok());
                seen += 1;
                for _ in 0..2 {
                    if made < tasks() {
                        completed.push(ex.submit(move || made));
                        made += 1;
                    }
                }
            }
            assert_eq!(seen, made);
            assert!(completed.ended_early().is_none());
        });
    }
}

#[test]
fn stress_as_completed_cleared_and_filled() {
    stress(2, |ex| {
        let mut completed = as_completed([]);
        for round in 0..tasks() / 10 {
            completed.extend((0..4).map(|i| ex.submit(move || i)));
            completed.clear();
            completed.push(ex.submit(move || round));
            // A task that ended while the iterator was cleared must not pass for the one that was pushed.
            let (_, value) = completed.next().expect("one future is still to be yielded");
            assert_eq!(value.unwrap(), round);
            assert!(completed.next().is_none());
        }
    });
}

#[test]
fn stress_as_completed_within_tasks() {
    stress(2, |ex| {
        let sums = ex.map(0..(tasks() / 100).max(1), |_| {
            let current = heist::current().unwrap();
            as_completed(current.executor().map(0..100_u64, |i| i)).map(|(_, value)| value.unwrap()).sum::<u64>()
        });
        assert!(ex.gather(sums).unwrap().into_iter().all(|sum| sum == 4_950));
    });
}

#[test]
fn stress_waits_for_some() {
    stress(2, |ex| {
        for round in 0..tasks() / 100 {
            let futures = ex.map(0..20, |i: usize| i);
            assert!(!wait_any(&futures).done.is_empty());
            let some = wait_n_timeout(&futures, round % 20, Duration::from_secs(60));
            assert!(some.done.len() >= round % 20 && some.ended_early.is_none());
            assert_eq!(wait_all(&futures).done.len(), 20);
        }
    });
}

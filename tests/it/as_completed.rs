//! Futures in the order in which they end, each push yielded once, while more may be pushed.

use std::time::{Duration, Instant};

use heist::{Executor, TaskFuture, TaskId, as_completed};

use crate::support::{Drops, executor, guard, never};

fn promises(ex: &Executor, count: usize) -> (Vec<heist::Promise<usize>>, Vec<TaskFuture<usize>>) {
    (0..count).map(|_| ex.promise()).unzip()
}

#[test]
fn futures_come_in_the_order_in_which_they_end() {
    guard(|| {
        let ex = executor(1);
        let (mut promises, futures) = promises(&ex, 4);
        let ids: Vec<TaskId> = futures.iter().map(TaskFuture::id).collect();
        let mut completed = as_completed(futures);
        for index in [2, 0, 3, 1] {
            let (other, _) = ex.promise();
            std::mem::replace(&mut promises[index], other).fulfil(index);
            let (future, value) = completed.next().unwrap();
            assert_eq!((future.id(), value.unwrap()), (ids[index], index));
        }
        assert!(completed.next().is_none());
    });
}

#[test]
fn finished_ones_come_first() {
    guard(|| {
        let ex = executor(1);
        let (promise, late) = ex.promise();
        let mut completed = as_completed([late, ex.scatter(1), ex.scatter(2)]);
        assert_eq!(completed.next().unwrap().1.unwrap(), 1);
        assert_eq!(completed.next().unwrap().1.unwrap(), 2);
        assert!(!completed.has_ready());
        promise.fulfil(3);
        assert_eq!(completed.next().unwrap().1.unwrap(), 3);
    });
}

#[test]
fn nothing_ends_at_once() {
    guard(|| {
        let mut completed = as_completed(Vec::<TaskFuture<i32>>::new());
        assert!(completed.is_empty() && completed.next().is_none() && completed.ended_early().is_none());
        assert!(completed.next_batch(true).is_empty());
        assert_eq!(completed.batches().count(), 0);
    });
}

#[test]
fn failed_and_cancelled_ones_are_yielded() {
    guard(|| {
        let ex = executor(2);
        let (_p, cancelled) = never::<i32>(&ex);
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        let failed = ex.submit_result(|| Err::<i32, _>("failed"));
        let dependent = ex.submit_after(&bad, |n| *n);
        let mut completed = as_completed([cancelled.clone(), bad, failed, dependent, ex.submit(|| 1)]);
        cancelled.cancel("gone");
        let results: Vec<_> = completed.by_ref().map(|(_, result)| result).collect();
        assert_eq!(results.len(), 5);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let count =
            |of: fn(&heist::TaskError) -> bool| results.iter().flat_map(|r| r.as_ref().err()).filter(|e| of(e)).count();
        assert_eq!(count(heist::TaskError::is_cancelled), 1);
        assert_eq!(count(heist::TaskError::is_panic), 2);
        assert_eq!(count(heist::TaskError::is_failed), 1);
        assert!(completed.ended_early().is_none());
    });
}

#[test]
fn it_grows_while_it_is_read() {
    guard(|| {
        let ex = executor(2);
        let mut completed = as_completed([ex.submit(|| 0)]);
        let mut seen = Vec::new();
        while let Some((_, value)) = completed.next() {
            let value = value.unwrap();
            seen.push(value);
            if value < 100 {
                completed.push(ex.submit(move || value + 1));
            }
        }
        assert_eq!(seen, (0..=100).collect::<Vec<_>>());
        completed.extend(ex.map(0..5, |n| n));
        assert_eq!(completed.count(), 5, "it may go on after it was at its end");
    });
}

#[test]
fn a_future_is_yielded_once_for_each_push() {
    guard(|| {
        let ex = executor(1);
        let (promise, late) = ex.promise();
        let done = ex.scatter(1);
        let mut completed = as_completed([late.clone(), done.clone(), late.clone(), done.clone()]);
        completed.push(late.clone());
        assert_eq!(completed.len(), 5);
        promise.fulfil(2);
        let values: Vec<i32> = completed.map(|(_, value)| value.unwrap()).collect();
        assert_eq!(values.iter().filter(|&&value| value == 1).count(), 2);
        assert_eq!(values.iter().filter(|&&value| value == 2).count(), 3);
    });
}

#[test]
fn length_and_emptiness_keep_track() {
    guard(|| {
        let ex = executor(1);
        let (promise, late) = ex.promise();
        let mut completed = as_completed([ex.scatter(1)]);
        assert!(completed.has_ready() && !completed.is_empty());
        completed.push(late);
        assert_eq!(completed.len(), 2);
        completed.next().unwrap().1.unwrap();
        assert!(completed.len() == 1 && !completed.has_ready());
        promise.fulfil(2);
        assert!(completed.has_ready());
        completed.next().unwrap().1.unwrap();
        assert!(completed.is_empty() && !completed.has_ready());
    });
}

#[test]
fn cleared_it_ends_and_lets_go() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (_p, never) = never::<()>(&ex);
        let piece = drops.piece();
        let held = ex.submit_after(&never, move |()| drop(piece));
        let ready = ex.scatter(());
        let mut completed = as_completed([held, never, ready]);
        assert_eq!(drops.count(), 0);
        completed.clear();
        assert_eq!(drops.count(), 1, "nobody else wanted it");
        assert!(completed.is_empty() && !completed.has_ready() && completed.next().is_none());
        completed.push(ex.submit(|| ()));
        assert_eq!(completed.count(), 1, "and it can be filled anew");
    });
}

#[test]
fn after_a_clear_what_ends_late_is_not_yielded() {
    guard(|| {
        let ex = executor(1);
        let (promise, old) = ex.promise();
        let mut completed = as_completed([old.clone()]);
        completed.clear();
        let (second, new) = ex.promise();
        completed.push(new.clone());
        promise.fulfil(1);
        assert!(!completed.has_ready());
        second.fulfil(2);
        assert_eq!(completed.next().unwrap().0.id(), new.id());
        assert!(completed.next().is_none());
    });
}

#[test]
fn batches_have_all_that_is_ready() {
    guard(|| {
        let ex = executor(1);
        let (promise, late) = ex.promise();
        let mut completed = as_completed([late]);
        assert!(completed.next_batch(false).is_empty(), "nothing is ready");
        completed.extend((0..5).map(|n| ex.scatter(n)));
        assert_eq!(completed.next_batch(true).len(), 5);
        promise.fulfil(9);
        let batch = completed.next_batch(true);
        assert_eq!(batch.len(), 1);
        assert_eq!(*batch[0].1.as_ref().unwrap(), 9);
        assert!(completed.next_batch(true).is_empty());
        let sizes: Vec<_> = as_completed(ex.map(0..100, |n| n)).batches().map(|batch| batch.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 100);
        assert!(sizes.iter().all(|&size| size > 0));
    });
}

#[test]
fn a_deadline_ends_it_only_when_nothing_is_ready() {
    guard(|| {
        let ex = executor(1);
        let (promise, late) = ex.promise();
        let ready: Vec<_> = (0..3).map(|n| ex.scatter(n)).collect();
        let mut completed = as_completed(std::iter::once(late).chain(ready)).deadline(Instant::now());
        assert_eq!(completed.by_ref().count(), 3, "the time was over, but these were ready");
        assert!(completed.ended_early().unwrap().is_timeout());
        assert_eq!(completed.len(), 1);
        promise.fulfil(3);
        assert_eq!(completed.next().unwrap().1.unwrap(), 3, "ready now");
    });
}

#[test]
fn the_deadline_is_for_the_whole_not_for_an_item() {
    guard(|| {
        let ex = executor(1);
        let (_p, never) = never::<i32>(&ex);
        let deadline = Instant::now() + Duration::from_millis(50);
        let mut completed = as_completed([ex.scatter(1), never]).deadline(deadline);
        completed.next().unwrap().1.unwrap();
        assert!(completed.next().is_none());
        assert!(Instant::now() >= deadline);
        let batches = as_completed([ex.scatter(1), ex.promise().1]).deadline(Instant::now()).batches();
        assert!(batches.count() >= 1);
    });
}

#[test]
fn it_may_be_read_within_a_task_on_one_worker() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let sum = ex.submit(move || {
            let mut completed = as_completed(inner.map(0..100_u64, |n| n));
            let mut sum = 0;
            while let Some((_, value)) = completed.next() {
                sum += value.unwrap();
                if sum % 7 == 0 && sum < 1000 {
                    completed.push(inner.submit(|| 1));
                }
            }
            sum
        });
        assert!(sum.result().unwrap() >= 4950);
    });
}

#[test]
fn ten_thousand_come_once_each() {
    guard(|| {
        let ex = executor(2);
        let mut seen = vec![0; 10_000];
        for (_, value) in as_completed(ex.map(0..10_000_usize, |n| n)) {
            seen[value.unwrap()] += 1;
        }
        assert!(seen.iter().all(|&times| times == 1));
    });
}

#[test]
fn it_may_be_moved_to_another_thread() {
    guard(|| {
        let ex = executor(1);
        let completed = as_completed(ex.map(0..10, |n| n));
        let count = std::thread::spawn(move || completed.count());
        assert_eq!(count.join().unwrap(), 10);
    });
}

//! Bounded submission: never more unfinished than allowed, and no deadlock wherever it is used.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use heist::{Bounded, Executor};

use crate::support::{Drops, busy, executor, guard, running, until};

fn without_spares(workers: usize) -> Executor {
    Executor::builder().workers(workers).max_spare_threads(0).build().unwrap()
}

/// A task of `bounded` that has begun and ends with the sender.
fn held(bounded: &Bounded) -> (mpsc::Sender<()>, heist::TaskFuture<()>) {
    let (started, is_started) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let task = bounded.submit(move || {
        let _ = started.send(());
        let _ = ends.recv();
    });
    is_started.recv().unwrap();
    (end, task.unwrap())
}

#[test]
fn whoever_submits_waits_for_room() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(3);
        let most = AtomicUsize::new(0);
        let futures: Vec<_> = (0..500)
            .map(|i| {
                let future = bounded.submit(move || i).unwrap();
                most.fetch_max(bounded.unfinished(), Ordering::Relaxed);
                future
            })
            .collect();
        assert_eq!(ex.gather(futures).unwrap(), (0..500).collect::<Vec<_>>());
        assert!(most.into_inner() <= 3);
        until("all room is given back", || bounded.unfinished() == 0);
        assert_eq!((bounded.limit(), ex.bounded(0).limit()), (3, 1));
    });
}

#[test]
fn a_worker_that_submits_makes_progress_even_if_it_is_the_only_one() {
    guard(|| {
        for limit in [1, 2, 7] {
            let ex = without_spares(1);
            let (bounded, other) = (ex.bounded(limit), ex.clone());
            let outer = ex.submit(move || {
                let futures: Vec<_> = (0..200)
                    .map(|i| {
                        // Others' tasks lie in between.
                        other.submit(|| ()).detach();
                        bounded.submit(move || i).unwrap()
                    })
                    .collect();
                futures.iter().map(|future| future.result().unwrap()).sum::<usize>()
            });
            assert_eq!(outer.result().unwrap(), 199 * 100);
        }
    });
}

#[test]
fn tasks_of_the_bound_may_submit_to_it_unless_all_do() {
    guard(|| {
        let ex = without_spares(1);
        let bounded = ex.bounded(2);
        let inner = bounded.clone();
        let sum = move || (0..10).map(|i| inner.submit(move || i).unwrap().result().unwrap()).sum::<i32>();
        assert_eq!(bounded.submit(sum).unwrap().result().unwrap(), 45);
        let alone = ex.bounded(1);
        let inner = alone.clone();
        let outer = alone.submit(move || inner.submit(|| 1).unwrap_err()).unwrap();
        assert!(outer.result().unwrap().is_deadlock());
    });
}

#[test]
fn the_last_of_those_that_wait_for_each_other_is_told() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(2);
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let outer: Vec<_> = (0..2)
            .map(|_| {
                let (inner, barrier) = (bounded.clone(), barrier.clone());
                let submit = move || {
                    barrier.wait();
                    inner.submit(|| 1).map(|future| future.result().unwrap())
                };
                bounded.submit(submit).unwrap()
            })
            .collect();
        let results: Vec<_> = outer.iter().map(|future| future.result().unwrap()).collect();
        assert_eq!(
            results.iter().filter(|result| result.as_ref().is_err_and(heist::TaskError::is_deadlock)).count(),
            1
        );
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    });
}

#[test]
fn trying_and_timeouts_leave_no_trace() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(1);
        let (end, task) = held(&bounded);
        let refused = bounded.try_submit(|| 1).unwrap_err();
        assert!(bounded.submit_timeout(Duration::ZERO, || 1).unwrap_err().is_timeout());
        assert!(bounded.submit_timeout(Duration::from_millis(2), || 1).unwrap_err().is_timeout());
        drop(end);
        task.result().unwrap();
        until("there is room", || bounded.unfinished() == 0);
        assert_eq!(bounded.submit_timeout(Duration::ZERO, refused).unwrap().result().unwrap(), 1);
        until("there is room", || bounded.unfinished() == 0);
    });
}

#[test]
fn who_came_first_is_first() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(1);
        let (end, _task) = held(&bounded);
        let (order, ordered) = mpsc::channel();
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (waiting, order) = (bounded.clone(), order.clone());
                let thread = thread::spawn(move || {
                    waiting.submit(move || order.send(number).unwrap()).unwrap().result().unwrap();
                });
                let looks = format!("line: {}", number + 1);
                until("it waits", || format!("{bounded:?}").contains(&looks));
                thread
            })
            .collect();
        drop(end);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ordered.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    });
}

#[test]
fn awaited_submission_waits_and_can_be_given_up() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(1);
        let (end, _task) = held(&bounded);
        let (first, second) = (bounded.clone(), bounded.clone());
        let given_up = ex.spawn(async move { first.submit_async(|| unreachable!("given up")).await.await });
        until("it waits", || format!("{bounded:?}").contains("line: 1"));
        let kept = ex.spawn(async move { second.submit_async(|| 2).await.await });
        until("it waits", || format!("{bounded:?}").contains("line: 2"));
        given_up.cancel("no longer needed");
        until("it is out of the line", || format!("{bounded:?}").contains("line: 1"));
        drop(end);
        assert_eq!(kept.result().unwrap().unwrap(), 2);
        until("there is room", || bounded.unfinished() == 0);
    });
}

#[test]
fn a_task_that_is_released_or_cancelled_makes_room() {
    guard(|| {
        let ex = executor(1);
        let bounded = ex.bounded(1);
        let hold = busy(&ex);
        let drops = Drops::default();
        let piece = drops.piece();
        drop(bounded.submit(move || drop(piece)).unwrap());
        assert_eq!((drops.count(), bounded.unfinished()), (1, 0));
        let cancelled = bounded.submit(|| 1).unwrap();
        assert_eq!(bounded.unfinished(), 1);
        cancelled.cancel("no");
        assert_eq!(bounded.unfinished(), 0);
        let moved = bounded.submit(|| std::cell::Cell::new(3)).unwrap();
        drop(hold);
        assert_eq!(moved.into_result().unwrap().unwrap().get(), 3);
    });
}

#[test]
fn a_cancelled_task_stops_waiting_for_room() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(1);
        let (end, _task) = held(&bounded);
        let (inner, (told, is_told)) = (bounded.clone(), mpsc::channel());
        let waits = ex.submit(move || told.send(inner.submit(|| 1).map(|_| ())).unwrap());
        until("it waits", || format!("{bounded:?}").contains("line: 1"));
        waits.cancel("no");
        assert!(is_told.recv().unwrap().unwrap_err().is_cancelled());
        drop(end);
        until("there is room", || bounded.unfinished() == 0);
    });
}

#[test]
fn the_end_of_the_executor_ends_the_wait() {
    guard(|| {
        let ex = executor(1);
        let bounded = ex.bounded(1);
        let (end, blocks) = running(&ex, ());
        let first = bounded.submit(|| 1).unwrap();
        let waiting = bounded.clone();
        let waits = thread::spawn(move || waiting.submit(|| 2));
        until("it waits", || format!("{bounded:?}").contains("line: 1"));
        let closer = ex.clone();
        let closing = thread::spawn(move || closer.close());
        until("the executor closes", || ex.submit(|| ()).done());
        drop(end);
        closing.join().unwrap();
        assert!(first.done() && blocks.done());
        let ended = waits.join().unwrap();
        assert!(ended.is_err() || ended.is_ok_and(|future| future.cancelled()));
    });
}

/// That nobody holds a future of the task does not free its room before it ends.
#[test]
fn who_waits_for_room_that_only_he_has_is_told_so_with_or_without_a_future() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(1);
        for is_held in [true, false] {
            let (started, is_started) = mpsc::channel();
            let (go, may_go) = mpsc::channel::<()>();
            let (inner, (told, is_told)) = (bounded.clone(), mpsc::channel());
            let task = bounded.submit(move || {
                started.send(()).unwrap();
                let _ = may_go.recv();
                told.send(inner.submit(|| 1).map(|_| ())).unwrap();
            });
            is_started.recv().unwrap();
            let held = task.ok().filter(|_| is_held);
            drop(go);
            assert!(is_told.recv().unwrap().unwrap_err().is_deadlock());
            drop(held);
        }
    });
}

/// A waker that looks at what it is to wake for when it is dropped.
struct Looks(Bounded);

impl std::task::Wake for Looks {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Looks {
    fn drop(&mut self) {
        let _ = self.0.unfinished();
    }
}

#[test]
fn wakers_are_dropped_where_they_may_look_at_the_bound() {
    guard(|| {
        let ex = executor(1);
        let bounded = ex.bounded(1);
        let (end, _task) = held(&bounded);
        let mut waits = std::pin::pin!(bounded.submit_async(|| 1));
        for _ in 0..3 {
            let waker = Arc::new(Looks(bounded.clone())).into();
            assert!(waits.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        }
        drop(end);
    });
}

#[test]
fn tasks_that_panic_or_fail_make_room_like_any_other() {
    guard(|| {
        let ex = executor(2);
        let bounded = ex.bounded(2);
        let mut futures = Vec::new();
        for i in 0..300 {
            futures.push(match i % 3 {
                0 => bounded.submit(move || -> usize { panic!("{i}") }).unwrap(),
                1 => bounded.submit_result(move || Err::<usize, _>(i.to_string())).unwrap(),
                _ => bounded.submit(move || i).unwrap(),
            });
            assert!(bounded.unfinished() <= 2);
        }
        for (i, future) in futures.iter().enumerate() {
            match (i % 3, future.result()) {
                (0, Err(error)) => assert_eq!(error.panic_message(), Some(i.to_string().as_str())),
                (1, Err(error)) => assert!(error.is_failed() && error.to_string().contains(&i.to_string())),
                (2, Ok(value)) => assert_eq!(value, i),
                (_, other) => panic!("{i}: {other:?}"),
            }
        }
        until("all room is given back", || bounded.unfinished() == 0);
    });
}

//! Variables, events, barriers.

use std::future::poll_fn;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use heist::{Barrier, Event, TaskFuture, Variable};

use crate::support::{Count, Drops, busy, executor, guard};
use crate::sync_support::{ByHand, LONG, SHORT, blocked, times_out};

#[test]
fn a_variable_is_set_and_got_across_handles_and_tasks() {
    guard(|| {
        let ex = executor(1);
        let (a, b) = (ex.variable::<i32>("x").unwrap(), ex.variable::<i32>("x").unwrap());
        assert_eq!((a.try_get(), a.is_set()), (None, false));
        a.set(1);
        assert_eq!(b.get().unwrap(), 1);
        let inner = ex.clone();
        ex.submit(move || inner.variable("x").unwrap().set(2)).wait().unwrap();
        assert_eq!((a.get().unwrap(), a.get_timeout(Duration::ZERO).unwrap()), (2, 2));
    });
}

#[test]
fn who_gets_before_the_first_set_waits_for_it_and_gets_it_even_if_it_is_deleted_right_after() {
    guard(|| {
        let ex = executor(1);
        let variable = Variable::new();
        let task = blocked(&ex, {
            let variable = variable.clone();
            move || variable.get()
        });
        let mut waiting = ByHand::waiting(variable.get_async());
        variable.set(1);
        variable.delete();
        assert_eq!((task.result().unwrap().unwrap(), waiting.ready().unwrap()), (1, 1));
        let mut next = ByHand::waiting(variable.get_async());
        variable.set(2);
        assert_eq!(next.ready().unwrap(), 2);
    });
}

#[test]
fn an_unset_variable_times_out_and_may_be_deleted() {
    guard(|| {
        let variable = Variable::<i32>::new();
        variable.delete();
        times_out(|time| variable.get_timeout(time));
        assert!(variable.get_timeout(Duration::ZERO).unwrap_err().is_timeout());
        variable.set(1);
        variable.delete();
        variable.delete();
        times_out(|time| variable.get_timeout(time));
    });
}

#[test]
fn a_variable_keeps_its_future_until_another_takes_its_place() {
    guard(|| {
        let ex = executor(1);
        let variable = ex.variable::<TaskFuture<i32>>("x").unwrap();
        let gate = busy(&ex);
        let ran = Count::default();
        let counting = || {
            let ran = ran.clone();
            ex.submit(move || i32::try_from(ran.add()).unwrap())
        };
        variable.set(counting());
        variable.set(counting());
        drop(gate);
        assert_eq!(variable.get().unwrap().result().unwrap(), 1, "the first was released and never ran");
    });
}

#[test]
fn values_are_dropped_once_and_the_last_with_the_variable() {
    guard(|| {
        let drops = Drops::default();
        let variable = Variable::new();
        variable.set(drops.piece());
        variable.set(drops.piece());
        assert_eq!(drops.count(), 1);
        drop((variable.watch(), variable.clone()));
        assert_eq!(drops.count(), 1);
        drop(variable);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn set_and_get_at_once_are_safe() {
    guard(|| {
        let ex = executor(2);
        let variable = Variable::new();
        let setters = ex.map(0..4_u64, {
            let variable = variable.clone();
            move |n| (0..500).for_each(|_| variable.set((n, n * n)))
        });
        let getters = ex.map(0..4, {
            let variable = variable.clone();
            move |_| (0..500).all(|_| variable.get().is_ok_and(|(n, square)| square == n * n))
        });
        assert!(ex.gather(getters).unwrap().into_iter().all(|whole| whole));
        ex.gather(setters).unwrap();
    });
}

#[test]
fn a_watch_sees_the_newest_value_once() {
    guard(|| {
        let ex = executor(1);
        let variable = Variable::new();
        let mut watch = variable.watch();
        assert_eq!(watch.try_next(), None);
        times_out(|time| watch.next_timeout(time));
        variable.set(1);
        variable.set(2);
        assert_eq!((watch.next().unwrap(), watch.try_next()), (2, None));
        assert!(watch.next_timeout(Duration::ZERO).unwrap_err().is_timeout());
        let last = ex.submit(move || {
            std::iter::repeat_with(|| watch.next().unwrap()).inspect(|n| assert!(*n > 2)).find(|n| *n == 100).unwrap()
        });
        (3..=100).for_each(|n| variable.set(n));
        assert_eq!(last.result().unwrap(), 100);
        let mut late = variable.watch();
        assert_eq!(late.next().unwrap(), 100, "beginning with the one there is");
        let mut next = ByHand::waiting(async move { poll_fn(|cx| Pin::new(&mut late).poll_next(cx)).await });
        variable.set(101);
        assert_eq!(next.ready(), Some(101));
    });
}

#[test]
fn an_event_is_clear_at_birth_and_may_be_set_and_cleared_again() {
    guard(|| {
        let event = Event::new();
        assert!(!event.is_set());
        for _ in 0..2 {
            assert!(!event.wait_timeout(Duration::ZERO).unwrap());
            event.set();
            event.set();
            assert!(event.is_set() && event.wait_timeout(Duration::ZERO).unwrap());
            event.wait().unwrap();
            event.clear();
            event.clear();
        }
        assert!(!event.wait_timeout(SHORT).unwrap(), "false, not an error");
    });
}

#[test]
fn all_who_wait_go_on_also_if_it_is_cleared_right_after() {
    guard(|| {
        let ex = executor(1);
        let event = ex.event("go").unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let event = event.clone();
                blocked(&ex, move || event.wait())
            })
            .collect();
        let outside = thread::spawn({
            let event = event.clone();
            move || event.wait_timeout(LONG)
        });
        let mut waiting = ByHand::waiting(event.wait_async());
        let dropped = ByHand::waiting(event.wait_async());
        drop(dropped);
        ex.event("go").unwrap().set();
        event.clear();
        waiting.ready().unwrap();
        assert!(ex.gather(tasks).unwrap().into_iter().all(|waited| waited.is_ok()));
        event.set();
        assert!(outside.join().unwrap().unwrap());
    });
}

#[test]
fn nobody_passes_a_barrier_before_all_have_come_and_one_is_the_last() {
    guard(|| {
        for workers in [1, 3] {
            let ex = executor(workers);
            let (barrier, come) = (Barrier::new(5), Count::default());
            let tasks = ex.map(0..5, {
                let (barrier, come) = (barrier.clone(), come.clone());
                move |_| {
                    (1..=10)
                        .filter(|round| {
                            come.add();
                            let is_last = barrier.wait().unwrap();
                            assert!(come.get() >= round * 5);
                            barrier.wait().unwrap();
                            is_last
                        })
                        .count()
                }
            });
            assert_eq!(ex.gather(tasks).unwrap().into_iter().sum::<usize>(), 10);
            assert_eq!(barrier.waiting(), 0);
        }
    });
}

#[test]
fn who_gives_up_at_a_barrier_has_not_come() {
    guard(|| {
        let barrier = Barrier::new(2);
        times_out(|time| barrier.wait_timeout(time));
        assert!(barrier.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
        let gone = ByHand::waiting(barrier.wait_async());
        assert_eq!(barrier.waiting(), 1);
        drop(gone);
        assert_eq!(barrier.waiting(), 0);
        let mut first = ByHand::waiting(barrier.wait_async());
        assert!(barrier.wait_timeout(Duration::ZERO).unwrap(), "the last one passes at once");
        assert!(!first.ready().unwrap());
        assert!(Barrier::new(0).wait().unwrap(), "0 is like 1");
    });
}

#[test]
fn a_future_in_a_variable_outlives_the_task_that_set_it_and_goes_with_a_delete() {
    guard(|| {
        let ex = executor(2);
        let variable = ex.variable::<TaskFuture<i32>>("x").unwrap();
        let (promise, gate) = ex.promise::<i32>();
        let producer = ex.submit({
            let ex = ex.clone();
            move || ex.variable("x").unwrap().set(ex.submit_after(&gate, |n| n + 1))
        });
        producer.into_result().unwrap().unwrap();
        promise.fulfil(1);
        let reader = ex.clone();
        let read = ex.submit(move || reader.variable::<TaskFuture<i32>>("x").unwrap().get().unwrap().result());
        assert_eq!(read.result().unwrap().unwrap(), 2);
        let (drops, (_promise, never)) = (Drops::default(), ex.promise::<i32>());
        let piece = drops.piece();
        let waits = move |n: &i32| {
            let _piece = &piece;
            *n
        };
        variable.set(ex.submit_after(&never, waits));
        assert_eq!(drops.count(), 0);
        variable.delete();
        assert_eq!(drops.count(), 1, "nobody wanted it any more");
    });
}

//! Locks, sets of locks, semaphores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use heist::{Executor, Lock, MultiLock, Semaphore};

use crate::support::{Count, SOON, busy, executor, guard, until};
use crate::sync_support::{ByHand, LONG, SHORT, blocked, times_out};

#[test]
fn of_twenty_tasks_never_two_are_inside() {
    guard(|| {
        for workers in [1, 2, 4] {
            let ex = executor(workers);
            let (inside, most) = (Count::default(), Count::default());
            let tasks = ex.map(0..20, {
                let (ex, inside, most) = (ex.clone(), inside.clone(), most.clone());
                move |_| {
                    let _guard = ex.lock("x").unwrap().lock().unwrap();
                    most.max(inside.add());
                    thread::yield_now();
                    inside.sub();
                }
            });
            ex.gather(tasks).unwrap();
            assert_eq!((most.get(), inside.get()), (1, 0));
        }
    });
}

#[test]
fn a_count_under_a_lock_is_exact_among_tasks_threads_and_async_tasks() {
    guard(|| {
        const EACH: usize = 2_000;
        let ex = executor(2);
        let lock = Lock::new();
        // Not atomic: the lock makes it exact.
        let counted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let add = {
            let counted = counted.clone();
            move || {
                let seen = counted.load(std::sync::atomic::Ordering::Relaxed);
                counted.store(seen + 1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (lock, add) = (lock.clone(), add.clone());
                thread::spawn(move || {
                    for _ in 0..EACH {
                        let _guard = lock.lock().unwrap();
                        add();
                    }
                })
            })
            .collect();
        let tasks = ex.map(0..2, {
            let (lock, add) = (lock.clone(), add.clone());
            move |_| {
                for _ in 0..EACH {
                    let _guard = lock.lock().unwrap();
                    add();
                }
            }
        });
        let asyncs: Vec<_> = (0..2)
            .map(|_| {
                let (lock, add) = (lock.clone(), add.clone());
                ex.spawn(async move {
                    for _ in 0..EACH {
                        let _guard = lock.lock_async().await.unwrap();
                        add();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        ex.gather((tasks, asyncs)).unwrap();
        assert_eq!(counted.load(std::sync::atomic::Ordering::Relaxed), 6 * EACH);
        assert!(!lock.is_locked());
    });
}

#[test]
fn the_first_to_come_gets_it_first() {
    guard(|| {
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let mut waiting: Vec<_> = (0..5).map(|_| ByHand::waiting(lock.lock_async())).collect();
        drop(held);
        assert!(lock.try_lock().is_none(), "nobody gets in between");
        for index in 0..5 {
            let woken = waiting.iter().filter(|one| one.woken.times() > 0).count();
            assert_eq!(woken, index + 1, "one at a time");
            drop(waiting[index].ready().unwrap());
        }
        assert!(!lock.is_locked());
    });
}

#[test]
fn threads_tasks_and_async_tasks_stand_in_one_line() {
    guard(|| {
        let ex = executor(1);
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let (order, seen) = mpsc::channel();
        let task = blocked(&ex, {
            let (lock, order) = (lock.clone(), order.clone());
            move || {
                let _guard = lock.lock().unwrap();
                order.send("task").unwrap();
            }
        });
        let spawned = ex.spawn({
            let (lock, order) = (lock.clone(), order.clone());
            async move {
                let _guard = lock.lock_async().await.unwrap();
                order.send("async").unwrap();
            }
        });
        // In line after this.
        ex.submit(|| ()).wait().unwrap();
        let mut last = ByHand::waiting(lock.lock_async());
        drop(held);
        task.wait().unwrap();
        spawned.wait().unwrap();
        until("the last was told", || last.woken.times() > 0);
        drop(last.ready());
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["task", "async"]);
    });
}

#[test]
fn a_held_lock_is_not_had_in_time_and_a_time_of_zero_tries_once() {
    guard(|| {
        let lock = Lock::new();
        let guard = lock.lock_timeout(Duration::ZERO).unwrap();
        assert!(lock.lock_timeout(Duration::ZERO).unwrap_err().is_timeout());
        assert!(lock.try_lock().is_none());
        times_out(|time| lock.lock_timeout(time));
        guard.unlock();
        assert!(lock.lock_timeout(LONG).is_ok());
        assert!(lock.try_lock().is_some(), "those who gave up left the line");
    });
}

#[test]
fn another_handle_of_the_name_cannot_have_it_in_ten_milliseconds() {
    guard(|| {
        let ex = executor(2);
        let _held = ex.lock("x").unwrap().lock().unwrap();
        let inner = ex.clone();
        let task = ex.submit(move || inner.lock("x").unwrap().lock_timeout(Duration::from_millis(10)).is_err());
        assert!(task.result().unwrap());
    });
}

#[test]
fn a_guard_may_be_dropped_anywhere_and_outlives_every_handle() {
    guard(|| {
        let ex = executor(1);
        let guard = ex.lock("x").unwrap().lock().unwrap();
        assert!(ex.lock("x").unwrap().is_locked(), "the guard keeps the name");
        ex.submit(move || drop(guard)).wait().unwrap();
        assert!(!ex.lock("x").unwrap().is_locked());
        let lock = Lock::new();
        let guard = lock.lock().unwrap();
        drop(lock);
        thread::spawn(move || guard.unlock()).join().unwrap();
    });
}

#[test]
fn a_panic_while_it_is_held_gives_it_back() {
    guard(|| {
        let ex = executor(1);
        let (lock, semaphore) = (Lock::new(), Semaphore::new(2).unwrap());
        let task = ex.submit({
            let (lock, semaphore) = (lock.clone(), semaphore.clone());
            move || {
                let _held = (lock.lock().unwrap(), semaphore.acquire_many(2).unwrap());
                panic!("inside");
            }
        });
        assert!(task.into_result().unwrap().unwrap_err().is_panic());
        assert!(!lock.is_locked());
        assert_eq!(semaphore.available(), 2);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _held = MultiLock::new([&lock]).lock().unwrap();
            panic!("inside");
        }));
        assert!(caught.is_err() && !lock.is_locked());
    });
}

#[test]
fn a_dropped_async_wait_leaves_no_trace_and_passes_on_what_it_had() {
    guard(|| {
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let first = ByHand::waiting(lock.lock_async());
        let second = ByHand::waiting(lock.lock_async());
        let mut third = ByHand::waiting(lock.lock_async());
        drop(second);
        drop(held);
        assert_eq!(third.woken.times(), 0);
        assert!(first.woken.times() > 0);
        // It has been given the lock, and nobody asks it.
        drop(first);
        drop(third.ready().unwrap());
        assert!(lock.try_lock().is_some());
        // Never polled: never in line.
        let unpolled = lock.lock_async();
        let held = lock.lock().unwrap();
        drop(unpolled);
        drop(held);
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn never_more_than_two_of_many_tasks_are_inside() {
    guard(|| {
        let ex = executor(4);
        let semaphore = Semaphore::new(2).unwrap();
        let (inside, most) = (Count::default(), Count::default());
        let tasks = ex.map(0..100, {
            let (semaphore, inside, most) = (semaphore.clone(), inside.clone(), most.clone());
            move |_| {
                let _permit = semaphore.acquire().unwrap();
                most.max(inside.add());
                thread::yield_now();
                inside.sub();
            }
        });
        ex.gather(tasks).unwrap();
        assert!(most.get() <= 2);
        assert_eq!((semaphore.value(), semaphore.available()), (0, 2));
    });
}

#[test]
fn the_counts_of_a_semaphore_are_right() {
    let semaphore = Semaphore::new(5).unwrap();
    let one = semaphore.acquire().unwrap();
    let three = semaphore.acquire_many(3).unwrap();
    assert_eq!((semaphore.value(), semaphore.available(), three.count()), (4, 1, 3));
    assert!(semaphore.try_acquire_many(2).unwrap().is_none());
    let last = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.value(), 5);
    three.release();
    assert_eq!(semaphore.value(), 2);
    drop((one, last));
    assert_eq!((semaphore.value(), semaphore.permits()), (0, 5));
    let none = Semaphore::new(0).unwrap();
    assert!(none.try_acquire().unwrap_err().is_impossible());
}

#[test]
fn what_can_never_be_had_is_an_error_at_once() {
    let semaphore = Semaphore::new(2).unwrap();
    for count in [0, 3, usize::MAX] {
        assert!(semaphore.acquire_many(count).unwrap_err().is_impossible());
        assert!(semaphore.try_acquire_many(count).unwrap_err().is_impossible());
        assert!(semaphore.acquire_many_timeout(count, LONG).unwrap_err().is_impossible());
        assert!(ByHand::new(semaphore.acquire_many_async(count)).poll().unwrap().unwrap_err().is_impossible());
    }
    assert!(Semaphore::new(1 << 33).unwrap_err().is_setting());
    let set = MultiLock::new([&Lock::new()]);
    assert!(set.lock_any(2).unwrap_err().is_impossible());
}

#[test]
fn a_permit_is_not_had_in_time_and_a_time_of_zero_tries_once() {
    guard(|| {
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.acquire_timeout(Duration::ZERO).unwrap();
        assert!(semaphore.acquire_timeout(Duration::ZERO).unwrap_err().is_timeout());
        times_out(|time| semaphore.acquire_timeout(time));
        drop(held);
        assert!(semaphore.acquire_timeout(SHORT).is_ok());
    });
}

#[test]
fn who_wants_many_is_not_overtaken_and_who_gives_up_holds_nobody_up() {
    guard(|| {
        let semaphore = Semaphore::new(3).unwrap();
        let held = semaphore.acquire_many(2).unwrap();
        let mut many = ByHand::waiting(semaphore.acquire_many_async(3));
        let mut one = ByHand::waiting(semaphore.acquire_async());
        assert!(semaphore.try_acquire().unwrap().is_none(), "one is free, but others came first");
        drop(held);
        let all = many.ready().unwrap();
        assert_eq!(one.woken.times(), 0);
        drop(all);
        let held = one.ready().unwrap();
        let many = ByHand::waiting(semaphore.acquire_many_async(3));
        let mut two = ByHand::waiting(semaphore.acquire_many_async(2));
        drop(many);
        assert_eq!(two.ready().unwrap().count(), 2);
        drop(held);
    });
}

#[test]
fn a_closed_semaphore_tells_those_who_wait_and_those_who_come_and_takes_permits_back() {
    guard(|| {
        let ex = executor(1);
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.acquire().unwrap();
        let mut waiting = ByHand::waiting(semaphore.acquire_async());
        let task = blocked(&ex, {
            let semaphore = semaphore.clone();
            move || semaphore.acquire().map(drop)
        });
        assert_eq!(semaphore.close(), 1, "one is held");
        assert!(waiting.ready().unwrap_err().is_closed());
        assert!(task.result().unwrap().unwrap_err().is_closed());
        assert!(semaphore.try_acquire().unwrap_err().is_closed());
        assert!(semaphore.acquire_timeout(LONG).unwrap_err().is_closed());
        drop(held);
        assert_eq!((semaphore.close(), semaphore.is_closed()), (0, true));
    });
}

#[test]
fn overlapping_sets_of_locks_never_block_each_other_for_ever() {
    guard(|| {
        let ex = executor(4);
        let locks: Vec<_> = (0..5).map(|_| Lock::new()).collect();
        let inside: Vec<_> = (0..5).map(|_| Count::default()).collect();
        let tasks = ex.map(0..400_usize, {
            let (locks, inside) = (locks.clone(), inside.clone());
            move |seed| {
                let order = [seed % 5, (seed * 3 + 1) % 5, (seed * 7 + 2) % 5];
                let set = MultiLock::new(order.map(|index| &locks[index]));
                let count = 1 + seed % set.len();
                let held = set.lock_any(count).unwrap();
                assert_eq!(held.len(), count);
                for (lock, inside) in locks.iter().zip(&inside).filter(|(lock, _)| held.holds(lock)) {
                    assert!(lock.is_locked());
                    assert_eq!(inside.add(), 1);
                }
                thread::yield_now();
                inside.iter().zip(&locks).filter(|(_, lock)| held.holds(lock)).for_each(|(inside, _)| inside.sub());
            }
        });
        ex.gather(tasks).unwrap();
        assert!(locks.iter().all(|lock| lock.try_lock().is_some()));
    });
}

#[test]
fn a_set_is_had_as_a_whole_or_not_at_all() {
    guard(|| {
        let (a, b, c) = (Lock::new(), Lock::new(), Lock::new());
        let set = MultiLock::new([&c, &a, &b, &a]);
        assert_eq!(set.len(), 3, "a lock that is named twice counts once");
        let held = b.lock().unwrap();
        assert!(set.try_lock().is_none());
        times_out(|time| set.lock_timeout(time));
        assert!(set.lock_timeout(Duration::ZERO).unwrap_err().is_timeout());
        assert!(!a.is_locked() && !c.is_locked());
        let two = set.try_lock_any(2).unwrap().unwrap();
        assert!(two.holds(&a) && two.holds(&c) && !two.holds(&b));
        let mut any = ByHand::waiting(set.lock_any_async(1));
        let waiting = ByHand::waiting(set.lock_async());
        drop(waiting);
        drop(two);
        let one = any.ready().unwrap();
        assert_eq!(one.len(), 1);
        drop(one);
        drop(any);
        drop(held);
        assert!(set.try_lock().is_some(), "nothing is left behind");
        assert!(MultiLock::new([]).lock().unwrap().is_empty());
    });
}

#[test]
fn a_dropped_wait_for_a_set_wakes_those_behind() {
    guard(|| {
        let (a, b) = (Lock::new(), Lock::new());
        let held = b.lock().unwrap();
        let both = ByHand::waiting(MultiLock::new([&a, &b]).lock_async());
        // The set has its turn at the free lock.
        let mut behind = ByHand::waiting(a.lock_async());
        drop(both);
        drop(behind.ready().unwrap());
        drop(held);
        assert!(a.try_lock().is_some() && b.try_lock().is_some());
    });
}

#[test]
fn sets_of_names_are_the_locks_of_these_names() {
    guard(|| {
        let ex = executor(1);
        let held = ex.multi_lock(&["a", "b", "c"]).unwrap().lock_any(2).unwrap();
        let locked = ["a", "b", "c"].map(|name| ex.lock(name).unwrap().is_locked());
        assert_eq!(locked, [true, true, false]);
        held.unlock();
        assert!(!ex.lock("a").unwrap().is_locked());
    });
}

#[test]
fn waiting_tasks_hold_no_core() {
    guard(|| {
        let ex = executor(1);
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let lock = lock.clone();
                ex.submit(move || lock.lock().is_ok())
            })
            .collect();
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1, "behind fifty that wait on one core");
        drop(held);
        assert!(ex.gather(waiting).unwrap().into_iter().all(|got| got));
    });
}

#[test]
fn a_lock_between_two_executors() {
    guard(|| {
        let (one, two) = (executor(1), executor(1));
        let lock = Lock::new();
        let total = std::sync::Arc::new(Mutex::new(0));
        let add = {
            let (lock, total) = (lock.clone(), total.clone());
            move |n: i32| {
                let _guard = lock.lock().unwrap();
                *total.try_lock().unwrap() += n;
            }
        };
        let tasks = (one.map(0..200, add.clone()), two.map(0..200, add));
        tasks.0.iter().chain(&tasks.1).for_each(|task| task.wait().unwrap());
        assert_eq!(*total.lock().unwrap(), 2 * 199 * 100);
        assert!(one.lock("x").unwrap().lock().is_ok_and(|_held| two.lock("x").unwrap().try_lock().is_some()));
    });
}

#[test]
fn the_timeout_of_a_wait_in_a_task_does_not_touch_what_the_task_holds() {
    guard(|| {
        let ex = executor(1);
        let (a, b) = (Lock::new(), Lock::new());
        let held = b.lock().unwrap();
        let task = ex.submit({
            let (a, b) = (a.clone(), b.clone());
            move || {
                let _a = a.lock().unwrap();
                let timed_out = b.lock_timeout(SHORT).unwrap_err().is_timeout();
                timed_out && a.is_locked()
            }
        });
        assert!(task.result().unwrap());
        drop(held);
        assert!(!a.is_locked() && !b.is_locked());
    });
}

#[test]
fn at_the_cap_a_wait_that_nothing_can_end_is_an_error_that_names_it() {
    guard(|| {
        let ex = Executor::builder().workers(1).max_spare_threads(0).build().unwrap();
        let lock = Lock::new();
        let held = lock.lock().unwrap();
        let waiting = ex.submit({
            let lock = lock.clone();
            move || lock.lock().map(drop)
        });
        // Only this one could give it back, and has no core.
        let holder = ex.submit(move || drop(held));
        let error = waiting.result().unwrap().unwrap_err();
        assert!(error.is_stalled() && error.to_string().contains("max_spare_threads"), "{error}");
        holder.wait().unwrap();
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn waits_from_outside_go_on_while_every_worker_is_busy() {
    guard(|| {
        let ex = executor(1);
        let busy = busy(&ex);
        let semaphore = Semaphore::new(1).unwrap();
        let held = semaphore.acquire().unwrap();
        let (got, has_got) = mpsc::channel();
        let other = thread::spawn({
            let semaphore = semaphore.clone();
            move || got.send(semaphore.acquire().is_ok()).unwrap()
        });
        drop(held);
        assert!(has_got.recv_timeout(SOON).unwrap());
        other.join().unwrap();
        drop(busy);
    });
}

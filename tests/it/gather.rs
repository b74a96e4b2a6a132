//! Gathering gives values in the shape of the futures, and the first error in the order of the input.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use heist::TaskFuture;

use crate::support::{Count, executor, guard, never};

#[test]
fn values_come_back_in_the_shape_of_the_futures() {
    guard(|| {
        let ex = executor(2);
        let f = |n: i32| ex.submit(move || n);
        assert_eq!(ex.gather(f(1)).unwrap(), 1);
        assert_eq!(ex.gather(&f(1)).unwrap(), 1);
        assert_eq!(ex.gather(vec![f(1), f(2)]).unwrap(), [1, 2]);
        assert_eq!(ex.gather(&vec![f(1), f(2)]).unwrap(), [1, 2]);
        assert_eq!(ex.gather([f(1), f(2)]).unwrap(), [1, 2]);
        assert_eq!(ex.gather((f(1), ex.submit(|| "b"), [f(3)])).unwrap(), (1, "b", [3]));
        let by_name = HashMap::from([("a", vec![f(1)]), ("b", vec![])]);
        let sorted = BTreeMap::from([(2, (f(2), f(3)))]);
        let (by_name, sorted) = ex.gather((by_name, sorted)).unwrap();
        assert_eq!(by_name, HashMap::from([("a", vec![1]), ("b", vec![])]));
        assert_eq!(sorted, BTreeMap::from([(2, (2, 3))]));
        let deep = vec![vec![[f(1), f(2)]], vec![]];
        assert_eq!(ex.gather(deep).unwrap(), vec![vec![[1, 2]], vec![]]);
        assert!(ex.gather(Vec::<TaskFuture<i32>>::new()).unwrap().is_empty());
    });
}

#[test]
fn the_first_error_in_the_order_of_the_input_is_told() {
    guard(|| {
        let ex = executor(2);
        let (late, first) = ex.promise::<i32>();
        let second = ex.submit_result(|| Err::<i32, _>("second"));
        second.wait().unwrap();
        let list = [ex.submit(|| 0), first, second];
        let waiting = std::thread::spawn({
            let (ex, list) = (ex.clone(), list.clone());
            move || ex.gather(list).unwrap_err()
        });
        late.fail("first");
        assert!(waiting.join().unwrap().to_string().contains("first"), "though the second failed long before");
        let nested = (vec![&list[0]], vec![vec![&list[1]], vec![&list[2]]]);
        assert!(ex.gather(nested).unwrap_err().to_string().contains("first"));
    });
}

#[test]
fn futures_after_the_first_error_are_not_waited_for() {
    guard(|| {
        let ex = executor(2);
        let (_promise, never) = never::<i32>(&ex);
        let bad = || ex.submit(|| -> i32 { panic!("bad") });
        assert!(ex.gather(vec![ex.submit(|| 1), bad(), never.clone()]).unwrap_err().is_panic());
        assert!(ex.gather([bad(), never.clone()]).unwrap_err().is_panic());
        assert!(ex.gather((bad(), never.clone())).unwrap_err().is_panic());
        assert!(ex.gather_values(&[bad(), never]).unwrap_err().is_panic());
    });
}

#[test]
fn an_error_in_a_gather_releases_the_rest() {
    guard(|| {
        let ex = executor(1);
        let ran = Count::default();
        let (promise, gate) = never::<()>(&ex);
        let bad = ex.submit(|| panic!("bad"));
        let rest = (0..10).map(|_| {
            let ran = ran.clone();
            ex.submit_after(&gate, move |()| {
                ran.add();
            })
        });
        let all: Vec<_> = std::iter::once(bad).chain(rest).collect();
        assert!(ex.gather(all).is_err());
        promise.fulfil(());
        ex.shutdown(heist::Shutdown::Wait);
        assert_eq!(ran.get(), 0, "nobody wanted them any more");
    });
}

#[test]
fn failures_can_be_left_out() {
    guard(|| {
        let ex = executor(2);
        let f = |n: i32| ex.submit_result(move || if n % 2 == 0 { Ok(n) } else { Err("odd") });
        assert_eq!(ex.gather_ok((0..6).map(f).collect::<Vec<_>>()), [0, 2, 4]);
        assert_eq!(ex.gather_ok(&(0..6).map(f).collect::<Vec<_>>()), [0, 2, 4]);
        assert_eq!(ex.gather_ok([f(1), f(2)]), [2]);
        assert_eq!(ex.gather_ok(BTreeMap::from([("a", f(1)), ("b", f(2))])), BTreeMap::from([("b", 2)]));
        assert_eq!(ex.gather_ok(HashMap::from([("a", f(1)), ("b", f(2))])), HashMap::from([("b", 2)]));
        assert!(ex.gather_ok(vec![f(1)]).is_empty());
        let cancelled = f(2);
        let (_promise, never) = never::<i32>(&ex);
        never.cancel("not needed");
        assert_eq!(ex.gather_ok(vec![cancelled, never]), [2], "cancelled ones are left out too");
    });
}

#[test]
fn every_result_can_be_had() {
    guard(|| {
        let ex = executor(2);
        let f = |n: i32| ex.submit_result(move || if n % 2 == 0 { Ok(n) } else { Err("odd") });
        let (_promise, cancelled) = never::<i32>(&ex);
        cancelled.cancel("gone");
        let results = ex.gather_results(vec![f(0), f(1), cancelled]);
        assert_eq!(*results[0].as_ref().unwrap(), 0);
        assert!(results[1].as_ref().unwrap_err().is_failed());
        assert!(results[2].as_ref().unwrap_err().is_cancelled());
        let (a, map) = ex.gather_results((f(1), BTreeMap::from([(1, [f(2), f(3)])])));
        assert!(a.is_err() && map[&1][0].is_ok() && map[&1][1].is_err());
    });
}

#[test]
fn a_cancelled_future_makes_gather_fail_with_the_reason() {
    guard(|| {
        let ex = executor(1);
        let (_promise, future) = never::<i32>(&ex);
        future.cancel("because of the weather");
        let error = ex.gather(vec![ex.submit(|| 1), future]).unwrap_err();
        assert!(error.is_cancelled() && error.to_string().contains("because of the weather"));
    });
}

#[test]
fn a_future_of_another_executor_is_refused() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let (_promise, never) = never::<i32>(&ex);
        let foreign = other.submit(|| 1);
        assert!(ex.gather(&foreign).unwrap_err().is_foreign_future());
        let error = ex.gather(vec![never, foreign.clone()]).unwrap_err();
        assert!(error.is_foreign_future(), "told before anything is waited for");
        assert!(error.to_string().contains("another executor"));
        assert!(ex.gather_values(std::slice::from_ref(&foreign)).unwrap_err().is_foreign_future());
        assert_eq!(other.gather(foreign).unwrap(), 1);
    });
}

#[test]
fn a_sole_future_gives_its_value_away_and_a_shared_one_clones_it() {
    guard(|| {
        let ex = executor(1);
        let sole = ex.submit(|| Arc::new(5));
        sole.wait().unwrap();
        let weak = Arc::downgrade(sole.value().unwrap());
        let value = ex.gather(sole).unwrap();
        assert_eq!((Arc::strong_count(&value), weak.strong_count()), (1, 1), "moved");
        let shared = ex.submit(|| Arc::new(5));
        let value = ex.gather(vec![shared.clone()]).unwrap().remove(0);
        assert_eq!(Arc::strong_count(&value), 2, "cloned: the other handle still has it");
        assert_eq!(**shared.value().unwrap(), 5);
    });
}

#[test]
fn values_can_be_borrowed_without_clones() {
    struct NoClone(i32);
    guard(|| {
        let ex = executor(2);
        let futures = ex.map(0..10, NoClone);
        let values = ex.gather_values(&futures).unwrap();
        assert_eq!(values.iter().map(|value| value.0).sum::<i32>(), 45);
    });
}

#[test]
fn many_gathers_at_once_do_not_disturb_each_other() {
    guard(|| {
        let ex = executor(2);
        let shared = ex.map(0..100_u64, |n| n);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| assert_eq!(ex.gather(&shared).unwrap().iter().sum::<u64>(), 4950));
            }
        });
    });
}

#[test]
fn within_a_task_an_error_at_the_front_is_not_kept_waiting_by_the_rest() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let (gathered, ran) = ex
            .submit(move || {
                let ran = Arc::new(std::sync::atomic::AtomicUsize::new(0));
                let mut futures = vec![inner.submit_result(|| Err::<u64, _>("front"))];
                futures.extend(inner.map(0..1_000, {
                    let ran = ran.clone();
                    move |i| {
                        // Far longer than a worker is patient.
                        let since = std::time::Instant::now();
                        while since.elapsed() < std::time::Duration::from_millis(1) {
                            std::hint::spin_loop();
                        }
                        ran.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        i
                    }
                }));
                let gathered = inner.gather(futures).map_err(|error| error.is_failed());
                (gathered, ran.load(std::sync::atomic::Ordering::Relaxed))
            })
            .into_result()
            .unwrap()
            .unwrap();
        assert_eq!(gathered, Err(true));
        assert!(ran <= 2, "{ran} tasks ran before the error was told");
    });
}

#[test]
fn within_a_task_a_long_list_is_gathered_whichever_end_it_is_begun_from() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let inner = ex.clone();
            let sums = ex.submit(move || {
                let mapped = inner.gather(inner.map(0..10_000_u64, |i| i)).unwrap();
                let submitted: Vec<_> = (0..10_000_u64).map(|i| inner.submit(move || i)).collect();
                let reversed: Vec<_> = inner.map(0..10_000_u64, |i| i).into_iter().rev().collect();
                let lists = [mapped, inner.gather(submitted).unwrap(), inner.gather(reversed).unwrap()];
                lists.map(|list| (list.len(), list.iter().sum::<u64>()))
            });
            assert_eq!(sums.result().unwrap(), [(10_000, 49_995_000); 3]);
        }
    });
}

#[test]
fn answers_keyed_retried_and_async_tasks_are_gathered_together() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let actor = ex.actor(|| 10_u32);
            let runs = Count::default();
            let keyed = || ex.task().key("k").submit(|| "keyed".to_owned());
            let flaky = move || if runs.add() > 1 { Ok(2.5) } else { Err("once") };
            let all = |ex: &heist::Executor| {
                (
                    vec![actor.ask(|n| *n), actor.ask_spawn(|n| std::future::ready(*n + 1))],
                    [keyed(), keyed()],
                    ex.task().retries(1).submit_result(flaky.clone()),
                    BTreeMap::from([("async", ex.spawn(async { 'a' }))]),
                )
            };
            let expected =
                (vec![10, 11], ["keyed".to_owned(), "keyed".to_owned()], 2.5, BTreeMap::from([("async", 'a')]));
            assert_eq!(ex.gather(all(&ex)).unwrap(), expected);
            let (inner, inputs) = (ex.clone(), all(&ex));
            assert_eq!(ex.submit(move || inner.gather(inputs).unwrap()).result().unwrap(), expected);
            let asked = vec![actor.ask(|n| *n), actor.ask(|_| panic!("broken")), actor.ask(|n| *n)];
            assert_eq!(ex.gather((keyed(), asked)).unwrap_err().panic_message(), Some("broken"));
        }
    });
}

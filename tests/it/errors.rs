//! Panics and `Err` are results: they carry what happened and where, travel to dependents, and hurt nothing else.

use std::error::Error as _;
use std::fmt;

use heist::{Status, TaskFuture};

use crate::support::{Drops, busy, executor, guard, never};

#[derive(Debug, PartialEq)]
struct Broken(i32);
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.0)
    }
}
impl std::error::Error for Broken {}

#[test]
fn a_panic_is_an_error_with_its_message() {
    guard(|| {
        let ex = executor(1);
        let text = ex.submit(|| -> i32 { panic!("plain text") }).result().unwrap_err();
        assert_eq!(text.panic_message(), Some("plain text"));
        assert!(text.is_panic() && !text.is_failed() && !text.is_cancelled() && !text.is_dependency());
        let n = 7;
        let formatted = ex.submit(move || -> i32 { panic!("formatted {n}") }).result().unwrap_err();
        assert_eq!(formatted.panic_message(), Some("formatted 7"));
        let other = ex.submit(|| -> i32 { std::panic::panic_any(Broken(1)) }).result().unwrap_err();
        assert_eq!(other.panic_message(), Some("Box<dyn Any>"));
        assert!(formatted.to_string().contains("formatted 7"));
    });
}

#[test]
fn an_err_is_an_error_with_its_source() {
    guard(|| {
        let ex = executor(1);
        let failed = ex.submit_result(|| Err::<i32, _>(Broken(3)));
        let error = failed.result().unwrap_err();
        assert!(error.is_failed() && !error.is_panic());
        assert_eq!(error.downcast_ref::<Broken>(), Some(&Broken(3)));
        assert!(error.downcast_ref::<fmt::Error>().is_none());
        assert_eq!(error.source().unwrap().to_string(), "broken 3");
        assert_eq!(failed.status(), Status::Failed);
        let text = ex.submit_result(|| Err::<i32, _>("only text")).result().unwrap_err();
        assert!(text.to_string().contains("only text"));
        assert_eq!(ex.submit_result(|| Ok::<_, Broken>(1)).result().unwrap(), 1);
        let after = ex.submit_result_after(ex.scatter(5), |n| Err::<i32, _>(Broken(*n)));
        assert_eq!(after.result().unwrap_err().downcast_ref(), Some(&Broken(5)));
    });
}

#[test]
fn an_error_tells_where_its_task_was_submitted() {
    guard(|| {
        let ex = executor(1);
        let (line, bad) = (line!(), ex.submit(|| -> i32 { panic!("here") }));
        let error = bad.result().unwrap_err();
        let location = error.location().unwrap();
        assert!(location.file().ends_with("errors.rs"));
        assert_eq!(location.line(), line);
        assert_eq!(error.task(), Some(bad.id()));
        assert!(error.to_string().contains("errors.rs"));
        let (line, mapped) = (line!(), ex.map([1], |_| -> i32 { panic!("mapped") }));
        assert_eq!(mapped[0].result().unwrap_err().location().unwrap().line(), line);
        let (line, after) = (line!(), ex.submit_after(ex.scatter(1), |_| -> i32 { panic!("after") }));
        assert_eq!(after.result().unwrap_err().location().unwrap().line(), line);
        let (line, spawned) = (line!(), ex.spawn(async { panic!("spawned") }));
        let spawned: TaskFuture<()> = spawned;
        assert_eq!(spawned.result().unwrap_err().location().unwrap().line(), line);
    });
}

#[test]
fn a_panic_carries_a_backtrace_of_its_place() {
    #[inline(never)]
    fn the_guilty_one() -> i32 {
        panic!("guilty")
    }
    guard(|| {
        let ex = executor(1);
        let error = ex.submit(the_guilty_one).result().unwrap_err();
        let backtrace = error.backtrace().unwrap().to_string();
        assert!(backtrace.contains("the_guilty_one"), "{backtrace}");
        let dependent = ex.submit_after(ex.submit(the_guilty_one), |n| *n).result().unwrap_err();
        assert!(dependent.backtrace().unwrap().to_string().contains("the_guilty_one"));
        assert!(ex.submit_result(|| Err::<(), _>("no")).result().unwrap_err().backtrace().is_none());
    });
}

#[test]
fn a_dependent_never_runs_and_has_the_root_error() {
    guard(|| {
        let ex = executor(2);
        let bad = ex.submit_result(|| Err::<i32, _>(Broken(4)));
        let middle = ex.submit_after(&bad, |_| -> i32 { unreachable!("its input failed") });
        let last = ex.submit_after((&middle, &ex.submit(|| 1)), |(a, b)| a + b);
        for dependent in [&middle, &last] {
            let error = dependent.result().unwrap_err();
            assert!(error.is_dependency() && error.is_failed());
            assert_eq!(error.downcast_ref(), Some(&Broken(4)));
            assert_eq!((error.task(), error.location()), (Some(bad.id()), bad.error().unwrap().location()));
            assert!(!error.root().is_dependency());
            assert_eq!(dependent.status(), Status::Failed);
        }
        assert!(!bad.error().unwrap().is_dependency());
    });
}

#[test]
fn an_input_that_has_failed_before_fails_the_task_from_the_start() {
    guard(|| {
        let ex = executor(1);
        let bad = ex.submit(|| -> i32 { panic!("long ago") });
        bad.wait().unwrap();
        let busy = busy(&ex);
        let dependent = ex.submit_after((&bad, &ex.scatter(1)), |(a, b)| a + b);
        let single = ex.submit_after(&bad, |a| *a);
        assert!(dependent.done() && single.done(), "without a worker");
        assert_eq!(dependent.error().unwrap().panic_message(), Some("long ago"));
        drop(busy);
    });
}

#[test]
fn one_failed_input_is_enough_and_the_others_go_on() {
    guard(|| {
        let ex = executor(2);
        let (promise, slow) = ex.promise::<i32>();
        let bad = ex.submit(|| -> i32 { panic!("bad") });
        let both = ex.submit_after((&slow, &bad), |(a, b)| a + b);
        assert!(both.result().unwrap_err().is_panic(), "told before the slow input is there");
        promise.fulfil(1);
        assert_eq!(slow.result().unwrap(), 1);
    });
}

#[test]
fn later_tasks_on_the_same_workers_succeed() {
    guard(|| {
        let ex = executor(2);
        for round in 0..200 {
            let bad = ex.submit(move || -> i32 { panic!("{round}") });
            let good = ex.submit(move || round);
            assert!(bad.result().is_err());
            assert_eq!(good.result().unwrap(), round);
        }
    });
}

#[test]
fn a_task_may_ask_for_results_and_runs_though_inputs_failed() {
    guard(|| {
        let ex = executor(2);
        let bad = ex.submit_result(|| Err::<i32, _>(Broken(1)));
        let (_p, cancelled) = never::<i32>(&ex);
        cancelled.cancel("no");
        let inputs = (&bad, [&cancelled], vec![ex.submit(|| 3)]);
        let told = ex.submit_after_results(inputs, |(bad, [cancelled], good)| {
            let (bad, cancelled) = (bad.unwrap_err(), cancelled.unwrap_err());
            (bad.downcast_ref() == Some(&Broken(1)), cancelled.is_cancelled(), **good[0].as_ref().unwrap())
        });
        assert_eq!(told.result().unwrap(), (true, true, 3));
        let fallback = ex.submit_after_results(&bad, |n| n.copied().unwrap_or(-1));
        assert_eq!(ex.submit_after(&fallback, |n| n * 2).result().unwrap(), -2);
    });
}

#[test]
fn an_error_runs_through_a_long_chain_without_recursion() {
    guard(|| {
        let ex = executor(1);
        let (promise, first) = ex.promise::<u64>();
        let mut chain = vec![first];
        for index in 0..100_000 {
            chain.push(ex.submit_after(&chain[index], |n| n + 1));
        }
        promise.fail(Broken(1));
        assert!(chain.iter().all(|future| future.error().unwrap().downcast_ref() == Some(&Broken(1))));
    });
}

#[test]
fn an_error_in_the_middle_leaves_no_data_held() {
    guard(|| {
        let ex = executor(2);
        let drops = Drops::default();
        let (promise, gate) = ex.promise::<()>();
        let piece = drops.piece();
        let big = ex.submit(move || piece);
        let bad = ex.submit_after((&big, &gate), |_| -> i32 { panic!("bad") });
        let held = drops.piece();
        let dependent = ex.submit_after((&bad, &big), move |(n, _)| {
            drop(held);
            *n
        });
        drop(big);
        promise.fulfil(());
        assert!(dependent.result().unwrap_err().is_panic());
        crate::support::until("closure and intermediate are dropped", || drops.count() == 2);
        assert!(bad.result().is_err());
    });
}

#[test]
fn errors_are_cheap_to_share_and_same_for_all_handles() {
    guard(|| {
        let ex = executor(2);
        let bad = ex.submit_result(|| Err::<i32, _>(Broken(8)));
        let dependents: Vec<_> = (0..50).map(|_| ex.submit_after(&bad, |n| *n)).collect();
        let root: *const Broken = bad.result().unwrap_err().downcast_ref().unwrap();
        let _keep = bad.error();
        for dependent in &dependents {
            let error = dependent.result().unwrap_err();
            let clone = error.clone();
            assert!(std::ptr::eq(clone.downcast_ref::<Broken>().unwrap(), root), "one error, not copies");
        }
    });
}

#[test]
fn an_error_outlives_its_future_and_its_executor() {
    guard(|| {
        let ex = executor(1);
        let error = ex.submit_after(ex.submit_result(|| Err::<i32, _>(Broken(2))), |n| *n).result().unwrap_err();
        drop(ex);
        assert_eq!(error.downcast_ref(), Some(&Broken(2)));
        assert!(error.to_string().contains("broken 2") && format!("{error:?}").contains("broken 2"));
    });
}

#[test]
fn a_panic_with_a_value_half_built_drops_what_it_holds() {
    guard(|| {
        let ex = executor(1);
        let drops = Drops::default();
        let (held, local) = (drops.piece(), drops.piece());
        let bad = ex.submit(move || -> i32 {
            let _local = local;
            let _held = &held;
            panic!("bad")
        });
        bad.wait().unwrap();
        assert_eq!(drops.count(), 2);
    });
}

/// The task that failed is gone when its dependent's closure is dropped: what that drop asks for is not its own.
#[test]
fn a_drop_after_a_failed_input_may_ask_who_it_is() {
    struct Asks(std::sync::mpsc::Sender<(bool, bool)>);
    impl Drop for Asks {
        fn drop(&mut self) {
            let _ = self.0.send((heist::current().is_some(), heist::cancelled()));
        }
    }
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            let (told, asked) = std::sync::mpsc::channel();
            for _ in 0..1_000 {
                let (promise, gate) = ex.promise::<()>();
                let failing = ex.submit_after(gate, |()| -> u32 { panic!("fails") });
                let asks = Asks(told.clone());
                let dependent = ex.submit_after(failing, move |n| {
                    let _asks = &asks;
                    *n
                });
                promise.fulfil(());
                assert!(dependent.result().unwrap_err().is_dependency());
                assert_eq!(asked.recv().unwrap(), (false, false));
            }
        }
    });
}

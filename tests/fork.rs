//! A child made by `fork()` has no workers: what it does with an executor of its parent is an error, and never hangs.
//! A binary of its own, since a child shares everything else with its parent.

use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use heist::{Executor, Shutdown, as_completed, wait_all, wait_all_async, wait_any};

const LIMIT: Duration = Duration::from_secs(60);
/// What a child says by its exit code when its body returned.
const FINE: i32 = 0;
const PANICKED: i32 = 1;

/// Runs `body` in a child; fails if it panics, dies or hangs. The child leaves by `_exit`.
#[track_caller]
fn in_child(body: impl FnOnce()) {
    // SAFETY: the child runs `body`, which takes no lock that another thread of the parent may hold, and leaves.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let code = if catch_unwind(AssertUnwindSafe(body)).is_ok() { FINE } else { PANICKED };
        // SAFETY: leaves the child without running destructors that belong to the parent's threads.
        unsafe { libc::_exit(code) };
    }
    let (deadline, mut status) = (Instant::now() + LIMIT, 0);
    loop {
        // SAFETY: the child is this process's and not yet waited for.
        let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        assert!(ended >= 0, "waitpid: {}", std::io::Error::last_os_error());
        if ended == child {
            break;
        }
        if Instant::now() > deadline {
            // SAFETY: as above.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child hangs: not at its end after {LIMIT:?}");
        }
        thread::yield_now();
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == FINE, "the child failed: status {status:#x}");
}

/// An executor whose workers have all started and gone to sleep, so that none of them holds a lock.
fn resting() -> Executor {
    let ex = Executor::builder().workers(2).build().unwrap();
    let deadline = Instant::now() + LIMIT;
    ex.gather(ex.map(0..100, |n| n)).unwrap();
    while ex.stats().per_worker.iter().any(|worker| worker.parked == 0) {
        assert!(Instant::now() < deadline, "the workers do not rest");
        thread::yield_now();
    }
    ex
}

#[test]
fn submits_in_a_child_are_errors() {
    let ex = resting();
    let input = ex.scatter(1);
    in_child(|| {
        let futures = [
            ex.submit(|| 1),
            ex.submit_after(&input, |n| *n),
            ex.submit_result(|| Ok::<_, &str>(1)),
            ex.spawn(async { 1 }),
            ex.map([1], |n| n).remove(0),
            ex.promise().1,
        ];
        for future in futures {
            let error = future.result().unwrap_err();
            assert!(error.is_forked(), "{error}");
            assert!(error.to_string().contains("fork"));
        }
    });
    assert_eq!(ex.submit_after(&input, |n| n + 1).result().unwrap(), 2, "the parent is as before");
}

#[test]
fn waits_in_a_child_are_errors_and_done_values_stay() {
    let ex = resting();
    let (done, (promise, unfinished)) = (ex.scatter(vec![1, 2]), ex.promise::<i32>());
    in_child(|| {
        assert_eq!(done.result().unwrap(), [1, 2]);
        assert_eq!(ex.gather(&done).unwrap(), [1, 2]);
        assert!(unfinished.wait().unwrap_err().is_forked());
        assert!(unfinished.result().unwrap_err().is_forked());
        assert!(unfinished.wait_timeout(Duration::from_secs(3600)).unwrap_err().is_forked());
        assert!(ex.gather(&unfinished).unwrap_err().is_forked());
        let group = [unfinished.clone()];
        assert!(wait_all(&group).ended_early.unwrap().is_forked());
        assert!(wait_any(&group).ended_early.unwrap().is_forked());
        let mut completed = as_completed(group);
        assert!(completed.next().is_none() && completed.ended_early().unwrap().is_forked());
    });
    promise.fulfil(5);
    assert_eq!(unfinished.result().unwrap(), 5);
}

#[test]
fn an_await_in_a_child_is_an_error() {
    let ex = resting();
    let (_promise, unfinished) = ex.promise::<i32>();
    in_child(|| {
        let mut awaited = pin!((&unfinished).into_future());
        match awaited.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => assert!(result.unwrap_err().is_forked()),
            Poll::Pending => panic!("nobody will ever wake it"),
        }
    });
}

#[test]
fn awaits_of_groups_in_a_child_are_errors() {
    let ex = resting();
    let (_promise, unfinished) = ex.promise::<i32>();
    in_child(|| {
        let group = [unfinished.clone()];
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(sets) = pin!(wait_all_async(&group)).as_mut().poll(&mut context) else {
            panic!("nobody will ever wake it");
        };
        assert!(sets.ended_early.unwrap().is_forked());
        let mut completed = as_completed(group);
        assert!(matches!(pin!(completed.next_async()).as_mut().poll(&mut context), Poll::Ready(None)));
        assert!(completed.ended_early().unwrap().is_forked());
    });
}

#[test]
fn closing_and_dropping_in_a_child_do_not_hang() {
    let ex = resting();
    let (promise, unfinished) = ex.promise::<i32>();
    in_child(|| {
        ex.shutdown(Shutdown::Wait);
        ex.close();
        drop(ex.clone());
        drop(unfinished.clone());
    });
    promise.fulfil(1);
    assert_eq!(unfinished.result().unwrap(), 1);
    assert_eq!(ex.submit(|| 2).result().unwrap(), 2);
    in_child(move || drop(ex));
}

#[cfg(feature = "io")]
#[test]
fn waits_for_times_and_files_of_the_parent_are_errors_and_those_of_the_child_work() {
    use std::io::{Write, pipe};

    use heist::TaskError;
    use heist::io::{Signal, Signals, Watched, sleep};

    fn poll(future: &mut (impl Future<Output = Result<(), TaskError>> + Unpin)) -> Option<TaskError> {
        match std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result.unwrap_err()),
            Poll::Pending => None,
        }
    }

    let (reader, mut writer) = pipe().unwrap();
    let watched = Watched::new(&reader).unwrap();
    let signals = Signals::new([Signal::USER_1]).unwrap();
    let mut sleeps = sleep(LIMIT);
    let mut reads = watched.readable();
    assert!(poll(&mut sleeps).is_none() && poll(&mut reads).is_none());
    in_child(|| {
        assert!(poll(&mut sleeps).unwrap().is_forked());
        assert!(poll(&mut reads).unwrap().is_forked());
        assert!(watched.wait_readable().unwrap_err().is_forked());
        assert!(signals.wait().unwrap_err().is_forked());
        drop((sleep(LIMIT), Watched::new(&reader).unwrap()));

        let own = Executor::builder().workers(1).build().unwrap();
        own.spawn(sleep(Duration::from_millis(1))).result().unwrap().unwrap();
        let (reader, mut writer) = pipe().unwrap();
        let reads = own.spawn(async move { Watched::new(reader).unwrap().readable().await });
        writer.write_all(b"x").unwrap();
        reads.result().unwrap().unwrap();
        own.close();
    });
    drop(reads);
    // What the child lets go of is watched here as before.
    let mut watched = Some(watched);
    in_child(|| drop(watched.take()));
    writer.write_all(b"x").unwrap();
    watched.unwrap().wait_readable_timeout(LIMIT).unwrap();
}

#[cfg(feature = "io")]
#[test]
fn a_loop_that_cannot_be_started_is_an_error_and_is_tried_again() {
    use heist::io::{Watched, sleep};

    in_child(|| {
        let few = |files| {
            let limit = libc::rlimit { rlim_cur: files, rlim_max: 4096 };
            // SAFETY: only a number of the process changes.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        };
        let (reader, _writer) = std::io::pipe().unwrap();
        few(0);
        let mut sleeps = sleep(Duration::from_millis(1));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = std::pin::Pin::new(&mut sleeps).poll(&mut context) else { panic!("no error") };
        assert!(error.is_io() && error.to_string().contains("event loop"), "{error}");
        assert!(Watched::new(&reader).unwrap_err().is_io());
        few(1024);
        assert!(!Watched::new(&reader).unwrap().try_readable().unwrap());
    });
}

#[test]
fn a_child_may_build_an_executor_of_its_own() {
    let ex = resting();
    in_child(|| {
        let own = Executor::builder().workers(2).build().unwrap();
        assert_eq!(own.gather(own.map(0..100, |n| n)).unwrap().into_iter().sum::<i32>(), 4950);
        own.shutdown(Shutdown::Wait);
    });
    assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
}

#[test]
fn a_child_sees_nothing_run_and_restarts_and_secedes_from_nothing() {
    let ex = resting();
    assert!(ex.running().unwrap().is_empty());
    in_child(|| {
        assert!(ex.running().unwrap().is_empty() && ex.call_stack().unwrap().is_empty());
        assert!(ex.restart().unwrap_err().is_closed());
        let own = Executor::builder().workers(1).build().unwrap();
        let inner = own.clone();
        assert_eq!(own.submit(move || inner.running().unwrap().len()).result().unwrap(), 1);
        own.restart().unwrap();
    });
    ex.submit(|| in_child(|| assert!(heist::secede().unwrap_err().is_forked()))).result().unwrap();
}

#[test]
fn a_full_mailbox_in_a_child_is_an_error() {
    let ex = resting();
    let actor = ex.actor_with(heist::ActorOptions::new().mailbox(1), || ()).unwrap();
    let (promise, gate) = ex.promise::<()>();
    actor.tell(move |()| drop(gate.wait())).unwrap();
    while actor.try_tell(|()| ()).is_ok() {}
    in_child(|| {
        assert!(actor.tell(|()| ()).unwrap_err().is_forked());
        assert!(actor.try_tell(|()| ()).is_err());
        assert!(actor.ask(|()| ()).result().unwrap_err().is_forked());
        assert!(actor.call(|()| ()).unwrap_err().is_forked());
    });
    promise.fulfil(());
    actor.ask(|()| ()).result().unwrap();
}

//! Calls to every worker: where they run, in what order, and that they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use heist::{Executor, Shutdown, TaskFuture};

use crate::support::{SOON, busy, executor, guard, running, until};

/// Where a task runs that waits for nothing.
fn worker() -> usize {
    heist::current().unwrap().worker()
}

#[test]
fn every_worker_answers_for_itself() {
    guard(|| {
        let ex = executor(4);
        for _ in 0..100 {
            let all = ex.run_on_all(|told| (told, worker())).unwrap();
            assert_eq!(all, [(0, 0), (1, 1), (2, 2), (3, 3)]);
        }
        assert_eq!(ex.run_on([3, 1, 3], |told| (told, worker())).unwrap(), [(3, 3), (1, 1), (3, 3)]);
        assert!(ex.run_on([1, 4], |_| ()).unwrap_err().is_impossible_place());
        assert_eq!(ex.run_on([], |_| ()).unwrap(), []);
    });
}

#[test]
fn sleeping_workers_are_woken() {
    guard(|| {
        let ex = executor(4);
        let parked = || (0..4).all(|worker| ex.stats().per_worker[worker].parked > 0);
        until("all sleep", parked);
        assert_eq!(ex.run_on_all(|worker| worker).unwrap(), [0, 1, 2, 3]);
    });
}

/// A task that submits one like itself, and so on, until told to stop. Each future is kept until the next but one.
fn go_on(ex: &Executor, stop: &Arc<AtomicBool>, last: Option<TaskFuture<()>>) {
    if !stop.load(Ordering::Relaxed) {
        let (next, stop, slot) = (ex.clone(), stop.clone(), Arc::new(Mutex::new(None)));
        let own = slot.clone();
        let more = ex.submit(move || go_on(&next, &stop, own.lock().unwrap().take()));
        *slot.lock().unwrap() = Some(more);
        drop(last);
    }
}

#[test]
fn workers_that_never_run_out_of_tasks_answer_too() {
    guard(|| {
        let ex = executor(2);
        let stop = Arc::new(AtomicBool::new(false));
        (0..8).for_each(|_| go_on(&ex, &stop, None));
        for _ in 0..10 {
            assert_eq!(ex.run_on_all(|_| worker()).unwrap(), [0, 1]);
        }
        stop.store(true, Ordering::Relaxed);
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn a_worker_in_a_long_task_answers_after_it() {
    guard(|| {
        let ex = executor(1);
        let (end, task) = running(&ex, ());
        let caller = std::thread::spawn({
            let ex = ex.clone();
            let task = task.clone();
            move || ex.run_on_all(move |_| task.done()).unwrap()
        });
        until("the call is there", || ex.stats().submitted == 2);
        end.send(()).unwrap();
        assert_eq!(caller.join().unwrap(), [true]);
    });
}

#[test]
fn a_task_may_call_all_workers_its_own_too() {
    guard(|| {
        for spares in [0, 10] {
            let ex = Executor::builder().workers(3).max_spare_threads(spares).build().unwrap();
            let inner = ex.clone();
            let seen = ex.submit(move || (worker(), inner.run_on_all(|_| worker()).unwrap()));
            let (at, all) = seen.result().unwrap();
            assert!(at < 3);
            assert_eq!(all, [0, 1, 2]);
        }
    });
}

#[test]
fn tasks_on_all_workers_may_call_each_other_at_once() {
    guard(|| {
        let ex = executor(2);
        let calls = ex.map(0..200, {
            let ex = ex.clone();
            move |_| ex.run_on_all(|_| worker()).unwrap()
        });
        assert!(ex.gather(calls).unwrap().iter().all(|all| all == &[0, 1]));
    });
}

#[test]
fn what_panics_is_told_apart_from_what_does_not() {
    guard(|| {
        let ex = executor(3);
        let odd = |worker: usize| {
            assert!(worker != 1, "not me");
            worker
        };
        assert!(ex.run_on_all(odd).unwrap_err().is_panic());
        let results = ex.run_on_all_results(odd);
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(ex.run_on_all_ok(odd), [0, 2]);
    });
}

#[test]
fn a_call_ends_with_the_executor() {
    guard(|| {
        let ex = executor(2);
        let busy = busy(&ex);
        let caller = std::thread::spawn({
            let ex = ex.clone();
            move || ex.run_on_all_results(|_| ())
        });
        until("the calls are there", || ex.stats().submitted == 4);
        let closer = std::thread::spawn({
            let ex = ex.clone();
            move || ex.shutdown(Shutdown::Cancel)
        });
        until("no task is taken", || ex.submit(|| ()).cancelled());
        drop(busy);
        closer.join().unwrap();
        assert!(caller.join().unwrap().iter().all(|result| result.as_ref().unwrap_err().is_cancelled()));
        assert!(ex.run_on_all(|_| ()).unwrap_err().is_cancelled());
    });
}

/// Calls cost nothing when they are over: nothing stays behind that a worker would look at.
#[test]
fn calls_from_many_threads_come_to_an_end() {
    guard(|| {
        let ex = executor(2);
        let since = Instant::now();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let ex = ex.clone();
                std::thread::spawn(move || (0..50).all(|_| ex.run_on_all(|worker| worker).unwrap() == [0, 1]))
            })
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert!(since.elapsed() < SOON);
        assert_eq!(ex.stats().submitted, 4 * 50 * 2);
    });
}

/// The worker is another thread's meanwhile, and may be in the middle of a task.
#[test]
fn a_task_that_has_seceded_has_its_former_worker_called_by_whoever_drives_it() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let task = ex.submit(move || {
            let _away = heist::secede().unwrap();
            let threads = inner.run_on_all(|_| std::thread::current().id()).unwrap();
            threads != [std::thread::current().id()]
        });
        assert!(task.result().unwrap());
    });
}

#[test]
fn what_a_call_returns_is_its_value_also_an_err() {
    guard(|| {
        let ex = executor(3);
        let odd = |worker: usize| if worker % 2 == 1 { Err("odd") } else { Ok(worker) };
        assert_eq!(ex.run_on_all(odd).unwrap(), [Ok(0), Err("odd"), Ok(2)]);
        assert_eq!(ex.run_on_all_ok(odd).len(), 3);
    });
}

#[test]
fn of_several_that_panic_the_first_worker_is_told_and_all_have_answered() {
    guard(|| {
        let ex = executor(3);
        let answers = Arc::new(Mutex::new(Vec::new()));
        let seen = answers.clone();
        let call = move |worker: usize| {
            seen.lock().unwrap().push(worker);
            assert!(worker == 1, "not {worker}");
        };
        assert_eq!(ex.run_on_all(call.clone()).unwrap_err().panic_message(), Some("not 0"));
        assert_eq!(ex.run_on([2, 0], call).unwrap_err().panic_message(), Some("not 2"));
        answers.lock().unwrap().sort_unstable();
        assert_eq!(*answers.lock().unwrap(), [0, 0, 1, 2, 2]);
        assert_eq!(ex.run_on_all(|worker| worker).unwrap(), [0, 1, 2], "the workers are well");
    });
}

#[test]
fn a_call_that_no_worker_has_begun_is_restarted_like_any_task() {
    guard(|| {
        let ex = executor(2);
        let busy = busy(&ex);
        let caller = std::thread::spawn({
            let ex = ex.clone();
            move || ex.run_on_all_results(|_| ())
        });
        until("the calls are there", || ex.stats().submitted == 4);
        ex.restart().unwrap();
        for result in caller.join().unwrap() {
            assert!(result.unwrap_err().cancel_reason().unwrap().is_restart());
        }
        drop(busy);
        assert_eq!(ex.run_on_all(|worker| worker).unwrap(), [0, 1]);
    });
}

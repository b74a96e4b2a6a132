//! Features together: what one promises holds also while others are used on the same task.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use heist::{Executor, Place, Priority, Reschedule, Shutdown, TaskError, TaskFuture, as_completed};

use crate::support::{Count, Drops, SOON, busy, executor, guard, running, until};

fn is_restart(error: &TaskError) -> bool {
    error.cancel_reason().is_some_and(heist::CancelReason::is_restart)
}

fn with_gpu(workers: usize) -> Executor {
    Executor::builder().workers(workers).resource("gpu", 1).build().unwrap()
}

fn here() -> usize {
    heist::current().unwrap().worker()
}

/// A task of what `task` says that has seceded, and rejoins with the sender; then it runs `after`.
fn away<T: Send + 'static>(
    task: heist::TaskBuilder<'_>,
    after: impl FnOnce(Result<(), TaskError>) -> T + Send + 'static,
) -> (mpsc::Sender<()>, TaskFuture<T>) {
    let (go, may_go) = mpsc::channel::<()>();
    let (seceded, has_seceded) = mpsc::channel();
    let task = task.submit(move || {
        let away = heist::secede().unwrap();
        seceded.send(()).unwrap();
        let _ = may_go.recv();
        after(away.rejoin())
    });
    has_seceded.recv_timeout(SOON).unwrap();
    (go, task)
}

#[test]
fn an_urgent_dependent_that_is_cancelled_leaves_its_input_and_the_inputs_class_alone() {
    guard(|| {
        let ex = executor(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(what)
        };
        let hold = busy(&ex);
        let input = ex.task().priority(Priority::LOW).submit(note("input"));
        let noted = note("urgent");
        let urgent = ex.task().priority(Priority::HIGHEST).after(&input).submit(move |()| noted());
        let normal = ex.submit(note("normal"));
        assert!(urgent.cancel("not so urgent after all"));
        drop(hold);
        ex.gather((&normal, &input)).unwrap();
        assert!(urgent.cancelled());
        assert_eq!(*order.lock().unwrap(), ["normal", "input"]);
    });
}

#[test]
fn a_failed_attempt_goes_behind_its_own_class_and_before_lower_ones() {
    guard(|| {
        let ex = executor(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(what)
        };
        let hold = busy(&ex);
        let (first, fails) = (note("flaky"), AtomicBool::new(true));
        let flaky = ex.task().priority(Priority::HIGH).retries(1).submit_result(move || {
            first();
            if fails.swap(false, Ordering::Relaxed) { Err("once") } else { Ok(()) }
        });
        let beside = ex.task().priority(Priority::HIGH).submit(note("beside"));
        let normal = ex.submit(note("normal"));
        drop(hold);
        ex.gather((&flaky, &beside, &normal)).unwrap();
        assert_eq!(*order.lock().unwrap(), ["flaky", "beside", "flaky", "normal"]);
    });
}

#[test]
fn a_key_that_was_cancelled_between_attempts_leads_to_a_new_task_with_all_its_retries() {
    guard(|| {
        let ex = executor(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let (started, is_started) = mpsc::channel();
        let submit = || {
            let (runs, started) = (runs.clone(), started.clone());
            ex.task().key("k").retries(2).submit_result(move || match runs.fetch_add(1, Ordering::SeqCst) {
                0 => Err("first"),
                1 => {
                    started.send(()).unwrap();
                    until("it is cancelled", heist::cancelled);
                    Err("second")
                }
                2 => Err("third"),
                3 => Err("fourth"),
                run => Ok(run),
            })
        };
        let old = submit();
        is_started.recv_timeout(SOON).unwrap();
        assert!(old.cancel("in its second attempt"));
        let new = submit();
        assert_ne!(old, new);
        assert_eq!(new.result().unwrap(), 4, "two more failures were forgiven");
        assert!(old.retry().cancelled(), "what was cancelled is not made anew");
    });
}

#[test]
fn retrying_what_failed_before_a_restart_gives_the_new_task_of_its_key() {
    guard(|| {
        let ex = executor(1);
        let fails = Arc::new(AtomicBool::new(true));
        let submit = |value| {
            let fails = fails.clone();
            let run = move || if fails.load(Ordering::SeqCst) { Err("broken") } else { Ok(value) };
            ex.task().key("k").retries(0).submit_result(run)
        };
        let failed = submit(1);
        failed.wait().unwrap();
        ex.restart().unwrap();
        assert!(failed.error().unwrap().is_failed(), "done is final");
        fails.store(false, Ordering::SeqCst);
        let hold = busy(&ex);
        let new = submit(2);
        assert_eq!(failed.retry(), new);
        drop(hold);
        assert_eq!(new.result().unwrap(), 2);
        drop(new);
        assert_eq!(failed.retry().result().unwrap(), 1, "with nobody else at the key its own closure runs");
    });
}

/// Keys, retries, cancels and restarts at once: every future ends, and nothing is left.
#[test]
fn keys_retries_cancels_and_restarts_at_once_leave_nothing_behind() {
    guard(|| {
        let ex = executor(2);
        let over = Arc::new(AtomicBool::new(false));
        let (drops, made) = (Drops::default(), Count::default());
        let threads: Vec<_> = (0..3_usize)
            .map(|thread| {
                let (ex, over, drops, made) = (ex.clone(), over.clone(), drops.clone(), made.clone());
                thread::spawn(move || {
                    for round in 0.. {
                        if over.load(Ordering::SeqCst) && round > 0 {
                            break;
                        }
                        let (piece, attempts) = (drops.piece(), AtomicUsize::new(0));
                        made.add();
                        let task = ex.task().key(("k", round % 4)).retries(2).submit_result(move || {
                            let _piece = &piece;
                            if attempts.fetch_add(1, Ordering::SeqCst) < round % 4 { Err("again") } else { Ok(round) }
                        });
                        let next = ex.task().retries(1).after(&task).submit(|round| *round);
                        if round % 3 == thread {
                            task.cancel("in the storm");
                        }
                        let result = next.result();
                        assert!(result.as_ref().is_ok_and(|value| *value % 4 == round % 4) || result.is_err());
                        drop(task.retry());
                    }
                })
            })
            .collect();
        (0..50).for_each(|_| {
            ex.restart().unwrap();
            assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        });
        over.store(true, Ordering::SeqCst);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        ex.shutdown(Shutdown::Wait);
        assert_eq!((ex.stats().submitted, drops.count()), (ex.stats().finished, made.get()));
    });
}

#[test]
fn whoever_holds_a_future_holds_its_key() {
    guard(|| {
        let ex = executor(1);
        let runs = Count::default();
        let submit = || {
            let runs = runs.clone();
            ex.task().key("k").submit(move || runs.add())
        };
        let queue = ex.queue("q", None).unwrap();
        queue.put_future(submit()).unwrap();
        assert_eq!(submit().result().unwrap(), 1);
        let variable = ex.variable("v").unwrap();
        variable.set(queue.get().unwrap());
        assert_eq!(submit().result().unwrap(), 1);
        ex.publish("d", variable.get().unwrap()).unwrap();
        drop(variable);
        assert_eq!(submit().result().unwrap(), 1);
        let actor = ex.actor(|| None);
        let published = ex.published::<usize>("d").unwrap();
        actor.ask(move |held| *held = published).wait().unwrap();
        assert!(ex.unpublish("d"));
        assert_eq!(submit().result().unwrap(), 1);
        actor.ask(|held| drop(held.take())).wait().unwrap();
        assert_eq!(submit().result().unwrap(), 2, "nobody held it any more");
    });
}

#[test]
fn a_detached_task_holds_its_key_until_it_is_done() {
    guard(|| {
        let ex = executor(1);
        let hold = busy(&ex);
        let runs = Count::default();
        let submit = || {
            let runs = runs.clone();
            ex.task().key("k").submit(move || runs.add())
        };
        let id = submit().detach();
        let same = submit();
        assert_eq!(same.id(), id);
        drop(hold);
        assert_eq!(same.result().unwrap(), 1);
        drop(same);
        until("the detached one is gone", || ex.detached().is_empty());
        until("its key is free", || submit().result().unwrap() > 1);
    });
}

#[test]
fn a_failed_input_uses_up_no_retries() {
    guard(|| {
        let ex = executor(1);
        let (attempts, runs) = (Count::default(), Count::default());
        let (attempted, ran) = (attempts.clone(), runs.clone());
        let input = ex.task().retries(2).submit(move || -> u32 { panic!("attempt {}", attempted.add()) });
        let task = ex.task().retries(5).after(&input).submit(move |_| ran.add());
        let error = task.result().unwrap_err();
        assert!(error.is_dependency() && error.panic_message() == Some("attempt 3"), "{error}");
        assert_eq!((attempts.get(), runs.get()), (3, 0));
    });
}

#[test]
fn what_takes_results_of_inputs_is_retried_too() {
    guard(|| {
        let ex = executor(1);
        let bad = ex.submit_result(|| Err::<u32, _>("no"));
        let runs = Count::default();
        let task = ex.task().after(&bad).retries(1).submit_after_results(move |result| {
            assert!(runs.add() > 1, "the first time");
            result.is_err()
        });
        assert!(task.result().unwrap());
    });
}

#[test]
fn as_completed_yields_a_retried_task_once_with_its_last_outcome() {
    guard(|| {
        let ex = executor(2);
        let task = |failures: usize| {
            let runs = Count::default();
            ex.task().retries(2).submit_result(move || if runs.add() > failures { Ok(failures) } else { Err("again") })
        };
        let mut completed = as_completed((0..5).map(task));
        let mut good = Vec::new();
        let mut retried = 0;
        while let Some((future, result)) = completed.next() {
            match result {
                Ok(failures) => good.push(failures),
                Err(error) => {
                    assert!(error.is_failed() && future.error().is_some());
                    retried += 1;
                    completed.push(future.retry());
                }
            }
        }
        good.sort_unstable();
        // Those that fail 3 and 4 times had used up three runs, and had three more.
        assert_eq!((good, retried), (vec![0, 1, 2, 3, 4], 2));
    });
}

#[test]
fn a_task_that_asks_to_run_later_gives_its_resource_back_meanwhile() {
    guard(|| {
        let ex = with_gpu(1);
        let is_there = Arc::new(AtomicBool::new(false));
        let look = is_there.clone();
        let asks = ex
            .task()
            .resource("gpu", 1)
            .retries(0)
            .submit_result(move || if look.load(Ordering::SeqCst) { Ok(in_use_here()) } else { Err(Reschedule) });
        let sets = ex.task().resource("gpu", 1).submit(move || is_there.store(true, Ordering::SeqCst));
        sets.result().unwrap();
        assert_eq!(asks.result().unwrap(), 1, "and has it again when it runs");
        until("all is given back", || ex.resources()[0].in_use() == 0);
    });
}

fn in_use_here() -> u64 {
    heist::current().unwrap().executor().resources()[0].in_use()
}

#[test]
fn a_seceded_task_keeps_its_resource_and_a_cancelled_one_until_it_really_ends() {
    guard(|| {
        let ex = with_gpu(1);
        let (go, holder) = away(ex.task().resource("gpu", 1), |rejoined| rejoined.is_err());
        let waits = ex.task().resource("gpu", 1).submit(|| 1);
        assert_eq!(ex.submit(|| 2).result().unwrap(), 2, "the worker is free");
        assert!(!waits.done() && ex.resources()[0].in_use() == 1);
        assert!(holder.cancel("enough"));
        ex.submit(|| ()).result().unwrap();
        assert!(!waits.done() && ex.resources()[0].in_use() == 1);
        drop(go);
        assert_eq!(waits.result().unwrap(), 1);
        until("all is given back", || ex.resources()[0].in_use() == 0);
    });
}

#[test]
fn a_strict_task_that_needs_a_resource_gets_it_on_its_own_worker() {
    guard(|| {
        let ex = with_gpu(3);
        for round in 0..100 {
            let (end, held) = running(&ex, ());
            let first = ex.task().resource("gpu", 1).submit(|| ());
            let tasks: Vec<_> = (0..3)
                .map(|worker| ex.task().place(Place::Worker(worker)).strict().resource("gpu", 1).submit(here))
                .collect();
            drop(end);
            ex.gather((held, first)).unwrap();
            assert_eq!(ex.gather(tasks).unwrap(), [0, 1, 2], "{round}");
        }
    });
}

#[test]
fn what_is_made_anew_is_as_it_was_wanted() {
    guard(|| {
        let ex = with_gpu(2);
        let fails = Arc::new(AtomicBool::new(true));
        let look = fails.clone();
        let task = ex.task().name("tile").place(Place::Worker(1)).strict().resource("gpu", 1).retries(0);
        let failed = task.submit_result(move || {
            let seen = (here(), in_use_here());
            if look.load(Ordering::SeqCst) { Err(format!("{seen:?}")) } else { Ok(seen) }
        });
        assert!(failed.result().unwrap_err().to_string().contains("(1, 1)"));
        fails.store(false, Ordering::SeqCst);
        let anew = failed.retry();
        assert!(format!("{anew:?}").contains("tile"));
        assert_eq!(anew.result().unwrap(), (1, 1));
    });
}

#[test]
fn a_strict_task_that_secedes_comes_back_to_its_own_worker() {
    guard(|| {
        let ex = executor(2);
        let strict = ex.task().place(Place::Worker(1)).strict();
        let (go, task) = away(strict, |rejoined| (rejoined.is_ok(), here()));
        let inner = ex.clone();
        // The other worker is idle; its own is held by a task that it submits itself.
        let (end, ends) = mpsc::channel::<()>();
        let (started, is_started) = mpsc::channel();
        let holder = inner.task().place(Place::Worker(1)).strict().submit(move || {
            started.send(()).unwrap();
            let _ = ends.recv();
        });
        is_started.recv_timeout(SOON).unwrap();
        go.send(()).unwrap();
        assert_eq!(ex.task().place(Place::Worker(0)).strict().submit(here).result().unwrap(), 0);
        assert!(!task.done());
        drop(end);
        holder.wait().unwrap();
        assert_eq!(task.result().unwrap(), (true, 1));
    });
}

/// Dask's secede without stealing: children that nobody may take still run, on the worker that was left.
#[test]
fn a_strict_task_that_secedes_lets_its_strict_children_run_on_its_worker() {
    guard(|| {
        let ex = executor(2);
        let inner = ex.clone();
        let task = ex.task().place(Place::Worker(1)).strict().submit(move || {
            let away = heist::secede().unwrap();
            let (sender, receiver) = mpsc::channel();
            for _ in 0..10 {
                let sender = sender.clone();
                let child = move || sender.send(here()).unwrap();
                inner.task().place(Place::Worker(1)).strict().submit(child).detach();
            }
            let at: Vec<_> = (0..10).map(|_| receiver.recv_timeout(SOON).unwrap()).collect();
            away.rejoin().unwrap();
            at
        });
        assert_eq!(task.result().unwrap(), [1; 10]);
    });
}

#[test]
fn strict_tasks_of_two_workers_may_wait_for_each_others_locks() {
    guard(|| {
        let ex = executor(2);
        let counted = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..200)
            .map(|task| {
                let (inner, counted) = (ex.clone(), counted.clone());
                ex.task().place(Place::Worker(task % 2)).strict().submit(move || {
                    let held = inner.lock("both").unwrap().lock().unwrap();
                    let other = inner.task().place(Place::Worker(1 - task % 2)).strict().submit(here).result();
                    let seen = counted.load(Ordering::Relaxed);
                    counted.store(seen + 1, Ordering::Relaxed);
                    drop(held);
                    (here(), other.unwrap())
                })
            })
            .collect();
        for (task, at) in ex.gather(tasks).unwrap().into_iter().enumerate() {
            assert_eq!(at, (task % 2, 1 - task % 2));
        }
        assert_eq!(counted.load(Ordering::Relaxed), 200);
    });
}

#[test]
fn seceded_tasks_take_no_place_from_others() {
    guard(|| {
        let ex = executor(2);
        let gone: Vec<_> = (0..4).map(|_| away(ex.task(), |rejoined| rejoined.is_ok())).collect();
        let together = Arc::new(Barrier::new(2));
        let pairs = ex.map(0..2, move |_| together.wait().is_leader());
        assert_eq!(ex.gather(pairs).unwrap().into_iter().filter(|leader| *leader).count(), 1);
        for (go, task) in gone {
            drop(go);
            assert!(task.result().unwrap());
        }
    });
}

#[test]
fn a_seceded_task_may_end_its_own_executor() {
    guard(|| {
        for how in [Shutdown::Wait, Shutdown::Cancel] {
            let ex = executor(1);
            let inner = ex.clone();
            let (go, may_go) = mpsc::channel::<()>();
            let (told, is_told) = mpsc::channel();
            let task = ex.submit(move || {
                let away = heist::secede().unwrap();
                let _ = may_go.recv();
                inner.shutdown(how);
                told.send(away.rejoin()).unwrap();
                7
            });
            drop(go);
            let rejoined = is_told.recv_timeout(SOON).unwrap();
            assert_eq!(rejoined.is_ok(), how == Shutdown::Wait, "{rejoined:?}");
            ex.shutdown(Shutdown::Wait);
            assert_eq!(task.result().unwrap(), 7, "it had begun");
            assert!(ex.submit(|| ()).cancelled());
        }
    });
}

#[test]
fn strict_and_bounded_tasks_are_restarted_too() {
    guard(|| {
        let ex = with_gpu(2);
        let hold = busy(&ex);
        let strict: Vec<_> =
            (0..20).map(|task| ex.task().place(Place::Worker(task % 2)).strict().submit(here)).collect();
        let bound = ex.bounded(1);
        let first = bound.submit(|| 1).unwrap();
        ex.restart().unwrap();
        assert!(strict.iter().all(|task| task.error().is_some_and(|error| is_restart(&error))));
        assert!(first.error().is_some_and(|error| is_restart(&error)));
        assert_eq!(bound.unfinished(), 0, "and there is room again");
        drop(hold);
        assert_eq!(ex.task().place(Place::Worker(1)).strict().submit(here).result().unwrap(), 1);
        assert_eq!(bound.submit(|| 2).unwrap().result().unwrap(), 2);
    });
}

#[test]
fn published_futures_are_restarted_where_they_are_unfinished_and_keep_their_names() {
    guard(|| {
        let ex = executor(1);
        let done = ex.submit(|| 1);
        done.wait().unwrap();
        ex.publish("done", done).unwrap();
        let hold = busy(&ex);
        ex.publish("open", ex.submit(|| 2)).unwrap();
        ex.restart().unwrap();
        drop(hold);
        assert_eq!(ex.datasets(), ["done", "open"]);
        assert_eq!(ex.published::<i32>("done").unwrap().unwrap().result().unwrap(), 1);
        let open = ex.published::<i32>("open").unwrap().unwrap();
        assert!(is_restart(&open.result().unwrap_err()));
        assert!(ex.republish("open", ex.submit(|| 3)).unwrap());
        assert_eq!(ex.published::<i32>("open").unwrap().unwrap().result().unwrap(), 3);
    });
}

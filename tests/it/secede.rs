//! A task that secedes leaves its worker to others; after `rejoin` no more tasks run than there are workers.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use heist::{Executor, Shutdown, TaskError, TaskFuture};

use crate::support::{Count, SOON, executor, guard, running, until};

/// Whether a thread of this process sleeps.
fn sleeps(tid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
}

/// A task that has seceded, waits for word, and rejoins; then it runs `after`.
struct Away<T> {
    go: Sender<()>,
    tid: i32,
    task: TaskFuture<T>,
}

impl<T: Send + 'static> Away<T> {
    fn new(ex: &Executor, after: impl FnOnce(Result<(), TaskError>) -> T + Send + 'static) -> Self {
        let (go, may_go) = mpsc::channel();
        let (seceded, has_seceded) = mpsc::channel();
        let task = ex.submit(move || {
            let away = heist::secede().unwrap();
            seceded.send(tid()).unwrap();
            let _: Result<(), _> = Receiver::recv(&may_go);
            after(away.rejoin())
        });
        Self { go, tid: has_seceded.recv_timeout(SOON).unwrap(), task }
    }

    /// Has it rejoin, and waits until it stands in line.
    fn rejoin(&self) {
        until("it waits for word", || sleeps(self.tid));
        let before = context_switches(self.tid);
        self.go.send(()).unwrap();
        until("it stands in line", || sleeps(self.tid) && context_switches(self.tid) > before);
    }
}

fn tid() -> i32 {
    let path = std::fs::read_link("/proc/thread-self").unwrap();
    path.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// How often a thread has gone to sleep.
fn context_switches(tid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

#[test]
fn with_one_worker_a_seceded_task_can_wait_for_its_child() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let sum = ex.submit(move || {
            let away = heist::secede().unwrap();
            let here = thread::current().id();
            let there = inner.submit(|| thread::current().id()).result().unwrap();
            away.rejoin().unwrap();
            (here != there, here == thread::current().id(), inner.submit(|| 1).result().unwrap())
        });
        assert_eq!(sum.result().unwrap(), (true, true, 1));
    });
}

#[test]
fn seceded_parents_and_their_children_are_all_executed_by_both_workers() {
    guard(|| {
        let ex = executor(2);
        let inner = ex.clone();
        let (at_once, in_pairs) = (Arc::new(Barrier::new(10)), Arc::new(Barrier::new(2)));
        let parents = ex.map(0..10_u64, move |parent| {
            let _away = heist::secede().unwrap();
            at_once.wait();
            let in_pairs = in_pairs.clone();
            let children = inner.map(0..10, move |child| {
                in_pairs.wait();
                parent * 10 + child
            });
            inner.submit_after(&children, |values| values.into_iter().sum::<u64>()).result().unwrap()
        });
        assert_eq!(ex.gather(parents).unwrap().into_iter().sum::<u64>(), 4950);
        let stats = ex.stats();
        assert_eq!(stats.executed, 120);
        assert_eq!(stats.submitted, 120);
    });
}

#[test]
fn after_rejoin_no_more_tasks_run_than_there_are_workers() {
    guard(|| {
        const TASKS: usize = 60;
        for workers in [1, 2, 3] {
            let ex = executor(workers);
            let (inside, most) = (Count::default(), Count::default());
            let all_away = Arc::new(Barrier::new(TASKS));
            let tasks = ex.map(0..TASKS, {
                let (inside, most) = (inside.clone(), most.clone());
                move |_| {
                    let away = heist::secede().unwrap();
                    all_away.wait();
                    away.rejoin().unwrap();
                    for _ in 0..20 {
                        most.max(inside.add());
                        thread::yield_now();
                        inside.sub();
                    }
                }
            });
            ex.gather(tasks).unwrap();
            assert!((1..=workers).contains(&most.get()), "{} at once on {workers} workers", most.get());
        }
    });
}

#[test]
fn those_who_rejoin_are_served_in_the_order_they_came() {
    guard(|| {
        let ex = executor(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let away: Vec<_> = (0..5)
            .map(|number| {
                let order = order.clone();
                Away::new(&ex, move |rejoined| {
                    rejoined.unwrap();
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        let (end, busy) = running(&ex, ());
        for number in [3, 0, 4, 1, 2] {
            away[number].rejoin();
        }
        assert!(order.lock().unwrap().is_empty(), "the only worker is busy");
        drop(end);
        busy.wait().unwrap();
        away.iter().for_each(|away| away.task.wait().unwrap());
        assert_eq!(*order.lock().unwrap(), [3, 0, 4, 1, 2]);
    });
}

#[test]
fn rejoin_takes_any_worker_that_is_idle() {
    guard(|| {
        let ex = executor(2);
        for _ in 0..50 {
            let away = Away::new(&ex, |rejoined| rejoined.is_ok());
            let (end, busy) = running(&ex, ());
            away.go.send(()).unwrap();
            assert!(away.task.result_timeout(SOON).unwrap());
            drop(end);
            busy.wait().unwrap();
        }
    });
}

#[test]
fn rejoin_takes_the_worker_of_a_task_that_waits() {
    guard(|| {
        for spares in [1, 16] {
            let ex = Executor::builder().workers(1).max_spare_threads(spares).build().unwrap();
            let (promise, gate) = ex.promise::<i32>();
            let away = Away::new(&ex, move |rejoined| {
                promise.fulfil(7);
                rejoined.is_ok()
            });
            let (started, is_started) = mpsc::channel();
            let waiting = ex.submit(move || {
                started.send(()).unwrap();
                gate.result().unwrap()
            });
            is_started.recv_timeout(SOON).unwrap();
            away.go.send(()).unwrap();
            assert_eq!(waiting.result().unwrap(), 7);
            assert!(away.task.result().unwrap());
        }
    });
}

#[test]
fn a_dropped_guard_does_not_wait() {
    guard(|| {
        let ex = executor(1);
        let (go, may_go) = mpsc::channel::<()>();
        let (seceded, has_seceded) = mpsc::channel();
        let task = ex.submit(move || {
            let away = heist::secede().unwrap();
            seceded.send(()).unwrap();
            may_go.recv().unwrap();
            drop(away);
            5
        });
        has_seceded.recv_timeout(SOON).unwrap();
        let (end, busy) = running(&ex, 1);
        go.send(()).unwrap();
        assert_eq!(task.result_timeout(SOON).unwrap(), 5, "while the only worker is busy");
        drop(end);
        assert_eq!(busy.result().unwrap(), 1);
    });
}

#[test]
fn a_second_secession_within_the_first_is_none() {
    guard(|| {
        let ex = executor(1);
        let inner = ex.clone();
        let task = ex.submit(move || {
            let outer = heist::secede().unwrap();
            heist::secede().unwrap().rejoin().unwrap();
            drop(heist::secede().unwrap());
            // Still away: the only worker is free for this one.
            let (sender, receiver) = mpsc::channel();
            inner.submit(move || sender.send(1).unwrap()).detach();
            let got = receiver.recv_timeout(SOON).unwrap();
            outer.rejoin().unwrap();
            let again = heist::secede().unwrap();
            again.rejoin().unwrap();
            got
        });
        assert_eq!(task.result().unwrap(), 1);
        assert!(ex.stats().spare_threads <= 2);
    });
}

#[test]
fn outside_of_tasks_nothing_secedes() {
    heist::secede().unwrap().rejoin().unwrap();
    drop(heist::secede().unwrap());
}

/// `total` tasks that secede, block until as many as may have done so, and rejoin; how many could, and the errors of the
/// others.
fn a_crowd(workers: usize, spares: usize, total: usize) -> (usize, Vec<TaskError>) {
    let ex = Executor::builder().workers(workers).max_spare_threads(spares).stack_size(128 << 10).build().unwrap();
    let (met, most) = (Count::default(), total.min(spares));
    let (running, all_away) = (Count::default(), Arc::new(Barrier::new(most)));
    let tasks = ex.map(0..total, move |_| -> Result<(), TaskError> {
        let away = heist::secede()?;
        if met.add() <= most {
            all_away.wait();
        }
        away.rejoin()?;
        assert!(running.add() <= workers, "more tasks run than there are workers");
        running.sub();
        Ok(())
    });
    let (good, bad): (Vec<_>, Vec<_>) = tasks.iter().map(|task| task.result().unwrap()).partition(Result::is_ok);
    (good.len(), bad.into_iter().filter_map(Result::err).collect())
}

#[test]
fn ten_thousand_tasks_may_block_away_from_their_workers_at_once() {
    guard(|| {
        let (good, bad) = a_crowd(2, 16_384, 10_000);
        assert_eq!((good, bad.len()), (10_000, 0));
    });
}

#[test]
fn above_the_cap_secede_is_an_error_that_names_it() {
    guard(|| {
        let (good, bad) = a_crowd(2, 64, 10_000);
        assert_eq!(good + bad.len(), 10_000);
        assert!(good >= 64, "{good}");
        for error in bad {
            assert!(error.is_stalled() && error.to_string().contains("64"), "{error}");
        }
        let ex = Executor::builder().workers(1).max_spare_threads(0).build().unwrap();
        assert!(ex.submit(|| heist::secede().is_err_and(|error| error.is_stalled())).result().unwrap());
    });
}

#[test]
fn a_cancelled_task_rejoins_with_an_error() {
    guard(|| {
        let ex = executor(1);
        let (told, is_told) = mpsc::channel();
        let away = Away::new(&ex, move |rejoined| told.send(rejoined.unwrap_err()).unwrap());
        let (end, busy) = running(&ex, 3);
        away.rejoin();
        away.task.cancel("enough");
        assert!(is_told.recv_timeout(SOON).unwrap().is_cancelled());
        drop(end);
        assert_eq!(busy.result().unwrap(), 3);
        assert_eq!(ex.submit(|| 4).result().unwrap(), 4);
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn closing_wakes_those_who_wait_to_rejoin() {
    guard(|| {
        let ex = executor(1);
        let away: Vec<_> = (0..3).map(|_| Away::new(&ex, |rejoined| rejoined.unwrap_err())).collect();
        let (end, busy) = running(&ex, 3);
        away.iter().for_each(Away::rejoin);
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.close()
        });
        for away in &away {
            let error = away.task.result_timeout(SOON).unwrap();
            assert!(error.cancel_reason().unwrap().is_executor_closed());
        }
        drop(end);
        assert_eq!(busy.result().unwrap(), 3, "a running task ends as ever");
        closing.join().unwrap();
    });
}

#[test]
fn a_shutdown_that_waits_lets_them_rejoin() {
    guard(|| {
        let ex = executor(2);
        let away: Vec<_> = (0..8).map(|_| Away::new(&ex, |rejoined| rejoined.is_ok())).collect();
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.shutdown(Shutdown::Wait)
        });
        until("it closes", || ex.submit(|| ()).cancelled());
        away.iter().for_each(|away| away.go.send(()).unwrap());
        closing.join().unwrap();
        assert!(away.iter().all(|away| away.task.result().unwrap()));
    });
}

#[test]
fn however_a_secession_ends_the_pool_stays_whole() {
    guard(|| {
        for workers in [1, 2] {
            let ex = executor(workers);
            for round in 0..200 {
                let inner = ex.clone();
                let task = ex.submit(move || {
                    let away = heist::secede().unwrap();
                    match round % 5 {
                        0 => panic!("while it is away"),
                        1 => std::mem::forget(away),
                        2 => drop((inner, away)),
                        3 => away.rejoin().unwrap(),
                        _ => {
                            away.rejoin().unwrap();
                            panic!("when it is back");
                        }
                    }
                });
                assert_eq!(task.result().is_err_and(|error| error.is_panic()), matches!(round % 5, 0 | 4));
            }
            let (inside, most) = (Count::default(), Count::default());
            let tasks = ex.map(0..200, {
                let most = most.clone();
                move |_| {
                    most.max(inside.add());
                    thread::yield_now();
                    inside.sub();
                }
            });
            ex.gather(tasks).unwrap();
            assert!(most.get() <= workers, "{} at once on {workers} workers", most.get());
            ex.shutdown(Shutdown::Wait);
        }
    });
}

#[test]
fn the_last_handle_may_go_while_tasks_are_away() {
    guard(|| {
        let ended = Count::default();
        let ex = executor(2);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let ended = ended.clone();
                Away::new(&ex, move |_| ended.add())
            })
            .collect();
        let closing = thread::spawn(move || drop(ex));
        tasks.iter().for_each(|away| away.go.send(()).unwrap());
        closing.join().unwrap();
        assert_eq!(ended.get(), 20);
        assert!(tasks.iter().all(|away| away.task.result().is_ok()), "they had started");
    });
}

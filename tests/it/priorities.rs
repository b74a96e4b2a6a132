//! Urgent tasks come first, whatever else waits; what is not urgent comes last, and comes.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use heist::{Executor, Priority, Shutdown, TaskFuture};

use crate::support::{Busy, Drops, SOON, busy, executor, guard, running, until};

const CLASSES: [Priority; 5] = [Priority::LOWEST, Priority::NORMAL, Priority::HIGHEST, Priority::LOW, Priority::HIGH];

/// What has run, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl ToString) {
        self.0.lock().unwrap().push(what.to_string());
    }
    /// A task that notes this.
    fn of(&self, what: impl ToString) -> impl FnOnce() + Send + 'static {
        let (log, what) = (self.clone(), what.to_string());
        move || log.note(what)
    }
    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
    /// The place of what was noted once.
    #[track_caller]
    fn place(&self, what: &str) -> usize {
        let log = self.read();
        let places: Vec<_> = (0..log.len()).filter(|&place| log[place] == what).collect();
        assert_eq!(places.len(), 1, "{what} in {log:?}");
        places[0]
    }
}

/// One worker, in a task that ends with the sender.
fn held() -> (Executor, mpsc::Sender<()>) {
    let ex = executor(1);
    let (end, task) = running(&ex, ());
    drop(task);
    (ex, end)
}

#[test]
fn classes_come_in_order_and_within_a_class_the_first_submitted() {
    guard(|| {
        let (ex, end) = held();
        let log = Log::default();
        let mut all: Vec<TaskFuture<()>> = Vec::new();
        for turn in 0..3 {
            for class in CLASSES {
                all.push(ex.task().priority(class).submit(log.of(format!("{class:?} {turn}"))));
            }
        }
        drop(end);
        ex.gather(all).unwrap();
        let classes = ["HIGHEST", "HIGH", "NORMAL", "LOW", "LOWEST"];
        let expected: Vec<_> =
            classes.iter().flat_map(|class| (0..3).map(move |turn| format!("{class} {turn}"))).collect();
        assert_eq!(log.read(), expected);
    });
}

#[test]
fn children_inherit_the_class_however_they_are_made() {
    guard(|| {
        let (ex, end) = held();
        let log = Log::default();
        let normal = ex.map(0..10, {
            let log = log.clone();
            move |_| log.note("normal")
        });
        let (inner, inner_log) = (ex.clone(), log.clone());
        let parent = ex.task().priority(Priority::HIGH).submit(move || {
            let one = inner.submit(inner_log.of("child"));
            let log = inner_log.clone();
            let many = inner.map(0..100, move |_| log.note("many"));
            let log = inner_log.clone();
            let after = inner.submit_after(&one, move |()| log.note("after"));
            let plain = inner.task().priority(Priority::NORMAL).submit(inner_log.of("plain"));
            (one, many, after, plain)
        });
        drop(end);
        let (one, many, after, plain) = parent.into_result().unwrap().unwrap();
        ex.gather((one, many, after)).unwrap();
        ex.gather(normal).unwrap();
        plain.result().unwrap();
        let read = log.read();
        let first_normal = read.iter().position(|what| what == "normal" || what == "plain").unwrap();
        assert_eq!(first_normal, 102, "{read:?}");
    });
}

#[test]
fn a_class_ends_with_its_task() {
    guard(|| {
        let (ex, end) = held();
        let log = Log::default();
        let high = ex.task().priority(Priority::HIGH).submit(log.of("high"));
        let (inner, inner_log) = (ex.clone(), log.clone());
        let normal = ex.submit(move || {
            inner_log.note("normal");
            // Behind what is high, so of no class itself.
            let child = inner.submit(inner_log.of("child"));
            let urgent = inner.task().priority(Priority::HIGH).submit(inner_log.of("urgent"));
            (child, urgent)
        });
        drop(end);
        let (child, urgent) = normal.into_result().unwrap().unwrap();
        ex.gather((high, child, urgent)).unwrap();
        assert_eq!(log.read(), ["high", "normal", "urgent", "child"]);
    });
}

#[test]
fn children_come_newest_first_batches_from_outside_oldest_first() {
    guard(|| {
        let (ex, end) = held();
        let log = Log::default();
        let (inner, inner_log) = (ex.clone(), log.clone());
        let parent = ex
            .task()
            .priority(Priority::HIGH)
            .submit(move || ["a", "b", "c"].map(|name| inner.submit(inner_log.of(name))));
        let later = ["d", "e"].map(|name| ex.task().priority(Priority::HIGH).submit(log.of(name)));
        drop(end);
        ex.gather((parent.into_result().unwrap().unwrap(), later)).unwrap();
        assert_eq!(log.read(), ["c", "b", "a", "d", "e"]);
    });
}

/// One worker of several is let go, among a flood: the next thing that runs is what is urgent.
fn comes_next_in_a_flood(flood: impl FnOnce(&Executor, &Log) -> Vec<TaskFuture<()>>) {
    let ex = executor(4);
    let mut workers: Busy = busy(&ex);
    let log = Log::default();
    let flood = flood(&ex, &log);
    let urgent = ex.task().priority(Priority::HIGH).submit(log.of("urgent"));
    workers.let_one_go();
    urgent.wait().unwrap();
    assert_eq!(log.read()[0], "urgent");
    drop(workers);
    ex.gather(flood).unwrap();
}

#[test]
fn no_flood_delays_what_is_urgent() {
    guard(|| {
        for class in [Priority::NORMAL, Priority::LOW, Priority::LOWEST] {
            comes_next_in_a_flood(|ex, log| {
                let log = log.clone();
                ex.task().priority(class).map(0..5_000, move |_| log.note("flood"))
            });
        }
        comes_next_in_a_flood(|ex, log| (0..1_000).map(|_| ex.submit(log.of("flood"))).collect());
    });
}

#[test]
fn a_chain_does_not_hold_up_what_is_urgent() {
    guard(|| {
        for class in [Priority::NORMAL, Priority::LOW] {
            let (ex, end) = held();
            let log = Log::default();
            let (found, urgent) = mpsc::channel();
            let mut last = ex.task().priority(class).submit(log.of("first"));
            for link in 0..200 {
                let (inner, log, found) = (ex.clone(), log.clone(), found.clone());
                last = ex.task().priority(class).after(&last).submit(move |()| {
                    log.note(link);
                    if link == 100 {
                        found.send(inner.task().priority(Priority::HIGH).submit(log.of("urgent"))).unwrap();
                    }
                });
            }
            drop(end);
            last.wait().unwrap();
            urgent.recv().unwrap().wait().unwrap();
            assert_eq!(log.place("urgent"), log.place("100") + 1);
        }
    });
}

#[test]
fn a_batch_does_not_hold_up_what_is_urgent() {
    guard(|| {
        let (ex, end) = held();
        let log = Log::default();
        let (found, urgent) = mpsc::channel();
        let tasks = ex.map(0..1_000, {
            let (ex, log) = (ex.clone(), log.clone());
            move |index| {
                log.note(index);
                if index == 30 {
                    found.send(ex.task().priority(Priority::HIGH).submit(log.of("urgent"))).unwrap();
                }
            }
        });
        drop(end);
        ex.gather(tasks).unwrap();
        urgent.recv().unwrap().wait().unwrap();
        assert_eq!(log.place("urgent"), log.place("30") + 1);
    });
}

#[test]
fn who_waits_for_many_lends_the_core_to_what_is_urgent() {
    guard(|| {
        let ex = executor(1);
        let log = Log::default();
        let (found, urgent) = mpsc::channel();
        let (inner, inner_log) = (ex.clone(), log.clone());
        let parent = ex.submit(move || {
            let (ex, log) = (inner.clone(), inner_log.clone());
            let children = inner.map(0..1_000, move |index| {
                log.note(index);
                if index == 500 {
                    found.send(ex.task().priority(Priority::HIGH).submit(log.of("urgent"))).unwrap();
                }
            });
            inner.gather(children).unwrap();
        });
        parent.wait().unwrap();
        urgent.recv().unwrap().wait().unwrap();
        assert_eq!(log.place("urgent"), log.place("500") + 1);
    });
}

#[test]
fn tasks_of_a_class_may_wait_for_their_children() {
    fn sum(ex: &Executor, of: u64) -> u64 {
        if of < 2 {
            return of;
        }
        let inner = ex.clone();
        let left = ex.submit(move || sum(&inner, of - 1));
        sum(ex, of - 2) + left.result().unwrap()
    }
    guard(|| {
        for spares in [0, 100] {
            for class in [Priority::HIGHEST, Priority::LOW] {
                let ex = Executor::builder().workers(2).max_spare_threads(spares).build().unwrap();
                let inner = ex.clone();
                let root = ex.task().priority(class).submit(move || sum(&inner, 15));
                assert_eq!(root.result().unwrap(), 610);
            }
        }
    });
}

#[test]
fn a_task_is_of_its_class_also_after_a_wait() {
    guard(|| {
        let ex = executor(1);
        let log = Log::default();
        let (promise, awaited) = ex.promise::<()>();
        let (inner, inner_log) = (ex.clone(), log.clone());
        let (started, is_started) = mpsc::channel();
        let high = ex.task().priority(Priority::HIGH).submit(move || {
            started.send(()).unwrap();
            awaited.wait().unwrap();
            inner.submit(inner_log.of("child"))
        });
        is_started.recv_timeout(SOON).unwrap();
        // Runs on the lent core, and ends the wait.
        let (go, goes) = mpsc::channel::<()>();
        let keeper = ex.submit(move || {
            promise.fulfil(());
            let _ = goes.recv();
        });
        let normal: Vec<_> = (0..10).map(|_| ex.submit(log.of("normal"))).collect();
        let child = high.into_result().unwrap().unwrap();
        drop(go);
        ex.gather((child, normal)).unwrap();
        keeper.wait().unwrap();
        assert_eq!(log.place("child"), 0);
    });
}

#[test]
fn a_normal_input_that_an_urgent_task_runs_has_normal_children() {
    guard(|| {
        let (ex, end) = held();
        let log = Log::default();
        let (inner, inner_log) = (ex.clone(), log.clone());
        let input = ex.submit(move || inner.submit(inner_log.of("child")));
        let waits = input.clone();
        let (inner, inner_log) = (ex.clone(), log.clone());
        let high = ex.task().priority(Priority::HIGH).submit(move || {
            waits.wait().unwrap();
            inner.submit(inner_log.of("own"))
        });
        let other = ex.task().priority(Priority::HIGH).submit(log.of("other"));
        drop(end);
        let own = high.into_result().unwrap().unwrap();
        ex.gather((own, other)).unwrap();
        input.value().unwrap().wait().unwrap();
        assert_eq!(log.read(), ["own", "other", "child"]);
    });
}

#[test]
fn what_is_not_urgent_is_released_cancelled_and_ended_like_anything_else() {
    guard(|| {
        let drops = Drops::default();
        let low = |ex: &Executor, log: &Log| {
            let (piece, log) = (drops.piece(), log.clone());
            ex.task().priority(Priority::LOW).submit(move || {
                log.note("ran");
                drop(piece);
            })
        };
        for how in [Shutdown::Wait, Shutdown::Cancel] {
            let (ex, end) = held();
            let log = Log::default();
            drop(low(&ex, &log));
            let cancelled = low(&ex, &log);
            cancelled.cancel("not any more");
            let left: Vec<_> = (0..10).map(|_| low(&ex, &log)).collect();
            let closer = std::thread::spawn({
                let ex = ex.clone();
                move || ex.shutdown(how)
            });
            until("no task is taken", || ex.submit(|| ()).cancelled());
            drop(end);
            closer.join().unwrap();
            assert!(cancelled.cancelled());
            let ran = if how == Shutdown::Wait { 10 } else { 0 };
            assert_eq!(log.read().len(), ran);
            assert!(left.iter().all(|task| task.cancelled() == (ran == 0)));
        }
        assert_eq!(drops.count(), 24);
    });
}

#[test]
fn urgent_tasks_wake_sleepers() {
    guard(|| {
        let ex = executor(3);
        for round in 0..2_000 {
            let class = CLASSES[round % 5];
            assert_eq!(ex.task().priority(class).submit(move || round).result().unwrap(), round);
        }
    });
}

#[test]
fn a_flood_that_is_not_urgent_ends_all_the_same() {
    guard(|| {
        let ex = executor(4);
        let low = ex.task().priority(Priority::LOW).map(0..20_000_u64, |i| i);
        let normal = ex.map(0..20_000_u64, |i| i);
        let high = ex.task().priority(Priority::HIGH).map(0..20_000_u64, |i| i);
        let sum = |values: Vec<u64>| values.iter().sum::<u64>();
        assert_eq!(sum(ex.gather(low).unwrap()), 199_990_000);
        assert_eq!(sum(ex.gather(normal).unwrap()), 199_990_000);
        assert_eq!(sum(ex.gather(high).unwrap()), 199_990_000);
    });
}

//! Resources: never more in use than there is, had to the real end, in one order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use heist::{Executor, Priority, Shutdown};

use crate::support::{Count, SOON, guard, until};

fn with_gpus(workers: usize, gpus: u64) -> Executor {
    Executor::builder().workers(workers).resource("gpu", gpus).resource("disk", 1).build().unwrap()
}

fn in_use(ex: &Executor) -> u64 {
    ex.resources()[0].in_use()
}

/// A task that has one of the resource until the sender goes.
fn holder(ex: &Executor, amount: u64) -> (mpsc::Sender<()>, heist::TaskFuture<()>) {
    let (started, is_started) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let task = ex.task().resource("gpu", amount).submit(move || {
        let _ = started.send(());
        let _ = ends.recv();
    });
    is_started.recv_timeout(SOON).unwrap();
    (end, task)
}

/// Has the one worker that is free go through all that was submitted.
fn settle(ex: &Executor) {
    ex.task().priority(Priority::LOWEST).submit(|| ()).result().unwrap();
}

#[test]
fn never_more_run_than_the_resource_allows() {
    guard(|| {
        for gpus in [1, 2] {
            let ex = with_gpus(4, gpus);
            let (now, most) = (Count::default(), Count::default());
            let (running, seen) = (now.clone(), most.clone());
            let tasks = ex.task().resource("gpu", 1).map(0..400, move |i| {
                seen.max(running.add());
                std::thread::yield_now();
                running.sub();
                i
            });
            assert_eq!(ex.gather(tasks).unwrap(), (0..400).collect::<Vec<_>>());
            assert!(most.get() <= gpus as usize, "{} ran at once on {gpus}", most.get());
            until("all is given back", || in_use(&ex) == 0);
        }
    });
}

#[test]
fn what_finds_too_little_waits_and_others_pass() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let (end, held) = holder(&ex, 1);
        let waits = ex.task().resource("gpu", 1).submit(|| 1);
        let other = ex.task().resource("disk", 1).submit(|| 2);
        assert_eq!((ex.submit(|| 3).result().unwrap(), other.result().unwrap()), (3, 2));
        assert!(!waits.done());
        assert_eq!(in_use(&ex), 1);
        drop(end);
        held.result().unwrap();
        assert_eq!(waits.result().unwrap(), 1);
    });
}

#[test]
fn a_cancelled_task_has_its_resource_until_it_really_ends() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let (end, held) = holder(&ex, 1);
        let waits = ex.task().resource("gpu", 1).submit(|| 1);
        assert!(held.cancel("enough"));
        assert!(held.done());
        ex.submit(|| ()).result().unwrap();
        assert!(!waits.done() && in_use(&ex) == 1);
        drop(end);
        assert_eq!(waits.result().unwrap(), 1);
        until("it is given back", || in_use(&ex) == 0);
    });
}

#[test]
fn a_cancelled_or_released_waiter_takes_nothing_and_blocks_nobody() {
    guard(|| {
        let ex = with_gpus(2, 2);
        let (end, held) = holder(&ex, 1);
        let big = ex.task().resource("gpu", 2).submit(|| 1);
        let small = ex.task().resource("gpu", 1).submit(|| 2);
        ex.submit(|| ()).result().unwrap();
        assert!(!small.done(), "it does not pass the one that needs more");
        big.cancel("no");
        assert_eq!(small.result().unwrap(), 2);
        drop(ex.task().resource("gpu", 2).submit(|| unreachable!("released")));
        assert_eq!(ex.task().resource("gpu", 1).submit(|| 3).result().unwrap(), 3);
        drop(end);
        held.result().unwrap();
        until("it is given back", || in_use(&ex) == 0);
    });
}

#[test]
fn big_requests_are_not_starved_by_small_ones() {
    guard(|| {
        let ex = with_gpus(2, 2);
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(what)
        };
        let (end, held) = holder(&ex, 1);
        let big = ex.task().resource("gpu", 2).submit(note("big"));
        settle(&ex);
        let small: Vec<_> = (0..5).map(|_| ex.task().resource("gpu", 1).submit(note("small"))).collect();
        drop(end);
        held.result().unwrap();
        big.result().unwrap();
        ex.gather(small).unwrap();
        assert_eq!(order.lock().unwrap()[0], "big");
    });
}

#[test]
fn of_those_that_wait_the_most_urgent_comes_first_then_the_oldest() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let (end, _held) = holder(&ex, 1);
        let classes = [Priority::LOW, Priority::NORMAL, Priority::HIGH, Priority::NORMAL, Priority::HIGHEST];
        let tasks: Vec<_> = classes
            .into_iter()
            .enumerate()
            .map(|(number, class)| {
                let order = order.clone();
                let note = move || order.lock().unwrap().push(number);
                let task = ex.task().priority(class).resource("gpu", 1).submit(note);
                settle(&ex);
                task
            })
            .collect();
        drop(end);
        ex.gather(tasks).unwrap();
        assert_eq!(*order.lock().unwrap(), [4, 2, 1, 3, 0]);
    });
}

#[test]
fn several_resources_are_had_together() {
    guard(|| {
        let ex = with_gpus(3, 1);
        let sum = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for i in 0..100 {
            let sum = sum.clone();
            let add = move || {
                sum.fetch_add(i, Ordering::Relaxed);
            };
            let task = ex.task();
            tasks.push(match i % 3 {
                0 => task.resource("gpu", 1).resource("disk", 1).submit(add),
                1 => task.resource("disk", 1).submit(add),
                _ => task.resource("gpu", 1).submit(add),
            });
        }
        ex.gather(tasks).unwrap();
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
        until("all is given back", || ex.resources().iter().all(|resource| resource.in_use() == 0));
    });
}

#[test]
fn a_task_that_fails_or_runs_again_gives_back_each_time() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let runs = AtomicUsize::new(0);
        let flaky =
            ex.task().resource("gpu", 1).retries(2).submit_result(move || match runs.fetch_add(1, Ordering::Relaxed) {
                0 => Err("once"),
                1 => panic!("twice"),
                run => Ok(run),
            });
        assert_eq!(flaky.result().unwrap(), 2);
        assert!(ex.task().resource("gpu", 1).submit(|| panic!("no")).result().is_err());
        assert_eq!(ex.task().resource("gpu", 1).submit(|| 1).result().unwrap(), 1);
        until("all is given back", || in_use(&ex) == 0);
    });
}

#[test]
fn tasks_with_needs_may_wait_for_inputs_and_be_waited_for_within_tasks() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let (end, held) = holder(&ex, 1);
        let inner = ex.clone();
        let outer = ex.submit(move || {
            let input = inner.task().resource("gpu", 1).submit(|| 1);
            inner.task().resource("gpu", 1).after(&input).submit(|n| n + 1).result()
        });
        drop(end);
        held.result().unwrap();
        assert_eq!(outer.result().unwrap().unwrap(), 2);
        until("all is given back", || in_use(&ex) == 0);
    });
}

#[test]
fn those_that_wait_end_with_the_executor() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let (end, held) = holder(&ex, 1);
        let tasks: Vec<_> = (0..1_000).map(|i| ex.task().resource("gpu", 1).submit(move || i)).collect();
        let closer = ex.clone();
        let closing = std::thread::spawn(move || closer.shutdown(Shutdown::Cancel));
        until("they are cancelled", || tasks.iter().all(heist::TaskFuture::cancelled));
        drop(end);
        closing.join().unwrap();
        assert!(held.done());
    });
}

#[test]
fn an_executor_that_drains_runs_those_that_wait() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let (end, _held) = holder(&ex, 1);
        let tasks: Vec<_> = (0..100).map(|i| ex.task().resource("gpu", 1).submit(move || i)).collect();
        drop(end);
        ex.shutdown(Shutdown::Wait);
        assert!(tasks.iter().enumerate().all(|(i, task)| task.result().unwrap() == i));
    });
}

#[test]
fn cancelled_waiters_leave_no_trace() {
    guard(|| {
        let ex = with_gpus(1, 1);
        let (end, _held) = holder(&ex, 1);
        let first = ex.task().resource("gpu", 1).submit(|| 0);
        for _ in 0..100 {
            let many = ex.task().resource("gpu", 1).map(0..100, |i| i);
            many.iter().for_each(|task| assert!(task.cancel("no")));
        }
        let last = ex.task().resource("gpu", 1).submit(|| 1);
        drop(end);
        assert_eq!((first.result().unwrap(), last.result().unwrap()), (0, 1));
    });
}

/// A task that has what it needs but has not begun, since others come first, keeps it from nobody who is more urgent.
#[test]
fn what_is_not_urgent_holds_nothing_back_while_it_waits_for_its_turn() {
    guard(|| {
        let ex = with_gpus(2, 1);
        let (end_first, first) = holder(&ex, 1);
        let low = ex.task().priority(Priority::LOW).resource("gpu", 1).submit(|| 1);
        // Behind it on the shelf: so it has been looked at, and waits for the resource.
        ex.task().priority(Priority::LOW).submit(|| ()).wait().unwrap();
        let (end_other, other) = crate::support::running(&ex, ());
        let (started, is_started) = mpsc::channel();
        let (ends, blocks): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let (started, (end, ends)) = (started.clone(), mpsc::channel::<()>());
                let task = ex.submit(move || {
                    started.send(()).unwrap();
                    let _ = ends.recv();
                });
                (end, task)
            })
            .unzip();
        drop(end_first);
        is_started.recv_timeout(SOON).unwrap();
        let high = ex.task().priority(Priority::HIGH).resource("gpu", 1).submit(|| 2);
        let begun = blocks.iter().position(|task| task.status() == heist::Status::Running).unwrap();
        let mut ends: Vec<_> = ends.into_iter().map(Some).collect();
        ends[begun] = None;
        until("the urgent one has run", || high.done());
        assert!(!low.done());
        drop((ends, end_other));
        assert_eq!((low.result().unwrap(), high.result().unwrap()), (1, 2));
        [first, other].iter().chain(&blocks).for_each(|task| task.wait().unwrap());
        until("all is given back", || in_use(&ex) == 0);
    });
}

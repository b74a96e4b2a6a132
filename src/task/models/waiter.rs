//! Waiters claim by handle what a queue entry also leads to.

use super::{Value, World, is_done, number};
use crate::primitive::model::{explore, thread};
use crate::task::{Help, Phase, Typed, help};

/// What a waiter does for `task` in one look; whether it ran something.
fn look(world: &World, task: &Typed<Value>) -> bool {
    match help(task.handle(), |_| true) {
        Help::Run(started) => {
            world.finish(started);
            true
        }
        Help::Input(_) | Help::Turn(_) | Help::Wait | Help::Again => false,
    }
}

#[test]
fn loom_queue_and_waiter_run_a_task_once() {
    explore(10, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let ran = look(&world, &task);
        assert!(!ran || number(&task) == Some(1));
        runner.join().unwrap();
        assert_eq!(number(&task), Some(1));
        assert_eq!(world.ran(), 1);
        drop(task);
        world.assert_over();
    });
}

#[test]
fn loom_two_waiters_the_queue_and_the_last_handle() {
    explore(2_000, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let waiter = {
            let world = world.clone();
            thread::spawn(move || look(&world, &second))
        };
        look(&world, &task);
        drop(task);
        waiter.join().unwrap();
        runner.join().unwrap();
        assert!(world.ran() <= 1);
        world.assert_over();
    });
}

/// The waiter has the closure of the dependent only to look at its inputs; the entry that the last input queues
/// meanwhile is skipped, and must come again.
#[test]
fn loom_inspection_loses_no_task() {
    explore(100, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, ready) = world.after(&input);
        assert!(ready.is_none());
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        };
        look(&world, &task);
        runner.join().unwrap();
        world.run_all();
        assert_eq!(number(&task), Some(2));
        assert_eq!(world.ran(), 2);
        drop((input, task));
        world.assert_over();
    });
}

#[test]
fn loom_inspection_of_a_task_that_is_cancelled() {
    explore(5_000, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, _) = world.after(&input);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        };
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&second))
        };
        look(&world, &task);
        let cancelled = canceller.join().unwrap();
        runner.join().unwrap();
        world.run_all();
        assert!(is_done(&task));
        assert_eq!(number(&task).is_none(), cancelled);
        drop((input, task));
        world.assert_over();
    });
}

#[test]
fn loom_two_inspections() {
    explore(10_000, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, _) = world.after(&input);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        };
        let waiter = {
            let world = world.clone();
            thread::spawn(move || look(&world, &second))
        };
        look(&world, &task);
        waiter.join().unwrap();
        runner.join().unwrap();
        world.run_all();
        assert_eq!(number(&task), Some(2));
        drop((input, task));
        world.assert_over();
    });
}

/// A waiter runs the missing input of the task it waits for, while the queue has it too.
#[test]
fn loom_waiter_runs_the_input() {
    explore(100, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, _) = world.after(&input);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        if let Help::Input(missing) = help(task.handle(), |_| true)
            && let Help::Run(started) = help(&missing, |_| true)
        {
            world.finish(started);
        }
        look(&world, &task);
        runner.join().unwrap();
        world.run_all();
        assert_eq!(number(&task), Some(2));
        assert_eq!(world.ran(), 2);
        drop((input, task));
        world.assert_over();
    });
}

/// The closure of the dependent has the only other handle of the input that the waiter takes one of.
#[test]
fn loom_inspected_input_stays_when_the_queue_runs_its_dependent() {
    explore(50, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, _) = world.after(&input);
        drop(input);
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        };
        if let Help::Input(input) = help(task.handle(), |_| true) {
            runner.join().unwrap();
            assert_eq!(input.head().state.load().phase(), Phase::Value);
        } else {
            runner.join().unwrap();
        }
        world.run_all();
        assert_eq!(number(&task), Some(2));
        drop(task);
        world.assert_over();
    });
}

#[test]
fn loom_inspected_input_stays_when_another_waiter_runs_its_dependent() {
    explore(50, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, _) = world.after(&input);
        drop(input);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                look(&world, &second);
            })
        };
        drop(match help(task.handle(), |_| true) {
            Help::Input(input) => Some(input),
            _ => None,
        });
        drop(task);
        runner.join().unwrap();
        world.run_all();
        world.assert_over();
    });
}

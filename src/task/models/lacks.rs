//! What a task lacks comes while others wait for the task, cancel it or let go of it.

use super::{Value, World, is_done, number};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::model::{explore, thread};
use crate::task::{Help, Lacking, Typed, help};

/// Who brings it, and then a runner of what is queued.
fn bring(world: &World, lacking: Lacking<usize>) {
    if let Some(task) = lacking.supply(1) {
        world.queue(task);
    }
    world.run_all();
}

/// What a waiter does for the task in one look.
fn look(world: &World, task: &Typed<Value>) {
    if let Help::Run(started) = help(task.handle(), |_| true) {
        world.finish(started);
        assert!(is_done(task));
    }
}

#[test]
fn loom_lacking_supply_and_two_waiters() {
    explore(20, || {
        let world = World::new();
        let (lacking, task) = world.lacking();
        let messenger = {
            let world = world.clone();
            thread::spawn(move || bring(&world, lacking))
        };
        let waiter = {
            let (world, task) = (world.clone(), task.clone());
            thread::spawn(move || look(&world, &task))
        };
        look(&world, &task);
        waiter.join().unwrap();
        messenger.join().unwrap();
        assert_eq!((number(&task), world.ran()), (Some(1), 1));
        drop(task);
        world.assert_over();
    });
}

#[test]
fn loom_lacking_supply_a_waiter_and_a_cancellation() {
    explore(50, || {
        let world = World::new();
        let (lacking, task) = world.lacking();
        let messenger = {
            let world = world.clone();
            thread::spawn(move || bring(&world, lacking))
        };
        let canceller = {
            let (world, task) = (world.clone(), task.clone());
            thread::spawn(move || world.cancel(&task))
        };
        look(&world, &task);
        let was_cancelled = canceller.join().unwrap();
        messenger.join().unwrap();
        assert!(is_done(&task));
        assert_eq!(number(&task).is_none(), was_cancelled);
        drop(task);
        world.assert_over();
    });
}

#[test]
fn loom_lacking_supply_and_the_last_handle() {
    explore(10, || {
        let world = World::new();
        let (lacking, task) = world.lacking();
        let messenger = {
            let world = world.clone();
            thread::spawn(move || bring(&world, lacking))
        };
        drop(task);
        messenger.join().unwrap();
        world.assert_over();
    });
}

#[test]
fn loom_lacking_failure_and_a_cancellation() {
    explore(10, || {
        let world = World::new();
        let (lacking, task) = world.lacking();
        let messenger = thread::spawn(move || lacking.fail(TaskError::new(TaskErrorKind::PromiseDropped)));
        let was_cancelled = world.cancel(&task);
        messenger.join().unwrap();
        let error = task.error().unwrap();
        assert_eq!(error.is_promise_dropped(), !was_cancelled);
        drop((task, error));
        world.assert_over();
    });
}

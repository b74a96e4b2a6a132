//! Who ends a task, who drops its result, who frees it.

use super::{World, number, was_cancelled};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::model::{explore, thread};
use crate::task::{Handle, Listener, Roll, cancel_queued};

#[test]
fn loom_run_cancel_and_drop_of_the_last_handle() {
    explore(100, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&second))
        };
        drop(task);
        let cancelled = canceller.join().unwrap();
        runner.join().unwrap();
        assert!(world.discarded() <= usize::from(cancelled));
        world.assert_over();
    });
}

#[test]
fn loom_two_handles_read_and_go() {
    explore(100, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let reader = thread::spawn(move || number(&second));
        assert!(number(&task).is_none_or(|number| number == 1));
        drop(task);
        assert!(reader.join().unwrap().is_none_or(|number| number == 1));
        runner.join().unwrap();
        world.assert_over();
    });
}

#[test]
fn loom_failure_cancel_and_drop() {
    explore(100, || {
        let world = World::new();
        let (task, entry) = world.task(None);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let canceller = {
            let world = world.clone();
            thread::spawn(move || {
                let cancelled = world.cancel(&second);
                assert_eq!(was_cancelled(&second), Some(cancelled));
            })
        };
        drop(task);
        canceller.join().unwrap();
        runner.join().unwrap();
        world.assert_over();
    });
}

#[test]
fn loom_promise_kept_cancelled_and_dropped() {
    explore(100, || {
        let world = World::new();
        let (promise, task) = world.promise();
        let second = task.clone();
        let keeper = {
            let world = world.clone();
            thread::spawn(move || promise.fulfil(world.value(1)))
        };
        let canceller = {
            let world = world.clone();
            thread::spawn(move || {
                if !world.cancel(&second) {
                    assert_eq!(number(&second), Some(1));
                }
            })
        };
        drop(task);
        canceller.join().unwrap();
        keeper.join().unwrap();
        world.assert_over();
    });
}

#[test]
fn loom_promise_broken_and_dropped() {
    explore(7, || {
        let world = World::new();
        let (promise, task) = world.promise();
        let keeper = thread::spawn(move || promise.fail(TaskErrorKind::PromiseDropped));
        drop(task);
        keeper.join().unwrap();
        world.assert_over();
    });
}

/// A waiter has run the task, so its queue entry is still out while the value is moved out.
#[test]
fn loom_value_is_moved_out_beside_a_reader_and_the_queue_entry() {
    explore(80, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let crate::task::Help::Run(started) = crate::task::help(task.handle(), |_| true) else {
            panic!("not to be claimed")
        };
        world.finish(started);
        let second = task.clone();
        let reader = thread::spawn(move || assert_eq!(number(&second), Some(1)));
        let queue = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        match task.into_result() {
            Ok(value) => assert!(value.is_ok_and(|value| value.number == 1)),
            Err(task) => assert_eq!(number(&task), Some(1)),
        }
        reader.join().unwrap();
        queue.join().unwrap();
        assert_eq!(world.ran(), 1);
        world.assert_over();
    });
}

/// A roll for one task.
struct Roster(Mutex<Option<Handle>>);

impl Roster {
    fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(Mutex::new(None)))
    }
}

impl Roll for Roster {
    fn put(&self, task: Handle) -> u32 {
        *self.0.lock() = Some(task);
        7
    }
    fn ended(&self, place: u32) {
        assert_eq!(place, 7);
        drop(self.0.lock().take());
    }
}

#[test]
fn loom_detached_task_runs() {
    explore(50, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let second = task.clone();
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let detacher = thread::spawn(move || Listener::detach(second.into_handle(), Roster::new()));
        detacher.join().unwrap();
        drop(task);
        runner.join().unwrap();
        assert_eq!(world.ran(), 1);
        world.assert_over();
    });
}

#[test]
fn loom_closing_worker_and_the_last_handle() {
    explore(100, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let second = task.clone();
        let worker = thread::spawn(move || cancel_queued(entry, TaskError::new(TaskErrorKind::PromiseDropped)));
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&second))
        };
        drop(task);
        worker.join().unwrap();
        canceller.join().unwrap();
        assert_eq!(world.ran(), 0);
        world.assert_over();
    });
}

#[test]
fn loom_error_is_read_while_the_task_is_cancelled() {
    explore(4, || {
        let world = World::new();
        let (task, entry) = world.task(None);
        let second = task.clone();
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&second))
        };
        assert!(was_cancelled(&task).is_none_or(|cancelled| cancelled));
        drop(task);
        canceller.join().unwrap();
        world.run(entry);
        world.assert_over();
    });
}

/// A closing executor ends the promises that are not kept, by their addresses; their handles may be gone.
#[test]
fn loom_promise_ended_from_outside_and_dropped() {
    explore(10, || {
        let world = World::new();
        let (promise, task) = world.promise();
        let closer = {
            let world = world.clone();
            thread::spawn(move || {
                world.end(&promise);
                promise
            })
        };
        drop(task);
        closer.join().unwrap().fulfil(world.value(1));
        world.assert_over();
    });
}

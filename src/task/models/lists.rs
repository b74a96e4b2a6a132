//! Listeners come, are withdrawn and swept while their task ends. In a model the first withdrawal sweeps.

use std::sync::Arc as Counts;

use super::{Value, World, number};
use crate::primitive::model::{Tally, explore, thread};
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::task::{Action, Listener, Typed, listen, withdraw};

/// A listener, and how often it has fired.
fn listener() -> (Arc<Listener>, Counts<Tally>) {
    let fired = Counts::new(Tally::default());
    let count = fired.clone();
    (Listener::new(Action::Call(Box::new(move || count.add()))), fired)
}

/// Listens, or fires at once.
fn add(task: &Typed<Value>, listener: &Arc<Listener>) {
    if listen(task.handle().head(), listener).is_err() {
        listener.fire();
    }
}

/// Withdraws; false when it has fired.
fn take_back(task: &Typed<Value>, listener: &Listener) -> bool {
    let in_time = listener.cancel();
    if in_time {
        withdraw(task.handle().head());
    }
    in_time
}

#[test]
fn loom_listen_while_the_task_ends() {
    explore(30, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let (listener, fired) = listener();
        add(&task, &listener);
        drop((task, listener));
        runner.join().unwrap();
        assert_eq!(fired.get(), 1);
        world.assert_over();
    });
}

#[test]
fn loom_push_sweep_and_end() {
    explore(2_000, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let (early, early_fired) = listener();
        let (kept, kept_fired) = listener();
        let (late, late_fired) = listener();
        add(&task, &early);
        add(&task, &kept);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let second = task.clone();
        let pusher = thread::spawn(move || add(&second, &late));
        let in_time = take_back(&task, &early);
        drop((task, early, kept));
        pusher.join().unwrap();
        runner.join().unwrap();
        assert_eq!(early_fired.get(), usize::from(!in_time));
        assert_eq!((kept_fired.get(), late_fired.get()), (1, 1));
        world.assert_over();
    });
}

#[test]
fn loom_two_sweeps_and_end() {
    explore(2_000, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let (first, first_fired) = listener();
        let (kept, kept_fired) = listener();
        let (other, other_fired) = listener();
        add(&task, &first);
        add(&task, &kept);
        add(&task, &other);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let second = task.clone();
        let sweeper = thread::spawn(move || take_back(&second, &other));
        let first_in_time = take_back(&task, &first);
        drop((task, first, kept));
        let other_in_time = sweeper.join().unwrap();
        runner.join().unwrap();
        assert_eq!(first_fired.get(), usize::from(!first_in_time));
        assert_eq!(other_fired.get(), usize::from(!other_in_time));
        assert_eq!(kept_fired.get(), 1);
        world.assert_over();
    });
}

/// A dependent that is cancelled lets go of its input, which takes its edge out of the input's list.
#[test]
fn loom_edge_is_swept_while_the_input_ends() {
    explore(2_000, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (gone, _) = world.after(&input);
        let (kept, _) = world.after(&input);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&gone))
        };
        let (listener, fired) = listener();
        add(&input, &listener);
        drop((input, listener));
        canceller.join().unwrap();
        runner.join().unwrap();
        world.run_all();
        assert_eq!(number(&kept), Some(2));
        assert_eq!(fired.get(), 1);
        drop(kept);
        world.assert_over();
    });
}

#[test]
fn loom_two_dependents_are_swept_while_the_input_fails() {
    explore(10_000, || {
        let world = World::new();
        let (input, entry) = world.task(None);
        let (first, _) = world.after(&input);
        let (second, _) = world.after(&input);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let dropper = thread::spawn(move || drop(second));
        world.cancel(&first);
        drop((input, first));
        dropper.join().unwrap();
        runner.join().unwrap();
        world.assert_over();
    });
}

#[test]
fn loom_blocked_waiter_is_woken() {
    explore(20, || {
        let world = World::new();
        let (task, entry) = world.task(1);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let parker = Arc::new(Parker::new());
        let listener = Listener::new(Action::Unpark(parker.clone()));
        if listen(task.handle().head(), &listener).is_ok() {
            parker.sleep();
        }
        assert_eq!(number(&task), Some(1));
        drop((task, listener, parker));
        runner.join().unwrap();
        world.assert_over();
    });
}

//! Inputs end while dependents are registered, cancelled and dropped.

use super::{World, is_done, number, was_cancelled};
use crate::primitive::model::{explore, thread};

#[test]
fn loom_input_ends_while_its_dependent_registers() {
    explore(9, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let (task, ready) = world.after(&input);
        if let Some(ready) = ready {
            world.run(ready);
        }
        runner.join().unwrap();
        world.run_all();
        assert_eq!(number(&task), Some(2));
        drop((input, task));
        world.assert_over();
    });
}

#[test]
fn loom_dependent_is_cancelled_while_its_input_ends() {
    explore(4_000, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        };
        let (task, ready) = world.after(&input);
        let second = task.clone();
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&second))
        };
        drop(input);
        if let Some(ready) = ready {
            world.run(ready);
        }
        drop(task);
        canceller.join().unwrap();
        runner.join().unwrap();
        world.run_all();
        world.assert_over();
    });
}

#[test]
fn loom_two_inputs_end_while_their_dependent_registers() {
    explore(500, || {
        let world = World::new();
        let (a, first) = world.task(1);
        let (b, second) = world.task(2);
        let runners = [first, second].map(|entry| {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        });
        let (task, ready) = world.after_both(&a, &b, false);
        if let Some(ready) = ready {
            world.run(ready);
        }
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        world.run_all();
        assert_eq!(number(&task), Some(4));
        assert_eq!(world.ran(), 3);
        drop((a, b, task));
        world.assert_over();
    });
}

#[test]
fn loom_two_inputs_and_a_cancelled_dependent() {
    explore(20_000, || {
        let world = World::new();
        let (a, first) = world.task(1);
        let (b, second) = world.task(2);
        let runners = [first, second].map(|entry| {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        });
        let (task, ready) = world.after_both(&a, &b, false);
        world.cancel(&task);
        drop((a, b));
        if let Some(ready) = ready {
            world.run(ready);
        }
        assert!(is_done(&task));
        drop(task);
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        world.run_all();
        world.assert_over();
    });
}

#[test]
fn loom_an_input_fails_while_the_other_ends() {
    explore(1_000, || {
        let world = World::new();
        let (a, first) = world.task(None);
        let (b, second) = world.task(2);
        let (task, _) = world.after_both(&a, &b, false);
        let (last, _) = world.after(&task);
        let runners = [first, second].map(|entry| {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        });
        drop((a, b));
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        assert!(task.error().is_some_and(|error| error.is_dependency() && error.is_failed()));
        assert!(last.error().is_some_and(|error| error.is_dependency() && error.is_failed()));
        drop((task, last));
        world.assert_over();
    });
}

#[test]
fn loom_inputs_fail_while_their_dependent_registers() {
    explore(10_000, || {
        let world = World::new();
        let (a, first) = world.task(None);
        let (b, second) = world.task(None);
        let runners = [first, second].map(|entry| {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        });
        let (task, ready) = world.after_both(&a, &b, false);
        assert!(ready.is_none());
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        assert_eq!(was_cancelled(&task), Some(false));
        drop((a, b, task));
        world.assert_over();
    });
}

#[test]
fn loom_tolerant_dependent_of_a_failing_input() {
    explore(500, || {
        let world = World::new();
        let (a, first) = world.task(None);
        let (b, second) = world.task(2);
        let runners = [first, second].map(|entry| {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        });
        let (task, ready) = world.after_both(&a, &b, true);
        if let Some(ready) = ready {
            world.run(ready);
        }
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        world.run_all();
        assert_eq!(number(&task), Some(3));
        drop((a, b, task));
        world.assert_over();
    });
}

#[test]
fn loom_handles_of_input_and_dependent_go_while_the_input_ends() {
    explore(500, || {
        let world = World::new();
        let (input, entry) = world.task(1);
        let (task, _) = world.after(&input);
        let runner = {
            let world = world.clone();
            thread::spawn(move || {
                world.run(entry);
                world.run_all();
            })
        };
        let dropper = thread::spawn(move || drop(task));
        drop(input);
        dropper.join().unwrap();
        runner.join().unwrap();
        world.assert_over();
    });
}

#[test]
fn loom_the_middle_of_a_chain_is_cancelled_while_its_head_fails() {
    explore(700, || {
        let world = World::new();
        let (head, entry) = world.task(None);
        let (middle, _) = world.after(&head);
        let (last, _) = world.after(&middle);
        let runner = {
            let world = world.clone();
            thread::spawn(move || world.run(entry))
        };
        let canceller = {
            let world = world.clone();
            thread::spawn(move || world.cancel(&middle))
        };
        drop(head);
        let cancelled = canceller.join().unwrap();
        runner.join().unwrap();
        assert_eq!(was_cancelled(&last), Some(cancelled));
        drop(last);
        world.assert_over();
    });
}

#[test]
fn loom_dependent_registers_while_its_input_is_cancelled() {
    explore(10, || {
        let world = World::new();
        let (promise, input) = world.promise();
        let second = input.clone();
        let canceller = {
            let world = world.clone();
            thread::spawn(move || assert!(world.cancel(&second)))
        };
        let (task, ready) = world.after(&input);
        assert!(ready.is_none());
        assert!(was_cancelled(&task).is_none_or(|cancelled| cancelled));
        canceller.join().unwrap();
        assert_eq!(was_cancelled(&task), Some(true));
        promise.fulfil(world.value(1));
        drop((input, task));
        world.assert_over();
    });
}

//! Tasks that run again, and tasks that a keeper has a reference to.

use std::sync::Arc;

use super::{Outcome, Value, World, number};
use crate::error::TaskErrorKind;
use crate::primitive::model::{explore, thread};
use crate::task::keys::Crew;
use crate::task::{Help, Ready, Rule, TriesAgain, Typed, Work, help, ruled};

/// Fails so many times, then gives the number of failures.
struct Flaky<F> {
    attempt: F,
    failures: usize,
    left: usize,
}

impl<F: Fn(Option<usize>) -> Outcome + Send + 'static> Work for Flaky<F> {
    type Output = Value;
    const REPEATS: bool = true;
    fn run(self) -> Outcome {
        self.attempt()
    }
    fn attempt(&self) -> Outcome {
        (self.attempt)((self.left == 0).then_some(self.failures))
    }
    fn tries_again(&mut self, _: &TaskErrorKind) -> TriesAgain {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        if may { TriesAgain::Yes } else { TriesAgain::No }
    }
}

impl World {
    fn flaky(&self, failures: usize) -> (Typed<Value>, Ready) {
        let attempt = self.repeatable();
        ruled(self.birth(), Rule::default(), Flaky { attempt, failures, left: failures })
    }

    fn kept(&self, crew: &Arc<Crew>) -> (Typed<Value>, Ready) {
        let rule = Rule { keeper: Some(crew.clone()), ..Rule::default() };
        let (task, entry) = ruled(self.birth(), rule, Flaky { attempt: self.repeatable(), failures: 7, left: 0 });
        crew.add(task.handle());
        (task, entry)
    }
}

#[test]
fn loom_a_task_that_runs_again_is_cancelled_and_let_go() {
    explore(100, || {
        let world = World::new();
        let (task, entry) = world.flaky(1);
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
        drop(task);
        let cancelled = canceller.join().unwrap();
        runner.join().unwrap();
        assert!(cancelled || world.ran() <= 2);
        world.assert_over();
    });
}

#[test]
fn loom_a_task_that_runs_again_is_claimed_and_queued() {
    explore(50, || {
        let world = World::new();
        let (task, entry) = world.flaky(1);
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
            thread::spawn(move || {
                if let Help::Run(started) = help(second.handle(), |_| true) {
                    world.finish(started);
                }
            })
        };
        waiter.join().unwrap();
        runner.join().unwrap();
        world.run_all();
        assert_eq!((number(&task), world.ran()), (Some(1), 2));
        drop(task);
        world.assert_over();
    });
}

#[test]
fn loom_the_last_handles_of_a_kept_task_go_while_it_is_looked_up() {
    explore(100, || {
        let world = World::new();
        let crew = Arc::new(Crew::default());
        let (task, entry) = world.kept(&crew);
        let second = task.clone();
        let dropper = thread::spawn(move || drop(second));
        let looker = {
            let (world, crew) = (world.clone(), crew.clone());
            thread::spawn(move || {
                let found = crew.last(None);
                world.run(entry);
                found.is_some_and(|found| number(&Typed::of(found).unwrap()).is_some_and(|number| number != 7))
            })
        };
        drop(task);
        dropper.join().unwrap();
        assert!(!looker.join().unwrap());
        assert!(crew.last(None).is_none());
        world.assert_over();
    });
}

#[test]
fn loom_a_kept_task_is_moved_out_let_go_and_looked_up() {
    explore(100, || {
        let world = World::new();
        let crew = Arc::new(Crew::default());
        let (task, entry) = world.kept(&crew);
        world.run(entry);
        let id = task.handle().head().id();
        let looker = {
            let crew = crew.clone();
            thread::spawn(move || crew.last(None).map(drop))
        };
        let remover = {
            let crew = crew.clone();
            thread::spawn(move || crew.remove(id))
        };
        let moved = task.into_result();
        looker.join().unwrap();
        remover.join().unwrap();
        // Only a look can have come between.
        let moved = moved.or_else(Typed::into_result).unwrap_or_else(|_| unreachable!("nobody else has it now"));
        assert!(moved.is_ok());
        drop(moved);
        assert!(crew.last(None).is_none());
        world.assert_over();
    });
}

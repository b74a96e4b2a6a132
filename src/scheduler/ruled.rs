//! Tasks about which more was said than their closure: made, and queued by what was said.

use std::panic::Location;

use super::context::local;
use super::entry::Entry;
use super::registry::Registry;
use crate::error::{TaskError, TaskErrorKind};
use crate::task::{self, Birth, Handle, Priority, Ready, Rule, Typed, Work, with_class};

impl Registry {
    /// Makes a task with a rule that can be met, which waits for the inputs that its work holds. Without a `priority` it has
    /// that of the task that calls.
    pub(crate) fn submit_ruled_work<W: Work>(
        &self,
        location: &'static Location<'static>,
        priority: Option<Priority>,
        rule: Rule,
        tolerant: bool,
        work: W,
    ) -> Typed<W::Output> {
        self.submit_ruled_and(location, priority, rule, tolerant, work, |_| {})
    }

    /// As [`submit_ruled_work`](Self::submit_ruled_work); the new task is shown before anybody can run it off a queue. A
    /// refused one is not.
    pub(crate) fn submit_ruled_and<W: Work>(
        &self,
        location: &'static Location<'static>,
        priority: Option<Priority>,
        rule: Rule,
        tolerant: bool,
        work: W,
        show: impl FnOnce(&Handle),
    ) -> Typed<W::Output> {
        let mut foreign = false;
        work.show_inputs(&mut |input| foreign |= !input.head().is_input_of(self.id));
        if foreign {
            return task::with_error(self.birth(location), TaskError::new(TaskErrorKind::ForeignFuture));
        }
        if self.may_refuse()
            && let Err(error) = self.admit()
        {
            return task::with_error(self.birth(location), error);
        }
        self.count_created(1);
        let birth = self.birth_of(location, priority);
        self.prepare_for(Priority::of_raw(birth.raw_id), &rule);
        let (task, ready) = task::after_ruled_work(birth, rule, tolerant, work);
        show(task.handle());
        if let Some(ready) = ready {
            self.queue(ready);
            if self.may_refuse() {
                self.withdraw_if_late(task.handle());
            }
        }
        task
    }

    /// As [`birth`](Self::birth), for a task of this class.
    pub(crate) fn birth_of(&self, location: &'static Location<'static>, priority: Option<Priority>) -> Birth {
        let mut birth = self.birth(location);
        if let Some(priority) = priority {
            birth.raw_id = with_class(birth.raw_id, priority);
        }
        birth
    }

    /// Queues a task that has waited for what it needs.
    pub(crate) fn accept(&self, task: Ready) {
        if let Some(rule) = task.head().rule() {
            // A call is made without, since it goes to its worker directly.
            self.prepare_for(task.head().priority(), rule);
        }
        self.queue(task);
    }

    /// Queues a task behind what waits.
    pub(super) fn queue_again(&self, task: Ready) {
        local(|local| {
            let worker = local.worker_of(self);
            match self.elsewhere(local, worker, &task) {
                Some(route) => self.put_on_route(route, false, task),
                None => self.push_near(self.near(local, worker), Entry::of(task)),
            }
        });
    }
}

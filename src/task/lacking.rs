//! Tasks that lack something that comes from elsewhere: RUNNING until it is there, then ready like any other.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::cell::{Birth, Work, with_rule, with_work};
use super::dependents::give_back;
use super::header::{Header, Ready, value_pointer};
use super::home::AFAR;
use super::make::first;
use super::rule::Rule;
use super::run::{Elsewhere, finish};
use super::state::{Outcome, State, Unclaim};
use super::typed::Typed;
use crate::error::{TaskError, TaskErrorKind};

/// What is done with what has come.
pub(crate) trait Receive<S>: Send + 'static {
    type Output: Send + 'static;
    fn name() -> &'static str;
    fn receive(self, what: S) -> Result<Self::Output, TaskErrorKind>;
}

/// The closure of such a task. What it lacks is written by who has the claim, who need not know more of it.
#[repr(C)]
struct Lacks<S, C> {
    what: Option<S>,
    call: C,
}

impl<S: Send + 'static, C: Receive<S>> Work for Lacks<S, C> {
    type Output = C::Output;
    fn name() -> &'static str {
        C::name()
    }
    fn run(self) -> Result<C::Output, TaskErrorKind> {
        match self.what {
            Some(what) => self.call.receive(what),
            None => Err(TaskErrorKind::PromiseDropped),
        }
    }
}

/// The claim on such a task; carries the runtime's reference. It must be used, before its executor is gone.
#[derive(Debug)]
#[must_use]
pub(crate) struct Lacking<S> {
    task: NonNull<Header>,
    what: PhantomData<fn(S)>,
}

// SAFETY: it brings an `S: Send` to a task, whose closure is `Send`.
unsafe impl<S: Send> Send for Lacking<S> {}

/// A task that lacks an `S`, with a rule if one is given, and the claim to supply it.
pub(crate) fn lacking<S: Send + 'static, C: Receive<S>>(
    birth: Birth,
    rule: Option<Rule>,
    call: C,
) -> (Lacking<S>, Typed<C::Output>) {
    let birth = Birth { executor: birth.executor | AFAR, ..birth };
    let work = Lacks { what: None, call };
    let task = match rule {
        None => with_work(birth, State::running(), 1, 0, 0, false, work),
        Some(rule) => with_rule(birth, rule, State::running(), 0, 0, false, work),
    };
    // SAFETY: just born so.
    (Lacking { task, what: PhantomData }, unsafe { first(task) })
}

impl<S: Send + 'static> Lacking<S> {
    pub(crate) fn head(&self) -> &Header {
        // SAFETY: the claim has the runtime's reference.
        unsafe { self.task.as_ref() }
    }

    /// The task lacks nothing any more: it may be run by who waits for it, and is to be queued.
    #[must_use]
    pub(crate) fn supply(self, what: S) -> Option<Ready> {
        // SAFETY: the task is claimed, so its closure is the caller's; it begins with this field, which is `None`.
        unsafe { value_pointer(self.task).cast::<Option<S>>().write(Some(what)) };
        match self.head().state.unclaim() {
            Unclaim::Done | Unclaim::Queue => Some(Ready(self.task)),
            Unclaim::Dispose => {
                self.dispose();
                None
            }
        }
    }

    /// Ends the task, unless that was done: with an error, and what waits for it fails too.
    pub(crate) fn fail(self, error: TaskError) {
        if self.head().state.load().is_done() {
            return self.dispose();
        }
        // SAFETY: the claim has the closure and the runtime's reference; the closure goes first, as if it had run.
        unsafe {
            (self.head().vtable.drop_closure)(self.task);
            finish(self.task, Outcome::Error(error.into_word()), true, &mut Elsewhere::of(self.task));
        }
    }

    /// Lets go of a task that was ended by somebody else.
    fn dispose(self) {
        // SAFETY: who claims a closure disposes of it; the runtime's reference is the claim's.
        unsafe {
            (self.head().vtable.drop_closure)(self.task);
            give_back(self.task);
        }
    }
}

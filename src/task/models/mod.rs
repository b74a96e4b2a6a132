//! Models of the life of a task: who runs it, who ends it, who frees it, who is told.
//!
//! They run the library's own code on a scheduler that only keeps what is ready. Loom finds races of closures, values
//! and list nodes (`primitive::cell`), and at the end of every interleaving memory that leaked; freeing twice, and
//! freeing before others are done with the task, end a model at once.

mod dependents;
mod lacks;
mod life;
mod lists;
mod rules;
mod waiter;

use std::panic::Location;
use std::sync::Arc;

use super::header::Header;
use super::{
    Anywhere, Birth, Finisher, Home, Input, Lacking, Number, Ready, Receive, Schedule, Started, Typed, Unkept, Work,
    after, cancel, fail, fire, lacking, ready, schedule, start, unkept,
};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::cell::Cell;
use crate::primitive::lock::Mutex;
use crate::primitive::model::Tally;

impl Drop for Header {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.payload.write();
            self.handles.with_mut(|_| ());
            self.pending.with_mut(|_| ());
            self.slack.with_mut(|_| ());
        }
    }
}

/// Counts its own end.
pub(crate) struct Counted(Arc<Tally>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Why a task fails or is cancelled. Loom sees who makes, reads and drops it.
struct Failure {
    by_cancel: Cell<bool>,
    _dropped: Counted,
}

// SAFETY: the cell is written before it is shared and when nobody shares it any more, or loom ends the model.
unsafe impl Sync for Failure {}

impl Drop for Failure {
    fn drop(&mut self) {
        self.by_cancel.set(false);
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Failure")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failure {}

/// The value of every task in the models.
pub(crate) struct Value {
    pub(crate) number: usize,
    _dropped: Counted,
}

/// Tasks are born here, and what is ready is kept here.
pub(crate) struct World {
    desk: Arc<Desk>,
    number: Number,
    _home: Box<Home>,
}

struct Desk {
    ready: Mutex<Vec<Ready>>,
    born: Tally,
    finished: Tally,
    discarded: Tally,
    closures_made: Tally,
    closures_begun: Tally,
    closures_ended: Tally,
    closures_dropped: Arc<Tally>,
    values_made: Tally,
    values_dropped: Arc<Tally>,
    errors_made: Tally,
    errors_dropped: Arc<Tally>,
}

impl Desk {
    fn value(&self, number: usize) -> Value {
        self.values_made.add();
        Value { number, _dropped: Counted(self.values_dropped.clone()) }
    }

    fn failure(&self, by_cancel: bool) -> TaskErrorKind {
        self.errors_made.add();
        let by_cancel = Cell::new(by_cancel);
        TaskErrorKind::Failed(Box::new(Failure { by_cancel, _dropped: Counted(self.errors_dropped.clone()) }))
    }
}

impl Schedule for Desk {
    fn ready(&self, task: Ready) {
        self.ready.lock().push(task);
    }
    fn finished(&self) {
        self.finished.add();
    }
    fn discarded(&self) {
        self.discarded.add();
    }
}

impl Finisher for &Desk {
    fn ready(&mut self, task: Ready) {
        Schedule::ready(*self, task);
    }
    fn finished(&mut self) {
        Schedule::finished(*self);
    }
    fn discarded(&mut self) {
        Schedule::discarded(*self);
    }
}

type Outcome = Result<Value, TaskErrorKind>;

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let desk = Arc::new(Desk {
            ready: Mutex::new(Vec::new()),
            born: Tally::default(),
            finished: Tally::default(),
            discarded: Tally::default(),
            closures_made: Tally::default(),
            closures_begun: Tally::default(),
            closures_ended: Tally::default(),
            closures_dropped: Arc::default(),
            values_made: Tally::default(),
            values_dropped: Arc::default(),
            errors_made: Tally::default(),
            errors_dropped: Arc::default(),
        });
        let home: *const Desk = Arc::as_ptr(&desk);
        let home = Box::new(Home(home));
        let number = Number::reserve().unwrap_or_else(|| unreachable!("models are few"));
        let scheduler: std::sync::Weak<Desk> = Arc::downgrade(&desk);
        number.announce(&home, scheduler);
        Arc::new(Self { desk, number, _home: home })
    }

    fn birth(&self) -> Birth {
        self.desk.born.add();
        Birth { executor: self.number.get(), raw_id: 1, location: Location::caller() }
    }

    /// A closure that counts, and gives `number` of what it is called with, or fails when that gives none.
    fn closure<I, N>(&self, number: N) -> impl FnOnce(&I) -> Outcome + Send + use<I, N>
    where
        N: FnOnce(&I) -> Option<usize> + Send,
    {
        self.desk.closures_made.add();
        let closure = Counted(self.desk.closures_dropped.clone());
        let desk = self.desk.clone();
        move |inputs| {
            let _closure = closure;
            desk.closures_begun.add();
            let number = number(inputs);
            desk.closures_ended.add();
            Ok(desk.value(number.ok_or_else(|| desk.failure(false))?))
        }
    }

    /// As [`closure`](Self::closure), to be called any number of times, with the number.
    fn repeatable(&self) -> impl Fn(Option<usize>) -> Outcome + Send + use<> {
        self.desk.closures_made.add();
        let closure = Counted(self.desk.closures_dropped.clone());
        let desk = self.desk.clone();
        move |number| {
            let _closure = &closure;
            desk.closures_begun.add();
            desk.closures_ended.add();
            Ok(desk.value(number.ok_or_else(|| desk.failure(false))?))
        }
    }

    /// A task that is ready, whose value is `number`; it fails when there is none.
    pub(crate) fn task(&self, number: impl Into<Option<usize>>) -> (Typed<Value>, Ready) {
        struct Body<F>(F);
        impl<F: FnOnce(&()) -> Outcome + Send + 'static> Work for Body<F> {
            type Output = Value;
            fn run(self) -> Outcome {
                (self.0)(&())
            }
        }
        let number = number.into();
        ready(self.birth(), Body(self.closure(move |()| number)))
    }

    /// A task whose value is one more than its input's.
    pub(crate) fn after(&self, input: &Typed<Value>) -> (Typed<Value>, Option<Ready>) {
        let input = Input::new(input.clone());
        after::<Anywhere, _, _, _>(
            self.birth(),
            input,
            false,
            self.closure(|input: &Input<Value>| Some(number(input)? + 1)),
        )
    }

    /// A task whose value is one more than the sum of its inputs'. A tolerant one takes those that failed as 0.
    pub(crate) fn after_both(
        &self,
        a: &Typed<Value>,
        b: &Typed<Value>,
        tolerant: bool,
    ) -> (Typed<Value>, Option<Ready>) {
        let inputs = (Input::new(a.clone()), Input::new(b.clone()));
        let sum = move |(a, b): &(Input<Value>, Input<Value>)| {
            assert!(is_done(a) && is_done(b), "runs before its inputs are done");
            let either = |input| number(input).or(tolerant.then_some(0));
            Some(either(a)? + either(b)? + 1)
        };
        after::<Anywhere, _, _, _>(self.birth(), inputs, tolerant, self.closure(sum))
    }

    /// A task that lacks its number.
    pub(crate) fn lacking(&self) -> (Lacking<usize>, Typed<Value>) {
        struct Call<F>(F);
        impl<F: FnOnce(&usize) -> Outcome + Send + 'static> Receive<usize> for Call<F> {
            type Output = Value;
            fn name() -> &'static str {
                "lacks"
            }
            fn receive(self, what: usize) -> Outcome {
                (self.0)(&what)
            }
        }
        lacking(self.birth(), None, Call(self.closure(|number: &usize| Some(*number))))
    }

    pub(crate) fn promise(&self) -> (Unkept<Value>, Typed<Value>) {
        unkept(self.birth())
    }

    /// Ends a promise that its holder does not use meanwhile.
    pub(crate) fn end(&self, promise: &Unkept<Value>) {
        let error = TaskError::new(self.desk.failure(true));
        // SAFETY: the promise, which is not used up, holds its task.
        if let Some(list) = unsafe { fail(promise.task(), error.clone()) } {
            fire(list, Some(error), schedule);
        }
    }

    /// A value for a promise.
    pub(crate) fn value(&self, number: usize) -> Value {
        self.desk.value(number)
    }

    /// Cancels by a handle; false when the task was done.
    pub(crate) fn cancel(&self, task: &Typed<Value>) -> bool {
        cancel(task.handle(), TaskError::new(self.desk.failure(true)))
    }

    /// Runs the task of a queue entry; what gets ready is kept.
    pub(crate) fn run(&self, entry: Ready) {
        if let Some(started) = start(entry) {
            self.finish(started);
        }
    }

    /// Runs a claimed task.
    pub(crate) fn finish(&self, started: Started) {
        started.run().end(&mut &*self.desk);
    }

    pub(crate) fn queue(&self, task: Ready) {
        self.desk.ready(task);
    }

    /// Takes something ready.
    pub(crate) fn take(&self) -> Option<Ready> {
        self.desk.ready.lock().pop()
    }

    /// Runs everything that is ready, in turn.
    pub(crate) fn run_all(&self) {
        while let Some(task) = self.take() {
            self.run(task);
        }
    }

    pub(crate) fn ran(&self) -> usize {
        self.desk.closures_ended.get()
    }

    pub(crate) fn finished(&self) -> usize {
        self.desk.finished.get()
    }

    pub(crate) fn discarded(&self) -> usize {
        self.desk.discarded.get()
    }

    /// To be asked when every task should be done and no handle is left: each was counted finished once, and each
    /// closure and each value was dropped once. A closure that began and did not end met a race that loom found.
    pub(crate) fn assert_over(&self) {
        let desk = &*self.desk;
        assert!(self.take().is_none(), "a task is left in the queue");
        assert_eq!(desk.closures_ended.get(), desk.closures_begun.get(), "closures that ended");
        assert_eq!(desk.finished.get(), desk.born.get(), "tasks finished");
        assert_eq!(desk.closures_dropped.get(), desk.closures_made.get(), "closures dropped");
        assert_eq!(desk.values_dropped.get(), desk.values_made.get(), "values dropped");
        assert_eq!(desk.errors_dropped.get(), desk.errors_made.get(), "errors dropped");
    }
}

/// Whether a task, or the input it inherits its error from, was cancelled rather than failed; none without an error.
pub(crate) fn was_cancelled(task: &Typed<Value>) -> Option<bool> {
    task.error().and_then(|error| error.downcast_ref::<Failure>().map(|failure| failure.by_cancel.get()))
}

/// The number of a task that has a value, as its reader sees it.
pub(crate) fn number(task: &Typed<Value>) -> Option<usize> {
    task.peek().and_then(Result::ok).map(|value| value.number)
}

pub(crate) fn is_done(task: &Typed<Value>) -> bool {
    task.handle().head().state.load().is_done()
}

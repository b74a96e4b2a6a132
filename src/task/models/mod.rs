//! Models of the life of a task: who runs it, who ends it, who frees it, who is told.
//!
//! They run the library's own code on a scheduler that only keeps what is ready. Loom finds races of closures, values
//! and list nodes (`primitive::cell`), and at the end of every interleaving memory that leaked; freeing twice, and
//! freeing before others are done with the task, end a model at once.

mod dependents;
mod life;
mod lists;
mod waiter;

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::header::Header;
use super::{Birth, Home, Input, Ready, Schedule, Typed, Unkept, Work, after, ready, start, unkept};
use crate::error::{CancelReason, TaskError, TaskErrorKind, TaskId};
use crate::primitive::lock::Mutex;

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

/// What happened, counted behind loom's back: it does not widen the model.
#[derive(Default)]
pub(crate) struct Tally(AtomicUsize);

impl Tally {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts its own end.
pub(crate) struct Counted(Arc<Tally>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// The value of every task in the models.
pub(crate) struct Value {
    pub(crate) number: usize,
    _dropped: Counted,
}

/// Tasks are born here, and what is ready is kept here.
pub(crate) struct World {
    desk: Arc<Desk>,
    home: Box<Home>,
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
}

impl Desk {
    fn value(&self, number: usize) -> Value {
        self.values_made.add();
        Value { number, _dropped: Counted(self.values_dropped.clone()) }
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
        });
        let home: *const Desk = Arc::as_ptr(&desk);
        Arc::new(Self { desk, home: Box::new(Home(home)) })
    }

    fn birth(&self) -> Birth {
        self.desk.born.add();
        Birth { home: &raw const *self.home, executor: 1, generation: 0, id: TaskId(1), location: Location::caller() }
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
            Ok(desk.value(number.ok_or_else(|| TaskErrorKind::Failed("model".into()))?))
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
        after(self.birth(), input, false, self.closure(|input: &Input<Value>| Some(number(input)? + 1)))
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
        after(self.birth(), inputs, tolerant, self.closure(sum))
    }

    pub(crate) fn promise(&self) -> (Unkept<Value>, Typed<Value>) {
        unkept(self.birth())
    }

    /// A value for a promise.
    pub(crate) fn value(&self, number: usize) -> Value {
        self.desk.value(number)
    }

    /// Runs the task of a queue entry; what gets ready is kept.
    pub(crate) fn run(&self, entry: Ready) {
        if let Some(started) = start(entry) {
            started.run(|task| self.queue(task));
        }
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
    }
}

/// Cancels by a handle; false when the task was done.
pub(crate) fn cancel(task: &Typed<Value>) -> bool {
    let reason = TaskErrorKind::Cancelled(CancelReason::from("model"));
    super::cancel(task.handle(), TaskError::new(reason))
}

/// The number of a task that has a value, as its reader sees it.
pub(crate) fn number(task: &Typed<Value>) -> Option<usize> {
    task.peek().and_then(Result::ok).map(|value| value.number)
}

pub(crate) fn is_done(task: &Typed<Value>) -> bool {
    task.handle().head().state.load().is_done()
}

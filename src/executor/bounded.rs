//! Bounded submission: whoever submits waits while so many tasks are unfinished.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Executor;
use crate::error::{TaskError, TaskErrorKind, TaskId};
use crate::future::{Fallible, Plain, TaskFuture};
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::scheduler::{help_once, local, may_help, sleep_unless_cancelled};
use crate::task::{Action, Crew, Header, Keeper, Listener, Rule, Work, listen};

/// Submits tasks to an executor, but lets no more than a given number of them be unfinished; made by
/// [`Executor::bounded`].
///
/// Who finds it full waits, first come first served. On a worker he runs some of the unfinished tasks meanwhile, or lends
/// his core; so it makes progress wherever it is used, also on the only worker. Clones share the bound.
///
/// ```
/// let ex = heist::Executor::builder().workers(2).build()?;
/// let bounded = ex.bounded(8);
/// let mut sum = 0;
/// for i in 0..100 {
///     let future = bounded.submit(move || i)?;
///     assert!(bounded.unfinished() <= 8);
///     sum += future.result()?;
/// }
/// assert_eq!(sum, 4950);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bounded {
    executor: Executor,
    gate: Arc<Gate>,
}

/// Lets so many in.
struct Gate {
    limit: usize,
    slots: Mutex<Slots>,
    /// The tasks that have slots.
    crew: Arc<Crew>,
}

#[derive(Default)]
struct Slots {
    taken: usize,
    /// Who waits for one, by age.
    line: BTreeMap<u64, Wake>,
    /// Who was given one and does not know yet.
    granted: BTreeSet<u64>,
    next: u64,
    /// Tasks with slots that wait here for another.
    blocked: HashSet<TaskId>,
}

enum Wake {
    Thread(Arc<Parker>),
    Waker(Waker),
}

/// A place in line; given up when dropped.
struct Place<'a> {
    gate: &'a Gate,
    number: u64,
    /// Those on this stack that have slots.
    mine: Vec<TaskId>,
}

impl Slots {
    fn take(&mut self, limit: usize) -> bool {
        let may = self.taken < limit && self.line.is_empty();
        self.taken += usize::from(may);
        may
    }

    fn queue(&mut self, wake: Wake) -> u64 {
        let number = self.next;
        self.next += 1;
        self.line.insert(number, wake);
        number
    }
}

impl Gate {
    fn try_enter(&self) -> bool {
        self.slots.lock().take(self.limit)
    }

    /// Gives a slot to the first in line.
    fn leave(&self) {
        let mut slots = self.slots.lock();
        let first = slots.line.pop_first();
        match &first {
            Some((number, _)) => drop(slots.granted.insert(*number)),
            None => slots.taken -= 1,
        }
        drop(slots);
        match first {
            Some((_, Wake::Thread(parker))) => parker.wake(),
            Some((_, Wake::Waker(waker))) => waker.wake(),
            None => {}
        }
    }

    fn enter(&self, deadline: Option<Instant>) -> Result<(), TaskError> {
        loop {
            if self.try_enter() {
                return Ok(());
            }
            if deadline.is_some() || !self.help() {
                return self.block(deadline);
            }
        }
    }

    /// Runs one of the tasks that nobody has begun, the newest first: these lie at hand. False when there is none.
    fn help(&self) -> bool {
        let mut before = None;
        while let Some(task) = self.crew.last(before) {
            if !may_help(&task) {
                return false;
            }
            if help_once(&task) {
                return true;
            }
            before = Some(task.head().id());
        }
        false
    }

    fn block(&self, deadline: Option<Instant>) -> Result<(), TaskError> {
        let parker = Arc::new(Parker::new());
        let keeper: Arc<dyn Keeper> = self.crew.clone();
        let mine: Vec<_> =
            local(|local| local.heads().filter(|task| task.has_keeper(&keeper)).map(Header::id).collect());
        let mut slots = self.slots.lock();
        if slots.take(self.limit) {
            return Ok(());
        }
        let others = slots.blocked.iter().filter(|id| !mine.contains(id)).count();
        if deadline.is_none() && mine.len() + others >= slots.taken {
            return Err(TaskError::new(TaskErrorKind::Deadlock { circle: None }));
        }
        slots.blocked.extend(&mine);
        let place = Place { gate: self, number: slots.queue(Wake::Thread(parker.clone())), mine };
        drop(slots);
        let slept = sleep_unless_cancelled(&parker, deadline, || place.is_granted());
        if place.accept() { Ok(()) } else { slept.and(Err(TaskError::new(TaskErrorKind::Timeout))) }
    }

    async fn wait(&self) {
        let mut place: Option<Place<'_>> = None;
        poll_fn(move |context| self.poll(&mut place, context)).await;
    }

    fn poll<'a>(&'a self, place: &mut Option<Place<'a>>, context: &Context<'_>) -> Poll<()> {
        match place {
            None if self.try_enter() => Poll::Ready(()),
            None => {
                // No waker is cloned, dropped or woken under the lock: that is user code.
                let wake = Wake::Waker(context.waker().clone());
                let mut slots = self.slots.lock();
                if slots.take(self.limit) {
                    return Poll::Ready(());
                }
                let number = slots.queue(wake);
                *place = Some(Place { gate: self, number, mine: Vec::new() });
                Poll::Pending
            }
            Some(waiting) if waiting.accept() => Poll::Ready(()),
            Some(waiting) => {
                let mut other = Wake::Waker(context.waker().clone());
                let mut slots = self.slots.lock();
                let own = slots.line.get_mut(&waiting.number).map(|own| std::mem::swap(own, &mut other));
                drop(slots);
                if own.is_none() {
                    // Granted since the look.
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

impl Place<'_> {
    fn is_granted(&self) -> bool {
        self.gate.slots.lock().granted.contains(&self.number)
    }

    /// Takes the slot, if it was granted.
    fn accept(&self) -> bool {
        self.gate.slots.lock().granted.remove(&self.number)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut slots = self.gate.slots.lock();
        for id in &self.mine {
            slots.blocked.remove(id);
        }
        let wake = slots.line.remove(&self.number);
        let is_granted = slots.granted.remove(&self.number);
        drop(slots);
        drop(wake);
        if is_granted {
            self.gate.leave();
        }
    }
}

impl Executor {
    /// Submission that waits while `limit` of its tasks, at least one, are unfinished.
    #[must_use]
    pub fn bounded(&self, limit: usize) -> Bounded {
        let gate = Gate { limit: limit.max(1), slots: Mutex::default(), crew: Arc::default() };
        Bounded { executor: self.clone(), gate: Arc::new(gate) }
    }
}

impl Bounded {
    /// How many tasks may be unfinished.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.gate.limit
    }

    /// How many are, at this moment.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.gate.slots.lock().taken
    }

    /// Runs `task` on a worker, as [`Executor::submit`], as soon as there is room for it.
    ///
    /// # Errors
    /// Of the wait for room: [`TaskError::is_deadlock`] if all unfinished tasks wait for room themselves,
    /// [`TaskError::is_stalled`], [`TaskError::is_cancelled`] when the task that calls, or the executor, is cancelled.
    #[track_caller]
    pub fn submit<T, F>(&self, task: F) -> Result<TaskFuture<T>, TaskError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.gate.enter(None)?;
        Ok(self.start::<F, _>(Location::caller(), Plain(task)))
    }

    /// As [`submit`](Self::submit), for a closure that may fail.
    ///
    /// # Errors
    /// As [`submit`](Self::submit); what the closure returns is the error of the future.
    #[track_caller]
    pub fn submit_result<T, E, F>(&self, task: F) -> Result<TaskFuture<T>, TaskError>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.gate.enter(None)?;
        Ok(self.start::<F, _>(Location::caller(), Fallible(task)))
    }

    /// As [`submit`](Self::submit), if there is room at once.
    ///
    /// # Errors
    /// `task` itself, if there is none.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let bounded = ex.bounded(1);
    /// let (promise, gate) = ex.promise::<()>();
    /// let first = bounded.submit(move || gate.wait())?;
    /// let task = bounded.try_submit(|| 2).unwrap_err();
    /// promise.fulfil(());
    /// first.result()??;
    /// assert_eq!(bounded.submit(task)?.result()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_submit<T, F>(&self, task: F) -> Result<TaskFuture<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.gate.try_enter() { Ok(self.start::<F, _>(Location::caller(), Plain(task))) } else { Err(task) }
    }

    /// As [`submit`](Self::submit), but waits for room no longer than `timeout`. With a timeout of zero it tries once.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and [`TaskError::is_timeout`].
    #[track_caller]
    pub fn submit_timeout<T, F>(&self, timeout: Duration, task: F) -> Result<TaskFuture<T>, TaskError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.gate.enter(Instant::now().checked_add(timeout))?;
        Ok(self.start::<F, _>(Location::caller(), Plain(task)))
    }

    /// As [`submit`](Self::submit), awaited under any async runtime. Dropped before it is through, it has done nothing.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let bounded = ex.bounded(2);
    /// let sum = ex.spawn(async move {
    ///     let mut sum = 0;
    ///     for i in 0..10 {
    ///         sum += bounded.submit_async(move || i).await.await.unwrap();
    ///     }
    ///     sum
    /// });
    /// assert_eq!(sum.result()?, 45);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit_async<T, F>(&self, task: F) -> impl Future<Output = TaskFuture<T>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        async move {
            self.gate.wait().await;
            self.start::<F, _>(location, Plain(task))
        }
    }

    /// Submits what has a slot; its end gives that on.
    fn start<F, W: Work>(&self, location: &'static Location<'static>, work: W) -> TaskFuture<W::Output> {
        let keeper: Arc<dyn Keeper> = self.gate.crew.clone();
        let rule = Rule { name: Some(Cow::Borrowed(type_name::<F>())), keeper: Some(keeper), ..Rule::default() };
        let task = self.executor.registry.submit_ruled_work(location, None, rule, false, work);
        let head = task.handle().head();
        // A task that was refused has no rule.
        if head.rule().is_some() {
            self.gate.crew.add(task.handle());
        }
        let (gate, id) = (self.gate.clone(), head.id());
        let end = move || {
            gate.crew.remove(id);
            gate.leave();
        };
        let listener = Listener::new(Action::Call(Box::new(end)));
        if listen(head, &listener).is_err() {
            listener.fire();
        }
        TaskFuture::new(task)
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.gate.slots.lock();
        f.debug_struct("Bounded")
            .field("limit", &self.gate.limit)
            .field("unfinished", &slots.taken)
            .field("line", &slots.line.len())
            .finish()
    }
}

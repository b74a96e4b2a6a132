//! Tasks about which more is said than their closure: `ex.task().name(…).priority(…)….submit(…)`.

use std::any::type_name;
use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

use super::Executor;
use crate::error::Refusal;
use crate::future::{Inputs, Options, TaskFuture, Wanted, born_failed, failed, refused, spawn_with};
use crate::primitive::sync::Arc;
use crate::scheduler::Resource;
use crate::task::{Key, Place, Priority, Where};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A task that may run once: its closure is an `FnOnce`.
#[derive(Debug)]
pub enum Once {}

/// A task that may run again: its closure is an `Fn`, which is kept until the task has a value.
#[derive(Debug)]
pub enum Again {}

/// A task that waits for nothing.
#[derive(Debug)]
pub struct NoInputs(());

/// A task that waits for inputs.
#[derive(Debug)]
pub struct After<I>(I);

/// What is said about a task before it is submitted; made by [`Executor::task`].
///
/// What cannot be had (a place or a resource that the executor does not have, a key held by a task of another type) is the
/// error of the future that the submitting call gives, from the start: see the predicates of
/// [`TaskError`](crate::TaskError). What is not said costs nothing.
///
/// ```
/// use heist::{Executor, Priority};
/// let ex = Executor::builder().resource("gpu", 1).build()?;
/// let (a, b) = (ex.submit(|| 20), ex.submit(|| 22));
/// let sum = ex.task()
///     .name("sum")
///     .priority(Priority::HIGH)
///     .retries(2)
///     .resource("gpu", 1)
///     .after((&a, &b))
///     .submit(|(a, b)| a + b);
/// assert_eq!(sum.result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a task is not submitted before a call such as `submit`"]
pub struct TaskBuilder<'ex, I = NoInputs, R = Once> {
    executor: &'ex Executor,
    options: Options,
    is_strict: bool,
    inputs: I,
    repeats: PhantomData<fn() -> R>,
}

impl Executor {
    /// A task about which something is to be said.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let answer = ex.task().name("answer").submit(|| 42);
    /// assert_eq!(answer.result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task(&self) -> TaskBuilder<'_> {
        TaskBuilder {
            executor: self,
            options: Options::default(),
            is_strict: false,
            inputs: NoInputs(()),
            repeats: PhantomData,
        }
    }

    /// The resources the executor was [built](crate::Builder::resource) with, and how much of each is in use.
    #[must_use]
    pub fn resources(&self) -> Vec<Resource> {
        self.registry.resources.snapshot()
    }
}

impl<'ex, I, R> TaskBuilder<'ex, I, R> {
    /// What the task is called in reports and in `Debug`. By default the type of its closure.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// A key: while anybody holds a future of a task submitted with it, or a task that has yet to run depends on that,
    /// submitting with the same key gives that task, whatever else was said this time, and runs nothing. A task that was
    /// cancelled leaves its key to the next. Keys are the executor's, for all its handles.
    ///
    /// If its values are of another type, the new future has failed ([`TaskError::is_key_taken`](crate::TaskError)).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let first = ex.task().key(("square", 7)).submit(|| 49);
    /// let again = ex.task().key(("square", 7)).submit(|| unreachable!());
    /// assert!(first == again && again.result()? == 49);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// How urgent it is. By default as urgent as the task that submits it.
    ///
    /// ```
    /// use heist::Priority;
    /// let ex = heist::Executor::new()?;
    /// assert_eq!(ex.task().priority(Priority::LOW).submit(|| 1).result()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Where it should run: others take it when the workers there are busy and they are not, unless the place is
    /// [`strict`](Self::strict).
    pub fn place(mut self, place: Place) -> Self {
        self.options.place = place.or_only(self.is_strict);
        self
    }

    /// Has it run at its [`place`](Self::place) and nowhere else.
    pub fn strict(mut self) -> Self {
        self.is_strict = true;
        if let Where::Domain { strict, .. } | Where::Worker { strict, .. } = &mut self.options.place {
            *strict = true;
        }
        self
    }

    /// Has the task wait until so much of a [resource](crate::Builder::resource) is free, and keep it while its closure runs,
    /// to the real end also when it is cancelled. Of several that wait the most urgent comes first, then the oldest; none is
    /// passed by one that needs less. Given again for the same resource, the last amount counts.
    ///
    /// ```
    /// let ex = heist::Executor::builder().resource("gpu", 1).build()?;
    /// let too_much = ex.task().resource("gpu", 2).submit(|| 1);
    /// assert!(too_much.error().unwrap().is_unsatisfiable());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn resource(mut self, name: impl Into<Cow<'static, str>>, amount: u64) -> Self {
        let name = name.into();
        self.options.resources.retain(|(known, _)| *known != name);
        self.options.resources.push((name, amount));
        self
    }

    /// Runs the closure, which has to be an [`Fn`], up to so many times more after an `Err` or a panic, each time queued
    /// behind what waits. The last error is that of the future. Closure and inputs are kept for
    /// [`TaskFuture::retry`] until the task has a value. A task that is cancelled, or that nobody wants any more, is not run
    /// again.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// let ex = heist::Executor::new()?;
    /// let runs = AtomicU32::new(0);
    /// let flaky = ex.task().retries(2).submit_result(move || match runs.fetch_add(1, Relaxed) {
    ///     0 | 1 => Err("not yet"),
    ///     run => Ok(run),
    /// });
    /// assert_eq!(flaky.result()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// ```compile_fail,E0525
    /// let ex = heist::Executor::new().unwrap();
    /// let text = String::new();
    /// let _ = ex.task().retries(2).submit(move || text);
    /// ```
    pub fn retries(mut self, retries: u32) -> TaskBuilder<'ex, I, Again> {
        self.options.retries = Some(retries);
        let Self { executor, options, is_strict, inputs, .. } = self;
        TaskBuilder { executor, options, is_strict, inputs, repeats: PhantomData }
    }

    /// What is to be, with `F` as its name unless it has one.
    fn wanted<F>(mut self, location: &'static Location<'static>, tolerant: bool) -> (Wanted, I) {
        self.options.name.get_or_insert(Cow::Borrowed(type_name::<F>()));
        let registry = self.executor.registry.clone();
        (Wanted { registry, location, options: self.options, tolerant }, self.inputs)
    }
}

impl<'ex, R> TaskBuilder<'ex, NoInputs, R> {
    /// Has the task wait until `inputs` are done.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let a = ex.submit(|| 20);
    /// let b = ex.task().name("double").after(&a).submit(|a| a * 2);
    /// assert_eq!(b.result()?, 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn after<I: Inputs>(self, inputs: I) -> TaskBuilder<'ex, After<I>, R> {
        let Self { executor, options, is_strict, .. } = self;
        TaskBuilder { executor, options, is_strict, inputs: After(inputs), repeats: PhantomData }
    }
}

impl TaskBuilder<'_, NoInputs, Once> {
    /// Runs `task` on a worker.
    #[track_caller]
    pub fn submit<T, F>(self, task: F) -> TaskFuture<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (wanted, _) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.once((), move |&()| Ok(task())))
    }

    /// Runs a closure that may fail.
    #[track_caller]
    pub fn submit_result<T, E, F>(self, task: F) -> TaskFuture<T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Into<Error> + 'static,
    {
        let (wanted, _) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.once((), move |&()| task().map_err(failed)))
    }

    /// Polls a std future on the workers, as [`Executor::spawn`]. It has a name, a key and a priority. Places and
    /// resources are for closures: with these the future has failed
    /// ([`TaskError::is_unsupported`](crate::TaskError::is_unsupported)).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let answer = ex.task().name("answer").spawn(async { 42 });
    /// assert_eq!(answer.result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> TaskFuture<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let location = Location::caller();
        let is_bound = self.options.place != Where::Anywhere || !self.options.resources.is_empty();
        let (wanted, _) = self.wanted::<F>(location, false);
        if is_bound {
            let text = "places and resources are for closures: submit one, or await in a task that has them".to_owned();
            let kind = refused(Refusal::Options, text);
            return TaskFuture::new(born_failed(&wanted.registry, location, kind));
        }
        spawn_with(wanted, future)
    }

    /// Runs `task` for each of `items`. What was said holds for each of the tasks; a key gets the item's number added. The
    /// futures come in the order of the items.
    ///
    /// ```
    /// use heist::Priority;
    /// let ex = heist::Executor::new()?;
    /// let squares = ex.task().name("square").priority(Priority::LOW).map(0..4, |i| i * i);
    /// assert_eq!(ex.gather(squares)?, [0, 1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<It, T, F>(self, items: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item: Send + 'static>,
        F: Fn(It::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let task = Arc::new(task);
        self.for_each::<F, _, _>(Location::caller(), items, |wanted, item| {
            let task = task.clone();
            wanted.once((), move |&()| Ok(task(item)))
        })
    }

    /// As [`map`](Self::map), for a closure that may fail.
    #[track_caller]
    pub fn map_result<It, T, E, F>(self, items: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item: Send + 'static>,
        F: Fn(It::Item) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Into<Error> + 'static,
    {
        let task = Arc::new(task);
        self.for_each::<F, _, _>(Location::caller(), items, |wanted, item| {
            let task = task.clone();
            wanted.once((), move |&()| task(item).map_err(failed))
        })
    }

    /// Runs `task` for each of `inputs`, once that input's futures are done; otherwise as [`map`](Self::map).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let squares = ex.map(0..3, |i| i * i);
    /// let next = ex.task().name("next").map_after(&squares, |square| square + 1);
    /// assert_eq!(ex.gather(next)?, [1, 2, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_after<It, I, T, F>(self, inputs: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item = I>,
        I: Inputs,
        F: for<'a> Fn(I::Refs<'a>) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let task = Arc::new(task);
        self.for_each::<F, _, _>(Location::caller(), inputs, |wanted, inputs| {
            let task = task.clone();
            wanted.once(inputs.own(), move |inputs| Ok(task(I::refs(inputs))))
        })
    }
}

impl TaskBuilder<'_, NoInputs, Again> {
    /// Runs `task` on a worker, again after a panic.
    #[track_caller]
    pub fn submit<T, F>(self, task: F) -> TaskFuture<T>
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (wanted, _) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.repeated((), move |&()| Ok(task())))
    }

    /// Runs a closure that may fail, again after an `Err` or a panic.
    #[track_caller]
    pub fn submit_result<T, E, F>(self, task: F) -> TaskFuture<T>
    where
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Into<Error> + 'static,
    {
        let (wanted, _) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.repeated((), move |&()| task().map_err(failed)))
    }

    /// As [`map`](TaskBuilder::map) without retries; each run gets a clone of its item.
    #[track_caller]
    pub fn map<It, T, F>(self, items: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item: Clone + Send + Sync + 'static>,
        F: Fn(It::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let task = Arc::new(task);
        self.for_each::<F, _, _>(Location::caller(), items, |wanted, item| {
            let task = task.clone();
            wanted.repeated((), move |&()| Ok(task(item.clone())))
        })
    }

    /// As [`map`](Self::map), for a closure that may fail.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// let ex = heist::Executor::new()?;
    /// let runs = AtomicU32::new(0);
    /// let twice = move |n: u32| if runs.fetch_add(1, Relaxed) < 2 { Err("not yet") } else { Ok(2 * n) };
    /// assert_eq!(ex.gather(ex.task().retries(2).map_result([1, 2], twice))?, [2, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_result<It, T, E, F>(self, items: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item: Clone + Send + Sync + 'static>,
        F: Fn(It::Item) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Into<Error> + 'static,
    {
        let task = Arc::new(task);
        self.for_each::<F, _, _>(Location::caller(), items, |wanted, item| {
            let task = task.clone();
            wanted.repeated((), move |&()| task(item.clone()).map_err(failed))
        })
    }

    /// As [`map_after`](TaskBuilder::map_after) without retries.
    #[track_caller]
    pub fn map_after<It, I, T, F>(self, inputs: It, task: F) -> Vec<TaskFuture<T>>
    where
        It: IntoIterator<Item = I>,
        I: Inputs<Owned: Sync>,
        F: for<'a> Fn(I::Refs<'a>) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let task = Arc::new(task);
        self.for_each::<F, _, _>(Location::caller(), inputs, |wanted, inputs| {
            let task = task.clone();
            wanted.repeated(inputs.own(), move |inputs| Ok(task(I::refs(inputs))))
        })
    }
}

impl<R> TaskBuilder<'_, NoInputs, R> {
    fn for_each<F, It: IntoIterator, T: Send + 'static>(
        self,
        location: &'static Location<'static>,
        items: It,
        submit: impl Fn(Wanted, It::Item) -> crate::task::Typed<T>,
    ) -> Vec<TaskFuture<T>> {
        let (wanted, _) = self.wanted::<F>(location, false);
        let each = |(number, item)| {
            let mut wanted = wanted.clone();
            if let Some(key) = &mut wanted.options.key {
                *key = key.with(number);
            }
            TaskFuture::new(submit(wanted, item))
        };
        items.into_iter().enumerate().map(each).collect()
    }
}

impl<I: Inputs> TaskBuilder<'_, After<I>, Once> {
    /// Runs `task` with the values of the inputs, as [`Executor::submit_after`].
    #[track_caller]
    pub fn submit<T, F>(self, task: F) -> TaskFuture<T>
    where
        F: for<'a> FnOnce(I::Refs<'a>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (wanted, After(inputs)) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.once(inputs.own(), move |inputs| Ok(task(I::refs(inputs)))))
    }

    /// Runs a closure that may fail, as [`Executor::submit_result_after`].
    #[track_caller]
    pub fn submit_result<T, E, F>(self, task: F) -> TaskFuture<T>
    where
        F: for<'a> FnOnce(I::Refs<'a>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Into<Error> + 'static,
    {
        let (wanted, After(inputs)) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.once(inputs.own(), move |inputs| task(I::refs(inputs)).map_err(failed)))
    }

    /// Runs `task` with the results of the inputs, whatever became of them, as [`Executor::submit_after_results`].
    #[track_caller]
    pub fn submit_after_results<T, F>(self, task: F) -> TaskFuture<T>
    where
        F: for<'a> FnOnce(I::Results<'a>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (wanted, After(inputs)) = self.wanted::<F>(Location::caller(), true);
        TaskFuture::new(wanted.once(inputs.own(), move |inputs| Ok(task(I::results(inputs)))))
    }
}

impl<I: Inputs<Owned: Sync>> TaskBuilder<'_, After<I>, Again> {
    /// Runs `task` with the values of the inputs, again after a panic.
    #[track_caller]
    pub fn submit<T, F>(self, task: F) -> TaskFuture<T>
    where
        F: for<'a> Fn(I::Refs<'a>) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (wanted, After(inputs)) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.repeated(inputs.own(), move |inputs| Ok(task(I::refs(inputs)))))
    }

    /// Runs a closure that may fail with the values of the inputs, again after an `Err` or a panic.
    #[track_caller]
    pub fn submit_result<T, E, F>(self, task: F) -> TaskFuture<T>
    where
        F: for<'a> Fn(I::Refs<'a>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Into<Error> + 'static,
    {
        let (wanted, After(inputs)) = self.wanted::<F>(Location::caller(), false);
        TaskFuture::new(wanted.repeated(inputs.own(), move |inputs| task(I::refs(inputs)).map_err(failed)))
    }

    /// Runs `task` with the results of the inputs, whatever became of them, again after a panic.
    #[track_caller]
    pub fn submit_after_results<T, F>(self, task: F) -> TaskFuture<T>
    where
        F: for<'a> Fn(I::Results<'a>) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (wanted, After(inputs)) = self.wanted::<F>(Location::caller(), true);
        TaskFuture::new(wanted.repeated(inputs.own(), move |inputs| Ok(task(I::results(inputs)))))
    }
}

impl<I, R> std::fmt::Debug for TaskBuilder<'_, I, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskBuilder")
            .field("name", &self.options.name)
            .field("key", &self.options.key)
            .field("priority", &self.options.priority)
            .field("place", &self.options.place)
            .field("retries", &self.options.retries)
            .field("resources", &self.options.resources)
            .finish_non_exhaustive()
    }
}

//! Work that more was said about: run once, or again after a failure, or made anew.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use super::options::Options;
use crate::error::TaskErrorKind;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;
use crate::task::{Handle, Header, Held, Recipe, Renewed, TriesAgain, Typed, Work};

/// An `Err` with which a task that may run [again](crate::TaskBuilder::retries) asks to be queued anew, behind what waits:
/// because what it needs is not there yet. It uses up no retry.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use heist::{Executor, Reschedule};
/// let ex = Executor::new()?;
/// let looks = AtomicU32::new(0);
/// let ready = ex.task().retries(0).submit_result(move || match looks.fetch_add(1, Relaxed) {
///     0..3 => Err(Reschedule),
///     looks => Ok(looks),
/// });
/// assert_eq!(ready.result()?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reschedule;

impl fmt::Display for Reschedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asks to be queued anew, which only a task with `retries` can be")
    }
}

impl std::error::Error for Reschedule {}

/// A closure with the inputs it borrows from.
struct Once<H, C> {
    inputs: H,
    call: C,
}

impl<H, C, T> Work for Once<H, C>
where
    H: Held,
    C: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
    T: Send + 'static,
{
    type Output = T;
    const INPUTS: Option<u32> = H::COUNT;
    fn run(self) -> Result<T, TaskErrorKind> {
        (self.call)(&self.inputs)
    }
    fn show_inputs(&self, each: &mut dyn FnMut(&Handle)) {
        self.inputs.visit(each);
    }
}

/// A closure that may be run again, with its inputs.
struct Repeated<H, C, T> {
    made_of: Arc<MadeOf<H, C, T>>,
    /// Failures that are not yet final.
    left: u32,
}

impl<H, C, T> Work for Repeated<H, C, T>
where
    H: Held + Sync,
    C: Fn(&H) -> Result<T, TaskErrorKind> + Send + Sync + 'static,
    T: Send + 'static,
{
    type Output = T;
    const INPUTS: Option<u32> = H::COUNT;
    const REPEATS: bool = true;
    fn run(self) -> Result<T, TaskErrorKind> {
        self.attempt()
    }
    fn attempt(&self) -> Result<T, TaskErrorKind> {
        (self.made_of.call)(&self.made_of.inputs)
    }
    fn tries_again(&mut self, after: &TaskErrorKind) -> TriesAgain {
        if matches!(after, TaskErrorKind::Failed(error) if error.is::<Reschedule>()) {
            return TriesAgain::BehindOthers;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        if may { TriesAgain::Yes } else { TriesAgain::No }
    }
    fn show_inputs(&self, each: &mut dyn FnMut(&Handle)) {
        self.made_of.inputs.visit(each);
    }
}

/// A task that is to be.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) registry: Arc<Registry>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) options: Options,
    /// Whether it runs although inputs have failed.
    pub(crate) tolerant: bool,
}

impl Wanted {
    /// Submits it, to run `call` once.
    pub(crate) fn once<H, C, T>(self, inputs: H, call: C) -> Typed<T>
    where
        H: Held,
        C: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
        T: Send + 'static,
    {
        self.options.submit(&self.registry, self.location, Handle::is_cancelled, |rule| {
            let work = Once { inputs, call };
            self.registry.submit_ruled_work(self.location, self.options.priority, rule, self.tolerant, work)
        })
    }

    /// Submits it, to run `call` until it succeeds or may not run again.
    pub(crate) fn repeated<H, C, T>(self, inputs: H, call: C) -> Typed<T>
    where
        H: Held + Sync,
        C: Fn(&H) -> Result<T, TaskErrorKind> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let made_of = MadeOf { wanted: self, inputs, call: Arc::new(call), value: PhantomData };
        Arc::new(made_of).submit(Handle::is_cancelled)
    }
}

/// What a task is made of that may be run again; kept until it has a value or is cancelled.
struct MadeOf<H, C, T> {
    wanted: Wanted,
    inputs: H,
    call: Arc<C>,
    value: PhantomData<fn() -> T>,
}

impl<H, C, T> MadeOf<H, C, T>
where
    H: Held + Sync,
    C: Fn(&H) -> Result<T, TaskErrorKind> + Send + Sync + 'static,
    T: Send + 'static,
{
    fn submit(self: Arc<Self>, gives_up: impl Fn(&Handle) -> bool) -> Typed<T> {
        let of = &self.wanted;
        of.options.submit(&of.registry, of.location, gives_up, |mut rule| {
            let recipe: Arc<dyn Recipe> = self.clone();
            rule.recipe = Mutex::new(Some(recipe));
            let work = Repeated { left: of.options.retries.unwrap_or(0), made_of: self.clone() };
            of.registry.submit_ruled_work(of.location, of.options.priority, rule, of.tolerant, work)
        })
    }
}

impl<H, C, T> Recipe for MadeOf<H, C, T>
where
    H: Held + Sync,
    C: Fn(&H) -> Result<T, TaskErrorKind> + Send + Sync + 'static,
    T: Send + 'static,
{
    fn show_inputs(&self, each: &mut dyn FnMut(&Handle)) {
        self.inputs.visit(each);
    }

    fn make(&self, old: &Header, renewed: Renewed<'_>) -> Handle {
        let Wanted { registry, location, options, tolerant } = &self.wanted;
        let mut options = options.clone();
        options.priority = Some(old.priority());
        let wanted = Wanted { registry: registry.clone(), location, options, tolerant: *tolerant };
        let inputs = self.inputs.renewed(renewed);
        let anew = Self { wanted, inputs, call: self.call.clone(), value: PhantomData };
        // Where another handle was quicker, the key leads to what it has made.
        Arc::new(anew).submit(|task| task.error().is_some()).into_handle()
    }
}

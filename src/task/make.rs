//! How tasks are born: with a closure, after inputs, with a result, or to be fulfilled by somebody else.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::cell::{
    Birth, Never, Work, set_value, with_kept_value, with_rule, with_work, without_work, without_work_as,
};
use super::handle::Handle;
use super::header::{Header, Ready};
use super::home;
use super::nest::{self, Deferred};
use super::rule::{Renewed, Rule};
use super::run::{Elsewhere, finish, register, register_one};
use super::state::{Outcome, State};
use super::typed::Typed;
use super::whereabouts::Whereabouts;
use crate::error::{TaskError, TaskErrorKind};

/// The one handle of a new task.
///
/// # Safety
/// `task` is new, was born with one handle, and its values are `T`s.
pub(super) unsafe fn first<T>(task: NonNull<Header>) -> Typed<T> {
    // SAFETY: the caller's promise.
    unsafe { Typed::new(Handle::from_counted(task)) }
}

/// A task that is ready.
#[inline]
pub(crate) fn ready<W: Work>(birth: Birth, work: W) -> (Typed<W::Output>, Ready) {
    let task = with_work(birth, State::open(), 1, 0, 0, false, work);
    // SAFETY: just born so.
    (unsafe { first(task) }, Ready(task))
}

/// As [`ready`], with a rule.
pub(crate) fn ruled<W: Work>(birth: Birth, rule: Rule, work: W) -> (Typed<W::Output>, Ready) {
    let task = with_rule(birth, rule, State::open(), 0, 0, false, work);
    // SAFETY: just born so.
    (unsafe { first(task) }, Ready(task))
}

/// A task that is ready and of which nobody has a handle.
pub(crate) fn ready_unwanted<W: Work>(birth: Birth, work: W) -> Ready {
    Ready(with_work(birth, State::open_unwanted(), 0, 0, 0, false, work))
}

/// A task that is done, with a value, which lies at `at`.
pub(crate) fn with_value<T: Send + 'static>(birth: Birth, value: T, at: Whereabouts) -> Typed<T> {
    let task = without_work::<T>(birth, State::done(Outcome::Value), at);
    // SAFETY: just born so; nobody else knows of it before its value is there.
    unsafe {
        set_value(task, value);
        first(task)
    }
}

/// As [`with_value`], with something that goes when the value goes, dropped or moved out.
pub(crate) fn with_value_and<T: Send + 'static, K: Send + 'static>(
    birth: Birth,
    value: T,
    with: K,
    at: Whereabouts,
) -> Typed<T> {
    // SAFETY: just born so; a `T` is the first of what lies in the cell.
    unsafe { first(with_kept_value(birth, value, with, at)) }
}

/// A task that is done, with an error.
pub(crate) fn with_error<T: Send + 'static>(birth: Birth, error: TaskError) -> Typed<T> {
    let task = without_work::<T>(birth, State::done(Outcome::Error(error.into_word())), Whereabouts::NOWHERE);
    // SAFETY: just born so.
    unsafe { first(task) }
}

/// The inputs of a task, which holds them until it has run.
pub trait Held: Send + 'static {
    /// How many it has, if that follows from the type.
    #[doc(hidden)]
    const COUNT: Option<u32>;
    /// Calls `each` with every input that `self` owns.
    #[doc(hidden)]
    fn visit(&self, each: &mut dyn FnMut(&Handle));
    /// The same inputs, or what stands for them now.
    #[doc(hidden)]
    fn renewed(&self, by: Renewed<'_>) -> Self;
}

impl Held for () {
    const COUNT: Option<u32> = Some(0);
    fn visit(&self, _: &mut dyn FnMut(&Handle)) {}
    fn renewed(&self, _: Renewed<'_>) {}
}

const fn plus(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        _ => None,
    }
}

impl<H: Held> Held for Vec<H> {
    const COUNT: Option<u32> = None;
    fn visit(&self, each: &mut dyn FnMut(&Handle)) {
        self.iter().for_each(|inputs| inputs.visit(each));
    }
    fn renewed(&self, by: Renewed<'_>) -> Self {
        self.iter().map(|inputs| inputs.renewed(by)).collect()
    }
}

impl<H: Held, const N: usize> Held for [H; N] {
    const COUNT: Option<u32> = match H::COUNT {
        Some(count) => Some(count * N as u32),
        None => None,
    };
    fn visit(&self, each: &mut dyn FnMut(&Handle)) {
        self.iter().for_each(|inputs| inputs.visit(each));
    }
    fn renewed(&self, by: Renewed<'_>) -> Self {
        std::array::from_fn(|index| self[index].renewed(by))
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Held),+> Held for ($($name,)+) {
            const COUNT: Option<u32> = {
                let mut count = Some(0);
                $(count = plus(count, $name::COUNT);)+
                count
            };
            fn visit(&self, each: &mut dyn FnMut(&Handle)) {
                $(self.$index.visit(each);)+
            }
            fn renewed(&self, by: Renewed<'_>) -> Self {
                ($(self.$index.renewed(by),)+)
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

/// Where the values of some tasks lie.
pub(crate) trait Lies<T>: Send + 'static {
    fn whereabouts(value: &T) -> Whereabouts;
    /// What the tasks are called, unless as their closure.
    fn name() -> Option<&'static str> {
        None
    }
}

/// Nowhere in particular.
pub(crate) struct Anywhere;

impl<T> Lies<T> for Anywhere {
    #[inline]
    fn whereabouts(_: &T) -> Whereabouts {
        Whereabouts::NOWHERE
    }
}

/// Nowhere in particular, of tasks that are called as `F`.
pub(crate) struct Named<F>(PhantomData<fn() -> F>);

impl<T, F: 'static> Lies<T> for Named<F> {
    #[inline]
    fn whereabouts(_: &T) -> Whereabouts {
        Whereabouts::NOWHERE
    }
    fn name() -> Option<&'static str> {
        Some(std::any::type_name::<F>())
    }
}

/// A closure with the inputs it borrows from.
struct After<P, H, F> {
    inputs: H,
    call: F,
    place: PhantomData<P>,
}

impl<P, H, F, T> Work for After<P, H, F>
where
    P: Lies<T>,
    H: Held,
    F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
    T: Send + 'static,
{
    type Output = T;
    const INPUTS: Option<u32> = H::COUNT;
    fn name() -> &'static str {
        P::name().unwrap_or_else(std::any::type_name::<F>)
    }
    #[inline]
    fn run(self) -> Result<T, TaskErrorKind> {
        (self.call)(&self.inputs)
    }
    #[inline]
    fn whereabouts(value: &T) -> Whereabouts {
        P::whereabouts(value)
    }
    fn show_inputs(&self, each: &mut dyn FnMut(&Handle)) {
        self.inputs.visit(each);
    }
}

/// A task that waits for `inputs`, and then is ready. A tolerant one also runs when they have failed. `P` says where its
/// value lies.
pub(crate) fn after<P, H, F, T>(birth: Birth, inputs: H, tolerant: bool, call: F) -> (Typed<T>, Option<Ready>)
where
    P: Lies<T>,
    H: Held,
    F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
    T: Send + 'static,
{
    if H::COUNT == Some(1) {
        return after_one::<P, _, _, _>(birth, inputs, tolerant, call);
    }
    let work = After { inputs, call, place: PhantomData::<P> };
    born_after(work, tolerant, |state, pending, count, work| with_work(birth, state, 1, pending, count, tolerant, work))
}

/// A task with a rule that waits for the inputs its work holds, if any.
pub(crate) fn after_ruled_work<W: Work>(
    birth: Birth,
    rule: Rule,
    tolerant: bool,
    work: W,
) -> (Typed<W::Output>, Option<Ready>) {
    born_after(work, tolerant, |state, pending, count, work| {
        with_rule(birth, rule, state, pending, count, tolerant, work)
    })
}

/// Makes a task with `work`, which holds its inputs, and has it wait for them.
#[inline(always)]
fn born_after<W: Work>(
    work: W,
    tolerant: bool,
    make: impl FnOnce(State, u32, u32, W) -> NonNull<Header>,
) -> (Typed<W::Output>, Option<Ready>) {
    let tasks = Tasks::of(&work);
    // So many edges have no room in any memory.
    let count = u32::try_from(tasks.as_slice().len()).unwrap_or_else(|_| std::process::abort());
    let (state, pending) = match count {
        0 | 1 => (State::open(), count),
        _ => (State::running(), count + 1),
    };
    let task = make(state, pending, count, work);
    // SAFETY: just born so, with the inputs in its closure.
    unsafe {
        let handle = first(task);
        let ready = if count == 0 { Some(Ready(task)) } else { register(task, tolerant, tasks.as_slice()) };
        (handle, ready)
    }
}

/// As [`after`], for what is one input.
#[inline]
fn after_one<P, H, F, T>(birth: Birth, inputs: H, tolerant: bool, call: F) -> (Typed<T>, Option<Ready>)
where
    P: Lies<T>,
    H: Held,
    F: FnOnce(&H) -> Result<T, TaskErrorKind> + Send + 'static,
    T: Send + 'static,
{
    let mut input = NonNull::dangling();
    inputs.visit(&mut |handle| input = handle.task());
    let task = with_work(birth, State::open(), 1, 1, 1, tolerant, After { inputs, call, place: PhantomData::<P> });
    // SAFETY: just born so, with the one input in its closure.
    unsafe { (first(task), register_one(task, tolerant, input)) }
}

/// Room for the inputs of nearly every task without an allocation.
const FEW: usize = 12;

/// The tasks behind some inputs.
struct Tasks {
    few: [NonNull<Header>; FEW],
    many: Vec<NonNull<Header>>,
    count: usize,
}

impl Tasks {
    fn of(work: &impl Work) -> Self {
        let mut this = Self { few: [NonNull::dangling(); FEW], many: Vec::new(), count: 0 };
        work.show_inputs(&mut |input| this.push(input.task()));
        this
    }

    fn push(&mut self, task: NonNull<Header>) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = task;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(task);
        }
        self.count += 1;
    }

    fn as_slice(&self) -> &[NonNull<Header>] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

/// The claim on a task that somebody outside will fulfil; carries the runtime's reference.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unkept<T> {
    task: NonNull<Header>,
    value: PhantomData<fn(T)>,
}

// SAFETY: it brings a `T: Send` from its thread to the task's.
unsafe impl<T: Send> Send for Unkept<T> {}
// SAFETY: by reference it only reads the state word.
unsafe impl<T: Send> Sync for Unkept<T> {}

/// A task to be fulfilled, and the claim to do it with, which must be used once.
pub(crate) fn unkept<T: Send + 'static>(birth: Birth) -> (Unkept<T>, Typed<T>) {
    unkept_as::<T, T>(birth)
}

/// As [`unkept`], called as `N`.
pub(crate) fn unkept_as<T: Send + 'static, N: 'static>(birth: Birth) -> (Unkept<T>, Typed<T>) {
    let task = without_work_as::<T, N>(birth, State::running(), Whereabouts::NOWHERE);
    // SAFETY: just born so.
    (Unkept { task, value: PhantomData }, unsafe { first(task) })
}

/// As [`unkept`], of a task that its executor does not count: it never waits for it. Must be used before the executor
/// ends.
pub(crate) fn unkept_aside<T: Send + 'static>(birth: Birth) -> (Unkept<T>, Typed<T>) {
    let task = super::cell::aside::<T>(birth);
    // SAFETY: just born so.
    (Unkept { task, value: PhantomData }, unsafe { first(task) })
}

/// As [`unkept`], with a rule.
pub(crate) fn unkept_ruled<T: Send + 'static>(birth: Birth, rule: Rule) -> (Unkept<T>, Typed<T>) {
    let task = with_rule(birth, rule, State::running(), 0, 0, false, Never::<T, T>::default());
    // SAFETY: just born so.
    (Unkept { task, value: PhantomData }, unsafe { first(task) })
}

impl<T: Send + 'static> Unkept<T> {
    pub(crate) fn task(&self) -> NonNull<Header> {
        self.task
    }

    pub(crate) fn head(&self) -> &Header {
        // SAFETY: the claim has the runtime's reference.
        unsafe { self.task.as_ref() }
    }

    pub(crate) fn fulfil(self, value: T) {
        // SAFETY: the task is claimed, its values are `T`s, and it has none yet.
        unsafe { set_value(self.task, value) };
        self.end(Outcome::Value);
    }

    pub(crate) fn fail(self, kind: TaskErrorKind) {
        let error = self.error(kind);
        self.fail_as(error);
    }

    /// An error of this task.
    pub(crate) fn error(&self, kind: TaskErrorKind) -> TaskError {
        self.head().failure(kind)
    }

    pub(crate) fn fail_as(self, error: TaskError) {
        self.end(Outcome::Error(error.into_word()));
    }

    fn end(self, outcome: Outcome) {
        let task = self.task;
        nest::run(
            // SAFETY: the task is claimed and its outcome there; the runtime's reference ends here.
            || unsafe { finish(task, outcome, true, &mut Elsewhere::of(task)) },
            || Deferred::End(task, outcome, home::keep(self.head())),
        );
    }
}

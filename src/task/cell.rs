//! The one allocation of a task: header, closure ∪ value, edges to its inputs.

use std::alloc::{Layout, handle_alloc_error};
use std::any::TypeId;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;

use super::dependents::{Node, SLACK};
use super::handle::Handle;
use super::header::{Header, Role, VTable, edges};
use super::recycle::{self, Class};
use super::rule::{self, Rule};
use super::state::{Outcome, State};
use super::whereabouts::Whereabouts;
use crate::error::{TaskErrorKind, TaskId};
use crate::panics;
use crate::primitive::atomic::{AtomicI32, AtomicU32, Ordering};
use crate::primitive::cell::{Cell, Witness};

/// The closure of a task, with whatever it holds of its inputs.
pub(crate) trait Work: Send + 'static {
    type Output: Send + 'static;
    /// Number of inputs; `None` when that is not a matter of the type.
    const INPUTS: Option<u32> = Some(0);
    fn run(self) -> Result<Self::Output, TaskErrorKind>;
    /// Whether a cell with a rule is to [try](Self::attempt) it in place, so that it may be run again.
    const REPEATS: bool = false;
    fn attempt(&self) -> Result<Self::Output, TaskErrorKind> {
        Err(TaskErrorKind::PromiseDropped)
    }
    /// Whether to run it again after an attempt that failed so.
    fn tries_again(&mut self, after: &TaskErrorKind) -> TriesAgain {
        let _ = after;
        TriesAgain::No
    }
    /// What the user would call it.
    fn name() -> &'static str {
        std::any::type_name::<Self>()
    }
    /// Where the memory of its value lies.
    fn whereabouts(value: &Self::Output) -> Whereabouts {
        let _ = value;
        Whereabouts::NOWHERE
    }
    /// Calls `each` with every input.
    fn show_inputs(&self, each: &mut dyn FnMut(&Handle)) {
        let _ = each;
    }
}

/// What comes after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TriesAgain {
    No,
    Yes,
    /// Not before others had their turn, also where somebody waits for it.
    BehindOthers,
}

/// What a task is born with, next to its closure.
pub(crate) struct Birth {
    pub(crate) executor: u32,
    /// With the class (`rule`).
    pub(crate) raw_id: u64,
    pub(crate) location: &'static Location<'static>,
}

impl Birth {
    pub(crate) fn id(&self) -> TaskId {
        rule::number(self.raw_id)
    }
}

/// Where the edges begin, behind what ends there.
const fn edges_after<W: Work>(end: usize) -> usize {
    match W::INPUTS {
        Some(0) => end,
        Some(_) => round_up(end, align_of::<Node>()),
        None => round_up(end + size_of::<u32>(), align_of::<Node>()),
    }
}

/// The typed face of a cell.
struct Typed<W, T>(PhantomData<(W, T)>);

pub(super) const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

pub(super) const fn round_up(size: usize, align: usize) -> usize {
    size.next_multiple_of(align)
}

impl<W: Work<Output = T>, T: Send + 'static> Typed<W, T> {
    const PAYLOAD_ALIGN: usize = max(align_of::<W>(), align_of::<T>());
    const PAYLOAD: usize = round_up(size_of::<Header>(), Self::PAYLOAD_ALIGN);
    const END: usize = Self::PAYLOAD + max(size_of::<W>(), size_of::<T>());
    const EDGES: usize = edges_after::<W>(Self::END);
    const RULE: usize = round_up(Self::END, align_of::<Rule>());
    const ALIGN: usize = match W::INPUTS {
        Some(0) => max(Self::PAYLOAD_ALIGN, align_of::<Header>()),
        _ => max(Self::PAYLOAD_ALIGN, align_of::<Node>()),
    };

    const VTABLE: VTable = VTable {
        run: Self::run,
        drop_closure: Self::drop_closure,
        show_inputs: Self::show_inputs,
        drop_value: Self::drop_value,
        value_needs_drop: std::mem::needs_drop::<T>(),
        value_offset: Self::PAYLOAD,
        let_go: None,
        edges_offset: Self::EDGES,
        align: Self::ALIGN,
        inputs: W::INPUTS,
        class: match W::INPUTS {
            Some(inputs) => Class::of(size(Self::EDGES, inputs), Self::ALIGN),
            None => None,
        },
        rule: None,
        name: W::name,
        value_name: std::any::type_name::<T>,
        value_type: TypeId::of::<T>(),
        role: Role::Task,
        title: None,
    };

    /// Of promises that are not counted.
    const ASIDE: VTable = VTable { role: Role::Aside, ..Self::VTABLE };

    /// Of cells with a rule. These are of no class here, so that plain ones need not be told from them when they are freed.
    const RULED: VTable = VTable {
        rule: Some(Self::RULE),
        edges_offset: edges_after::<W>(Self::RULE + size_of::<Rule>()),
        align: max(Self::ALIGN, align_of::<Rule>()),
        class: None,
        run: Self::run_ruled,
        drop_closure: Self::drop_closure_ruled,
        ..Self::VTABLE
    };

    /// # Safety
    /// The caller has claimed the closure of a cell with these types.
    unsafe fn run(task: NonNull<Header>) -> Outcome {
        // SAFETY: a claimed closure is whole and nobody else's (README); it is read out once.
        let (head, work) = unsafe {
            let head = task.as_ref();
            head.payload.write();
            (head, task.cast::<u8>().add(Self::PAYLOAD).cast::<W>().read())
        };
        let failed = panics::catch_here(|| match work.run() {
            Ok(value) => {
                // SAFETY: the closure is gone, so its place is the value's, and the claimer's alone until `finish`.
                unsafe { Self::store(task, value) };
                None
            }
            Err(kind) => Some(kind),
        });
        let kind = match failed {
            Ok(None) => return Outcome::Value,
            Ok(Some(kind)) | Err(kind) => kind,
        };
        Outcome::Error(head.failure(kind).into_word())
    }

    /// # Safety
    /// The caller has claimed a cell with these types, whose closure is gone.
    #[inline]
    unsafe fn store(task: NonNull<Header>, value: T) {
        let at = W::whereabouts(&value);
        // SAFETY: the caller's promise.
        unsafe {
            if !at.is_nowhere() {
                // ORDERING: Relaxed; published with the value.
                task.as_ref().pending.store(at.word(), Ordering::Relaxed);
            }
            task.cast::<u8>().add(Self::PAYLOAD).cast::<T>().write(value);
        }
    }

    /// # Safety
    /// As of [`run`](Self::run), of a cell with a rule.
    unsafe fn run_ruled(task: NonNull<Header>) -> Outcome {
        // SAFETY: the caller's promise.
        let outcome = unsafe { if W::REPEATS { Self::attempt(task) } else { Self::run(task) } };
        // SAFETY: the caller's claim keeps the task.
        rule::closure_ended(unsafe { task.as_ref() }, matches!(outcome, Outcome::Again));
        outcome
    }

    /// # Safety
    /// As of [`drop_closure`](Self::drop_closure), of a cell with a rule.
    unsafe fn drop_closure_ruled(task: NonNull<Header>) {
        // SAFETY: the caller's promise, who keeps the task.
        unsafe {
            Self::drop_closure(task);
            rule::closure_ended(task.as_ref(), false);
        }
    }

    /// Runs the closure where it lies, and leaves it there if it is to run again.
    ///
    /// # Safety
    /// As of [`run`](Self::run), of a cell with a rule.
    unsafe fn attempt(task: NonNull<Header>) -> Outcome {
        // SAFETY: a claimed closure is whole and nobody else's (README).
        let (head, work) = unsafe { (task.as_ref(), task.cast::<u8>().add(Self::PAYLOAD).cast::<W>().as_mut()) };
        head.payload.write();
        let failed = match panics::catch_here(|| work.attempt()) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(kind)) | Err(kind) => Err(kind),
        };
        if let Err(kind) = &failed
            && head.may_run_again()
        {
            let again = work.tries_again(kind);
            if again == TriesAgain::BehindOthers {
                head.leave_to_queue();
            }
            if again != TriesAgain::No {
                panics::catch_drop(|| drop(failed));
                return Outcome::Again;
            }
        }
        // SAFETY: the closure is still the caller's, and used no more.
        unsafe { Self::drop_closure(task) };
        match failed {
            Ok(value) => {
                head.forget_recipe();
                // SAFETY: the closure is gone.
                unsafe { Self::store(task, value) };
                Outcome::Value
            }
            Err(kind) => Outcome::Error(head.failure(kind).into_word()),
        }
    }

    /// # Safety
    /// The caller owns the closure of a cell with these types, and does this once.
    unsafe fn drop_closure(task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let work = unsafe {
            task.as_ref().payload.write();
            task.cast::<u8>().add(Self::PAYLOAD).cast::<W>().read()
        };
        panics::catch_drop(|| drop(work));
    }

    /// # Safety
    /// The caller has claimed the closure of a cell with these types.
    unsafe fn show_inputs(task: NonNull<Header>, each: &mut dyn FnMut(&Handle)) {
        // SAFETY: the caller's promise.
        let work = unsafe { task.cast::<u8>().add(Self::PAYLOAD).cast::<W>().as_ref() };
        work.show_inputs(each);
    }

    /// # Safety
    /// The cell has these types and a value that nobody else reads any more.
    unsafe fn drop_value(task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let value = unsafe {
            task.as_ref().payload.write();
            task.cast::<u8>().add(Self::PAYLOAD).cast::<T>().read()
        };
        panics::catch_drop(|| drop(value));
    }
}

/// The closure of a task that has none: a promise, or a value that is there from the start.
pub(crate) struct Never<T, N = T>(PhantomData<fn() -> (T, N)>);

impl<T, N> Default for Never<T, N> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Send + 'static, N: 'static> Work for Never<T, N> {
    type Output = T;
    fn name() -> &'static str {
        std::any::type_name::<N>()
    }
    fn run(self) -> Result<T, TaskErrorKind> {
        Err(TaskErrorKind::PromiseDropped)
    }
}

/// A value with what goes when it goes.
#[repr(C)]
struct Kept<T, K> {
    value: T,
    with: K,
}

impl<T: Send + 'static, K: Send + 'static> Kept<T, K> {
    const VTABLE: VTable = VTable {
        let_go: Some(Self::let_go),
        value_name: std::any::type_name::<T>,
        value_type: TypeId::of::<T>(),
        ..Typed::<Never<Self>, Self>::VTABLE
    };

    /// # Safety
    /// The cell is of this type, its `value` was moved out, and `with` is touched by nobody any more.
    unsafe fn let_go(task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let with = unsafe { (&raw mut (*super::header::value_pointer(task).cast::<Self>().as_ptr()).with).read() };
        panics::catch_drop(|| drop(with));
    }
}

/// A task that is done, with a value, which lies at `at`, and something that goes when the value goes.
pub(crate) fn with_kept_value<T: Send + 'static, K: Send + 'static>(
    birth: Birth,
    value: T,
    with: K,
    at: Whereabouts,
) -> NonNull<Header> {
    let vtable: &'static VTable = const { &Kept::<T, K>::VTABLE };
    let task = allocate(vtable, birth, State::done(Outcome::Value), 1, at.word(), 0);
    // SAFETY: the cell was laid out for this type, and is not shared yet.
    unsafe { set_value(task, Kept { value, with }) };
    task
}

/// Bytes of a cell.
const fn size(edges_offset: usize, inputs: u32) -> usize {
    edges_offset + inputs as usize * size_of::<Node>()
}

fn layout(vtable: &VTable, inputs: u32) -> Layout {
    // The offsets come from `size_of` of real types, so the size is far below isize::MAX.
    Layout::from_size_align(size(vtable.edges_offset, inputs), vtable.align).unwrap_or_else(|_| std::process::abort())
}

fn class(vtable: &VTable, inputs: u32) -> Option<Class> {
    match vtable.inputs {
        Some(_) if vtable.rule.is_none() => vtable.class,
        _ => Class::of(size(vtable.edges_offset, inputs), vtable.align),
    }
}

#[inline(always)]
pub(super) fn allocate(
    vtable: &'static VTable,
    birth: Birth,
    state: State,
    handles: u32,
    pending: u32,
    inputs: u32,
) -> NonNull<Header> {
    let layout = || layout(vtable, inputs);
    // SAFETY: the layout holds a header at least, so its size is not zero; the class is chosen by the same size.
    let block = unsafe { recycle::take(layout, class(vtable, inputs)) };
    let Some(task) = NonNull::new(block.cast::<Header>()) else { handle_alloc_error(layout()) };
    // SAFETY: fresh memory of that layout.
    unsafe {
        task.write(Header {
            state,
            handles: AtomicU32::new(handles),
            pending: AtomicU32::new(pending),
            vtable,
            link: Cell::new(std::ptr::null_mut()),
            location: birth.location,
            raw_id: birth.raw_id,
            executor: birth.executor,
            slack: AtomicI32::new(SLACK),
            payload: Witness::new(),
        });
    }
    task
}

/// A task with a closure. `inputs` is the number of tasks it waits for: what the type says, if it says.
#[inline]
pub(crate) fn with_work<W: Work>(
    birth: Birth,
    state: State,
    handles: u32,
    pending: u32,
    inputs: u32,
    tolerant: bool,
    work: W,
) -> NonNull<Header> {
    let vtable: &'static VTable = const { &Typed::<W, W::Output>::VTABLE };
    let task = allocate(vtable, birth, state, handles, pending, inputs);
    // SAFETY: just made so.
    unsafe { fill(task, vtable, inputs, tolerant, work) };
    task
}

/// As [`with_work`], with a rule and one handle.
pub(crate) fn with_rule<W: Work>(
    birth: Birth,
    rule: Rule,
    state: State,
    pending: u32,
    inputs: u32,
    tolerant: bool,
    work: W,
) -> NonNull<Header> {
    let vtable: &'static VTable = const { &Typed::<W, W::Output>::RULED };
    let task = allocate(vtable, birth, state, 1, pending, inputs);
    task.as_ptr().expose_provenance();
    // SAFETY: just made so, with room for a rule.
    unsafe {
        task.cast::<u8>().add(Typed::<W, W::Output>::RULE).cast::<Rule>().write(rule);
        fill(task, vtable, inputs, tolerant, work);
    }
    task
}

/// Writes what a new cell starts with.
///
/// # Safety
/// The cell was laid out for this work and so many edges, with this table, and is not shared yet.
#[inline(always)]
unsafe fn fill<W: Work>(task: NonNull<Header>, vtable: &VTable, inputs: u32, tolerant: bool, work: W) {
    // SAFETY: the caller's promise.
    unsafe {
        task.cast::<u8>().add(vtable.value_offset).cast::<W>().write(work);
        let mut edge = task.cast::<u8>().add(vtable.edges_offset).cast::<Node>();
        if vtable.inputs.is_none() {
            edge.cast::<u32>().sub(1).write(inputs);
        }
        for _ in 0..inputs {
            edge.write(Node::of_edge(task, tolerant));
            edge = edge.add(1);
        }
    }
}

/// A task without a closure: its value, which lies at `at`, if any, is written by [`set_value`].
pub(crate) fn without_work<T: Send + 'static>(birth: Birth, state: State, at: Whereabouts) -> NonNull<Header> {
    without_work_as::<T, T>(birth, state, at)
}

/// As [`without_work`], called as `N`.
pub(crate) fn without_work_as<T: Send + 'static, N: 'static>(
    birth: Birth,
    state: State,
    at: Whereabouts,
) -> NonNull<Header> {
    let vtable: &'static VTable = const { &Typed::<Never<T, N>, T>::VTABLE };
    allocate(vtable, birth, state, 1, at.word(), 0)
}

/// A promise that is not counted, with one handle.
pub(super) fn aside<T: Send + 'static>(birth: Birth) -> NonNull<Header> {
    allocate(const { &Typed::<Never<T>, T>::ASIDE }, birth, State::running(), 1, 0, 0)
}

/// Writes the value of a task without closure.
///
/// # Safety
/// `task` came from [`without_work`] or [`aside`] with this `T`, the caller has claimed it and it has no value yet.
pub(crate) unsafe fn set_value<T>(task: NonNull<Header>, value: T) {
    // SAFETY: the caller's promise: the payload is a `T`'s place and the claimer's alone.
    unsafe {
        task.as_ref().payload.write();
        super::header::value_pointer(task).cast::<T>().write(value);
    }
}

/// Gives the memory of a task back.
///
/// # Safety
/// Nobody has a reference of any kind to `task` any more; closure, value and error are dropped or moved out.
#[inline]
pub(crate) unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the caller's promise; layout and class follow from the same two numbers as at the allocation.
    unsafe {
        let vtable = task.as_ref().vtable;
        match vtable.class {
            Some(class) => {
                task.drop_in_place();
                recycle::give(task.as_ptr().cast(), || layout(vtable, vtable.inputs.unwrap_or(0)), Some(class));
            }
            None => free_unclassed(task),
        }
    }
}

/// # Safety
/// As of [`free`].
#[cold]
unsafe fn free_unclassed(task: NonNull<Header>) {
    // SAFETY: the caller's promise, as in `free`.
    unsafe {
        let vtable = task.as_ref().vtable;
        let inputs = edges(task).len() as u32;
        if let Some(rule) = vtable.rule {
            task.cast::<u8>().add(rule).cast::<Rule>().drop_in_place();
        }
        task.drop_in_place();
        recycle::give(task.as_ptr().cast(), || layout(vtable, inputs), class(vtable, inputs));
    }
}

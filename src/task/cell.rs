//! The one allocation of a task: header, closure ∪ value, edges to its inputs.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;

use super::dependents::{Edge, SLACK};
use super::header::{Header, Home, VTable, edges};
use super::state::{Outcome, State};
use crate::error::{TaskError, TaskErrorKind, TaskId};
use crate::panics;
use crate::primitive::alloc::{alloc, dealloc};
use crate::primitive::atomic::{AtomicI32, AtomicU32};
use crate::primitive::cell::{Cell, Witness};

/// The closure of a task, with whatever it holds of its inputs.
pub(crate) trait Work: Send + 'static {
    type Output: Send + 'static;
    fn run(self) -> Result<Self::Output, TaskErrorKind>;
}

/// What a task is born with, next to its closure.
pub(crate) struct Birth {
    pub(crate) home: *const Home,
    pub(crate) executor: u32,
    pub(crate) generation: u32,
    pub(crate) id: TaskId,
    pub(crate) location: &'static Location<'static>,
}

/// The typed face of a cell.
struct Typed<W, T>(PhantomData<(W, T)>);

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const fn round_up(size: usize, align: usize) -> usize {
    size.next_multiple_of(align)
}

impl<W: Work<Output = T>, T: Send + 'static> Typed<W, T> {
    const PAYLOAD_ALIGN: usize = max(align_of::<W>(), align_of::<T>());
    const PAYLOAD: usize = round_up(size_of::<Header>(), Self::PAYLOAD_ALIGN);
    const EDGES: usize = round_up(Self::PAYLOAD + max(size_of::<W>(), size_of::<T>()), align_of::<Edge>());

    const VTABLE: VTable = VTable {
        run: Self::run,
        drop_closure: Self::drop_closure,
        drop_value: Self::drop_value,
        value_needs_drop: std::mem::needs_drop::<T>(),
        value_offset: Self::PAYLOAD,
        edges_offset: Self::EDGES,
        align: max(Self::PAYLOAD_ALIGN, align_of::<Header>()),
        name: std::any::type_name::<T>,
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
        let kind = match panics::catch(|| work.run()) {
            Ok(Ok(value)) => {
                // SAFETY: the closure is gone, so its place is the value's, and the claimer's alone until `finish`.
                unsafe { task.cast::<u8>().add(Self::PAYLOAD).cast::<T>().write(value) };
                return Outcome::Value;
            }
            Ok(Err(kind)) => kind,
            Err(panic) => panic,
        };
        Outcome::Error(TaskError::of_task(kind, head.id, head.location).into_word())
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
pub(crate) struct Never<T>(PhantomData<fn() -> T>);

impl<T: Send + 'static> Work for Never<T> {
    type Output = T;
    fn run(self) -> Result<T, TaskErrorKind> {
        Err(TaskErrorKind::PromiseDropped)
    }
}

fn layout(vtable: &VTable, edges: u32) -> Layout {
    let size = vtable.edges_offset + edges as usize * size_of::<Edge>();
    // The offsets come from `size_of` of real types, so the sum is far below isize::MAX.
    Layout::from_size_align(size, vtable.align).unwrap_or_else(|_| std::process::abort())
}

fn allocate(
    vtable: &'static VTable,
    birth: Birth,
    state: State,
    handles: u32,
    pending: u32,
    edges: u32,
) -> NonNull<Header> {
    let layout = layout(vtable, edges);
    // SAFETY: the layout holds a header at least, so its size is not zero.
    let Some(task) = NonNull::new(unsafe { alloc(layout) }.cast::<Header>()) else { handle_alloc_error(layout) };
    // SAFETY: fresh memory of that layout.
    unsafe {
        task.write(Header {
            state,
            handles: AtomicU32::new(handles),
            pending: AtomicU32::new(pending),
            vtable,
            home: birth.home,
            link: Cell::new(std::ptr::null()),
            location: birth.location,
            id: birth.id,
            executor: birth.executor,
            generation: birth.generation,
            edges,
            slack: AtomicI32::new(SLACK),
            payload: Witness::new(),
        });
    }
    task
}

/// A task with a closure. `inputs` are the tasks it waits for: no more than `u32::MAX` of them, each alive.
#[inline]
pub(crate) fn with_work<W: Work>(
    birth: Birth,
    state: State,
    handles: u32,
    pending: u32,
    inputs: &[NonNull<Header>],
    tolerant: bool,
    work: W,
) -> NonNull<Header> {
    let vtable: &'static VTable = const { &Typed::<W, W::Output>::VTABLE };
    let task = allocate(vtable, birth, state, handles, pending, inputs.len() as u32);
    // SAFETY: the cell was laid out for these types and this many edges, and is not shared yet.
    unsafe {
        task.cast::<u8>().add(vtable.value_offset).cast::<W>().write(work);
        let mut edge = edges(task).cast::<Edge>();
        for &input in inputs {
            edge.write(Edge::new(task, input, tolerant));
            edge = edge.add(1);
        }
    }
    task
}

/// A task without a closure: its value, if any, is written by [`set_value`].
pub(crate) fn without_work<T: Send + 'static>(birth: Birth, state: State, handles: u32) -> NonNull<Header> {
    let vtable: &'static VTable = const { &Typed::<Never<T>, T>::VTABLE };
    allocate(vtable, birth, state, handles, 0, 0)
}

/// Writes the value of a task without closure.
///
/// # Safety
/// `task` came from [`without_work`] with this `T`, the caller has claimed it and it has no value yet.
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
pub(crate) unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the caller's promise; the layout is computed from the same two fields as at the allocation.
    unsafe {
        let layout = layout(task.as_ref().vtable, task.as_ref().edges);
        task.drop_in_place();
        dealloc(task.as_ptr().cast(), layout);
    }
}

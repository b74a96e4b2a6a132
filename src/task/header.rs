//! The shared head of every task: what the runtime touches without knowing the task's types.

use std::panic::Location;
use std::ptr::NonNull;

use super::dependents::Edge;
use super::state::{Outcome, State};
use crate::error::TaskId;
use crate::primitive::atomic::{AtomicI32, AtomicU32};
use crate::primitive::cell::{Cell, Witness};

/// What a task needs of the scheduler it belongs to; the task folder knows nothing else of it.
pub(crate) trait Schedule: Send + Sync {
    /// Queues a task whose inputs are done.
    fn ready(&self, task: Ready);
    /// Counts a task as finished. The scheduler may be gone when this returns.
    fn finished(&self);
    /// Counts a result that came after its task was cancelled.
    fn discarded(&self);
}

/// The scheduler of a task. It stays while any task of it is unfinished: who finishes one calls
/// [`Schedule::finished`] as its last touch.
pub(crate) struct Home(pub(crate) *const dyn Schedule);

// SAFETY: every scheduler is shared by threads (`Schedule` asks for it); the pointer is followed by the rule above.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

/// Table of the functions and offsets that know a task's types.
pub(crate) struct VTable {
    /// Consumes the closure; writes the value or gives the error.
    pub(crate) run: unsafe fn(NonNull<Header>) -> Outcome,
    pub(crate) drop_closure: unsafe fn(NonNull<Header>),
    pub(crate) drop_value: unsafe fn(NonNull<Header>),
    pub(crate) value_needs_drop: bool,
    pub(crate) value_offset: usize,
    pub(crate) edges_offset: usize,
    pub(crate) align: usize,
    pub(crate) name: fn() -> &'static str,
}

/// The head; the folder's README says who may touch which field when.
#[repr(C, align(16))]
pub(crate) struct Header {
    pub(crate) state: State,
    /// Handles and inputs of unfinished dependents; the value is kept while there is one.
    pub(crate) handles: AtomicU32,
    /// Inputs that are missing, and one more while they are being registered.
    pub(crate) pending: AtomicU32,
    pub(crate) vtable: &'static VTable,
    pub(crate) home: *const Home,
    /// The next in an inbox or a batch.
    pub(crate) link: Cell<*const Header>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) id: TaskId,
    pub(crate) executor: u32,
    /// The process it was made in (`fork`).
    pub(crate) generation: u32,
    /// Length of the edge array behind the payload.
    pub(crate) edges: u32,
    /// Withdrawals until the waiting list is swept.
    pub(crate) slack: AtomicI32,
    pub(crate) payload: Witness,
}

/// A task whose inputs are done, on its way to a runner; carries the runtime's reference (`HELD`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ready(pub(crate) NonNull<Header>);

// SAFETY: a `Ready` is the runtime's one reference to a task; closure and value are `Send`, and every field that two
// threads may touch at once is atomic (README, "Who may touch what").
unsafe impl Send for Ready {}

/// Where the value lies, as bytes.
pub(crate) fn value_pointer(task: NonNull<Header>) -> NonNull<u8> {
    // SAFETY: a header lies in a cell made by `cell`, `value_offset` bytes before the payload in the same allocation.
    unsafe { task.cast::<u8>().add(task.as_ref().vtable.value_offset) }
}

/// The edges of a task to its inputs.
pub(crate) fn edges(task: NonNull<Header>) -> NonNull<[Edge]> {
    // SAFETY: as above; `edges` of them were initialised when the cell was made.
    unsafe {
        let head = task.as_ref();
        let first = task.cast::<u8>().add(head.vtable.edges_offset).cast::<Edge>();
        NonNull::slice_from_raw_parts(first, head.edges as usize)
    }
}

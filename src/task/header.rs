//! The shared head of every task: what the runtime touches without knowing the task's types.

use std::any::TypeId;
use std::panic::Location;
use std::ptr::NonNull;

use super::dependents::Node;
use super::handle::Handle;
#[cfg(not(heist_loom))]
use super::listener::Roll;
use super::recycle::Class;
use super::rule::{Ended, Needs};
use super::state::{Outcome, State};
#[cfg(feature = "ranks")]
use crate::error::{TaskError, TaskId};
use crate::primitive::atomic::{AtomicI32, AtomicU32};
use crate::primitive::cell::{Cell, Witness};

/// What a task needs of the scheduler it belongs to; the task folder knows nothing else of it.
pub(crate) trait Schedule: Send + Sync {
    /// Queues a task whose inputs are done.
    fn ready(&self, task: Ready);
    /// Queues a task, whose closure has run in vain, behind what waits.
    fn again(&self, task: Ready) {
        self.ready(task);
    }
    /// Takes back what was taken for a task whose closure has ended, or its place in line.
    fn give_back(&self, needs: &Needs, ended: Ended) {
        let _ = (needs, ended);
    }
    /// Counts a task as finished. The scheduler may be gone when this returns.
    fn finished(&self);
    /// Counts a result that came after its task was cancelled.
    fn discarded(&self);
    /// What has become of a task that lacks what comes from elsewhere; whether its value is elsewhere.
    #[cfg(feature = "ranks")]
    fn afar(&self, task: TaskId, what: Afar<'_>) -> bool {
        let _ = (task, what);
        false
    }
    /// Where its detached tasks are listed.
    #[cfg(not(heist_loom))]
    fn roll(&self) -> std::sync::Arc<dyn Roll>;
}

/// What becomes of a task that lacks what comes from elsewhere.
#[cfg(feature = "ranks")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Afar<'a> {
    /// Somebody waits for its value.
    Wanted,
    /// It was ended so.
    Ended(&'a TaskError),
    /// The last handle is gone.
    Abandoned,
    /// Nothing: it is asked whether its value is there, elsewhere.
    IsDone,
}

/// What is done with each input.
pub(crate) type Look<'a> = &'a mut dyn FnMut(&Handle);

/// What a cell is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// To be run once by whoever takes its queue entry, or claims it; or to be fulfilled.
    Task,
    /// To be run once by who has the turn of its subject (`message`).
    Message,
    /// A turn: run again and again, and never done. The cell is somebody else's.
    Turn,
    /// A promise that no executor counts as unfinished.
    Aside,
}

/// Table of the functions and offsets that know a task's types.
pub(crate) struct VTable {
    /// Consumes the closure; writes the value or gives the error.
    pub(crate) run: unsafe fn(NonNull<Header>) -> Outcome,
    pub(crate) drop_closure: unsafe fn(NonNull<Header>),
    /// Shows the inputs that the closure holds.
    pub(crate) show_inputs: unsafe fn(NonNull<Header>, Look<'_>),
    pub(crate) drop_value: unsafe fn(NonNull<Header>),
    pub(crate) value_needs_drop: bool,
    pub(crate) value_offset: usize,
    /// Drops what lies behind a value that was moved out.
    pub(crate) let_go: Option<unsafe fn(NonNull<Header>)>,
    pub(crate) edges_offset: usize,
    pub(crate) align: usize,
    /// Number of inputs; `None`: it is stored just before the edges.
    pub(crate) inputs: Option<u32>,
    /// Where the memory comes from, unless that depends on the number of inputs.
    pub(crate) class: Option<Class>,
    /// Where the cell has a rule, if it has one.
    pub(crate) rule: Option<usize>,
    /// Of the closure.
    pub(crate) name: fn() -> &'static str,
    pub(crate) value_name: fn() -> &'static str,
    pub(crate) value_type: TypeId,
    pub(crate) role: Role,
    /// The name that a turn was given.
    pub(crate) title: Option<unsafe fn(&Header) -> Option<&str>>,
}

/// The head; the folder's README says who may touch which field when. With a closure of one word it fills a cache line.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) state: State,
    /// Handles and inputs of unfinished dependents; the value is kept while there is one.
    pub(crate) handles: AtomicU32,
    /// Inputs that are missing, and one more while they are being registered; with a value, its whereabouts.
    pub(crate) pending: AtomicU32,
    pub(crate) vtable: &'static VTable,
    /// The next in an inbox, as the scheduler has it.
    pub(crate) link: Cell<*mut u8>,
    pub(crate) location: &'static Location<'static>,
    /// The task's number, and above it its class (`rule`).
    pub(crate) raw_id: u64,
    /// The number of its executor (`home`).
    pub(crate) executor: u32,
    /// Withdrawals until the waiting list is swept.
    pub(crate) slack: AtomicI32,
    pub(crate) payload: Witness,
}

#[cfg(all(not(heist_loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Header>() == 56);

#[cfg(feature = "ranks")]
impl Header {
    /// Whether it lacks, or once lacked, what comes from elsewhere.
    #[inline]
    pub(crate) fn is_afar(&self) -> bool {
        self.executor & super::home::AFAR != 0
    }

    /// Says of an unfinished task that somebody waits for its value, if that is to come from elsewhere.
    #[inline]
    pub(crate) fn want(&self) {
        if self.is_afar() {
            super::home::ask_afar(self, Afar::Wanted);
        }
    }
}

impl Header {
    /// Whether it is a task of the executor with this number. One that is to come from elsewhere is wanted from then on.
    #[inline]
    pub(crate) fn is_input_of(&self, executor: u32) -> bool {
        #[cfg(feature = "ranks")]
        if self.executor != executor && self.is_of(executor) {
            self.want();
            return true;
        }
        self.executor == executor
    }

    /// Whether it is a task of the executor with this number.
    #[inline]
    pub(crate) fn is_of(&self, executor: u32) -> bool {
        #[cfg(feature = "ranks")]
        if self.executor == executor | super::home::AFAR {
            return true;
        }
        self.executor == executor
    }
}

/// A task whose inputs are done, on its way to a runner; carries the runtime's reference (`HELD`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ready(pub(crate) NonNull<Header>);

impl Ready {
    #[inline]
    pub(crate) fn head(&self) -> &Header {
        // SAFETY: the runtime's reference keeps the task.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: a `Ready` is the runtime's one reference to a task; closure and value are `Send`, and every field that two
// threads may touch at once is atomic (README, "Who may touch what").
unsafe impl Send for Ready {}

/// Where the value lies, as bytes.
pub(crate) fn value_pointer(task: NonNull<Header>) -> NonNull<u8> {
    // SAFETY: a header lies in a cell made by `cell`, `value_offset` bytes before the payload in the same allocation.
    unsafe { task.cast::<u8>().add(task.as_ref().vtable.value_offset) }
}

/// The nodes of a task for the lists of its inputs.
#[inline]
pub(crate) fn edges(task: NonNull<Header>) -> NonNull<[Node]> {
    // SAFETY: as above; the number and so many edges were written when the cell was made.
    unsafe {
        let vtable = task.as_ref().vtable;
        let first = task.cast::<u8>().add(vtable.edges_offset).cast::<Node>();
        let count = vtable.inputs.unwrap_or_else(|| first.cast::<u32>().sub(1).read());
        NonNull::slice_from_raw_parts(first, count as usize)
    }
}

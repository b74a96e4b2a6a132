//! Messages: tasks that only the owner of their subject's turn runs, one after the other; and the turn itself.
//!
//! A message is RUNNING from birth, so nobody claims it who waits for it or finds it. `pending` says that it was not begun.

use std::any::TypeId;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::cell::{self, Birth, allocate, max, round_up};
use super::dependents::{SLACK, fail_giving, fire, give_back};
use super::handle::{Handle, schedule};
use super::header::{Header, Ready, Role, VTable};
use super::make::first;
use super::recycle::Class;
use super::rule::KeptRecipe;
use super::run::{Finisher, finish};
use super::state::{Cancel, List, Outcome, State};
use super::typed::Typed;
use crate::error::{TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{AtomicI32, AtomicU32, Ordering};
use crate::primitive::cell::{Cell, Witness};

/// In `pending`: an answer is awaited.
const ASKED: u32 = 1;
/// In `pending`: nobody has a handle.
const TOLD: u32 = 2;

/// What a message does with its subject.
pub(crate) trait Errand: Send + 'static {
    type Output: Send + 'static;
    /// # Safety
    /// `subject` is what the message was made for, and the caller has its turn.
    unsafe fn run(self, subject: NonNull<Header>) -> Result<Self::Output, TaskErrorKind>;
    /// What the user would call it.
    fn name() -> &'static str;
}

/// The typed face of a message's cell: header, errand ∪ answer, address of the subject.
struct Face<E>(PhantomData<E>);

impl<E: Errand> Face<E> {
    const PAYLOAD_ALIGN: usize = max(align_of::<E>(), align_of::<E::Output>());
    const PAYLOAD: usize = round_up(size_of::<Header>(), Self::PAYLOAD_ALIGN);
    const SUBJECT: usize =
        round_up(Self::PAYLOAD + max(size_of::<E>(), size_of::<E::Output>()), align_of::<NonNull<Header>>());
    const END: usize = Self::SUBJECT + size_of::<NonNull<Header>>();
    const ALIGN: usize = max(Self::PAYLOAD_ALIGN, align_of::<Header>());

    const VTABLE: VTable = VTable {
        run: Self::run,
        drop_closure: Self::drop_closure,
        show_inputs: |_, _| {},
        drop_value: Self::drop_value,
        value_needs_drop: std::mem::needs_drop::<E::Output>(),
        value_offset: Self::PAYLOAD,
        let_go: None,
        edges_offset: Self::END,
        align: Self::ALIGN,
        inputs: Some(0),
        class: Class::of(Self::END, Self::ALIGN),
        rule: None,
        name: E::name,
        value_name: std::any::type_name::<E::Output>,
        value_type: TypeId::of::<E::Output>(),
        role: Role::Message,
        title: None,
    };

    fn make(birth: Birth, state: State, handles: u32, pending: u32, subject: NonNull<Header>, errand: E) -> Message {
        let task = allocate(const { &Self::VTABLE }, birth, state, handles, pending, 0);
        // SAFETY: the cell was laid out for both, and is not shared yet.
        unsafe {
            task.cast::<u8>().add(Self::PAYLOAD).cast::<E>().write(errand);
            task.cast::<u8>().add(Self::SUBJECT).cast::<NonNull<Header>>().write(subject);
        }
        Message(task)
    }

    /// # Safety
    /// The caller has the message, with this errand, and the turn of its subject.
    unsafe fn run(task: NonNull<Header>) -> Outcome {
        // SAFETY: the errand is whole and the caller's; it is read out once.
        let (head, errand) = unsafe {
            let head = task.as_ref();
            head.payload.write();
            (head, task.cast::<u8>().add(Self::PAYLOAD).cast::<E>().read())
        };
        // SAFETY: the caller's promise; the subject was written at birth.
        let failed = panics::catch_here(|| match unsafe { errand.run(subject(task)) } {
            Ok(answer) => {
                // SAFETY: the errand is gone, so its place is the answer's.
                unsafe { task.cast::<u8>().add(Self::PAYLOAD).cast::<E::Output>().write(answer) };
                None
            }
            Err(kind) => Some(kind),
        });
        match failed {
            Ok(None) => Outcome::Value,
            Ok(Some(kind)) | Err(kind) => Outcome::Error(head.failure(kind).into_word()),
        }
    }

    /// # Safety
    /// The caller has the message, with this errand, and does this once.
    unsafe fn drop_closure(task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let errand = unsafe {
            task.as_ref().payload.write();
            task.cast::<u8>().add(Self::PAYLOAD).cast::<E>().read()
        };
        panics::catch_drop(|| drop(errand));
    }

    /// # Safety
    /// The message, of this type, has an answer that nobody else reads any more.
    unsafe fn drop_value(task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let answer = unsafe {
            task.as_ref().payload.write();
            task.cast::<u8>().add(Self::PAYLOAD).cast::<E::Output>().read()
        };
        panics::catch_drop(|| drop(answer));
    }
}

/// Whom a message is for.
///
/// # Safety
/// `task` is a message.
unsafe fn subject(task: NonNull<Header>) -> NonNull<Header> {
    // SAFETY: the address ends the cell of every message, and stays.
    unsafe { task.cast::<u8>().add(task.as_ref().vtable.edges_offset).cast::<NonNull<Header>>().sub(1).read() }
}

impl Header {
    /// Whether it is a message that waits for its turn.
    pub(crate) fn is_unbegun_message(&self) -> bool {
        // ORDERING: Relaxed; who acts on it does so by way of the turn.
        self.vtable.role == Role::Message && self.pending.load(Ordering::Relaxed) != 0
    }
}

/// The subject whose turn a message waits for; none of another task, nor of a message that was begun or is done.
///
/// # Safety
/// The caller keeps `task`.
pub(crate) unsafe fn waiting_for(task: NonNull<Header>) -> Option<NonNull<Header>> {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    let waits = head.is_unbegun_message() && !head.state.load().is_done();
    // SAFETY: it is a message.
    waits.then(|| unsafe { subject(task) })
}

/// The turn that `task` is, or in which it is or will be run; none of other tasks.
///
/// # Safety
/// The caller keeps `task`.
pub(crate) unsafe fn turn_of(task: NonNull<Header>) -> Option<NonNull<Header>> {
    // SAFETY: the caller's promise.
    match unsafe { task.as_ref() }.vtable.role {
        Role::Turn => Some(task),
        // SAFETY: as above.
        Role::Message => Some(unsafe { subject(task) }),
        Role::Task | Role::Aside => None,
    }
}

/// A message that was not begun: its errand, and the runtime's reference.
#[derive(Debug)]
#[must_use]
pub(crate) struct Message(NonNull<Header>);

// SAFETY: the errand is `Send`.
unsafe impl Send for Message {}

/// A message with a handle on its answer.
#[inline]
pub(crate) fn ask<E: Errand>(birth: Birth, subject: NonNull<Header>, errand: E) -> (Typed<E::Output>, Message) {
    let message = Face::make(birth, State::running(), 1, ASKED, subject, errand);
    // SAFETY: just born so.
    (unsafe { first(message.0) }, message)
}

/// A message without an answer.
#[inline]
pub(crate) fn tell<E: Errand<Output = ()>>(birth: Birth, subject: NonNull<Header>, errand: E) -> Message {
    Face::make(birth, State::running_unwanted(), 0, TOLD, subject, errand)
}

impl Message {
    fn head(&self) -> &Header {
        // SAFETY: the message has the runtime's reference.
        unsafe { self.0.as_ref() }
    }

    #[cfg(all(test, heist_loom))]
    pub(crate) fn number(&self) -> u64 {
        self.head().raw_id
    }

    pub(crate) fn into_raw(self) -> NonNull<Header> {
        self.0
    }

    /// # Safety
    /// The pointer came from [`into_raw`](Self::into_raw), and is used once.
    pub(crate) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        Self(task)
    }

    fn is_told(&self) -> bool {
        // ORDERING: Relaxed; written at birth, and by who has the message.
        self.head().pending.load(Ordering::Relaxed) == TOLD
    }

    /// Whether it is to be run: what was told always, what was asked while somebody would have the answer.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        let now = self.head().state.load();
        self.is_told() || !now.is_done() && !now.is_unwanted()
    }

    #[inline]
    pub(crate) fn begin(self) -> Begun {
        let is_told = self.is_told();
        // ORDERING: Relaxed; only a hint to others.
        self.head().pending.store(0, Ordering::Relaxed);
        Begun { task: self.0, is_told }
    }

    /// Lets go of the errand; the answer is an error.
    #[cold]
    pub(crate) fn refuse(self, kind: TaskErrorKind, by: &mut impl Finisher) {
        let was_done = self.head().state.load().is_done();
        let begun = self.begin();
        // SAFETY: the errand is the caller's, and so is the runtime's reference.
        unsafe { (begun.task.as_ref().vtable.drop_closure)(begun.task) };
        if was_done && !begun.is_told {
            // SAFETY: as above.
            return unsafe { give_back(begun.task) };
        }
        let head = begun.head();
        let error = head.failure(kind);
        Replied { outcome: Outcome::Error(error.into_word()), begun }.end(by);
    }
}

/// A message that is being run.
#[derive(Debug)]
#[must_use]
pub(crate) struct Begun {
    task: NonNull<Header>,
    is_told: bool,
}

impl Begun {
    pub(crate) fn task(&self) -> NonNull<Header> {
        self.task
    }

    fn head(&self) -> &Header {
        // SAFETY: it has the runtime's reference.
        unsafe { self.task.as_ref() }
    }

    /// Lets go of what was told, and tells nobody.
    #[cfg(all(test, heist_loom))]
    pub(crate) fn drop_unrun(self) {
        assert!(self.is_told);
        // SAFETY: the errand was not begun, and nobody has a handle.
        unsafe {
            (self.head().vtable.drop_closure)(self.task);
            cell::free(self.task);
        }
    }

    /// # Safety
    /// The caller has the turn of the subject.
    #[inline]
    pub(crate) unsafe fn run(self) -> Replied {
        // SAFETY: the errand was not begun before; the caller's promise.
        let outcome = unsafe { (self.head().vtable.run)(self.task) };
        Replied { begun: self, outcome }
    }
}

/// A message whose errand has run.
#[derive(Debug)]
#[must_use]
pub(crate) struct Replied {
    begun: Begun,
    outcome: Outcome,
}

impl Replied {
    /// What went wrong, if the errand panicked.
    #[inline]
    pub(crate) fn panic(&self) -> Option<TaskError> {
        let Outcome::Error(word) = self.outcome else { return None };
        // SAFETY: the word is this reply's until it is ended; it is only borrowed.
        let error = std::mem::ManuallyDrop::new(unsafe { TaskError::from_word(word) });
        error.is_panic().then(|| TaskError::clone(&error))
    }

    /// Gives the answer to those who wait for it. The message may be gone then.
    #[inline]
    pub(crate) fn end(self, by: &mut impl Finisher) {
        let task = self.begun.task;
        if !self.begun.is_told || !self.begun.head().state.is_running_alone() {
            // SAFETY: the errand has run; the runtime's reference ends here.
            return unsafe { finish(task, self.outcome, true, by) };
        }
        if let Outcome::Error(word) = self.outcome {
            // SAFETY: the word is this reply's.
            drop(unsafe { TaskError::from_word(word) });
        }
        // SAFETY: nobody ever had a handle, or listens, the errand is gone, and its answer is `()`.
        unsafe { cell::free(task) };
        by.finished();
    }
}

/// What takes turns: something that messages are for.
pub(crate) trait Turns: 'static {
    /// # Safety
    /// The caller has the turn of `subject`, which is of this type, on a thread of its executor; it is given to this call.
    unsafe fn take(subject: NonNull<Header>);
    /// Ends it: its executor starts nothing any more.
    ///
    /// # Safety
    /// As of [`take`](Self::take), on any thread.
    unsafe fn stop(subject: NonNull<Header>);
    /// The name it was given.
    ///
    /// # Safety
    /// `subject` is of this type.
    unsafe fn title(subject: &Header) -> Option<&str>;
    /// What the user would call its type.
    fn name() -> &'static str;
}

struct Table<T>(PhantomData<T>);

impl<T: Turns> Table<T> {
    const VTABLE: VTable = VTable {
        run: Self::run,
        drop_closure: T::stop,
        show_inputs: |_, _| {},
        drop_value: |_| {},
        value_needs_drop: false,
        value_offset: size_of::<Header>(),
        let_go: None,
        edges_offset: size_of::<Header>(),
        align: align_of::<Header>(),
        inputs: Some(0),
        class: None,
        rule: None,
        name: T::name,
        value_name: T::name,
        value_type: TypeId::of::<T>(),
        role: Role::Turn,
        title: Some(T::title),
    };

    /// # Safety
    /// As of [`Turns::take`].
    unsafe fn run(subject: NonNull<Header>) -> Outcome {
        // SAFETY: the caller's promise.
        unsafe { T::take(subject) };
        Outcome::Left
    }
}

impl Header {
    /// The head of what takes turns. The turn is the caller's.
    pub(crate) fn of_turns<T: Turns>(birth: Birth) -> Self {
        Self {
            state: State::running_unwanted(),
            handles: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            vtable: const { &Table::<T>::VTABLE },
            link: Cell::new(std::ptr::null_mut()),
            location: birth.location,
            raw_id: birth.raw_id,
            executor: birth.executor,
            slack: AtomicI32::new(SLACK),
            payload: Witness::new(),
        }
    }

    /// Tells those who listened to what was run in the turn, outside of messages, that it has ended.
    #[inline]
    pub(crate) fn end_part_of_turn(&self) {
        if self.state.has_list() {
            fire(self.state.take(), None, schedule);
        }
    }

    /// Has the turn that was just taken end after `message`.
    pub(crate) fn end_turn_after(&self, message: &Handle) {
        self.link.set(message.task().as_ptr().cast());
        // ORDERING: Relaxed; for this thread.
        self.pending.store(1, Ordering::Relaxed);
    }

    /// After which message the turn that was just taken ends.
    pub(crate) fn end_of_turn(&self) -> Option<NonNull<Header>> {
        // ORDERING: Relaxed; as above. The link by itself may be what an inbox has left there.
        if self.pending.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.pending.store(0, Ordering::Relaxed);
        NonNull::new(self.link.get().cast())
    }
}

/// Ends a task that runs, with `error`, as [`fail_giving`]; a turn, which is counted by whoever takes it, only learns that it is
/// over.
///
/// # Safety
/// As of [`fail_giving`].
pub(crate) unsafe fn fail_running(
    task: NonNull<Header>,
    error: TaskError,
    recipe: impl FnOnce(KeptRecipe),
) -> Option<List> {
    // SAFETY: the caller's promise.
    let head = unsafe { task.as_ref() };
    if head.vtable.role != Role::Turn {
        // SAFETY: as above.
        return unsafe { fail_giving(task, error, recipe) };
    }
    match head.state.cancel(0) {
        Cancel::Cancelled { list, .. } => Some(list),
        Cancel::Done => None,
    }
}

/// The entry that leads to the turn of `subject`, for its owner to queue.
///
/// # Safety
/// The caller has the turn, which is nobody's from now on but whoever takes the entry.
pub(crate) unsafe fn turn(subject: NonNull<Header>) -> Ready {
    // SAFETY: the caller's promise.
    unsafe { subject.as_ref() }.state.rearm();
    Ready(subject)
}

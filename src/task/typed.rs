//! A handle on a task whose value's type is known: where values are lent and moved out.

use std::any::TypeId;
use std::marker::PhantomData;

use super::cell;
use super::dependents::withdraw;
use super::handle::Handle;
use super::header::value_pointer;
use super::make::Held;
use super::rule::Renewed;
use super::state::Phase;
use crate::error::TaskError;

/// A [`Handle`] of a task whose values are `T`s.
#[derive(Debug)]
pub struct Typed<T> {
    handle: Handle,
    value: PhantomData<*const T>,
}

// SAFETY: a handle moves its value to another thread (`T: Send`); it lends it to several at once only by methods that
// ask for `T: Sync`.
unsafe impl<T: Send> Send for Typed<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Typed<T> {}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), value: PhantomData }
    }
}

impl<T> Typed<T> {
    /// # Safety
    /// The values of the task are `T`s.
    pub(super) unsafe fn new(handle: Handle) -> Self {
        Self { handle, value: PhantomData }
    }

    /// A handle of a task whose values are `T`s; none of another one.
    pub(crate) fn of(handle: Handle) -> Option<Self>
    where
        T: 'static,
    {
        let fits = handle.head().vtable.value_type == TypeId::of::<T>();
        // SAFETY: just seen.
        fits.then(|| unsafe { Self::new(handle) })
    }

    #[inline]
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn into_handle(self) -> Handle {
        self.handle
    }

    /// The error, if the task has ended with one.
    pub(crate) fn error(&self) -> Option<TaskError> {
        self.handle.error()
    }

    /// The value or the error, if the task is done.
    pub(crate) fn peek(&self) -> Option<Result<&T, TaskError>>
    where
        T: Sync,
    {
        match self.handle.head().state.load().phase() {
            Phase::Open | Phase::Running => None,
            Phase::Value => {
                self.handle.head().payload.read();
                // SAFETY: a task in this phase has a value, a `T`, which is kept and not written while there is a handle.
                Some(Ok(unsafe { value_pointer(self.handle.task()).cast::<T>().as_ref() }))
            }
            Phase::Error => self.error().map(Err),
        }
    }

    /// Moves the result of a done task out, if this is the only handle; else, and of an unfinished task, the handle
    /// comes back.
    pub(crate) fn into_result(self) -> Result<Result<T, TaskError>, Self> {
        match self.handle.head().state.load().phase() {
            Phase::Value => {}
            Phase::Error => return self.error().map(Err).ok_or(self),
            Phase::Open | Phase::Running => return Err(self),
        }
        if !self.handle.is_sole() {
            return Err(self);
        }
        let task = std::mem::ManuallyDrop::new(self).handle.task();
        // SAFETY: no handle is left, so the value is nobody's but this call's; `retire` says whose the memory is.
        unsafe {
            task.as_ref().payload.write();
            let value = value_pointer(task).cast::<T>().read();
            if let Some(let_go) = task.as_ref().vtable.let_go {
                let_go(task);
            }
            if task.as_ref().state.retire() {
                cell::free(task);
            }
            Ok(Ok(value))
        }
    }
}

/// An input of a dependent: a handle that takes its edge back when it goes before the task is done.
#[derive(Debug)]
pub struct Input<T>(Typed<T>);

impl<T> Input<T> {
    pub(crate) fn new(task: Typed<T>) -> Self {
        Self(task)
    }
}

impl<T> std::ops::Deref for Input<T> {
    type Target = Typed<T>;
    fn deref(&self) -> &Typed<T> {
        &self.0
    }
}

impl<T> Drop for Input<T> {
    #[inline]
    fn drop(&mut self) {
        let head = self.handle().head();
        if !head.state.load().is_done() {
            withdraw(head);
        }
    }
}

impl<T: Send + Sync + 'static> Held for Input<T> {
    const COUNT: Option<u32> = Some(1);
    fn visit(&self, each: &mut dyn FnMut(&Handle)) {
        each(self.handle());
    }
    fn renewed(&self, by: Renewed<'_>) -> Self {
        Self(by(self.handle()).and_then(Typed::of).unwrap_or_else(|| self.0.clone()))
    }
}

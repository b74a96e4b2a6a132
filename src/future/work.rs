//! The closures of tasks, and the inputs they hold.

use std::ptr::NonNull;

use super::inputs::Inputs;
use crate::error::TaskErrorKind;
use crate::task::{Header, Work};

/// A closure that gives a value.
pub(crate) struct Plain<F>(pub(crate) F);

impl<F: FnOnce() -> T + Send + 'static, T: Send + 'static> Work for Plain<F> {
    type Output = T;
    #[inline]
    fn run(self) -> Result<T, TaskErrorKind> {
        Ok((self.0)())
    }
}

/// A closure that gives a value or an error.
pub(crate) struct Fallible<F>(pub(crate) F);

impl<F, T, E> Work for Fallible<F>
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = T;
    #[inline]
    fn run(self) -> Result<T, TaskErrorKind> {
        (self.0)().map_err(|error| TaskErrorKind::Failed(error.into()))
    }
}

/// Room for the inputs of nearly every task without an allocation.
const FEW: usize = 12;

/// The tasks behind some inputs.
pub(crate) struct Tasks {
    few: [NonNull<Header>; FEW],
    many: Vec<NonNull<Header>>,
    count: usize,
}

impl Tasks {
    pub(crate) fn of<I: Inputs>(owned: &I::Owned) -> Self {
        let mut this = Self { few: [NonNull::dangling(); FEW], many: Vec::new(), count: 0 };
        I::visit(owned, &mut |input| this.push(input.0));
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
}

impl std::ops::Deref for Tasks {
    type Target = [NonNull<Header>];
    fn deref(&self) -> &Self::Target {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

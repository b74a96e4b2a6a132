//! The closures of tasks without inputs.

use std::marker::PhantomData;

use crate::error::{TaskError, TaskErrorKind};
use crate::task::Work;

/// A closure that gives a value.
pub(crate) struct Plain<F>(pub(crate) F);

impl<F: FnOnce() -> T + Send + 'static, T: Send + 'static> Work for Plain<F> {
    type Output = T;
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
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
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
    #[inline]
    fn run(self) -> Result<T, TaskErrorKind> {
        (self.0)().map_err(failed)
    }
}

/// Work that is called as `F`, which it runs.
pub(crate) struct Of<F, W> {
    work: W,
    of: PhantomData<fn() -> F>,
}

impl<F, W> Of<F, W> {
    #[inline]
    pub(crate) fn new(work: W) -> Self {
        Self { work, of: PhantomData }
    }
}

impl<F: 'static, W: Work> Work for Of<F, W> {
    type Output = W::Output;
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
    #[inline]
    fn run(self) -> Result<W::Output, TaskErrorKind> {
        self.work.run()
    }
}

/// What a task's own `Err` becomes. The error of another task is passed on with its root, as by an input, so errors do
/// not nest.
pub(crate) fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TaskErrorKind {
    match error.into().downcast::<TaskError>() {
        Ok(passed_on) => TaskErrorKind::Dependency(passed_on.root().clone()),
        Err(own) => TaskErrorKind::Failed(own),
    }
}

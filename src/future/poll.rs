//! Futures under any async runtime: `f.await` and `(&f).await`.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::task_future::TaskFuture;
use crate::error::TaskError;
use crate::primitive::sync::Arc;
use crate::scheduler::{blocked, is_elsewhere};
use crate::task::{Action, Handle, Listener, listen, withdraw};

/// The place of one awaiting task in a list of those who wait; taken back when it is dropped.
#[derive(Default)]
struct Registration(Option<Arc<Listener>>);

impl Registration {
    /// Whether the task is done, or will never be in this process; if not, `waker` is woken when it is. An error if it
    /// will never be for as long as it is awaited.
    fn poll(&mut self, task: &Handle, waker: &Waker) -> Result<bool, TaskError> {
        if task.head().state.load().is_done() || is_elsewhere(task) {
            return Ok(true);
        }
        if let Some(listener) = &self.0 {
            return Ok(!listener.renew(waker));
        }
        if let Some(error) = blocked::of_own_handler(task) {
            return Err(error);
        }
        let listener = Listener::new(Action::Wake(waker.clone()));
        if listen(task.head(), &listener).is_err() {
            return Ok(true);
        }
        self.0 = Some(listener);
        Ok(false)
    }

    fn withdraw(&mut self, task: &Handle) {
        if let Some(listener) = self.0.take()
            && listener.cancel()
        {
            withdraw(task.head());
        }
    }
}

/// An owned future being awaited; see [`TaskFuture`]'s `IntoFuture`.
#[must_use = "futures do nothing unless polled"]
pub struct Await<T> {
    future: Option<TaskFuture<T>>,
    registration: Registration,
}

/// A borrowed future being awaited; see [`TaskFuture`]'s `IntoFuture`.
#[must_use = "futures do nothing unless polled"]
pub struct AwaitRef<'a, T> {
    future: &'a TaskFuture<T>,
    registration: Registration,
}

impl<T> Unpin for Await<T> {}
impl<T> Unpin for AwaitRef<'_, T> {}

impl<T: Clone + Send + Sync> Future for Await<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(future) = &this.future else { return Poll::Pending };
        match this.registration.poll(future.handle(), context.waker()) {
            Ok(false) => return Poll::Pending,
            Ok(true) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        match this.future.take() {
            Some(future) => Poll::Ready(future.move_or_clone()),
            None => Poll::Pending,
        }
    }
}

impl<T: Clone + Send + Sync> Future for AwaitRef<'_, T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.registration.poll(this.future.handle(), context.waker()) {
            Ok(true) => Poll::Ready(this.future.result()),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<T> Drop for Await<T> {
    fn drop(&mut self) {
        if let Some(future) = &self.future {
            self.registration.withdraw(future.handle());
        }
    }
}

impl<T> Drop for AwaitRef<'_, T> {
    fn drop(&mut self) {
        self.registration.withdraw(self.future.handle());
    }
}

/// Awaits the task under any async runtime; the value is moved out if this is the only handle, else cloned.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let inner = ex.submit(|| 20);
/// let outer = ex.spawn(async move { inner.await.map(|n| n + 1) });
/// assert_eq!(outer.result()??, 21);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Clone + Send + Sync> IntoFuture for TaskFuture<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = Await<T>;

    fn into_future(self) -> Await<T> {
        Await { future: Some(self), registration: Registration::default() }
    }
}

/// Awaits the task under any async runtime, and clones the value.
impl<'a, T: Clone + Send + Sync> IntoFuture for &'a TaskFuture<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = AwaitRef<'a, T>;

    fn into_future(self) -> AwaitRef<'a, T> {
        AwaitRef { future: self, registration: Registration::default() }
    }
}

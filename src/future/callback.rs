//! What happens when a task is done without anybody waiting: callbacks, and tasks let go.

use super::task_future::TaskFuture;
use crate::error::TaskId;
use crate::scheduler::detach;
use crate::task::{Action, Listener, listen};

impl<T: Send + 'static> TaskFuture<T> {
    /// Calls `callback` once, when the task has a value or an error or is cancelled; at once if it is done.
    ///
    /// The thread that ends the task makes the call, callbacks in the order of their registration, so it should be
    /// short. A callback keeps the task wanted, as a handle does. A panic in it is caught and counted
    /// ([`drop_panics`](crate::drop_panics)).
    ///
    /// ```
    /// use std::sync::mpsc;
    /// let ex = heist::Executor::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// ex.submit(|| 6 * 7).on_done(move |future| {
    ///     let _ = sender.send(future.try_result().unwrap().unwrap());
    /// });
    /// assert_eq!(receiver.recv()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_done(&self, callback: impl FnOnce(&Self) + Send + 'static) {
        let future = self.clone();
        let call = move || callback(&future);
        let listener = Listener::new(Action::Call(Box::new(call)));
        if listen(self.handle().head(), &listener).is_err() {
            listener.fire();
        }
    }

    /// Lets the task run with nobody holding on to it; its result is dropped at its end, and its error, if it has one, goes
    /// to [`Builder::on_detached_error`](crate::Builder::on_detached_error). Until then it can be
    /// [listed](crate::Executor::detached) and [cancelled](crate::Executor::cancel_detached) by its id.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// let ex = heist::Executor::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// ex.submit(move || sender.send("done")).detach();
    /// assert_eq!(receiver.recv()?, "done");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(self) -> TaskId {
        let id = self.id();
        detach(self.into_handle());
        id
    }
}

//! Which types may go to which threads. What must not compile is held by doc tests of the library.

use std::cell::Cell;
use std::future::IntoFuture;
use std::sync::mpsc;

use heist::{
    AsCompleted, CancelReason, CancelToken, DoneNotDone, Error, Executor, Promise, Stats, TaskError, TaskFuture, TaskId,
};

use crate::support::{executor, guard};

fn send<T: Send>() {}
fn send_sync<T: Send + Sync>() {}
fn clone<T: Clone>() {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn handles_go_anywhere() {
    send_sync::<Executor>();
    send_sync::<TaskFuture<i32>>();
    send_sync::<TaskFuture<Cell<i32>>>();
    send_sync::<TaskFuture<mpsc::Receiver<i32>>>();
    send_sync::<Promise<Cell<i32>>>();
    send_sync::<TaskId>();
    send_sync::<CancelReason>();
    send_sync::<CancelToken>();
    send_sync::<Stats>();
    send::<AsCompleted<Cell<i32>>>();
    send::<DoneNotDone<Cell<i32>>>();
    clone::<Executor>();
    clone::<TaskFuture<mpsc::Receiver<i32>>>();
    clone::<TaskError>();
    error::<TaskError>();
    error::<Error>();
}

#[test]
fn awaited_futures_may_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    guard(|| {
        let ex = executor(1);
        let future = ex.scatter(1);
        is_send((&future).into_future());
        is_send(future.clone().into_future());
        is_send(heist::wait_all_async(&[future]));
    });
}

#[test]
fn a_value_that_is_not_sync_is_moved_out() {
    guard(|| {
        let ex = executor(1);
        let cell = ex.submit(|| Cell::new(5)).into_result().unwrap().unwrap();
        assert_eq!(cell.get(), 5);
        let (sender, receiver) = mpsc::channel();
        let receiver = ex.submit(move || receiver).into_result().unwrap().unwrap();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    });
}

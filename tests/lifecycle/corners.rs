//! Corners of a task's life that need a test of their own: user code within drops, callbacks and iterators.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use heist::{Executor, Shutdown};

use crate::watchdog::within;

const LIMIT: Duration = Duration::from_secs(20);

fn executor() -> Executor {
    Executor::builder().workers(1).build().unwrap()
}

fn no_hang(what: &'static str, body: impl FnOnce() + Send + 'static) {
    within(LIMIT, || what.to_owned(), body);
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Inputs that fail before, between and after the registration of a dependent.
#[test]
fn a_failed_input_drops_the_closure_of_its_dependent_once() {
    no_hang("dependents of failed inputs", || {
        for before in [true, false] {
            for inputs in 1..4 {
                let ex = executor();
                let dropped = Arc::new(AtomicUsize::new(0));
                let held = Counted(dropped.clone());
                let (promise, failing) = ex.promise::<u32>();
                let mut promise = Some(promise);
                if before {
                    drop(promise.take());
                }
                let (_never, pending) = ex.promise::<u32>();
                let mut all = vec![&pending; inputs - 1];
                all.push(&failing);
                let dependent = ex.submit_after(all, move |_| drop(held));
                drop(promise);
                assert!(dependent.error().is_some_and(|error| error.is_promise_dropped() && error.is_dependency()));
                assert_eq!(dropped.load(Ordering::SeqCst), 1);
            }
        }
    });
}

#[test]
fn a_closure_with_the_last_executor_may_be_released() {
    no_hang("the drop of a closure that held the last executor", || {
        let ex = executor();
        let (promise, never) = ex.promise::<u32>();
        let inner = ex.clone();
        let waiting = ex.submit_after(&never, move |n| inner.workers() as u32 + n);
        drop(ex);
        drop(waiting);
        drop(promise);
    });
}

#[test]
fn a_closure_with_the_last_executor_may_be_cancelled() {
    no_hang("the cancellation of a closure that held the last executor", || {
        let ex = executor();
        let (promise, never) = ex.promise::<u32>();
        let inner = ex.clone();
        let waiting = ex.submit_after(&never, move |n| inner.workers() as u32 + n);
        drop(ex);
        assert!(waiting.cancel("enough"));
        drop(promise);
    });
}

#[test]
fn a_callback_may_drop_the_last_executor() {
    no_hang("a callback that dropped the last executor", || {
        let ex = executor();
        let (promise, future) = ex.promise::<u32>();
        future.on_done(move |_| drop(ex));
        promise.fulfil(1);
        assert_eq!(future.result().unwrap(), 1);
    });
}

#[test]
fn a_callback_may_shut_the_executor_down() {
    no_hang("a callback that shut the executor down", || {
        let ex = executor();
        let (promise, future) = ex.promise::<u32>();
        let inner = ex.clone();
        future.on_done(move |_| inner.shutdown(Shutdown::Wait));
        promise.fulfil(1);
        assert_eq!(future.result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn a_value_with_the_last_executor_may_be_fulfilled_unwanted() {
    no_hang("a value that held the last executor", || {
        let ex = executor();
        let (promise, future) = ex.promise::<Executor>();
        drop(future);
        promise.fulfil(ex);
    });
}

#[test]
fn an_iterator_that_panics_in_map_leaves_the_executor_whole() {
    no_hang("shutdown after a panic of map's iterator", || {
        let ex = executor();
        let dropped = Arc::new(AtomicUsize::new(0));
        let made = dropped.clone();
        let items = (0..10).map(move |i| if i == 5 { panic!("no sixth item") } else { Counted(made.clone()) });
        assert!(catch_unwind(AssertUnwindSafe(|| drop(ex.map(items, drop)))).is_err());
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(dropped.load(Ordering::SeqCst), 5);
    });
}

/// A future that leaves its waker outside and is done at the second poll.
struct Twice {
    wakers: mpsc::Sender<Waker>,
    polled: bool,
    _held: Counted,
}

impl Future for Twice {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.wakers.send(context.waker().clone()).unwrap();
        if std::mem::replace(&mut self.polled, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn a_wake_after_the_end_leaves_nothing_behind() {
    no_hang("a wake after the end", || {
        let ((wakers, left), dropped, registry) = (mpsc::channel(), Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let alive = Arc::downgrade(&registry);
        let ex = Executor::builder()
            .workers(1)
            .on_worker_stop(move |_| {
                let _ = &registry;
            })
            .build()
            .unwrap();
        let future = Twice { wakers, polled: false, _held: Counted(dropped.clone()) };
        let output = ex.spawn(future);
        left.recv().unwrap().wake();
        output.wait().unwrap();
        ex.shutdown(Shutdown::Wait);
        drop((ex, output));
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        let late = left.recv().unwrap();
        late.wake();
        assert!(alive.upgrade().is_none(), "the executor's memory is kept by a wake that came too late");
    });
}

#[test]
fn a_spawned_future_that_waits_is_dropped_when_the_executor_closes() {
    no_hang("the close of an executor with a spawned future", || {
        for _ in 0..2_000 {
            let ((wakers, left), dropped) = (mpsc::channel(), Arc::new(AtomicUsize::new(0)));
            let ex = Executor::builder().workers(2).build().unwrap();
            let future = Twice { wakers, polled: false, _held: Counted(dropped.clone()) };
            let output = ex.spawn(future);
            let waker = left.recv().unwrap();
            drop(ex);
            assert!(output.cancelled());
            drop(output);
            drop(waker);
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
        }
    });
}

#[derive(Debug)]
struct BadError;

impl Drop for BadError {
    fn drop(&mut self) {
        panic!("in the drop of an error");
    }
}

impl std::fmt::Display for BadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bad")
    }
}

impl std::error::Error for BadError {}

#[test]
fn an_error_that_panics_when_dropped_ends_nothing_else() {
    no_hang("the drop of an error that panics", || {
        let ex = executor();
        let before = heist::drop_panics();
        let future = ex.submit_result(|| Err::<u32, _>(BadError));
        future.wait().unwrap();
        drop(future);
        ex.submit_result(|| Err::<u32, _>(BadError)).detach();
        let dependent = ex.submit_after(ex.submit_result(|| Err::<u32, _>(BadError)), |n| *n);
        dependent.wait().unwrap();
        drop(dependent);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        ex.shutdown(Shutdown::Wait);
        assert_eq!(heist::drop_panics(), before + 3);
    });
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn a_waker_that_panics_ends_nothing_else() {
    no_hang("a waker that panics", || {
        let ex = executor();
        let (promise, gate) = ex.promise::<u32>();
        let future = ex.submit_after(&gate, |n| n + 1);
        let waker = Waker::from(Arc::new(BadWaker));
        let mut awaited = IntoFuture::into_future(&future);
        assert!(std::pin::Pin::new(&mut awaited).poll(&mut Context::from_waker(&waker)).is_pending());
        let dependent = ex.submit_after(&future, |n| n + 1);
        promise.fulfil(1);
        assert_eq!(dependent.result().unwrap(), 3);
        drop(awaited);
        ex.shutdown(Shutdown::Wait);
    });
}

/// In a process of its own, since a stack overflow cannot be caught.
#[test]
fn callbacks_that_fulfil_one_after_the_other_need_no_stack() {
    const CHILD: &str = "HEIST_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return no_hang("a chain of callbacks", chain_of_callbacks);
    }
    let this = "corners::callbacks_that_fulfil_one_after_the_other_need_no_stack";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", this]).env(CHILD, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn chain_of_callbacks() {
    const LONG: u32 = 100_000;
    let ex = executor();
    let (first, future) = ex.promise::<u32>();
    let mut last = future;
    for _ in 0..LONG {
        let (promise, next) = ex.promise::<u32>();
        last.on_done(move |done| promise.fulfil(done.try_result().unwrap().unwrap() + 1));
        last = next;
    }
    first.fulfil(0);
    assert_eq!(last.result().unwrap(), LONG);
}

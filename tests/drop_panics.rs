//! Panics in drops and callbacks are caught, counted and told to one hook. A binary of its own: the count and the hook
//! belong to the process.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use heist::{Executor, Shutdown, drop_panics};

/// Panics when dropped.
struct Bad(&'static str);
impl Drop for Bad {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs one step on a fresh executor, whose end is waited for; exactly `messages` must have been told.
#[track_caller]
fn step(messages: &[&str], run: impl FnOnce(&Executor)) {
    let before = drop_panics();
    let ex = Executor::builder().workers(1).build().unwrap();
    run(&ex);
    assert_eq!(ex.submit(|| 1).result().unwrap(), 1, "the worker goes on");
    ex.shutdown(Shutdown::Wait);
    drop(ex);
    assert_eq!(drop_panics() - before, messages.len() as u64);
    assert_eq!(std::mem::take(&mut *TOLD.lock().unwrap()), messages);
}

fn steps() {
    heist::set_drop_panic_hook(|message| {
        TOLD.lock().unwrap().push(message.to_owned());
        assert!(message != "the hook panics too", "on purpose");
    })
    .unwrap();
    assert!(heist::set_drop_panic_hook(|_| ()).unwrap_err().is_already_set());

    step(&["value"], |ex| {
        let future = ex.submit(|| Bad("value"));
        future.wait().unwrap();
        drop(future);
    });
    step(&["scattered"], |ex| drop(ex.scatter(Bad("scattered"))));
    step(&["closure of a cancelled task"], |ex| {
        let (_promise, gate) = ex.promise::<()>();
        let bad = Bad("closure of a cancelled task");
        let task = ex.submit_after(&gate, move |()| drop(bad));
        assert!(task.cancel("no"));
    });
    step(&["closure of a released task"], |ex| {
        let (_promise, gate) = ex.promise::<()>();
        let bad = Bad("closure of a released task");
        drop(ex.submit_after(&gate, move |()| drop(bad)));
    });
    step(&["discarded value"], |ex| {
        let (promise, future) = ex.promise();
        future.cancel("too late");
        promise.fulfil(Bad("discarded value"));
    });
    step(&["detached value"], |ex| {
        ex.submit(|| Bad("detached value")).detach();
    });
    step(&["payload"], |ex| {
        let error = ex.submit(|| std::panic::panic_any(Bad("payload"))).into_result().unwrap().unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.panic_message(), Some("Box<dyn Any>"));
    });
    step(&["callback"], |ex| {
        ex.scatter(1).on_done(|_| panic!("callback"));
    });
    step(&["body"], |ex| {
        let (promise, gate) = ex.promise::<()>();
        let (started, is_started) = mpsc::channel();
        let bad = Bad("body");
        let task = ex.spawn(async move {
            let _bad = bad;
            let _ = started.send(());
            let _ = gate.await;
        });
        is_started.recv().unwrap();
        let before = drop_panics();
        task.cancel("no");
        let deadline = Instant::now() + Duration::from_secs(30);
        while drop_panics() == before {
            assert!(Instant::now() < deadline, "the body is not dropped");
            std::thread::yield_now();
        }
        // Dropped earlier, it would let the body go on to its end, and the panic would be the task's.
        drop(promise);
    });
    step(&["start", "stop"], |_| {
        let hooked = Executor::builder()
            .workers(1)
            .on_worker_start(|_| panic!("start"))
            .on_worker_stop(|_| panic!("stop"))
            .build()
            .unwrap();
        hooked.submit(|| ()).result().unwrap();
    });
    step(&["the hook panics too"], |ex| drop(ex.scatter(Bad("the hook panics too"))));
    step(&[], |ex| {
        assert!(ex.submit(|| panic!("a panic of a task is its result")).result().is_err());
        let bad = Bad("dropped within the closure: the panic is the task's");
        let error = ex.submit(move || drop(bad)).result().unwrap_err();
        assert_eq!(error.panic_message(), Some("dropped within the closure: the panic is the task's"));
    });
}

#[test]
fn panics_in_drops_are_caught_counted_and_told() {
    let (ending, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _ending = ending;
        steps();
    });
    let limit = Duration::from_secs(60);
    assert_ne!(ended.recv_timeout(limit), Err(mpsc::RecvTimeoutError::Timeout), "hangs");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

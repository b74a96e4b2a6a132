//! A deadline for what must not hang, and a wait for a condition.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Runs `body` on a thread of its own. If it is not through by `limit`, the test fails with what `state` tells; the
/// thread is left where it hangs.
#[track_caller]
pub(crate) fn within(limit: Duration, state: impl Fn() -> String, body: impl FnOnce() + Send + 'static) {
    let (ended, has_ended) = channel::<()>();
    let thread = thread::spawn(move || {
        let _ended = ended;
        body();
    });
    let RecvTimeoutError::Disconnected = has_ended.recv_timeout(limit).unwrap_err() else {
        panic!("still not through after {limit:?}: {}", state());
    };
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// Waits for `condition`, a minute at most.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "a condition did not come true within a minute");
        thread::yield_now();
    }
}

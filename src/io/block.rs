//! A thread waits for a std future. A task's thread lends its core meanwhile, and goes on when the task is cancelled.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::scheduler::sleep_unless_cancelled;

/// Polls `future` to its end on this thread, or until `deadline`; at least once.
///
/// # Errors
/// Those of every wait: cancelled, timeout, stalled.
pub(super) fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Result<F::Output, TaskError> {
    let mut future = pin!(future);
    let sleeper = Arc::new(Sleeper { parker: Arc::new(Parker::new()), woken: AtomicBool::new(false) });
    let waker = Waker::from(sleeper.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(output);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(TaskError::new(TaskErrorKind::Timeout));
        }
        // ORDERING: Acquire; pairs with the Release of `wake`: what was done before it is seen by the poll.
        let woken = || sleeper.woken.load(Ordering::Acquire);
        sleep_unless_cancelled(&sleeper.parker, deadline, woken)?;
        // ORDERING: AcqRel; as above.
        sleeper.woken.swap(false, Ordering::AcqRel);
    }
}

struct Sleeper {
    parker: Arc<Parker>,
    woken: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // ORDERING: Release; as told in `block_on`.
        self.woken.store(true, Ordering::Release);
        self.parker.wake();
    }
}

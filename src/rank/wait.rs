//! Blocking until a future of this part is ready: the thread lends its core meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::error::TaskError;
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::scheduler::sleep_unless_cancelled;

/// Wakes the thread that waits.
struct Bell {
    parker: Arc<Parker>,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // ORDERING: Release; pairs with the Acquire in `block_on`: the poll that follows sees what the wake is about.
        self.rung.store(true, Ordering::Release);
        self.parker.wake();
    }
}

/// Polls until `future` is ready.
///
/// # Errors
/// When the current task, or its executor, is cancelled first; when the deadline comes first; when no thread is left that
/// could make it ready. The future may be waited for again.
pub(super) fn block_on<F: Future>(mut future: Pin<&mut F>, deadline: Option<Instant>) -> Result<F::Output, TaskError> {
    let bell = Arc::new(Bell { parker: Arc::new(Parker::new()), rung: AtomicBool::new(false) });
    let waker = Waker::from(bell.clone());
    loop {
        // ORDERING: Relaxed; a wake from here on is about something that the poll may miss, and sets it again.
        bell.rung.store(false, Ordering::Relaxed);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(output);
        }
        // ORDERING: Acquire; as above.
        sleep_unless_cancelled(&bell.parker, deadline, || bell.rung.load(Ordering::Acquire))?;
    }
}

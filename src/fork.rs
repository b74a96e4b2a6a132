//! Whether this process is a child that `fork()` made after an executor was built: it has none of its threads.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the first that built an executor.
static GENERATION: AtomicU32 = AtomicU32::new(0);

extern "C" fn in_child() {
    // ORDERING: Relaxed; the child has one thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The generation of this process; forks from now on are counted.
pub(crate) fn watch() -> u32 {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handler only changes an atomic. A refusal (no memory) leaves forks unnoticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    generation()
}

/// The generation of this process.
#[inline]
pub(crate) fn generation() -> u32 {
    // ORDERING: Relaxed; changes only where there is one thread.
    GENERATION.load(Ordering::Relaxed)
}

//! The end of this process, as the C library and its signals tell of it.

use std::ffi::{c_int, c_void};

use crate::io;

/// Has the job told when this process exits, or a signal ends it.
pub(super) fn watch() {
    // SAFETY: the handler is a function of this program, which is never unloaded; it asks for no argument. A refusal (no
    // memory) leaves exits unnoticed here, and not by the other ranks.
    let _ = unsafe { on_exit(exits, std::ptr::null_mut()) };
    let _ = io::before_end_by([io::Signal::INTERRUPT, io::Signal::TERMINATE, io::Signal::HANGUP], super::signalled);
}

/// Whether a signal that ends processes has come.
pub(super) fn by_signal() -> bool {
    io::was_to_end()
}

extern "C" fn exits(code: c_int, _: *mut c_void) {
    super::exiting(code);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    /// As `atexit`, for a handler that is told the exit code.
    fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

/// Where the C library does not tell the code, it counts as 0.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
unsafe fn on_exit(_: extern "C" fn(c_int, *mut c_void), _: *mut c_void) -> c_int {
    extern "C" fn exits_somehow() {
        exits(0, std::ptr::null_mut());
    }
    // SAFETY: as in `watch`.
    unsafe { libc::atexit(exits_somehow) }
}

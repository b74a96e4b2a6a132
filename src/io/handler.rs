//! What is done in the middle of whatever a signal interrupts: next to nothing.
//!
//! A handler stays for the life of the process. While nobody listens it does what the system would have done.

use std::io;
use std::mem::MaybeUninit;

use signal_hook::low_level;

use super::event_loop;
use super::signal::{SIGNALS, Signal};
use crate::primitive::atomic::{AtomicU8, Ordering};

/// Nothing was changed.
const UNTOUCHED: u8 = 0;
/// Handled; before, it was the system's.
const INSTEAD_OF_DEFAULT: u8 = 1;
/// Handled; before, it was ignored or somebody else's, whose handler is called too.
const BESIDE_ANOTHER: u8 = 2;

static HANDLED: [AtomicU8; SIGNALS] = [const { AtomicU8::new(UNTOUCHED) }; SIGNALS];

/// Has `signal` told to those who listen, from now on. To be called under a lock.
///
/// # Errors
/// The system, or good sense, refuses.
pub(super) fn handle(signal: Signal) -> io::Result<()> {
    let handled = &HANDLED[signal.index()];
    // ORDERING: Relaxed; changed under the caller's lock.
    if handled.load(Ordering::Relaxed) != UNTOUCHED {
        return Ok(());
    }
    if signal_hook::consts::FORBIDDEN.contains(&signal.raw()) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let before = if is_default(signal)? { INSTEAD_OF_DEFAULT } else { BESIDE_ANOTHER };
    // ORDERING: Relaxed; the handler is known to the system after this.
    handled.store(before, Ordering::Relaxed);
    // SAFETY: the action touches atomics and makes system calls that are allowed in a handler; it does not panic.
    let registered = unsafe { low_level::register(signal.raw(), move || act(signal)) };
    if registered.is_err() {
        // ORDERING: Relaxed; as above.
        handled.store(UNTOUCHED, Ordering::Relaxed);
    }
    registered.map(drop)
}

/// Runs in the handler.
fn act(signal: Signal) {
    let is_told = event_loop::running().is_some_and(|of| of.deliver(signal));
    // ORDERING: Relaxed; as in `handle`.
    if !is_told && HANDLED[signal.index()].load(Ordering::Relaxed) == INSTEAD_OF_DEFAULT {
        // Takes SIGIO for one that is ignored.
        if signal.raw() == libc::SIGIO || low_level::emulate_default_handler(signal.raw()).is_err() {
            end_by(signal);
        }
    }
}

/// Ends the process by `signal`, as the system does with all those that `signal-hook` does not know: SIGPWR, SIGSTKFLT and
/// the real-time ones. Runs in the handler.
fn end_by(signal: Signal) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: calls that are allowed in a handler; the set is filled by the first that is given it.
    unsafe {
        libc::signal(signal.raw(), libc::SIG_DFL);
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal.raw());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::raise(signal.raw());
    }
}

/// Whether the system would do with `signal` what it does by default.
fn is_default(signal: Signal) -> io::Result<bool> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; the place is large enough.
    if unsafe { libc::sigaction(signal.raw(), std::ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has filled it.
    Ok(unsafe { now.assume_init() }.sa_sigaction == libc::SIG_DFL)
}

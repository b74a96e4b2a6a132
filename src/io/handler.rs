//! What is done in the middle of whatever a signal interrupts: next to nothing.
//!
//! A handler stays for the life of the process. While nobody listens it does what the system would have done.

use std::io;
use std::mem::MaybeUninit;
#[cfg(feature = "ranks")]
use std::sync::OnceLock;

use signal_hook::low_level;

use super::event_loop;
use super::signal::{SIGNALS, Signal};
#[cfg(feature = "ranks")]
use crate::primitive::atomic::AtomicBool;
use crate::primitive::atomic::{AtomicU8, Ordering};
use crate::primitive::lock::Mutex;

/// Nothing was changed.
const UNTOUCHED: u8 = 0;
/// Handled; before, it was the system's.
const INSTEAD_OF_DEFAULT: u8 = 1;
/// Handled; before, it was ignored or somebody else's, whose handler is called too.
const BESIDE_ANOTHER: u8 = 2;

static HANDLED: [AtomicU8; SIGNALS] = [const { AtomicU8::new(UNTOUCHED) }; SIGNALS];
/// Held while a handler is registered.
static REGISTERING: Mutex<()> = Mutex::new(());

/// Who is told when a signal is about to end the process.
#[cfg(feature = "ranks")]
static BEFORE_END: OnceLock<Before> = OnceLock::new();
/// One of his signals has come, whatever became of it.
#[cfg(feature = "ranks")]
static TO_END: AtomicBool = AtomicBool::new(false);

#[cfg(feature = "ranks")]
struct Before {
    signals: [Signal; 3],
    told: fn(),
}

/// Has `signal` told to those who listen, from now on.
///
/// # Errors
/// The system, or good sense, refuses.
pub(super) fn handle(signal: Signal) -> io::Result<()> {
    let _registering = REGISTERING.lock();
    let handled = &HANDLED[signal.index()];
    // ORDERING: Relaxed; changed under the lock.
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

/// Has `told` called when one of these signals is about to end the process, once in its life; it runs in a handler. The
/// signals do what they did before.
///
/// # Errors
/// The system refuses.
#[cfg(feature = "ranks")]
pub(crate) fn before_end_by(signals: [Signal; 3], told: fn()) -> io::Result<()> {
    BEFORE_END.get_or_init(|| Before { signals, told });
    signals.into_iter().try_for_each(handle)
}

/// Whether one of the signals of [`before_end_by`] has come.
#[cfg(feature = "ranks")]
pub(crate) fn was_to_end() -> bool {
    // ORDERING: Relaxed; a lone flag.
    TO_END.load(Ordering::Relaxed)
}

/// Runs in the handler.
#[cfg(feature = "ranks")]
fn tell_before_end(signal: Signal, ends: bool) {
    if let Some(before) = BEFORE_END.get()
        && before.signals.contains(&signal)
    {
        // ORDERING: Relaxed; as in `was_to_end`.
        TO_END.store(true, Ordering::Relaxed);
        if ends {
            (before.told)();
        }
    }
}

/// Runs in the handler.
fn act(signal: Signal) {
    let is_told = event_loop::running().is_some_and(|of| of.deliver(signal));
    // ORDERING: Relaxed; as in `handle`.
    let ends = !is_told && HANDLED[signal.index()].load(Ordering::Relaxed) == INSTEAD_OF_DEFAULT;
    #[cfg(feature = "ranks")]
    tell_before_end(signal, ends);
    if ends {
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

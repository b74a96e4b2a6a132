//! A counted number of permits, the core of locks and semaphores: one exchange to take, one to give back, a line of those
//! for whom there are too few.
//!
//! ```text
//! bit  0       WAITING   somebody is in line: permits change under its lock only
//! bit  1       CLOSED    no permit is given out any more
//! bits 2..34   permits that are free
//! bits 34..    handles
//! ```
//!
//! Handles, and permits that are out, keep the memory; as both are in one word, a guard needs no count of its own.

use std::fmt;
use std::ptr::NonNull;

use super::line::{Key, Left, Line, Told, Wake, fire_all, let_go};
#[cfg(not(heist_loom))]
use super::names::Named;
use super::turn::{Entered, Source};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::{Guard, Mutex};
use crate::primitive::sync::Arc;

const WAITING: u64 = 1;
const CLOSED: u64 = 2;
const PERMIT: u64 = 4;
const HANDLE: u64 = 1 << 34;
/// Far below where the count would run over, as in `Arc`.
const MOST_HANDLES: u64 = 1 << 29;

/// The most permits there may be.
pub(crate) const MOST: u32 = u32::MAX;

/// How many each wants, and gets.
type Waiters = Line<u32, u32>;

fn free(word: u64) -> u32 {
    ((word % HANDLE) / PERMIT) as u32
}

/// What handles and permits lead to.
pub(super) struct Core {
    word: AtomicU64,
    line: Mutex<Waiters>,
    total: u32,
    #[cfg(not(heist_loom))]
    name: Option<Named>,
}

/// A handle.
pub(super) struct Permits(NonNull<Core>);

/// Permits that were taken; given back when dropped.
pub(super) struct Held {
    core: NonNull<Core>,
    count: u32,
}

// SAFETY: a handle and a held permit lead to a `Core`, which is `Sync` by itself, and keep it.
unsafe impl Send for Permits {}
// SAFETY: as above.
unsafe impl Sync for Permits {}
// SAFETY: as above.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

/// The lock of the line, while it is held.
pub(super) type Lined<'a> = Guard<'a, Waiters>;

impl Core {
    fn new(total: u32, #[cfg(not(heist_loom))] name: Option<Named>) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU64::new(HANDLE + u64::from(total) * PERMIT),
            line: Mutex::new(Line::default()),
            total,
            #[cfg(not(heist_loom))]
            name,
        })
    }

    /// Whether a word says that nothing keeps the memory any more.
    #[inline]
    fn is_over(word: u64, total: u32) -> bool {
        word & !(WAITING | CLOSED) == u64::from(total) * PERMIT
    }

    /// Takes `count` permits, which are not 0, if so many are free and nobody is in line, and gives up `handles` for them.
    #[inline]
    fn take(&self, count: u32, handles: u64) -> bool {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.word.load(Ordering::Relaxed);
        while now & (WAITING | CLOSED) == 0 && free(now) >= count {
            let new = now - u64::from(count) * PERMIT - handles * HANDLE;
            // ORDERING: Acquire; pairs with the Release of `Held::drop` and `give`: what holders did before is seen.
            match self.word.compare_exchange_weak(now, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
        false
    }

    /// As [`Source::enter`], under the lock of the line.
    fn enter(&self, line: &mut Waiters, want: u32, wake: &mut Option<Wake>) -> Entered<u32, u32> {
        loop {
            if self.take(want, 0) {
                return Entered::Told(Told::Granted(want));
            }
            // ORDERING: Relaxed; only a guess for the exchange.
            let now = self.word.load(Ordering::Relaxed);
            if now & CLOSED != 0 {
                return Entered::Told(Told::Refused(want));
            }
            if wake.is_none() {
                return Entered::Busy(want);
            }
            // ORDERING: Relaxed; whoever gives permits back from now on finds the bit in the same word, and then takes
            // the lock that this thread has.
            let mark = || self.word.compare_exchange(now, now | WAITING, Ordering::Relaxed, Ordering::Relaxed);
            if now & WAITING == 0 && (free(now) >= want || mark().is_err()) {
                continue;
            }
            if let Some(wake) = wake.take() {
                return Entered::Queued(line.join(want, wake));
            }
        }
    }

    /// Deals the free permits out along the line, whose lock the caller has: nobody else changes their number.
    fn deal(&self, line: &mut Waiters) -> Vec<Wake> {
        let mut wakes = Vec::new();
        while let Some(&mut want) = line.first() {
            // ORDERING: Relaxed; only this thread changes the permits now.
            if free(self.word.load(Ordering::Relaxed)) < want {
                return wakes;
            }
            // ORDERING: Acquire; as in `take`; the lock of the line brings it to the one who waits. Release is not
            // needed: the exchange goes on with what those before have released.
            self.word.fetch_sub(u64::from(want) * PERMIT, Ordering::Acquire);
            wakes.extend(line.grant(|want| want));
        }
        // ORDERING: Relaxed; nobody is in line, and permits may change without its lock again.
        self.word.fetch_and(!WAITING, Ordering::Relaxed);
        wakes
    }
}

impl Permits {
    #[cfg(heist_loom)]
    pub(super) fn new(total: u32) -> Self {
        Self::of_new(Core::new(total))
    }

    #[cfg(not(heist_loom))]
    pub(super) fn new(total: u32) -> Self {
        Self::of_new(Core::new(total, None))
    }

    #[cfg(not(heist_loom))]
    pub(super) fn named(total: u32, name: Named) -> (std::sync::Weak<Core>, Self) {
        let core = Core::new(total, Some(name));
        (Arc::downgrade(&core), Self::of_new(core))
    }

    /// Handles and permits together own one count of the `Arc`.
    fn of_new(core: Arc<Core>) -> Self {
        // SAFETY: an `Arc`'s pointer is not null.
        Self(unsafe { NonNull::new_unchecked(Arc::into_raw(core).cast_mut()) })
    }

    /// A further handle, unless nothing but the caller's count keeps the core.
    #[cfg(not(heist_loom))]
    pub(super) fn revive(core: &Arc<Core>) -> Option<Self> {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = core.word.load(Ordering::Relaxed);
        while !Core::is_over(now, core.total) {
            // ORDERING: Relaxed; as of a clone: the name led here under a lock.
            match core.word.compare_exchange_weak(now, now + HANDLE, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: an `Arc`'s pointer is not null. It is the `Arc`'s own, not one made of a reference, which would
                // not lead to the counts beside the core that `end` gives up.
                Ok(_) => return Some(Self(unsafe { NonNull::new_unchecked(Arc::as_ptr(core).cast_mut()) })),
                Err(seen) => now = seen,
            }
        }
        None
    }

    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: a handle keeps its core.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn total(&self) -> u32 {
        self.core().total
    }

    /// How many are free, at the moment of the call.
    pub(super) fn free(&self) -> u32 {
        // ORDERING: Relaxed; a number that may be another one by now.
        free(self.core().word.load(Ordering::Relaxed))
    }

    pub(super) fn is_closed(&self) -> bool {
        // ORDERING: Relaxed; a flag that carries nothing.
        self.core().word.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Takes `count`, if so many are free and nobody is in line.
    #[inline]
    pub(super) fn take(&self, count: u32) -> Option<Held> {
        // No permits would keep no core.
        (count != 0 && self.core().take(count, 0)).then(|| Held { core: self.0, count })
    }

    /// As [`take`](Self::take), in exchange for this handle.
    #[inline]
    pub(super) fn exchange(self, count: u32) -> Result<Held, Self> {
        if count != 0 && self.core().take(count, 1) {
            // The permits keep the core in place of the handle.
            return Ok(Held { core: std::mem::ManuallyDrop::new(self).0, count });
        }
        Err(self)
    }

    /// What [`Told::Granted`] stands for; `count` is not 0.
    fn held(&self, count: u32) -> Held {
        Held { core: self.0, count }
    }

    /// Gives no permit out any more; those in line are refused. True for the first call.
    pub(super) fn close(&self) -> bool {
        let mut line = self.core().line.lock();
        // ORDERING: Relaxed; a flag that carries nothing.
        let before = self.core().word.fetch_or(CLOSED, Ordering::Relaxed);
        let wakes = line.refuse_all(|_| ());
        // ORDERING: Relaxed; as in `deal`.
        self.core().word.fetch_and(!WAITING, Ordering::Relaxed);
        drop(line);
        fire_all(wakes);
        #[cfg(not(heist_loom))]
        if let Some(name) = &self.core().name {
            name.give_up();
        }
        before & CLOSED == 0
    }

    /// The lock of the line.
    #[cfg(not(heist_loom))]
    pub(super) fn line(&self) -> Lined<'_> {
        self.core().line.lock()
    }

    /// As [`Source::enter`], under the lock of the line.
    #[cfg(not(heist_loom))]
    pub(super) fn enter_lined(&self, line: &mut Lined<'_>, want: u32, wake: &mut Option<Wake>) -> Entered<u32, u32> {
        self.core().enter(line, want, wake)
    }

    /// Where the core lies: what orders locks, and tells them apart.
    #[cfg(not(heist_loom))]
    pub(super) fn address(&self) -> usize {
        self.0.addr().get()
    }
}

impl Source for Permits {
    type Want = u32;
    type Given = u32;
    type Grant = Held;

    fn enter(&self, want: u32, wake: &mut Option<Wake>) -> Entered<u32, u32> {
        let mut line = self.core().line.lock();
        self.core().enter(&mut line, want, wake)
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Waiters) -> R) -> R {
        call(&mut self.core().line.lock())
    }

    fn leave(&self, key: Key) -> Left<u32, u32> {
        let mut line = self.core().line.lock();
        let (left, own) = line.leave(key);
        // Those behind may want less.
        let wakes = match left {
            Left::Waiting(_) => self.core().deal(&mut line),
            Left::Told(_) => Vec::new(),
        };
        drop(line);
        fire_all(wakes);
        let_go(own);
        left
    }

    fn receive(&self, count: u32) -> Held {
        self.held(count)
    }
}

impl Clone for Permits {
    #[inline]
    fn clone(&self) -> Self {
        // ORDERING: Relaxed; as in `Arc`.
        let before = self.core().word.fetch_add(HANDLE, Ordering::Relaxed);
        if before / HANDLE > MOST_HANDLES {
            // Handles that were forgotten, in such numbers: as in `Arc`.
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for Permits {
    #[inline]
    fn drop(&mut self) {
        let total = self.core().total;
        // ORDERING: Release; pairs with the Acquire of `end`.
        let before = self.core().word.fetch_sub(HANDLE, Ordering::Release);
        if Core::is_over(before - HANDLE, total) {
            // SAFETY: the word said so to this call alone.
            unsafe { end(self.0) };
        }
    }
}

/// # Safety
/// The caller's exchange left a word that [`Core::is_over`].
#[cold]
unsafe fn end(core: NonNull<Core>) {
    // SAFETY: the count of the `Arc` that handles and permits owned is the caller's, as nobody has either any more, and
    // `revive` makes none.
    unsafe {
        // ORDERING: Acquire; pairs with the Release of every other handle's and permit's end: each was an exchange of this
        // word.
        core.as_ref().word.load(Ordering::Acquire);
        drop(Arc::from_raw(core.as_ptr().cast_const()));
    }
}

impl Held {
    #[cfg(not(heist_loom))]
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a permit that is out keeps its core.
        let core = unsafe { self.core.as_ref() };
        let total = core.total;
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = core.word.load(Ordering::Relaxed);
        loop {
            if now & WAITING != 0 {
                return give(self.core, self.count);
            }
            let new = now + u64::from(self.count) * PERMIT;
            // ORDERING: Release; pairs with the Acquire of `take` and `deal`, and with that of `end`.
            match core.word.compare_exchange_weak(now, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if Core::is_over(new, total) => {
                    // SAFETY: the exchange of this call.
                    return unsafe { end(self.core) };
                }
                Ok(_) => return,
                Err(seen) => now = seen,
            }
        }
    }
}

/// Gives permits back while somebody is in line. They keep the core up to here, a handle from here on.
#[cold]
fn give(core: NonNull<Core>, count: u32) {
    // SAFETY: the permits are still out.
    // ORDERING: Relaxed; as of a clone.
    unsafe { core.as_ref() }.word.fetch_add(HANDLE, Ordering::Relaxed);
    let keep = Permits(core);
    let mut line = keep.core().line.lock();
    // ORDERING: Release; as in `Held::drop`.
    keep.core().word.fetch_add(u64::from(count) * PERMIT, Ordering::Release);
    let wakes = keep.core().deal(&mut line);
    drop(line);
    fire_all(wakes);
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("free", &self.free()).field("total", &self.total()).finish()
    }
}

//! `MultiLock`: several locks, or some of them, taken as one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::line::{Key, Left, Told, Wake, let_go};
use super::lock::{Lock, LockGuard};
use super::permits::{Held, Lined, Permits};
use super::turn::{Entered, Source, timed_out};
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;
use crate::scheduler::sleep_unless_cancelled;

/// Several [`Lock`]s of which all, or any so many, are taken together.
///
/// Who takes some gets into the lines of all of them in one step, so that overlapping sets never block each other for
/// ever, in whatever order they are given, and are served in the order they came. While he waits for one lock he keeps his
/// turn at the others. A wait that ends early gives everything back.
///
/// ```
/// use heist::{Lock, MultiLock};
/// let (a, b, c) = (Lock::new(), Lock::new(), Lock::new());
/// let all = MultiLock::new([&a, &b, &c]);
/// let guard = all.lock()?;
/// assert!(a.is_locked() && b.is_locked() && c.is_locked());
/// drop(guard);
/// let _b = b.lock()?;
/// let two = all.lock_any(2)?;
/// assert!(two.holds(&a) && two.holds(&c));
/// # Ok::<(), heist::TaskError>(())
/// ```
#[derive(Clone)]
pub struct MultiLock {
    /// In the order they were given, each once.
    locks: Arc<[Lock]>,
}

/// Locks that are held together; given back when dropped.
#[must_use = "the locks are given back at once when the guard is dropped"]
pub struct MultiLockGuard {
    guards: Vec<(usize, LockGuard)>,
}

impl MultiLock {
    /// Of these locks; one that is named twice counts once.
    #[must_use]
    pub fn new<'a>(locks: impl IntoIterator<Item = &'a Lock>) -> Self {
        let mut distinct: Vec<Lock> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        distinct.extend(locks.into_iter().filter(|lock| seen.insert(lock.permits().address())).cloned());
        Self { locks: distinct.into() }
    }

    /// How many locks these are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locks.len()
    }

    /// Whether there is no lock among them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// Waits for all of them.
    ///
    /// # Errors
    /// As [`Lock::lock`].
    pub fn lock(&self) -> Result<MultiLockGuard, TaskError> {
        self.lock_any(self.len())
    }

    /// Waits for any `count` of them.
    ///
    /// # Errors
    /// As [`Lock::lock`], and [`TaskError::is_impossible`] if there are not so many.
    pub fn lock_any(&self, count: usize) -> Result<MultiLockGuard, TaskError> {
        self.wait(count, None)
    }

    /// Takes all of them, if they are free and nobody waits for any.
    ///
    /// ```
    /// use heist::{Lock, MultiLock};
    /// let (a, b) = (Lock::new(), Lock::new());
    /// let held = a.lock()?;
    /// assert!(MultiLock::new([&a, &b]).try_lock().is_none());
    /// assert!(!b.is_locked());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    #[must_use = "the locks are given back at once when the guard is dropped"]
    pub fn try_lock(&self) -> Option<MultiLockGuard> {
        self.try_lock_any(self.len()).ok()?
    }

    /// Takes any `count` of them that are free and for which nobody waits.
    ///
    /// # Errors
    /// [`TaskError::is_impossible`] if there are not so many.
    pub fn try_lock_any(&self, count: usize) -> Result<Option<MultiLockGuard>, TaskError> {
        let mut gathering = self.gather(count)?;
        gathering.begin(|| None);
        Ok(gathering.finish())
    }

    /// As [`lock`](Self::lock), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`TaskError::is_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MultiLockGuard, TaskError> {
        self.lock_any_timeout(self.len(), timeout)
    }

    /// As [`lock_any`](Self::lock_any), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`lock_any`](Self::lock_any), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use heist::{Lock, MultiLock};
    /// let (a, b) = (Lock::new(), Lock::new());
    /// let _held = a.lock()?;
    /// let both = MultiLock::new([&a, &b]);
    /// assert!(both.lock_any_timeout(2, Duration::from_millis(1)).unwrap_err().is_timeout());
    /// assert!(!b.is_locked());
    /// # Ok::<(), heist::TaskError>(())
    /// ```
    pub fn lock_any_timeout(&self, count: usize, timeout: Duration) -> Result<MultiLockGuard, TaskError> {
        if timeout.is_zero() {
            return self.try_lock_any(count)?.ok_or_else(timed_out);
        }
        self.wait(count, Instant::now().checked_add(timeout))
    }

    /// As [`lock`](Self::lock), awaited under any async runtime. Dropped before its end, it gives everything back.
    ///
    /// # Errors
    /// None now; the type leaves room, as for every wait.
    pub fn lock_async(&self) -> impl Future<Output = Result<MultiLockGuard, TaskError>> + Send + use<> {
        self.lock_any_async(self.len())
    }

    /// As [`lock_any`](Self::lock_any), awaited under any async runtime. Dropped before its end, it gives everything back.
    ///
    /// # Errors
    /// [`TaskError::is_impossible`].
    ///
    /// ```
    /// use heist::{Executor, Lock, MultiLock};
    /// let ex = Executor::new()?;
    /// let (a, b) = (Lock::new(), Lock::new());
    /// let held = a.lock()?;
    /// let one = ex.spawn(MultiLock::new([&a, &b]).lock_any_async(1));
    /// assert!(one.into_result().unwrap()??.holds(&b));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_any_async(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<MultiLockGuard, TaskError>> + Send + use<> {
        let gathering = self.gather(count);
        async {
            let mut gathering = gathering?;
            let mut begun = false;
            poll_fn(|context| {
                let waker = context.waker();
                if std::mem::replace(&mut begun, true) {
                    gathering.renew(waker);
                } else {
                    gathering.begin(|| Some(Wake::Task(waker.clone())));
                }
                if gathering.is_complete() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            gathering.finish().ok_or_else(timed_out)
        }
    }

    fn wait(&self, count: usize, deadline: Option<Instant>) -> Result<MultiLockGuard, TaskError> {
        let mut gathering = self.gather(count)?;
        let parker = Arc::new(Parker::new());
        gathering.begin(|| Some(Wake::Thread(parker.clone())));
        let slept = match gathering.is_complete() {
            true => Ok(()),
            false => sleep_unless_cancelled(&parker, deadline, || gathering.is_complete()),
        };
        // Also when the wait has ended meanwhile: what was given is not lost.
        gathering.finish().ok_or_else(|| slept.err().unwrap_or_else(timed_out))
    }

    fn gather(&self, count: usize) -> Result<Gathering, TaskError> {
        if count > self.len() {
            let text = format!("{count} locks out of {}", self.len());
            return Err(TaskError::new(TaskErrorKind::Impossible(text)));
        }
        Ok(Gathering { locks: self.locks.clone(), keys: Vec::new(), held: Vec::new(), count })
    }
}

/// On the way to `count` of the locks.
struct Gathering {
    locks: Arc<[Lock]>,
    /// The lines it is in, by the index of the lock.
    keys: Vec<(usize, Key)>,
    held: Vec<(usize, Held)>,
    count: usize,
}

impl Gathering {
    fn permits(&self, index: usize) -> &Permits {
        self.locks[index].permits()
    }

    /// Takes what is free, or, if that is not enough, gets into all lines in one step; `wake` gives the ways to be told.
    fn begin(&mut self, wake: impl Fn() -> Option<Wake>) {
        let locks = self.locks.clone();
        // Made before the lines are locked: a waker is user code.
        let mut wakes: Vec<_> = locks.iter().map(|_| wake()).collect();
        let mut order: Vec<_> = (0..locks.len()).collect();
        // Whoever has several lines locked took them in this order.
        order.sort_unstable_by_key(|&index| locks[index].permits().address());
        let mut lines: Vec<Option<Lined<'_>>> = locks.iter().map(|_| None).collect();
        for index in order {
            lines[index] = Some(locks[index].permits().line());
        }
        for (index, lock) in locks.iter().enumerate() {
            if self.held.len() < self.count
                && let Some(held) = lock.permits().take(1)
            {
                self.held.push((index, held));
            }
        }
        if self.held.len() == self.count {
            return;
        }
        for (index, (line, wake)) in lines.iter_mut().zip(&mut wakes).enumerate() {
            let Some(line) = line.as_mut().filter(|_| !self.has(index)) else { continue };
            let permits = locks[index].permits();
            match permits.enter_lined(line, 1, wake) {
                Entered::Queued(key) => self.keys.push((index, key)),
                // Given back since.
                Entered::Told(Told::Granted(count)) => self.held.push((index, permits.receive(count))),
                Entered::Told(Told::Refused(_)) | Entered::Busy(_) => {}
            }
        }
    }

    fn has(&self, index: usize) -> bool {
        self.held.iter().any(|&(held, _)| held == index)
    }

    fn renew(&mut self, waker: &Waker) {
        for (index, key) in &self.keys {
            let wake = Wake::Task(waker.clone());
            let other = self.permits(*index).with_line(|line| line.renew(key, wake));
            let_go(Some(other));
        }
    }

    fn is_complete(&self) -> bool {
        let given = |(index, key): &&(usize, Key)| self.permits(*index).with_line(|line| line.is_told(key));
        self.held.len() + self.keys.iter().filter(given).count() >= self.count
    }

    /// Leaves all lines. Gives what it has, if that is enough; what is too much, or not enough, goes back.
    fn finish(&mut self) -> Option<MultiLockGuard> {
        for (index, key) in std::mem::take(&mut self.keys) {
            let permits = self.locks[index].permits();
            if let Left::Told(Told::Granted(count)) = permits.leave(key) {
                self.held.push((index, permits.receive(count)));
            }
        }
        let held = std::mem::take(&mut self.held);
        if held.len() < self.count {
            return None;
        }
        let guard = |(index, held): (usize, Held)| (self.locks[index].permits().address(), LockGuard::of(held));
        Some(MultiLockGuard { guards: held.into_iter().take(self.count).map(guard).collect() })
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        drop(self.finish());
    }
}

impl MultiLockGuard {
    /// How many locks it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.guards.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Whether it holds this lock.
    #[must_use]
    pub fn holds(&self, lock: &Lock) -> bool {
        self.guards.iter().any(|(address, _)| *address == lock.permits().address())
    }

    /// Gives the locks back, as a drop does.
    pub fn unlock(self) {
        drop(self);
    }
}

impl fmt::Debug for MultiLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.locks.iter()).finish()
    }
}

impl fmt::Debug for MultiLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiLockGuard").field("len", &self.len()).finish()
    }
}

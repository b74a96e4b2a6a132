//! `Semaphore`: so many at a time, in the order they came.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::names::{Names, taken};
use super::permits::{self, Held, Permits};
use super::turn::{Failed, Turn, try_once, wait, wait_timeout};
use crate::error::{Error, ErrorKind, TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;

/// A number of permits, for threads, tasks and async tasks alike. First come, first served: who wants many is not
/// overtaken by those who want few.
///
/// Clones are handles on the same permits. Uncontended, taking and giving back are one exchange each. A task that waits
/// lends its core.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let licences = heist::Semaphore::new(2)?;
/// let solved = ex.map(0..8, {
///     let licences = licences.clone();
///     move |i| licences.acquire().map(|_permit| i)
/// });
/// assert_eq!(ex.gather(solved)?.into_iter().flatten().count(), 8);
/// assert_eq!(licences.available(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Semaphore(Permits);

/// Permits that were taken; given back when dropped, once.
#[must_use = "the permit is given back at once when it is dropped"]
pub struct Permit(Held);

impl Semaphore {
    /// A semaphore of so many permits.
    ///
    /// # Errors
    /// [`Error::is_setting`] for more than 2³² − 1.
    pub fn new(permits: usize) -> Result<Self, Error> {
        total(permits).map(Permits::new).map(Self)
    }

    pub(crate) fn named(names: &Arc<Names>, name: &str, permits: usize) -> Result<Self, Error> {
        let total = total(permits)?;
        let make = |named| Permits::named(total, named);
        let found = names.open("semaphore", name, Permits::revive, make)?;
        if found.total() != total {
            return Err(taken("semaphore", name, &format!("with {} permits", found.total())));
        }
        Ok(Self(found))
    }

    /// Waits for a permit, and takes it.
    ///
    /// # Errors
    /// [`TaskError::is_closed`] if the semaphore is closed or being closed. Within a task also
    /// [`TaskError::is_cancelled`] if the task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`] if
    /// the executor may make no further thread.
    #[inline]
    pub fn acquire(&self) -> Result<Permit, TaskError> {
        self.acquire_many(1)
    }

    /// Waits for `count` permits, and takes them together.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), and [`TaskError::is_impossible`] if there are not so many, or `count` is 0.
    ///
    /// ```
    /// let semaphore = heist::Semaphore::new(3)?;
    /// let two = semaphore.acquire_many(2)?;
    /// assert_eq!((two.count(), semaphore.available()), (2, 1));
    /// assert!(semaphore.acquire_many(4).unwrap_err().is_impossible());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn acquire_many(&self, count: usize) -> Result<Permit, TaskError> {
        match u32::try_from(count).ok().and_then(|count| self.0.take(count)) {
            Some(held) => Ok(Permit(held)),
            None => self.acquire_slow(count),
        }
    }

    #[cold]
    fn acquire_slow(&self, count: usize) -> Result<Permit, TaskError> {
        wait(&self.0, possible(&self.0, count)?).map(Permit).map_err(why)
    }

    /// Takes a permit if one is free and nobody waits; `None` otherwise.
    ///
    /// # Errors
    /// [`TaskError::is_closed`].
    #[inline]
    pub fn try_acquire(&self) -> Result<Option<Permit>, TaskError> {
        self.try_acquire_many(1)
    }

    /// As [`try_acquire`](Self::try_acquire), `count` together.
    ///
    /// # Errors
    /// [`TaskError::is_closed`], [`TaskError::is_impossible`].
    ///
    /// ```
    /// let semaphore = heist::Semaphore::new(3)?;
    /// let two = semaphore.try_acquire_many(2)?;
    /// assert!(two.is_some() && semaphore.try_acquire_many(2)?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire_many(&self, count: usize) -> Result<Option<Permit>, TaskError> {
        let taken = try_once(&self.0, possible(&self.0, count)?).map_err(why)?;
        Ok(taken.map(Permit))
    }

    /// As [`acquire`](Self::acquire), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let semaphore = heist::Semaphore::new(1)?;
    /// let held = semaphore.acquire_timeout(Duration::ZERO)?;
    /// assert!(semaphore.acquire_timeout(Duration::ZERO).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit, TaskError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// As [`acquire_many`](Self::acquire_many), for no longer than `timeout`; tries once when that is zero.
    ///
    /// # Errors
    /// As [`acquire_many`](Self::acquire_many), and [`TaskError::is_timeout`].
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> Result<Permit, TaskError> {
        wait_timeout(&self.0, possible(&self.0, count)?, timeout).map(Permit).map_err(why)
    }

    /// As [`acquire`](Self::acquire), awaited under any async runtime. Dropped before its end, it leaves the line.
    ///
    /// # Errors
    /// [`TaskError::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let semaphore = heist::Semaphore::new(1)?;
    /// let acquiring = semaphore.acquire_async();
    /// assert!(ex.spawn(async move { acquiring.await.is_ok() }).result()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn acquire_async(&self) -> impl Future<Output = Result<Permit, TaskError>> + Send + use<> {
        self.acquire_many_async(1)
    }

    /// As [`acquire_many`](Self::acquire_many), awaited under any async runtime. Dropped before its end, it leaves the
    /// line.
    ///
    /// # Errors
    /// [`TaskError::is_closed`], [`TaskError::is_impossible`].
    #[inline]
    pub fn acquire_many_async(&self, count: usize) -> impl Future<Output = Result<Permit, TaskError>> + Send + use<> {
        let handle = self.0.clone();
        async move {
            match handle.exchange(u32::try_from(count).unwrap_or(0)) {
                Ok(held) => Ok(Permit(held)),
                Err(handle) => {
                    let count = possible(&handle, count)?;
                    Turn::new(handle, count).await.map(Permit).map_err(why)
                }
            }
        }
    }

    /// Permits that are free, at the moment of the call.
    #[must_use]
    pub fn available(&self) -> usize {
        self.0.free() as usize
    }

    /// Permits that are held, at the moment of the call: what Dask calls the semaphore's value.
    ///
    /// ```
    /// let semaphore = heist::Semaphore::new(5)?;
    /// let _held = semaphore.acquire_many(2)?;
    /// assert_eq!((semaphore.value(), semaphore.available(), semaphore.permits()), (2, 3, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn value(&self) -> usize {
        self.permits() - self.available()
    }

    /// Permits there are.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.0.total() as usize
    }

    /// Gives out no permit any more, and gives up the name if it has one. Waits for a permit end with
    /// [`TaskError::is_closed`]; what is held may be given back. Says how many are still held; may be called again.
    ///
    /// ```
    /// let semaphore = heist::Semaphore::new(2)?;
    /// let held = semaphore.acquire()?;
    /// assert_eq!(semaphore.close(), 1);
    /// assert!(semaphore.acquire().unwrap_err().is_closed());
    /// drop(held);
    /// assert_eq!(semaphore.close(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> usize {
        self.0.close();
        self.value()
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

fn possible(permits: &Permits, count: usize) -> Result<u32, TaskError> {
    let total = permits.total();
    u32::try_from(count).ok().filter(|count| (1..=total).contains(count)).ok_or_else(|| {
        let text = format!("{count} permits of a semaphore that has {total}");
        TaskError::new(TaskErrorKind::Impossible(text))
    })
}

fn total(permits: usize) -> Result<u32, Error> {
    u32::try_from(permits).map_err(|_| {
        let text = format!("{permits} permits are more than a semaphore may have ({})", permits::MOST);
        Error::new(ErrorKind::Setting(text))
    })
}

fn why(failed: Failed<u32>) -> TaskError {
    match failed {
        Failed::Refused(_) => TaskError::new(TaskErrorKind::Closed("semaphore")),
        Failed::Ended(_, error) => error,
    }
}

impl Permit {
    /// How many permits these are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Gives them back, as a drop does.
    pub fn release(self) {
        drop(self.0);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("permits", &self.permits())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count()).finish()
    }
}

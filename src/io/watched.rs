//! Readiness of a file descriptor: awaited, or waited for by a thread that lends its core.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::block::block_on;
use super::event_loop::{self, Loop};
use super::sources::{Side, Source};
use super::waiting::Ticket;
use crate::error::{Error, ErrorKind, TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;

/// A file descriptor whose readiness is told: a pipe, a socket, a terminal, an eventfd, whatever the system can watch.
///
/// `F` is what owns or borrows it: `Watched::new(stream)` keeps the stream, `Watched::new(&stream)` borrows it. Any number
/// may watch the same file. A watch needs one more descriptor, a duplicate, while it lives.
///
/// Being ready means that a read or write would not block, which may mean that it fails, or tells the end; each wait looks
/// anew. Whoever shares the file may have been faster, so it had better be non-blocking.
///
/// ```
/// use std::io::{Read, Write};
/// use heist::io::Watched;
/// let ex = heist::Executor::new()?;
/// let (reader, mut writer) = std::io::pipe()?;
/// let reader = Watched::new(reader)?;
/// let read = ex.spawn(async move {
///     reader.readable().await?;
///     let mut buffer = [0; 5];
///     reader.get_ref().read_exact(&mut buffer).ok();
///     Ok::<_, heist::TaskError>(buffer)
/// });
/// writer.write_all(b"hello")?;
/// assert_eq!(&read.result()??, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Watched<F: AsFd> {
    watch: Watch,
    file: F,
}

/// A source that is watched until this is dropped.
struct Watch {
    of: &'static Loop,
    source: Arc<Source>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // What a child has of it is also its parent's.
        if let (Ok(sources), Ok(system)) = (self.of.sources(), self.of.system()) {
            sources.remove(system, &self.source);
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl<F: AsFd> Watched<F> {
    /// Watches a file.
    ///
    /// # Errors
    /// [`Error::is_io`] when the system cannot watch it, as with regular files and directories, which are always ready,
    /// or has no descriptor left; when the event loop cannot be started.
    ///
    /// ```
    /// let error = heist::io::Watched::new(std::fs::File::open("/dev/null")?).unwrap_err();
    /// assert!(error.is_io() && error.to_string().contains("always ready"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(file: F) -> Result<Self, Error> {
        let of = event_loop::get().map_err(|source| {
            Error::new(ErrorKind::Io { what: "nothing can be watched", source: io::Error::other(source) })
        })?;
        let source = match (of.sources(), of.system()) {
            (Ok(sources), Ok(system)) => sources.add(system, &file).map_err(refused)?,
            (Err(error), _) | (_, Err(error)) => {
                return Err(Error::new(ErrorKind::Io {
                    what: "nothing can be watched",
                    source: io::Error::other(error),
                }));
            }
        };
        Ok(Self { watch: Watch { of, source }, file })
    }

    /// Waits until it can be read from, has ended or has an error.
    ///
    /// # Errors
    /// Awaited: [`TaskError::is_io`] when the system refuses, [`TaskError::is_forked`] in a child of the process that made
    /// this.
    pub fn readable(&self) -> Ready<'_> {
        Ready::new(&self.watch, Side::Read)
    }

    /// Waits until it can be written to or has an error.
    ///
    /// # Errors
    /// As [`readable`](Self::readable).
    pub fn writable(&self) -> Ready<'_> {
        Ready::new(&self.watch, Side::Write)
    }

    /// Blocks until it can be read from, has ended or has an error. A task lends its core meanwhile.
    ///
    /// # Errors
    /// As [`readable`](Self::readable); [`TaskError::is_cancelled`] when the task that waits is cancelled or its executor
    /// closed; [`TaskError::is_stalled`] as for every wait.
    ///
    /// ```
    /// use std::io::Write;
    /// let ex = heist::Executor::builder().workers(1).build()?;
    /// let (reader, mut writer) = std::io::pipe()?;
    /// let waits = ex.submit(move || heist::io::Watched::new(&reader).unwrap().wait_readable());
    /// let writes = ex.submit(move || writer.write(b"x").is_ok());
    /// assert!(writes.result()?);
    /// waits.result()??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_readable(&self) -> Result<(), TaskError> {
        block_on(self.readable(), None)?
    }

    /// As [`wait_readable`](Self::wait_readable), for no longer than `timeout`.
    ///
    /// # Errors
    /// As [`wait_readable`](Self::wait_readable), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// let (reader, _writer) = std::io::pipe()?;
    /// let reader = heist::io::Watched::new(reader).unwrap();
    /// assert!(reader.wait_readable_timeout(std::time::Duration::ZERO).unwrap_err().is_timeout());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_readable_timeout(&self, timeout: Duration) -> Result<(), TaskError> {
        block_on(self.readable(), Instant::now().checked_add(timeout))?
    }

    /// Blocks until it can be written to or has an error. A task lends its core meanwhile.
    ///
    /// # Errors
    /// As [`wait_readable`](Self::wait_readable).
    pub fn wait_writable(&self) -> Result<(), TaskError> {
        block_on(self.writable(), None)?
    }

    /// As [`wait_writable`](Self::wait_writable), for no longer than `timeout`.
    ///
    /// # Errors
    /// As [`wait_readable_timeout`](Self::wait_readable_timeout).
    pub fn wait_writable_timeout(&self, timeout: Duration) -> Result<(), TaskError> {
        block_on(self.writable(), Instant::now().checked_add(timeout))?
    }

    /// Whether it can be read from now, has ended or has an error.
    ///
    /// # Errors
    /// [`TaskError::is_io`] when the system refuses.
    ///
    /// ```
    /// let (reader, writer) = std::io::pipe()?;
    /// let (reader, writer) = (heist::io::Watched::new(reader)?, heist::io::Watched::new(writer)?);
    /// assert!(writer.try_writable()? && !reader.try_readable()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_readable(&self) -> Result<bool, TaskError> {
        self.watch.source.is_ready(Side::Read).map_err(unwatched)
    }

    /// Whether it can be written to now or has an error.
    ///
    /// # Errors
    /// As [`try_readable`](Self::try_readable).
    pub fn try_writable(&self) -> Result<bool, TaskError> {
        self.watch.source.is_ready(Side::Write).map_err(unwatched)
    }

    /// What is watched.
    pub fn get_ref(&self) -> &F {
        &self.file
    }

    /// As [`get_ref`](Self::get_ref), to be changed.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.file
    }

    /// Ends the watch.
    pub fn into_inner(self) -> F {
        self.file
    }
}

fn refused(source: io::Error) -> Error {
    let what = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "this file is always ready and cannot be watched; pipes, sockets and terminals can"
        }
        _ => "this file cannot be watched",
    };
    Error::new(ErrorKind::Io { what, source })
}

fn unwatched(source: io::Error) -> TaskError {
    TaskError::new(TaskErrorKind::Io { what: "the file can no longer be watched", source })
}

/// A wait for a file; see [`Watched::readable`] and [`Watched::writable`]. It is dropped without a trace.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Ready<'a> {
    watch: &'a Watch,
    side: Side,
    ticket: Option<Ticket>,
}

impl<'a> Ready<'a> {
    fn new(watch: &'a Watch, side: Side) -> Self {
        Self { watch, side, ticket: None }
    }
}

impl Future for Ready<'_> {
    type Output = Result<(), TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { watch, side, ticket } = self.get_mut();
        let system = watch.of.system()?;
        if !watch.source.is_ready(*side).map_err(unwatched)? {
            watch.source.wait(system, *side, ticket, context.waker()).map_err(unwatched)?;
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && self.watch.of.system().is_ok()
        {
            self.watch.source.give_up(self.side, ticket);
        }
    }
}

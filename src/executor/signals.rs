//! The end of an executor by signals.

use std::sync::{OnceLock, Weak};

use super::Executor;
use crate::error::{Error, ErrorKind};
use crate::io::{Signal, Signals};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::{Phase, Registry};

/// The name of the thread that waits for signals.
const THREAD: &str = "heist-signals";

impl Executor {
    /// Has SIGINT and SIGTERM end this executor, for as long as what comes back is kept: the first as
    /// [`shutdown(Wait)`](Self::shutdown), a second one as [`shutdown(Cancel)`](Self::shutdown), both without waiting. A
    /// third does what it does by default, as does any once the executor has ended, unless somebody else listens for it.
    ///
    /// What the program has submitted runs; what it submits from outside afterwards is cancelled from the start.
    ///
    /// # Errors
    /// [`Error::is_io`] when the system refuses, [`Error::is_thread`] when it refuses a thread.
    ///
    /// ```
    /// use heist::io::Signal;
    /// let ex = heist::Executor::new()?;
    /// let by_signals = ex.shutdown_on_signals()?;
    /// let task = ex.submit(|| 6 * 7);
    /// signal_hook::low_level::raise(Signal::TERMINATE.raw())?;
    /// while !ex.submit(|| ()).cancelled() {}
    /// assert_eq!((task.result()?, by_signals.received()), (42, Some(Signal::TERMINATE)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown_on_signals(&self) -> Result<ShutdownOnSignals, Error> {
        let signals = Arc::new(Signals::new([Signal::INTERRUPT, Signal::TERMINATE])?);
        self.registry.extensions.get::<Listening>().add(&signals);
        if self.registry.phase() == Phase::Ended {
            signals.close();
        }
        let received = Arc::new(OnceLock::new());
        let (listened, told, registry) = (signals.clone(), received.clone(), Arc::downgrade(&self.registry));
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || end_by(&listened, &told, &registry))
            .map_err(|source| Error::new(ErrorKind::Thread { name: THREAD.to_owned(), source }))?;
        Ok(ShutdownOnSignals { signals, received })
    }
}

/// Those who listen for an executor; dropped when it has ended.
#[derive(Default)]
struct Listening(Mutex<Vec<Weak<Signals>>>);

impl Listening {
    fn add(&self, signals: &Arc<Signals>) {
        let mut all = self.0.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(signals));
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.lock().iter().filter_map(Weak::upgrade).for_each(|signals| signals.close());
    }
}

/// Waits for signals until they are closed.
fn end_by(signals: &Signals, received: &OnceLock<Signal>, registry: &Weak<Registry>) {
    for phase in [Phase::Draining, Phase::Cancelling] {
        let Ok(signal) = signals.wait() else { return };
        let Some(registry) = registry.upgrade() else { return };
        received.get_or_init(|| signal);
        registry.close(phase);
    }
    signals.close();
}

/// Has signals end an executor until it is dropped; then they do again what they do by default. See
/// [`Executor::shutdown_on_signals`].
#[must_use = "signals end the executor only while this lives"]
#[derive(Debug)]
pub struct ShutdownOnSignals {
    signals: Arc<Signals>,
    received: Arc<OnceLock<Signal>>,
}

impl ShutdownOnSignals {
    /// The signal that began the end.
    #[must_use]
    pub fn received(&self) -> Option<Signal> {
        self.received.get().copied()
    }
}

impl Drop for ShutdownOnSignals {
    fn drop(&mut self) {
        self.signals.close();
    }
}

//! `Barrier`: nobody goes on before all have come.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::line::{Key, Left, Line, Told, Wake, fire_all, let_go};
use super::names::{Named, Names, taken};
use super::turn::{Entered, Failed, Source, Turn, wait, wait_timeout};
use crate::error::{Error, TaskError};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

/// Lets nobody pass before so many have come, again and again: threads, tasks and async tasks alike.
///
/// Clones are handles on the same barrier. Whose wait ends early has not come. A task that waits lends its core, so more
/// tasks may meet than there are workers.
///
/// ```
/// let ex = heist::Executor::builder().workers(1).build()?;
/// let barrier = heist::Barrier::new(3);
/// let tasks = ex.map(0..3, move |_| barrier.wait());
/// let leaders = ex.gather(tasks)?.into_iter().filter(|last| matches!(last, Ok(true))).count();
/// assert_eq!(leaders, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Barrier(Arc<Gate>);

struct Gate {
    count: usize,
    state: Mutex<State>,
    _name: Option<Named>,
}

#[derive(Default)]
struct State {
    arrived: usize,
    line: Line<(), bool>,
}

impl Barrier {
    /// A barrier for `count` at a time; 0 is like 1.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Self::gate(count, None))
    }

    fn gate(count: usize, name: Option<Named>) -> Arc<Gate> {
        Arc::new(Gate { count: count.max(1), state: Mutex::default(), _name: name })
    }

    pub(crate) fn named(names: &Arc<Names>, name: &str, count: usize) -> Result<Self, Error> {
        let known = |gate: &Arc<Gate>| Some(Self(gate.clone()));
        let found = names.open("barrier", name, known, |named| {
            let gate = Self::gate(count, Some(named));
            (Arc::downgrade(&gate), Self(gate))
        })?;
        if found.count() != count.max(1) {
            return Err(taken("barrier", name, &format!("for {}", found.count())));
        }
        Ok(found)
    }

    /// How many pass together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// How many wait, at the moment of the call.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.state.lock().arrived
    }

    /// Waits until all have come; true for the last of them.
    ///
    /// # Errors
    /// Only of the wait itself, within a task: [`TaskError::is_cancelled`] if the task, or its executor, was cancelled
    /// meanwhile, [`TaskError::is_stalled`] if the executor may make no further thread.
    pub fn wait(&self) -> Result<bool, TaskError> {
        wait(self, ()).map_err(Failed::into_error)
    }

    /// As [`wait`](Self::wait), for no longer than `timeout`; passes only as the last one when that is zero.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`TaskError::is_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let barrier = heist::Barrier::new(2);
    /// assert!(barrier.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
    /// assert_eq!(barrier.waiting(), 0);
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, TaskError> {
        wait_timeout(self, (), timeout).map_err(Failed::into_error)
    }

    /// As [`wait`](Self::wait), awaited under any async runtime. Dropped before its end, it has not come.
    ///
    /// # Errors
    /// None now; the type leaves room, as for every wait.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let barrier = heist::Barrier::new(2);
    /// let other = ex.spawn(barrier.wait_async());
    /// barrier.wait()?;
    /// other.into_result().unwrap()??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = Result<bool, TaskError>> + Send + use<> {
        let turn = Turn::new(self.clone(), ());
        async { turn.await.map_err(Failed::into_error) }
    }
}

impl Source for Barrier {
    type Want = ();
    type Given = bool;
    type Grant = bool;

    fn enter(&self, (): (), wake: &mut Option<Wake>) -> Entered<(), bool> {
        let mut state = self.0.state.lock();
        if state.arrived + 1 == self.0.count {
            state.arrived = 0;
            let wakes = state.line.grant_all(|()| false);
            drop(state);
            fire_all(wakes);
            return Entered::Told(Told::Granted(true));
        }
        match wake.take() {
            Some(wake) => {
                state.arrived += 1;
                Entered::Queued(state.line.join((), wake))
            }
            None => Entered::Busy(()),
        }
    }

    fn with_line<R>(&self, call: impl FnOnce(&mut Line<(), bool>) -> R) -> R {
        call(&mut self.0.state.lock().line)
    }

    fn leave(&self, key: Key) -> Left<(), bool> {
        let mut state = self.0.state.lock();
        let (left, wake) = state.line.leave(key);
        if let Left::Waiting(()) = left {
            state.arrived -= 1;
        }
        drop(state);
        let_go(wake);
        left
    }

    fn receive(&self, is_last: bool) -> bool {
        is_last
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("count", &self.count()).field("waiting", &self.waiting()).finish()
    }
}

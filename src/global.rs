//! The executor of the process, for code that is handed none.

use crate::builder::Builder;
use crate::error::{Error, ErrorKind};
use crate::executor::Executor;
use crate::primitive::lock::Mutex;

/// Never dropped, so the end of `main` waits for no worker.
static GLOBAL: Mutex<Option<Executor>> = Mutex::new(None);

/// An executor that is never dropped.
fn for_good(executor: Executor) -> Executor {
    #[cfg(feature = "ranks")]
    executor.stays();
    executor
}

impl Builder {
    /// Makes the process's executor, which [`Executor::global`] gives from then on.
    ///
    /// # Errors
    /// [`Error::is_already_set`] if there is one, because of an earlier call or of [`Executor::global`]; else as
    /// [`build`](Self::build).
    ///
    /// ```
    /// heist::Executor::builder().workers(1).build_global()?;
    /// assert_eq!(heist::Executor::global()?.workers(), 1);
    /// assert!(heist::Executor::builder().build_global().unwrap_err().is_already_set());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn build_global(self) -> Result<(), Error> {
        let mut global = GLOBAL.lock();
        if global.is_some() {
            return Err(Error::new(ErrorKind::AlreadySet("the process's executor")));
        }
        *global = Some(for_good(self.build()?));
        Ok(())
    }
}

impl Executor {
    /// A handle on the process's executor, built with the default settings if nobody has built it. It lives as long as
    /// the process.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn global() -> Result<Self, Error> {
        let mut global = GLOBAL.lock();
        if let Some(executor) = &*global {
            return Ok(executor.clone());
        }
        let executor = for_good(Self::new()?);
        *global = Some(executor.clone());
        Ok(executor)
    }
}

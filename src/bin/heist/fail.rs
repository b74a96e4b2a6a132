//! How a run ends: what came of it, or what ended it early (one line for stderr, exit code 2).

use std::fmt;

use heist::TaskError;

/// What a run that could be carried out came to.
pub(crate) enum Outcome {
    /// Solved, or the bound was not to be enforced.
    Done,
    /// An error is above the bound that was to be enforced.
    AboveBound(String),
}

/// A reason to stop, written for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Fail(String);

impl Fail {
    pub(crate) fn new(reason: impl Into<String>) -> Fail {
        Fail(reason.into())
    }

    /// A task has no value.
    pub(crate) fn task(error: &TaskError) -> Fail {
        Fail(format!("a task failed: {}", error.root()))
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<heist::Error> for Fail {
    fn from(error: heist::Error) -> Fail {
        Fail(format!("cannot start the executor: {error}"))
    }
}

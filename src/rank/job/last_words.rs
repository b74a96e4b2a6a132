//! The one thing that heist prints: why a job of ranks ends before its time. Nobody could be told otherwise: the process is
//! about to be ended, and its fellows with it.

use std::io::Write;

/// Says it in one write, so that the lines of several ranks do not mix.
pub(super) fn say(text: &str) {
    let line = format!("heist: {text}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

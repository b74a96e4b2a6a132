//! A progress bar on stderr, only where a person is looking.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two looks at the counters.
const PERIOD: Duration = Duration::from_millis(80);

/// A bar over a known number of things.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar if it is wanted and stderr is a terminal; `things` is their word.
    pub(crate) fn new(wanted: bool, count: u64, things: &str) -> Progress {
        let bar = (wanted && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(count);
            if let Ok(style) =
                ProgressStyle::with_template(&format!("{{bar:32}} {{pos}}/{{len}} {things}, {{eta}} left"))
            {
                bar.set_style(style);
            }
            bar
        });
        Progress { bar }
    }

    /// Returns when `wait` says that all is done; it is given the time it may take, if there is a bar to move.
    pub(crate) fn follow(self, wait: impl Fn(Option<Duration>) -> bool, finished_tasks: impl Fn() -> u64) {
        let Some(bar) = self.bar else {
            wait(None);
            return;
        };
        while !wait(Some(PERIOD)) {
            bar.set_position(finished_tasks());
        }
        bar.finish_and_clear();
    }

    /// So many are done.
    pub(crate) fn show(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(count);
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

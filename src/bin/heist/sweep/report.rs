//! What a sweep says about itself: text, or one JSON object.

use std::time::Duration;

use serde::Serialize;

use super::model::{BOUND, Model};
use super::results::Worst;
use crate::fail::Fail;
use crate::ranks;

/// Figures of a sweep.
#[derive(Debug)]
pub(crate) struct Measured {
    /// From the first submission to the last result.
    pub(crate) took: Duration,
    /// Time inside tasks, of all workers.
    pub(crate) busy: Duration,
    /// Rows that were swept now.
    pub(crate) swept: u64,
    /// The greatest error, in rows from before too.
    pub(crate) worst: Option<Worst>,
}

/// Rows of the file of parameters.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// All of them.
    pub(crate) rows: u64,
    /// Those that cannot be used.
    pub(crate) bad: u64,
    /// Those whose results were there before.
    pub(crate) before: u64,
}

impl Counts {
    /// Those that are left to be swept.
    pub(crate) fn to_do(self) -> u64 {
        self.rows - self.bad - self.before
    }
}

/// Everything there is to report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    workload: &'static str,
    model: &'static str,
    about: &'static str,
    steps: u64,
    parameters: String,
    #[serde(flatten)]
    counts: Counts,
    swept: u64,
    results: String,
    ranks: usize,
    workers: usize,
    warnings: Vec<String>,
    seconds: f64,
    rows_per_second: f64,
    busy: f64,
    error_of: &'static str,
    greatest_error: Option<f64>,
    greatest_error_row: Option<u64>,
    bound: f64,
    within_bound: bool,
}

/// What a report is about.
pub(crate) struct Subject<'a> {
    pub(crate) model: &'static Model,
    pub(crate) steps: u64,
    pub(crate) parameters: String,
    pub(crate) results: String,
    pub(crate) ranks: usize,
    /// Those of all ranks.
    pub(crate) workers: usize,
    pub(crate) warnings: &'a [String],
}

impl Report {
    pub(crate) fn new(subject: Subject<'_>, counts: Counts, measured: &Measured) -> Report {
        let Subject { model, steps, parameters, results, ranks, workers, warnings } = subject;
        let seconds = measured.took.as_secs_f64();
        let error = measured.worst.map(|worst| worst.error);
        let each = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        Report {
            workload: "sweep",
            model: model.name,
            about: model.about,
            steps,
            parameters,
            counts,
            swept: measured.swept,
            results,
            ranks,
            workers,
            warnings: warnings.to_vec(),
            seconds,
            rows_per_second: each(measured.swept as f64),
            busy: each(measured.busy.as_secs_f64() / workers as f64),
            error_of: model.error_of,
            greatest_error: error,
            greatest_error_row: measured.worst.map(|worst| worst.row),
            bound: BOUND,
            within_bound: error.is_none_or(|error| error <= BOUND),
        }
    }

    pub(crate) fn within_bound(&self) -> bool {
        self.within_bound
    }

    /// The refusal when the bound is enforced.
    pub(crate) fn above_bound(&self) -> String {
        format!("the error {} is above its bound {:.0e}", self.greatest(), self.bound)
    }

    fn greatest(&self) -> String {
        match (self.greatest_error, self.greatest_error_row) {
            (Some(error), Some(row)) => format!("{error:.3e} of row {row}"),
            _ => "of no row".to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Result<String, Fail> {
        let object =
            serde_json::to_string(self).map_err(|error| Fail::new(format!("cannot write the report: {error}")))?;
        Ok(object + "\n")
    }

    pub(crate) fn text(&self) -> String {
        let Counts { rows, bad, before } = self.counts;
        let mut text = String::new();
        let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}{value}\n"));
        line("parameters", format!("{}: {rows} rows", self.parameters));
        if bad > 0 {
            line("left out", format!("{bad} bad rows"));
        }
        line("model", format!("{}: {}, {} steps of Runge-Kutta", self.model, self.about, self.steps));
        line("results", format!("{}: {before} rows from before, {} new", self.results, self.swept));
        line("workers", ranks::told(self.workers, self.ranks));
        for warning in &self.warnings {
            line("warning", warning.clone());
        }
        line("sweep", format!("{:.3} ms, {:.0} rows/s", self.seconds * 1e3, self.rows_per_second));
        line("busy", format!("{:.1} %", self.busy * 100.0));
        let verdict = if self.within_bound { "within" } else { "ABOVE" };
        line(
            "error",
            format!("at most {}, {verdict} the bound {:.0e}: {}", self.greatest(), self.bound, self.error_of),
        );
        text
    }
}

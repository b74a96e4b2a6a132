//! What a run says about itself: text, or one JSON object.

use std::time::Duration;

use serde::Serialize;

use super::problem::{BOUND, Method, Problem};
use crate::fail::Fail;
use crate::memory;
use crate::ranks;

/// Up to this many workers are listed one by one in the text.
const LISTED: usize = 16;

/// Figures of the timed graph.
pub(crate) struct Measured {
    /// Time to densify the matrix, before the graph.
    pub(crate) densify: Duration,
    /// From the first submission to the last result.
    pub(crate) achieved: Duration,
    /// The longest chain of dependent tasks.
    pub(crate) critical_path: Duration,
    /// Tasks executed.
    pub(crate) tasks: u64,
    pub(crate) ranks: usize,
    /// For each worker of each rank, time inside tasks and tasks taken from others.
    pub(crate) workers: Vec<(Duration, u64)>,
}

/// Everything there is to report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    workload: &'static str,
    method: &'static str,
    matrix: String,
    rows: usize,
    columns: usize,
    densified_bytes: u128,
    stored_entries: Option<usize>,
    lower_triangle_bytes: u128,
    rhs: String,
    tile: usize,
    tile_rows: usize,
    ranks: usize,
    workers: Vec<Worker>,
    warnings: Vec<String>,
    densify_seconds: f64,
    seconds: f64,
    tasks: u64,
    tasks_per_second: f64,
    gflops: f64,
    steals: u64,
    critical_path_seconds: f64,
    work_per_worker_seconds: f64,
    share_of_possible_speed: f64,
    residual_of: &'static str,
    residual: f64,
    bound: f64,
    within_bound: bool,
}

#[derive(Debug, Serialize)]
struct Worker {
    busy: f64,
    steals: u64,
}

impl Report {
    pub(crate) fn new(problem: &Problem, warnings: &[String], measured: &Measured, residual: f64) -> Report {
        let seconds = measured.achieved.as_secs_f64();
        let busy: f64 = measured.workers.iter().map(|(busy, _)| busy.as_secs_f64()).sum();
        let work_per_worker = busy / measured.workers.len() as f64;
        let critical_path = measured.critical_path.as_secs_f64();
        let (rows, columns) = (problem.matrix.rows(), problem.size());
        Report {
            workload: "cholesky",
            method: method(problem.method),
            matrix: problem.source.clone(),
            rows,
            columns,
            densified_bytes: dense_bytes(problem),
            stored_entries: problem.matrix.stored(),
            lower_triangle_bytes: columns as u128 * (columns + problem.tile) as u128 * 4,
            rhs: problem.rhs_source.clone(),
            tile: problem.tile,
            tile_rows: problem.tile_rows(),
            ranks: measured.ranks,
            workers: measured
                .workers
                .iter()
                .map(|(busy, steals)| Worker { busy: busy.as_secs_f64() / seconds, steals: *steals })
                .collect(),
            warnings: warnings.to_vec(),
            densify_seconds: measured.densify.as_secs_f64(),
            seconds,
            tasks: measured.tasks,
            tasks_per_second: measured.tasks as f64 / seconds,
            gflops: problem.operations() / seconds / 1e9,
            steals: measured.workers.iter().map(|(_, steals)| steals).sum(),
            critical_path_seconds: critical_path,
            work_per_worker_seconds: work_per_worker,
            share_of_possible_speed: critical_path.max(work_per_worker) / seconds,
            residual_of: residual_of(problem.method),
            residual,
            bound: BOUND,
            within_bound: residual <= BOUND,
        }
    }

    pub(crate) fn within_bound(&self) -> bool {
        self.within_bound
    }

    /// The refusal when the bound is enforced.
    pub(crate) fn above_bound(&self) -> String {
        format!("the residual {:.3e} is above its bound {:.0e}", self.residual, self.bound)
    }

    pub(crate) fn json(&self) -> Result<String, Fail> {
        let object =
            serde_json::to_string(self).map_err(|error| Fail::new(format!("cannot write the report: {error}")))?;
        Ok(object + "\n")
    }

    fn stored(&self) -> String {
        self.stored_entries.map_or_else(String::new, |entries| format!(", {entries} entries stored"))
    }

    /// What the dense form takes.
    fn densified(&self) -> String {
        let tiles = format!(
            "{0} × {0} tiles of {1} × {1}, the lower triangle takes {2}",
            self.tile_rows,
            self.tile,
            memory::size(self.lower_triangle_bytes),
        );
        if self.rows == self.columns {
            return tiles;
        }
        format!("{}; AᵀA in {tiles}", memory::size(self.densified_bytes))
    }

    /// The share of the time that each worker spent inside tasks.
    fn busy(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let shares = || self.workers.iter().map(|worker| worker.busy);
        if self.workers.len() <= LISTED {
            return shares().map(percent).collect::<Vec<_>>().join("  ");
        }
        let mean = shares().sum::<f64>() / self.workers.len() as f64;
        let (least, most) = (shares().fold(f64::MAX, f64::min), shares().fold(0.0, f64::max));
        format!("mean {}, least {}, most {}", percent(mean), percent(least), percent(most))
    }

    /// The tasks that workers took from each other.
    fn steals(&self) -> String {
        if self.workers.len() > LISTED {
            return self.steals.to_string();
        }
        let each: Vec<_> = self.workers.iter().map(|worker| worker.steals.to_string()).collect();
        format!("{} ({})", self.steals, each.join(" + "))
    }

    pub(crate) fn text(&self) -> String {
        let verdict = if self.within_bound { "within" } else { "ABOVE" };
        let mut text = String::new();
        let mut line = |name: &str, value: String| add_line(&mut text, name, &value);
        line("matrix", format!("{}: {} × {}{}", self.matrix, self.rows, self.columns, self.stored()));
        line("densified", self.densified());
        line("right side", self.rhs.clone());
        line("method", self.method.to_owned());
        line("workers", ranks::told(self.workers.len(), self.ranks));
        for warning in &self.warnings {
            line("warning", warning.clone());
        }
        line("densify", milliseconds(self.densify_seconds));
        line("solve", milliseconds(self.seconds));
        line("tasks", format!("{}, {:.0} tasks/s, {:.1} GFLOP/s", self.tasks, self.tasks_per_second, self.gflops));
        line("busy", self.busy());
        line("steals", self.steals());
        line("critical path", milliseconds(self.critical_path_seconds));
        line(
            "achieved",
            format!(
                "{}; the work shared out evenly takes {}: {:.1} % of the possible speed",
                milliseconds(self.seconds),
                milliseconds(self.work_per_worker_seconds),
                self.share_of_possible_speed * 100.0
            ),
        );
        line(
            "residual",
            format!("{} = {:.3e}, {verdict} the bound {:.0e}", self.residual_of, self.residual, self.bound),
        );
        text
    }
}

fn add_line(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("{name:<14}{value}\n"));
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Definite => "Cholesky factorisation, forward and backward substitution",
        Method::LeastSquares => "least squares through the normal equations",
    }
}

fn residual_of(method: Method) -> &'static str {
    match method {
        Method::Definite => "‖Ax−b‖/‖b‖",
        Method::LeastSquares => "‖Aᵀ(Ax−b)‖/‖Aᵀb‖",
    }
}

fn dense_bytes(problem: &Problem) -> u128 {
    problem.matrix.rows() as u128 * problem.size() as u128 * 8
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

//! `heist run cholesky`: a dense solve as a graph of live futures.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use heist::prelude::*;

use crate::args;
use crate::fail::{Fail, Outcome};
use crate::matrix::dense::Dense;
use crate::memory::Allowed;
use crate::output::{self, Target};
use crate::progress::Progress;

mod graph;
mod kernels;
mod problem;
mod report;
mod run;
#[cfg(test)]
mod sequential;
mod solve;
mod spread;
mod start;
#[cfg(test)]
mod tests;
mod tiles;

use graph::NotPositiveDefinite;
use problem::{Method, Problem};
use report::{Measured, Report};
use run::{Run, Step};
use tiles::Tiles;

/// Loads, solves, writes and reports.
pub(crate) fn run(executor: &Executor, args: &args::Cholesky) -> Result<Outcome, Fail> {
    let target = args.output.as_deref().map(Target::probe).transpose()?;
    let problem = Problem::load(args, Allowed::of_this_process())?;
    let (x, measured) = if executor.world().size() == 1 {
        solve(executor, &problem, Progress::new(!args.json, problem.tasks(), "tasks"))?
    } else {
        spread::solve(executor, &problem, Progress::new(!args.json, problem.tiles(), "tiles"))?
    };
    let report = Report::new(&problem, executor.warnings(), &measured, problem.residual(&x));
    if let Some(target) = target {
        target.write(|to| write_solution(to, &x))?;
    }
    output::print(&if args.json { report.json()? } else { report.text() })?;
    if args.check && !report.within_bound() {
        return Ok(Outcome::AboveBound(report.above_bound()));
    }
    Ok(Outcome::Done)
}

/// Runs the graph and returns x.
fn solve(executor: &Executor, problem: &Problem, progress: Progress) -> Result<(Vec<f64>, Measured), Fail> {
    let tiles = Tiles::empty(problem.size(), problem.tile);
    let run = Arc::new(Run::new(tiles, executor.workers()));
    let rhs = problem.square_rhs();
    let start = Instant::now();
    let prepared = Prepared::new(executor, problem, &run)?;
    let densify = start.elapsed();

    let before = executor.stats();
    let start = Instant::now();
    let mut states = match prepared {
        Prepared::Tiles(states) => states,
        Prepared::Dense(dense) => start::normal_equations(executor, &run, &dense),
    };
    graph::factor(executor, &run, &mut states);
    let x = solve::substitute(executor, &run, &states, &rhs);
    progress.follow(
        |limit| {
            // How it ended is asked below.
            let _ = limit.map_or_else(|| x[0].wait(), |limit| x[0].wait_timeout(limit));
            x[0].done()
        },
        || executor.stats().executed - before.executed,
    );
    let segments = executor.gather_values(&x).map_err(|error| explain(problem, &error))?;
    let achieved = start.elapsed();

    let after = executor.stats();
    let stolen = after.per_worker.iter().zip(&before.per_worker).map(|(a, b)| a.stolen - b.stolen);
    let measured = Measured {
        densify,
        achieved,
        critical_path: segments[0].step().chain(),
        tasks: after.executed - before.executed,
        ranks: 1,
        workers: run.busy().into_iter().zip(stolen).collect(),
    };
    Ok((segments.iter().flat_map(|segment| segment.values()).copied().collect(), measured))
}

/// What is ready before the clock starts.
enum Prepared {
    /// The tiles of the matrix itself.
    Tiles(Vec<TaskFuture<Step>>),
    /// The dense matrix whose normal equations the graph will form.
    Dense(Arc<Dense>),
}

impl Prepared {
    fn new(executor: &Executor, problem: &Problem, run: &Arc<Run>) -> Result<Prepared, Fail> {
        match problem.method {
            Method::Definite => {
                let states = start::densify(executor, run, &problem.matrix);
                executor.gather_values(&states).map_err(|error| explain(problem, &error))?;
                Ok(Prepared::Tiles(states))
            }
            Method::LeastSquares => Ok(Prepared::Dense(problem.matrix.dense())),
        }
    }
}

fn explain(problem: &Problem, error: &TaskError) -> Fail {
    match error.downcast_ref::<NotPositiveDefinite>() {
        Some(pivot) => not_definite(problem, *pivot),
        None => Fail::task(error),
    }
}

fn not_definite(problem: &Problem, pivot: NotPositiveDefinite) -> Fail {
    let source = &problem.source;
    match problem.method {
        Method::Definite => Fail::new(format!("{source}: {pivot}")),
        Method::LeastSquares => Fail::new(format!("{source}: AᵀA is {pivot}; are the columns linearly independent?")),
    }
}

fn write_solution(to: &mut dyn Write, x: &[f64]) -> io::Result<()> {
    writeln!(to, "%%MatrixMarket matrix array real general\n{} 1", x.len())?;
    x.iter().try_for_each(|v| writeln!(to, "{v:e}"))
}

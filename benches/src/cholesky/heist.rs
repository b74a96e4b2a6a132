//! The factorisation as the graph of futures that the `heist` program submits.

use ::heist::TaskFuture;

use super::Job;
use super::graph;
use super::run::Step;
use super::tiles::place;
use crate::report::timed;
use crate::start::heist;

pub(super) fn start(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |run| {
        let mut states: Vec<TaskFuture<Step>> =
            (0..place(run.tiles.count(), 0)).map(|_| executor.scatter(Step::default())).collect();
        let (finished, wall, cpu) = timed(|| {
            graph::factor(&executor, run, &mut states);
            executor.gather_values(&states).map(drop)
        });
        finished.map_err(|error| error.root().to_string())?;
        Ok((wall, cpu))
    })
}

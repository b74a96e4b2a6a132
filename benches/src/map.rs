//! The workload `map`: one closure over a million indices, all results collected, summed and checked.

use std::time::Instant;

use ::rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::spawn::heist;
use crate::start::rayon;
use crate::tasks::{Job, Run, Tasks, runtime, sum, task};

/// The workload.
pub static MAP: Tasks = Tasks {
    name: "map",
    part: "submit",
    expected: sum,
    runtimes: &[
        runtime("heist", heist::map_inside, heist::map_outside),
        runtime("heist:submit", heist::inside, heist::outside),
        runtime("rayon", inside::<Each>, outside::<Each>),
        runtime("rayon:split", inside::<Split>, outside::<Split>),
    ],
};

/// How rayon cuts the indices up.
trait Cut {
    /// The results of all tasks.
    fn collect(tasks: u64) -> Vec<u64>;
}

/// In pieces of one, so that every index is a job of its own.
struct Each;

/// In as few pieces as its workers ask for.
struct Split;

impl Cut for Each {
    fn collect(tasks: u64) -> Vec<u64> {
        (0..tasks as usize).into_par_iter().with_max_len(1).map(|i| task(i as u64)).collect()
    }
}

impl Cut for Split {
    fn collect(tasks: u64) -> Vec<u64> {
        (0..tasks as usize).into_par_iter().map(|i| task(i as u64)).collect()
    }
}

fn outside<C: Cut + 'static>(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| run(|| pool.install(|| C::collect(tasks))))
}

fn inside<C: Cut + 'static>(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |tasks| pool.install(|| run(|| C::collect(tasks))))
}

/// There is no submission that could be told apart.
fn run(collect: impl FnOnce() -> Vec<u64>) -> Run {
    let start = Instant::now();
    let value = collect().into_iter().fold(0, u64::wrapping_add);
    let total = start.elapsed();
    Run { part: total, total, value }
}

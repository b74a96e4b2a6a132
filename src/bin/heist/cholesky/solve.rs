//! Forward and backward substitution on the factored tiles, as tasks of the same graph.
//!
//! Here the data do travel in the futures: a task borrows segments of the vector and makes a new one. The
//! forward tasks of a column start as soon as its tiles are final, while later columns are still being
//! factored.

use std::sync::Arc;

use faer::linalg::{matmul, triangular_solve};
use faer::{Accum, ColMut, ColRef, MatRef, Par};
use heist::prelude::*;

use super::run::{Run, Step};
use super::tiles::{Tiles, place};

/// The rows of a vector that belong to one row of tiles.
pub(crate) struct Segment {
    values: Vec<f64>,
    step: Step,
}

impl Segment {
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    pub(crate) fn step(&self) -> Step {
        self.step
    }

    fn next<'a>(
        &'a self,
        run: &Run,
        others: impl IntoIterator<Item = &'a Step>,
        work: impl FnOnce(&Tiles, &mut [f64]),
    ) -> Segment {
        let inputs = others.into_iter().chain([&self.step]);
        let (step, values) = run.step(inputs, |tiles| {
            let mut values = self.values.clone();
            work(tiles, &mut values);
            values
        });
        Segment { values, step }
    }
}

/// Tasks of both substitutions over `count` rows of tiles.
pub(crate) fn substitution_tasks(count: u64) -> u64 {
    count * (count + 1)
}

/// Submits the solution of L·Lᵀ·x = b; `states` are the futures of the tiles of L.
pub(crate) fn substitute(
    executor: &Executor,
    run: &Arc<Run>,
    states: &[TaskFuture<Step>],
    b: &[f64],
) -> Vec<TaskFuture<Segment>> {
    let segment = |i| Segment { values: b[run.tiles.rows(i)].to_vec(), step: Step::default() };
    let mut x: Vec<_> = (0..run.tiles.count()).map(|i| executor.scatter(segment(i))).collect();
    for k in 0..x.len() {
        x[k] = forward_pivot(executor, run, &x[k], &states[place(k, k)], k);
        for i in k + 1..x.len() {
            x[i] = forward_update(executor, run, (&x[i], &x[k]), &states[place(i, k)], (i, k));
        }
    }
    for k in (0..x.len()).rev() {
        x[k] = backward_pivot(executor, run, &x[k], k);
        for i in (0..k).rev() {
            x[i] = backward_update(executor, run, (&x[i], &x[k]), (i, k));
        }
    }
    x
}

fn forward_pivot(
    executor: &Executor,
    run: &Arc<Run>,
    own: &TaskFuture<Segment>,
    l: &TaskFuture<Step>,
    k: usize,
) -> TaskFuture<Segment> {
    let run = Arc::clone(run);
    executor.submit_after((own, l), move |(own, l): (&Segment, &Step)| {
        own.next(&run, [l], |tiles, y| {
            let y = ColMut::from_slice_mut(y).as_mat_mut();
            triangular_solve::solve_lower_triangular_in_place(tiles.read(k, k).as_ref(), y, Par::Seq);
        })
    })
}

fn forward_update(
    executor: &Executor,
    run: &Arc<Run>,
    (own, pivot): (&TaskFuture<Segment>, &TaskFuture<Segment>),
    l: &TaskFuture<Step>,
    (i, k): (usize, usize),
) -> TaskFuture<Segment> {
    let run = Arc::clone(run);
    executor.submit_after((own, pivot, l), move |(own, pivot, l): (&Segment, &Segment, &Step)| {
        own.next(&run, [&pivot.step, l], |tiles, y| {
            subtract_product(tiles.read(i, k).as_ref(), &pivot.values, y);
        })
    })
}

fn backward_pivot(executor: &Executor, run: &Arc<Run>, own: &TaskFuture<Segment>, k: usize) -> TaskFuture<Segment> {
    let run = Arc::clone(run);
    executor.submit_after(own, move |own: &Segment| {
        own.next(&run, [], |tiles, x| {
            let x = ColMut::from_slice_mut(x).as_mat_mut();
            triangular_solve::solve_upper_triangular_in_place(tiles.read(k, k).transpose(), x, Par::Seq);
        })
    })
}

fn backward_update(
    executor: &Executor,
    run: &Arc<Run>,
    (own, pivot): (&TaskFuture<Segment>, &TaskFuture<Segment>),
    (i, k): (usize, usize),
) -> TaskFuture<Segment> {
    let run = Arc::clone(run);
    executor.submit_after((own, pivot), move |(own, pivot): (&Segment, &Segment)| {
        own.next(&run, [&pivot.step], |tiles, x| {
            subtract_product(tiles.read(k, i).transpose(), &pivot.values, x);
        })
    })
}

/// y ← y − A·x
fn subtract_product(a: MatRef<'_, f64>, x: &[f64], y: &mut [f64]) {
    let (x, y) = (ColRef::from_slice(x), ColMut::from_slice_mut(y));
    matmul::matmul(y, Accum::Add, a, x, -1.0, Par::Seq);
}

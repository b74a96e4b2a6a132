//! Forward and backward substitution on the factored tiles, as tasks of the same graph.
//!
//! Here the data do travel in the futures: a task borrows segments of the vector and makes a new one. The
//! forward tasks of a column start as soon as its tiles are final, while later columns are still being
//! factored.

use std::sync::Arc;

use faer::linalg::{matmul, triangular_solve};
use faer::{Accum, ColMut, ColRef, MatRef, Par};
use heist::prelude::*;
use serde::{Deserialize, Serialize};

use super::run::{Run, Step};
use super::tiles::{Tiles, place};

/// The rows of a vector that belong to one row of tiles.
#[derive(Clone, Serialize, Deserialize)]
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

    pub(super) fn new(values: Vec<f64>) -> Segment {
        Segment { values, step: Step::default() }
    }

    pub(super) fn next<'a>(
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
    let segment = |i| Segment::new(b[run.tiles.rows(i)].to_vec());
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
            solve_lower(tiles.read(k, k).as_ref(), y);
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
            solve_upper(tiles.read(k, k).transpose(), x);
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

/// y ← L⁻¹·y
pub(super) fn solve_lower(l: MatRef<'_, f64>, y: &mut [f64]) {
    triangular_solve::solve_lower_triangular_in_place(l, ColMut::from_slice_mut(y).as_mat_mut(), Par::Seq);
}

/// x ← U⁻¹·x
pub(super) fn solve_upper(u: MatRef<'_, f64>, x: &mut [f64]) {
    triangular_solve::solve_upper_triangular_in_place(u, ColMut::from_slice_mut(x).as_mat_mut(), Par::Seq);
}

/// y ← y − A·x
pub(super) fn subtract_product(a: MatRef<'_, f64>, x: &[f64], y: &mut [f64]) {
    let (x, y) = (ColRef::from_slice(x), ColMut::from_slice_mut(y));
    matmul::matmul(y, Accum::Add, a, x, -1.0, Par::Seq);
}

//! What each rank does: it updates its tiles in place, and gives those that are final to whoever needs them.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use faer::{Mat, MatMut, MatRef};
use heist::Array;
use heist::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::graph::NotPositiveDefinite;
use super::super::kernels;
use super::super::run::{Run, Step};
use super::super::solve::{Segment, solve_lower, solve_upper, subtract_product};
use super::super::start::gram;
use super::super::tiles::Tiles;
use crate::matrix::Matrix;
use crate::matrix::generate::Generated;

/// Under which each rank publishes its part to its own tasks.
const NAME: &str = "heist run cholesky";

/// What a task knows, if none before it has failed.
pub(super) type Known<T> = Result<T, Trouble>;

/// Why there is no factor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Trouble {
    Pivot(NotPositiveDefinite),
    /// A rank was not prepared, or has no memory for a tile.
    Rank(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Pivot(pivot) => pivot.fmt(f),
            Trouble::Rank(reason) => f.write_str(reason),
        }
    }
}

impl Error for Trouble {}

/// Values by columns, on their way between ranks: a tile, or some columns of a matrix.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Block {
    values: Array<f64>,
    rows: usize,
    step: Step,
}

impl Block {
    pub(super) fn of(matrix: MatRef<'_, f64>) -> Known<Block> {
        Block::after(Step::default(), matrix)
    }

    fn after(step: Step, matrix: MatRef<'_, f64>) -> Known<Block> {
        let rows = matrix.nrows();
        let values = Array::build(rows * matrix.ncols(), |values| {
            MatMut::from_column_major_slice_mut(values, rows, matrix.ncols()).copy_from(matrix);
        });
        let values = values.map_err(|error| Trouble::Rank(error.to_string()))?;
        Ok(Block { values, rows, step })
    }

    fn view(&self) -> MatRef<'_, f64> {
        let cols = self.values.len().checked_div(self.rows).unwrap_or(0);
        MatRef::from_column_major_slice(&self.values, self.rows, cols)
    }
}

/// A tile's place.
pub(super) type At = (usize, usize);

/// Prepares this rank for a matrix of so many rows, in tiles of so many.
pub(super) fn begin((size, tile): (usize, usize)) -> Known<()> {
    let executor = executor()?;
    let run = Arc::new(Run::new(Tiles::empty(size, tile), executor.workers()));
    let published = executor.republish(NAME, executor.scatter(run));
    published.map(|_| ()).map_err(|error| Trouble::Rank(error.to_string()))
}

/// Ends what [`begin`] began; for each worker, the time inside tasks and the tasks taken from others so far.
pub(super) fn end(((),): ((),)) -> Known<Vec<(Duration, u64)>> {
    let executor = executor()?;
    let run = run()?;
    executor.unpublish(NAME);
    let stolen = executor.stats().per_worker.into_iter().map(|worker| worker.stolen);
    Ok(run.busy().into_iter().zip(stolen).collect())
}

fn executor() -> Known<Executor> {
    let current = current().ok_or_else(|| Trouble::Rank("no task runs here".to_owned()))?;
    Ok(current.executor().clone())
}

fn run() -> Known<Arc<Run>> {
    let found = executor()?.published::<Arc<Run>>(NAME);
    let found = found.map_err(|error| Trouble::Rank(error.to_string()))?;
    let found = found.ok_or_else(|| Trouble::Rank("a rank has not begun".to_owned()))?;
    found.result().map_err(|error| Trouble::Rank(error.to_string()))
}

/// A tile of the generated matrix of this size.
pub(super) fn generate(((i, j), size): (At, usize)) -> Known<Step> {
    let run = run()?;
    let (rows, cols) = (run.tiles.rows(i), run.tiles.rows(j));
    *run.tiles.write(i, j) = block(&Matrix::Generated(Generated::new(size)), rows, cols);
    Ok(Step::default())
}

/// That block of a matrix.
pub(super) fn block(matrix: &Matrix, rows: Range<usize>, cols: Range<usize>) -> Mat<f64> {
    matrix.block(rows.start, cols.start, rows.len(), cols.len())
}

/// A tile that comes as it is.
pub(super) fn keep(((i, j), block): (At, Known<Block>)) -> Known<Step> {
    *run()?.tiles.write(i, j) = block?.view().to_owned();
    Ok(Step::default())
}

/// A tile of AᵀA, from two panels of columns of A.
pub(super) fn normal(((i, j), left, right): (At, Known<Block>, Known<Block>)) -> Known<Step> {
    let (left, right) = (left?, right?);
    let product = |tiles: &Tiles| *tiles.write(i, j) = gram(left.view(), right.view(), i == j);
    Ok(run()?.step([], product).0)
}

pub(super) fn potrf((k, own): (usize, Known<Step>)) -> Known<Block> {
    let (run, own) = (run()?, own?);
    let (step, factored) = run.step([&own], |tiles| kernels::potrf(tiles.write(k, k).as_mut()));
    let pivot = |i| Trouble::Pivot(NotPositiveDefinite { pivot: run.tiles.rows(k).start + i });
    factored.map_err(pivot)?;
    give(&run, step, (k, k))
}

pub(super) fn trsm(((i, k), own, l): (At, Known<Step>, Known<Block>)) -> Known<Block> {
    let (run, own, l) = (run()?, own?, l?);
    let (step, ()) = run.step([&own, &l.step], |tiles| kernels::trsm(l.view(), tiles.write(i, k).as_mut()));
    give(&run, step, (i, k))
}

/// A tile that is final: from now on it is in no rank's part.
fn give(run: &Run, step: Step, (i, j): At) -> Known<Block> {
    let tile = std::mem::replace(&mut *run.tiles.write(i, j), Mat::new());
    Block::after(step, tile.as_ref())
}

pub(super) fn syrk((j, own, a): (usize, Known<Step>, Known<Block>)) -> Known<Step> {
    let (own, a) = (own?, a?);
    Ok(run()?.step([&own, &a.step], |tiles| kernels::syrk(a.view(), tiles.write(j, j).as_mut())).0)
}

pub(super) fn gemm(((i, j), own, a, b): (At, Known<Step>, Known<Block>, Known<Block>)) -> Known<Step> {
    let (own, a, b) = (own?, a?, b?);
    let update = |tiles: &Tiles| kernels::gemm(a.view(), b.view(), tiles.write(i, j).as_mut());
    Ok(run()?.step([&own, &a.step, &b.step], update).0)
}

pub(super) fn forward_pivot((own, l): (Known<Segment>, Known<Block>)) -> Known<Segment> {
    let (own, l) = (own?, l?);
    Ok(own.next(&*run()?, [&l.step], |_, y| solve_lower(l.view(), y)))
}

pub(super) fn forward_update((own, pivot, l): (Known<Segment>, Known<Segment>, Known<Block>)) -> Known<Segment> {
    let (own, pivot, l) = (own?, pivot?, l?);
    let inputs = [&pivot.step(), &l.step];
    Ok(own.next(&*run()?, inputs, |_, y| subtract_product(l.view(), pivot.values(), y)))
}

pub(super) fn backward_pivot((own, l): (Known<Segment>, Known<Block>)) -> Known<Segment> {
    let (own, l) = (own?, l?);
    Ok(own.next(&*run()?, [], |_, x| solve_upper(l.view().transpose(), x)))
}

pub(super) fn backward_update((own, pivot, l): (Known<Segment>, Known<Segment>, Known<Block>)) -> Known<Segment> {
    let (own, pivot, l) = (own?, pivot?, l?);
    Ok(own.next(&*run()?, [&pivot.step()], |_, x| subtract_product(l.view().transpose(), pivot.values(), x)))
}

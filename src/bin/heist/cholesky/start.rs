//! What brings the tiles: a block of the matrix itself, or of AᵀA for least squares.

use std::sync::Arc;

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};
use heist::prelude::*;

use super::run::{Run, Step};
use super::tiles::Tiles;
use crate::matrix::Matrix;
use crate::matrix::dense::Dense;

/// The tiles of a symmetric matrix, densified where they will be used.
pub(crate) fn densify(executor: &Executor, run: &Arc<Run>, matrix: &Arc<Matrix>) -> Vec<TaskFuture<Step>> {
    let (run, matrix) = (Arc::clone(run), Arc::clone(matrix));
    let places = lower(&run.tiles);
    executor.map(places, move |(i, j)| {
        let tiles = &run.tiles;
        let (rows, cols) = (tiles.rows(i), tiles.rows(j));
        *tiles.write(i, j) = matrix.block(rows.start, cols.start, rows.len(), cols.len());
        Step::default()
    })
}

/// The tiles of AᵀA from the dense A.
pub(crate) fn normal_equations(executor: &Executor, run: &Arc<Run>, dense: &Arc<Dense>) -> Vec<TaskFuture<Step>> {
    let (run, dense) = (Arc::clone(run), Arc::clone(dense));
    let places = lower(&run.tiles);
    executor.map(places, move |(i, j)| {
        let columns = |tiles: &Tiles, i| {
            let columns = tiles.rows(i);
            dense.view().subcols(columns.start, columns.len())
        };
        run.step([], |tiles| *tiles.write(i, j) = gram(columns(tiles, i), columns(tiles, j), i == j)).0
    })
}

/// A tile of AᵀA from two panels of columns of A; of a tile on the `diagonal` only the lower triangle.
pub(super) fn gram(left: MatRef<'_, f64>, right: MatRef<'_, f64>, diagonal: bool) -> Mat<f64> {
    let structure = if diagonal { BlockStructure::TriangularLower } else { BlockStructure::Rectangular };
    let mut product = Mat::zeros(left.ncols(), right.ncols());
    triangular::matmul(
        &mut product,
        structure,
        Accum::Replace,
        left.transpose(),
        BlockStructure::Rectangular,
        right,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
    product
}

/// The places of the lower triangle in the order in which tiles are kept.
pub(super) fn lower(tiles: &Tiles) -> Vec<(usize, usize)> {
    (0..tiles.count()).flat_map(|i| (0..=i).map(move |j| (i, j))).collect()
}

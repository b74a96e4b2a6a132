//! What is to be solved: the matrix, the right-hand side, the tile, and how good an answer is.

use std::sync::Arc;

use faer::ColRef;

use super::graph::factor_tasks;
use super::solve::substitution_tasks;
use crate::args;
use crate::fail::Fail;
use crate::matrix::Matrix;
use crate::matrix::generate::Generated;
use crate::matrix::market;
use crate::memory::Allowed;

/// Above this many tasks a tile is too small for its matrix: submitting them would take longer than all the work.
const MAX_TASKS: u64 = 4_000_000;

/// What a waiting task takes at most.
const TASK_BYTES: u64 = 512;

/// The largest residual that counts as solved.
pub(crate) const BOUND: f64 = 1e-10;

/// How x is determined by A and b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    /// A·x = b with A symmetric positive definite.
    Definite,
    /// The least ‖A·x − b‖, from AᵀA·x = Aᵀb.
    LeastSquares,
}

/// A problem that has passed every check except the factorisation itself.
pub(crate) struct Problem {
    pub(crate) matrix: Arc<Matrix>,
    pub(crate) method: Method,
    pub(crate) source: String,
    pub(crate) rhs: Vec<f64>,
    pub(crate) rhs_source: String,
    pub(crate) tile: usize,
}

impl Problem {
    pub(crate) fn load(args: &args::Cholesky, allowed: Allowed) -> Result<Problem, Fail> {
        let (matrix, source) = match &args.file {
            Some(path) => (market::read(path, allowed)?, path.display().to_string()),
            None => {
                allowed.check_dense(args.size, args.size)?;
                let matrix = Matrix::Generated(Generated::new(args.size));
                (matrix, "generated, diagonally dominant".to_owned())
            }
        };
        let in_source = |fail: Fail| Fail::new(format!("{source}: {fail}"));
        let method = method(&matrix).map_err(in_source)?;
        let (rhs, rhs_source) = match &args.rhs {
            Some(path) => {
                let name = path.display();
                let column =
                    market::read(path, allowed)?.into_column().map_err(|fail| Fail::new(format!("{name}: {fail}")))?;
                if column.len() != matrix.rows() {
                    return Err(Fail::new(format!(
                        "{name}: {} rows for a matrix with {}",
                        column.len(),
                        matrix.rows()
                    )));
                }
                (column, name.to_string())
            }
            None => {
                let ones = vec![1.0; matrix.cols()];
                (matrix.times(&ones), "A times a vector of ones (no --rhs)".to_owned())
            }
        };
        let tile = choose_tile(args.tile, matrix.cols(), allowed)?;
        Ok(Problem { matrix: Arc::new(matrix), method, source, rhs, rhs_source, tile })
    }

    /// Unknowns.
    pub(crate) fn size(&self) -> usize {
        self.matrix.cols()
    }

    /// Rows of tiles.
    pub(crate) fn tile_rows(&self) -> usize {
        self.size().div_ceil(self.tile)
    }

    /// Tiles of the lower triangle.
    pub(crate) fn tiles(&self) -> u64 {
        let count = self.tile_rows() as u64;
        count * (count + 1) / 2
    }

    /// Tasks of the timed graph.
    pub(crate) fn tasks(&self) -> u64 {
        let solve = solve_tasks(self.tile_rows() as u64);
        match self.method {
            Method::Definite => solve,
            Method::LeastSquares => solve + self.tiles(),
        }
    }

    /// Floating-point operations of the timed graph, by the usual counts.
    pub(crate) fn operations(&self) -> f64 {
        let (m, n) = (self.matrix.rows() as f64, self.size() as f64);
        let solve = n * n * n / 3.0 + n * n / 2.0 + 2.0 * n * n;
        match self.method {
            Method::Definite => solve,
            Method::LeastSquares => solve + m * n * (n + 1.0),
        }
    }

    /// The right-hand side of the system that is factored.
    pub(crate) fn square_rhs(&self) -> Vec<f64> {
        match self.method {
            Method::Definite => self.rhs.clone(),
            Method::LeastSquares => self.matrix.transposed_times(&self.rhs),
        }
    }

    /// ‖A·x − b‖/‖b‖, for least squares ‖Aᵀ(A·x − b)‖/‖Aᵀb‖; not relative where b vanishes.
    pub(crate) fn residual(&self, x: &[f64]) -> f64 {
        let mut rest = self.matrix.times(x);
        for (rest, b) in rest.iter_mut().zip(&self.rhs) {
            *rest -= b;
        }
        let rest = match self.method {
            Method::Definite => norm(&rest),
            Method::LeastSquares => norm(&self.matrix.transposed_times(&rest)),
        };
        match norm(&self.square_rhs()) {
            0.0 => rest,
            whole => rest / whole,
        }
    }
}

fn norm(v: &[f64]) -> f64 {
    ColRef::from_slice(v).norm_l2()
}

fn method(matrix: &Matrix) -> Result<Method, Fail> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    if rows < cols {
        return Err(Fail::new(format!(
            "{rows} × {cols}: fewer rows than columns; needs a square matrix or more rows than columns"
        )));
    }
    if rows > cols {
        return Ok(Method::LeastSquares);
    }
    matrix.check_symmetric()?;
    Ok(Method::Definite)
}

fn solve_tasks(tile_rows: u64) -> u64 {
    factor_tasks(tile_rows) + substitution_tasks(tile_rows)
}

fn choose_tile(wanted: Option<usize>, size: usize, allowed: Allowed) -> Result<usize, Fail> {
    let Some(tile) = wanted else {
        return Ok(default_tile(size));
    };
    if tile > size {
        return Err(Fail::new(format!("--tile {tile}: the matrix to factor has only {size} rows")));
    }
    let tasks = |tile: usize| solve_tasks(size.div_ceil(tile) as u64);
    let most = MAX_TASKS.min(allowed.half() / TASK_BYTES);
    if tasks(tile) > most {
        return Err(Fail::new(format!(
            "--tile {tile}: {} tasks for {size} rows, at most {most}; the default would be {}",
            tasks(tile),
            default_tile(size),
        )));
    }
    Ok(tile)
}

/// Some 20 rows of tiles give a few workers enough to share; below 48 rows a tile is all overhead, and
/// beyond 192 (where gemm reaches its best rate in the second-level cache) only the number of tasks counts.
fn default_tile(size: usize) -> usize {
    let shared = (size / 16).next_multiple_of(16).clamp(48, 192);
    let few_tasks = size.div_ceil(256).next_multiple_of(64);
    shared.max(few_tasks).min(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tile_is_acceptable_wherever_the_matrix_is() {
        for size in [1, 2, 47, 48, 49, 712, 4096, 20_000, 65_536, 1_000_000] {
            let allowed = Allowed::from((16 * size * size) as u64);
            let tile = default_tile(size);
            assert!(size < 100 || choose_tile(Some(tile), size, allowed).is_ok(), "{size}");
            assert_eq!(choose_tile(None, size, allowed).ok(), Some(tile));
        }
        assert_eq!(default_tile(4096), 192);
    }

    #[test]
    fn an_absurd_tile_is_refused() {
        let refusal =
            |tile, size, bytes: u64| choose_tile(Some(tile), size, Allowed::from(bytes)).unwrap_err().to_string();
        assert_eq!(refusal(11, 10, u64::MAX), "--tile 11: the matrix to factor has only 10 rows");
        let small = refusal(1, 4096, u64::MAX);
        assert!(small.starts_with("--tile 1: 11478417408 tasks for 4096 rows, at most 4000000"), "{small}");
        let scarce = refusal(12, 3000, 1 << 30);
        assert!(scarce.starts_with("--tile 12: 2698250 tasks for 3000 rows, at most 1048576"), "{scarce}");
    }

    #[test]
    fn a_wide_matrix_is_refused() {
        use crate::matrix::dense::Dense;
        let wide = Matrix::Dense(Arc::new(Dense::zeros(2, 3)));
        assert!(method(&wide).is_err());
        let tall = Matrix::Dense(Arc::new(Dense::zeros(3, 2)));
        assert_eq!(method(&tall).ok(), Some(Method::LeastSquares));
    }
}

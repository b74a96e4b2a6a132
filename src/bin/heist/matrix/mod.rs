//! The matrices a run can be given: read from a file or generated, filled into dense blocks on demand.

use std::sync::Arc;

use faer::{Mat, MatMut};

use crate::fail::Fail;

pub(crate) mod dense;
pub(crate) mod generate;
mod lines;
pub(crate) mod market;
pub(crate) mod sparse;

use dense::Dense;
use generate::Generated;
use sparse::Sparse;

/// A real matrix, as it came.
#[derive(Debug)]
pub(crate) enum Matrix {
    /// From a coordinate file, both triangles present.
    Sparse(Sparse),
    /// From an array file or a well-filled coordinate file, both triangles present.
    Dense(Arc<Dense>),
    /// Computed entry by entry.
    Generated(Generated),
}

/// Relative difference up to which two mirrored entries count as equal.
const SYMMETRY: f64 = 1e-12;

impl Matrix {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Matrix::Sparse(a) => a.rows(),
            Matrix::Dense(a) => a.rows(),
            Matrix::Generated(a) => a.size(),
        }
    }

    pub(crate) fn cols(&self) -> usize {
        match self {
            Matrix::Sparse(a) => a.cols(),
            Matrix::Dense(a) => a.cols(),
            Matrix::Generated(a) => a.size(),
        }
    }

    /// The entries that are stored, of a sparse matrix.
    pub(crate) fn stored(&self) -> Option<usize> {
        match self {
            Matrix::Sparse(a) => Some(a.stored()),
            Matrix::Dense(_) | Matrix::Generated(_) => None,
        }
    }

    /// The dense block whose first entry is at `(row, col)`.
    pub(crate) fn block(&self, row: usize, col: usize, rows: usize, cols: usize) -> Mat<f64> {
        let mut block = Mat::zeros(rows, cols);
        self.fill(row, col, block.as_mut());
        block
    }

    /// The whole matrix, shared with `self` if it is dense already.
    pub(crate) fn dense(&self) -> Arc<Dense> {
        if let Matrix::Dense(a) = self {
            return Arc::clone(a);
        }
        let mut whole = Dense::zeros(self.rows(), self.cols());
        self.fill(0, 0, whole.view_mut());
        Arc::new(whole)
    }

    /// Fills a block of zeros.
    fn fill(&self, row: usize, col: usize, mut block: MatMut<'_, f64>) {
        match self {
            Matrix::Sparse(a) => a.add_block(row, col, block),
            Matrix::Dense(a) => {
                let (rows, cols) = (block.nrows(), block.ncols());
                block.copy_from(a.view().submatrix(row, col, rows, cols));
            }
            Matrix::Generated(a) => a.fill_block(row, col, block),
        }
    }

    /// A·x
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; self.rows()];
        match self {
            Matrix::Sparse(a) => a.each(|i, j, v| y[i] += v * x[j]),
            Matrix::Dense(a) => a.each(|i, j, v| y[i] += v * x[j]),
            Matrix::Generated(a) => a.add_times(x, &mut y),
        }
        y
    }

    /// Aᵀ·y
    pub(crate) fn transposed_times(&self, y: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; self.cols()];
        match self {
            Matrix::Sparse(a) => a.each(|i, j, v| x[j] += v * y[i]),
            Matrix::Dense(a) => a.each(|i, j, v| x[j] += v * y[i]),
            Matrix::Generated(a) => a.add_times(y, &mut x),
        }
        x
    }

    /// The first pair of mirrored entries that differ, if the matrix is square and not symmetric.
    pub(crate) fn check_symmetric(&self) -> Result<(), Fail> {
        let mut worst = None;
        let mut compare = |i: usize, j: usize, v: f64, mirrored: f64| {
            if worst.is_none() && (v - mirrored).abs() > SYMMETRY * v.abs().max(mirrored.abs()) {
                worst = Some((i, j, v, mirrored));
            }
        };
        match self {
            Matrix::Sparse(a) => a.each(|i, j, v| compare(i, j, v, a.at(j, i))),
            Matrix::Dense(a) => a.each(|i, j, v| compare(i, j, v, a.at(j, i))),
            Matrix::Generated(_) => {}
        }
        match worst {
            None => Ok(()),
            Some((i, j, v, mirrored)) => Err(Fail::new(format!(
                "the square matrix is not symmetric: entry ({}, {}) is {v} and entry ({}, {}) is {mirrored}",
                i + 1,
                j + 1,
                j + 1,
                i + 1,
            ))),
        }
    }

    /// The only column, for a right-hand side.
    pub(crate) fn into_column(self) -> Result<Vec<f64>, Fail> {
        match self.cols() {
            1 => Ok(self.times(&[1.0])),
            cols => Err(Fail::new(format!("a right-hand side has one column, this has {cols}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms() -> (Matrix, Matrix) {
        let entries = vec![(0, 0, 4.0), (2, 0, 1.5), (1, 1, 5.0), (0, 2, -2.0), (2, 2, 6.0), (2, 2, 0.5)];
        let mut dense = Dense::zeros(3, 3);
        for &(i, j, v) in &entries {
            *dense.at_mut(i, j) += v;
        }
        (Matrix::Sparse(Sparse::from_entries(3, 3, entries)), Matrix::Dense(Arc::new(dense)))
    }

    #[test]
    fn sparse_and_dense_agree() {
        let (sparse, dense) = forms();
        let v = [1.0, -2.0, 3.0];
        assert_eq!(sparse.times(&v), [-2.0, -10.0, 21.0]);
        assert_eq!(dense.times(&v), [-2.0, -10.0, 21.0]);
        assert_eq!(sparse.transposed_times(&v), [8.5, -10.0, 17.5]);
        assert_eq!(dense.transposed_times(&v), [8.5, -10.0, 17.5]);
        assert_eq!(sparse.block(1, 0, 2, 3), dense.block(1, 0, 2, 3));
    }

    #[test]
    fn an_unsymmetric_pair_is_named_from_one() {
        let (sparse, dense) = forms();
        for matrix in [sparse, dense] {
            let refusal = matrix.check_symmetric().unwrap_err().to_string();
            assert!(refusal.ends_with("entry (3, 1) is 1.5 and entry (1, 3) is -2"), "{refusal}");
        }
    }

    #[test]
    fn the_generated_forms_agree() {
        let a = Matrix::Generated(Generated::new(7));
        let dense = Matrix::Dense(a.dense());
        assert!(dense.check_symmetric().is_ok());
        let x: Vec<f64> = (0..7).map(f64::from).collect();
        for (left, right) in a.times(&x).iter().zip(dense.times(&x)) {
            assert!((left - right).abs() < 1e-12, "{left} {right}");
        }
        assert_eq!(a.block(5, 2, 2, 3), dense.block(5, 2, 2, 3));
    }
}

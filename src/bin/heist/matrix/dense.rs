//! A dense matrix as a file gives it.

use faer::{MatMut, MatRef};

/// Column after column in one piece. Zeros take no memory until they are written, so a file that announces much and
/// holds little costs little.
#[derive(Debug)]
pub(crate) struct Dense {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
}

impl Dense {
    pub(crate) fn zeros(rows: usize, cols: usize) -> Dense {
        Dense { rows, cols, values: vec![0.0; rows * cols] }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i + j * self.rows]
    }

    pub(crate) fn at_mut(&mut self, i: usize, j: usize) -> &mut f64 {
        &mut self.values[i + j * self.rows]
    }

    pub(crate) fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.values, self.rows, self.cols)
    }

    pub(crate) fn view_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_column_major_slice_mut(&mut self.values, self.rows, self.cols)
    }

    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize, f64)) {
        for (j, col) in self.values.chunks(self.rows).enumerate() {
            for (i, v) in col.iter().enumerate() {
                visit(i, j, *v);
            }
        }
    }
}

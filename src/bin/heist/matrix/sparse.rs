//! A sparse matrix by columns.

use faer::MatMut;

/// Compressed columns, rows ascending, no place twice.
#[derive(Debug)]
pub(crate) struct Sparse {
    rows: usize,
    starts: Vec<usize>,
    entries: Vec<(usize, f64)>,
}

impl Sparse {
    /// From `(row, col, value)` in any order; values at the same place are summed.
    pub(crate) fn from_entries(rows: usize, cols: usize, mut triples: Vec<(usize, usize, f64)>) -> Sparse {
        triples.sort_by_key(|&(i, j, _)| (j, i));
        triples.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        let mut starts = vec![0; cols + 1];
        for &(_, j, _) in &triples {
            starts[j + 1] += 1;
        }
        for j in 0..cols {
            starts[j + 1] += starts[j];
        }
        let entries = triples.into_iter().map(|(i, _, v)| (i, v)).collect();
        Sparse { rows, starts, entries }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.starts.len() - 1
    }

    /// The entries that are stored.
    pub(crate) fn stored(&self) -> usize {
        self.entries.len()
    }

    fn col(&self, j: usize) -> &[(usize, f64)] {
        &self.entries[self.starts[j]..self.starts[j + 1]]
    }

    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        let col = self.col(j);
        col.binary_search_by_key(&i, |&(row, _)| row).map_or(0.0, |found| col[found].1)
    }

    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize, f64)) {
        for j in 0..self.cols() {
            for &(i, v) in self.col(j) {
                visit(i, j, v);
            }
        }
    }

    /// Adds what lies in the block at `(row, col)`.
    pub(crate) fn add_block(&self, row: usize, col: usize, mut block: MatMut<'_, f64>) {
        let end = row + block.nrows();
        for j in 0..block.ncols() {
            let entries = self.col(col + j);
            let first = entries.partition_point(|&(i, _)| i < row);
            for &(i, v) in entries[first..].iter().take_while(|&&(i, _)| i < end) {
                block[(i - row, j)] += v;
            }
        }
    }
}

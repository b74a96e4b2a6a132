//! The lower triangle of a symmetric matrix as tiles that tasks update in place.
//!
//! A reader–writer lock holds each tile. The task graph already gives every tile one writer at a time, and
//! readers only once it is final, so no lock is ever waited for; it costs some 20 ns where a kernel takes
//! from 5 to 500 µs, and buys in-place updates without `unsafe`.

use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use faer::Mat;

/// Tiles `(i, j)` with `j <= i`, each a column-major matrix of its own, aligned for SIMD.
pub(crate) struct Tiles {
    size: usize,
    tile: usize,
    lower: Vec<RwLock<Mat<f64>>>,
}

impl Tiles {
    /// Tiles with no storage yet: whoever first writes a tile brings its matrix.
    pub(crate) fn empty(size: usize, tile: usize) -> Tiles {
        let count = size.div_ceil(tile);
        let lower = (0..place(count, 0)).map(|_| RwLock::new(Mat::new())).collect();
        Tiles { size, tile, lower }
    }

    /// Rows of tiles.
    pub(crate) fn count(&self) -> usize {
        self.size.div_ceil(self.tile)
    }

    /// The rows of the matrix that are in tile row `i`.
    pub(crate) fn rows(&self, i: usize) -> Range<usize> {
        i * self.tile..((i + 1) * self.tile).min(self.size)
    }

    pub(crate) fn read(&self, i: usize, j: usize) -> RwLockReadGuard<'_, Mat<f64>> {
        self.lower[place(i, j)].read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self, i: usize, j: usize) -> RwLockWriteGuard<'_, Mat<f64>> {
        self.lower[place(i, j)].write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where tile `(i, j)` with `j <= i` is kept: row by row.
pub(crate) fn place(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

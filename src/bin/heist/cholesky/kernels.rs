//! The four dense kernels of a tiled Cholesky factorisation, each on one core.
//!
//! faer does the arithmetic: it picks AVX2 or AVX-512 when the program runs, so the compiler's default
//! flags lose nothing, and `Par::Seq` keeps it on the calling thread.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::{matmul, triangular_solve};
use faer::{Accum, MatMut, MatRef, Par};

/// A ← L with A = L·Lᵀ, lower triangle only; the index of the first pivot that is not positive otherwise.
pub(crate) fn potrf(a: MatMut<'_, f64>) -> Result<(), usize> {
    let scratch = factor::cholesky_in_place_scratch::<f64>(a.nrows(), Par::Seq, Default::default());
    let mut buffer = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut buffer);
    match factor::cholesky_in_place(a, Default::default(), Par::Seq, stack, Default::default()) {
        Ok(_) => Ok(()),
        Err(factor::LltError::NonPositivePivot { index }) => Err(index),
    }
}

/// A ← A·L⁻ᵀ
pub(crate) fn trsm(l: MatRef<'_, f64>, a: MatMut<'_, f64>) {
    triangular_solve::solve_lower_triangular_in_place(l, a.transpose_mut(), Par::Seq);
}

/// C ← C − A·Aᵀ, lower triangle only
pub(crate) fn syrk(a: MatRef<'_, f64>, c: MatMut<'_, f64>) {
    triangular::matmul(
        c,
        BlockStructure::TriangularLower,
        Accum::Add,
        a,
        BlockStructure::Rectangular,
        a.transpose(),
        BlockStructure::Rectangular,
        -1.0,
        Par::Seq,
    );
}

/// C ← C − A·Bᵀ
pub(crate) fn gemm(a: MatRef<'_, f64>, b: MatRef<'_, f64>, c: MatMut<'_, f64>) {
    matmul::matmul(c, Accum::Add, a, b.transpose(), -1.0, Par::Seq);
}

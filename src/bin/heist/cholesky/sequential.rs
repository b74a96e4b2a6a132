//! The same factorisation and solution in plain loops: what the graph must compute.

use super::kernels;
use super::tiles::Tiles;

/// Tiles ← L, or the index of the first pivot that is not positive.
pub(crate) fn factor(tiles: &Tiles) -> Result<(), usize> {
    let count = tiles.count();
    for k in 0..count {
        kernels::potrf(tiles.write(k, k).as_mut()).map_err(|i| tiles.rows(k).start + i)?;
        for i in k + 1..count {
            kernels::trsm(tiles.read(k, k).as_ref(), tiles.write(i, k).as_mut());
        }
        for j in k + 1..count {
            kernels::syrk(tiles.read(j, k).as_ref(), tiles.write(j, j).as_mut());
            for i in j + 1..count {
                let (a, b) = (tiles.read(i, k), tiles.read(j, k));
                kernels::gemm(a.as_ref(), b.as_ref(), tiles.write(i, j).as_mut());
            }
        }
    }
    Ok(())
}

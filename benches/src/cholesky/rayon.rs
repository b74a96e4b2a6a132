//! The factorisation bulk-synchronously on rayon: three parallel loops, one after another, in every step.

use ::rayon::prelude::*;

use super::tiles::Tiles;
use super::{Job, bad_pivot, kernels};
use crate::report::timed;
use crate::start::rayon;

pub(super) fn start(workers: usize) -> Job {
    let pool = rayon(workers);
    Box::new(move |run| {
        let (factored, wall, cpu) = timed(|| pool.install(|| factor(&run.tiles)));
        factored.map(|()| (wall, cpu)).map_err(bad_pivot)
    })
}

fn factor(tiles: &Tiles) -> Result<(), usize> {
    let count = tiles.count();
    for k in 0..count {
        kernels::potrf(tiles.write(k, k).as_mut()).map_err(|i| tiles.rows(k).start + i)?;
        (k + 1..count).into_par_iter().for_each(|i| {
            kernels::trsm(tiles.read(k, k).as_ref(), tiles.write(i, k).as_mut());
        });
        let updates: Vec<(usize, usize)> = (k + 1..count).flat_map(|j| (j..count).map(move |i| (i, j))).collect();
        updates.into_par_iter().for_each(|(i, j)| {
            let b = tiles.read(j, k);
            if i == j {
                kernels::syrk(b.as_ref(), tiles.write(j, j).as_mut());
            } else {
                kernels::gemm(tiles.read(i, k).as_ref(), b.as_ref(), tiles.write(i, j).as_mut());
            }
        });
    }
    Ok(())
}

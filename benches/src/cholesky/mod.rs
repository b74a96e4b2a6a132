//! The workload `cholesky`: a dense factorisation by tiles, with the kernels and tiles of the `heist` program.

pub mod cli;
#[path = "../../../src/bin/heist/matrix/generate.rs"]
mod generate;
#[allow(dead_code, reason = "the program reports more")]
#[path = "../../../src/bin/heist/cholesky/graph.rs"]
mod graph;
mod heist;
#[path = "../../../src/bin/heist/cholesky/kernels.rs"]
mod kernels;
mod rayon;
#[allow(dead_code, reason = "the program reports more")]
#[path = "../../../src/bin/heist/cholesky/run.rs"]
mod run;
#[path = "../../../src/bin/heist/cholesky/sequential.rs"]
mod sequential;
#[path = "../../../src/bin/heist/cholesky/tiles.rs"]
mod tiles;

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use self::generate::Generated;
use self::run::Run;
use self::tiles::Tiles;
use crate::report::{Report, Series, timed};

/// Who runs the tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// A graph of heist's futures.
    Heist,
    /// Plain loops.
    Sequential,
    /// rayon, bulk-synchronously: the kernels of each kind in each step side by side, then a barrier.
    Rayon,
}

/// A pool that is set up; factors the tiles, and returns the time and the CPU time of that.
type Job = Box<dyn FnMut(&Arc<Run>) -> Result<(Duration, Duration), String>>;

impl Runtime {
    fn start(self, workers: usize) -> Job {
        match self {
            Runtime::Heist => heist::start(workers),
            Runtime::Sequential => Box::new(|run| {
                let (factored, wall, cpu) = timed(|| sequential::factor(&run.tiles));
                factored.map(|()| (wall, cpu)).map_err(bad_pivot)
            }),
            Runtime::Rayon => rayon::start(workers),
        }
    }
}

fn bad_pivot(row: usize) -> String {
    format!("pivot {row} is not positive")
}

/// Factors once to warm up and `repeats` times for the report, and checks every factor.
fn measure(job: &mut Job, size: usize, tile: usize, repeats: usize) -> Result<Report, String> {
    let problem = Generated::new(size);
    let run = Arc::new(Run::new(Tiles::empty(size, tile), 0));
    let operations = (size as f64).powi(3) / 3.0;
    let mut total = Series::new("total", "ms");
    let mut core = Series::new("core", "ms");
    let mut rate = Series::new("rate", "GFLOP/s");
    for repeat in 0..=repeats {
        fill(&run.tiles, problem);
        let (wall, cpu) = job(&run)?;
        check(&run.tiles, problem)?;
        if repeat > 0 {
            total.samples.push(wall.as_secs_f64() * 1e3);
            core.samples.push(cpu.as_secs_f64() * 1e3);
            rate.samples.push(operations / wall.as_secs_f64() / 1e9);
        }
    }
    let tile = Series { samples: vec![tile as f64], ..Series::new("tile", "rows") };
    Ok(Report { series: vec![total, core, rate, tile] })
}

fn fill(tiles: &Tiles, problem: Generated) {
    for i in 0..tiles.count() {
        for j in 0..=i {
            let (rows, cols) = (tiles.rows(i), tiles.rows(j));
            let mut block = tiles.write(i, j);
            if block.nrows() == 0 {
                *block = faer::Mat::zeros(rows.len(), cols.len());
            }
            problem.fill_block(rows.start, cols.start, block.as_mut());
        }
    }
}

/// L·(Lᵀ·v) must be A·v.
fn check(tiles: &Tiles, problem: Generated) -> Result<(), String> {
    let size = problem.size();
    let v: Vec<f64> = (0..size).map(|i| 1.0 + (i % 7) as f64).collect();
    let mut expected = vec![0.0; size];
    problem.add_times(&v, &mut expected);
    let mut transposed = vec![0.0; size];
    each(tiles, |i, j, l| transposed[j] += l * v[i]);
    let mut product = vec![0.0; size];
    each(tiles, |i, j, l| product[i] += l * transposed[j]);
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let error = norm(&mut product.iter().zip(&expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied());
    if error < 1e-12 { Ok(()) } else { Err(format!("the factor is wrong: relative error {error:e}")) }
}

/// Calls `visit` with the row, column and value of every entry of the lower triangle.
fn each(tiles: &Tiles, mut visit: impl FnMut(usize, usize, f64)) {
    for i in 0..tiles.count() {
        for j in 0..=i {
            let (rows, cols) = (tiles.rows(i), tiles.rows(j));
            let block = tiles.read(i, j);
            for col in 0..block.ncols() {
                let first = if i == j { col } else { 0 };
                for row in first..block.nrows() {
                    visit(rows.start + row, cols.start + col, block[(row, col)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_factors_and_a_wrong_factor_is_found() {
        for &runtime in Runtime::value_variants() {
            let report = measure(&mut runtime.start(2), 100, 16, 1).expect("factors");
            assert_eq!(report.series[0].samples.len(), 1);
        }
        let tiles = Tiles::empty(100, 16);
        fill(&tiles, Generated::new(100));
        assert!(check(&tiles, Generated::new(100)).is_err());
    }
}

//! The same graph over ranks: rank 0 submits it, and each task runs where the tile lies that it changes.
//!
//! A tile that is being updated stays where it is, and only the fact that it has reached a state is a future, as on one rank. A
//! tile that is final is the value of a future: an array, which travels to the ranks whose tasks take it, once to each.

use std::sync::Arc;
use std::time::Instant;

use heist::prelude::*;
use heist::{Args, Rank, World};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::graph::{ahead, updates};
use super::problem::{Method, Problem};
use super::report::Measured;
use super::run::Step;
use super::solve::Segment;
use super::tiles::{Tiles, place};
use super::{not_definite, start};
use crate::fail::Fail;
use crate::matrix::Matrix;
use crate::progress::Progress;
use crate::ranks;

mod grid;
mod part;
#[cfg(test)]
mod tests;

use grid::Grid;
use part::{At, Block, Known, Trouble};

/// Runs the graph on all ranks and returns x.
pub(super) fn solve(executor: &Executor, problem: &Problem, progress: Progress) -> Result<(Vec<f64>, Measured), Fail> {
    let world = executor.world();
    let workers = ranks::workers(&world)?.iter().sum();
    let shape = (problem.size(), problem.tile);
    let on_each = |submit: &dyn Fn(Rank) -> _| known(problem, ranks::all(&world).map(submit).collect::<Vec<_>>());
    on_each(&|rank| world.on(rank).submit(part::begin, shape))?;

    let mut graph = Graph { executor, world: &world, grid: Grid::of(world.size()), ahead: ahead(workers), tasks: 0 };
    let tiles = Tiles::empty(problem.size(), problem.tile);
    let begun = Instant::now();
    let mut states = match problem.method {
        Method::Definite => graph.densify(problem, &tiles),
        Method::LeastSquares => Vec::new(),
    };
    wait(problem, &states)?;
    let densify = begun.elapsed();

    graph.tasks = 0;
    let begun = Instant::now();
    if problem.method == Method::LeastSquares {
        states = graph.normal_equations(problem, &tiles);
    }
    let factor = graph.factor(states, tiles.count());
    let x = graph.substitute(&factor, &tiles, &problem.square_rhs());
    progress.follow(
        |limit| {
            // How it ended is asked below.
            let _ = limit.map_or_else(|| x[0].wait(), |limit| x[0].wait_timeout(limit));
            x[0].done()
        },
        || factor.iter().filter(|tile| tile.done()).count() as u64,
    );
    drop(factor);
    let segments = known(problem, x)?;
    let achieved = begun.elapsed();

    let figures = ranks::all(&world).map(|rank| world.on(rank).submit(part::end, ((),))).collect();
    let measured = Measured {
        densify,
        achieved,
        critical_path: segments[0].step().chain(),
        tasks: graph.tasks,
        ranks: world.size(),
        workers: known(problem, figures)?.concat(),
    };
    Ok((segments.iter().flat_map(Segment::values).copied().collect(), measured))
}

/// The values of all, or why there is one that has none.
fn known<T: Clone + Send + Sync>(problem: &Problem, futures: Vec<TaskFuture<Known<T>>>) -> Result<Vec<T>, Fail> {
    let values = futures.into_iter().map(|future| match future.result() {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Trouble::Pivot(pivot))) => Err(not_definite(problem, pivot)),
        Ok(Err(Trouble::Rank(reason))) => Err(Fail::new(reason)),
        Err(error) => Err(Fail::task(&error)),
    });
    values.collect()
}

struct Graph<'a> {
    executor: &'a Executor,
    world: &'a World,
    grid: Grid,
    /// See [`ahead`].
    ahead: usize,
    /// Submitted so far.
    tasks: u64,
}

/// For each tile, that it is where it will be changed.
type States = Vec<TaskFuture<Known<Step>>>;
/// For each tile, what it is in the end.
type Factor = Vec<TaskFuture<Known<Block>>>;

impl Graph<'_> {
    /// Submits a task to where a tile lies.
    fn at<I: Args, T>(&mut self, (i, j): At, task: fn(I::Values) -> Known<T>, args: I) -> TaskFuture<Known<T>>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.tasks += 1;
        self.world.on(self.grid.owner(i, j)).submit(task, args)
    }

    /// The tiles of a symmetric matrix: computed where they belong, or cut out of it here and sent there.
    fn densify(&mut self, problem: &Problem, tiles: &Tiles) -> States {
        let cut = |(i, j): At| {
            let (matrix, rows, cols) = (Arc::clone(&problem.matrix), tiles.rows(i), tiles.rows(j));
            self.executor.submit(move || Block::of(part::block(&matrix, rows, cols).as_ref()))
        };
        let places = start::lower(tiles);
        match *problem.matrix {
            Matrix::Generated(_) => {
                places.into_iter().map(|at| self.at(at, part::generate, (at, problem.size()))).collect()
            }
            Matrix::Sparse(_) | Matrix::Dense(_) => {
                let blocks: Vec<_> = places.iter().map(|&at| cut(at)).collect();
                places.into_iter().zip(&blocks).map(|(at, block)| self.at(at, part::keep, (at, block))).collect()
            }
        }
    }

    /// The tiles of AᵀA, from the columns of A.
    fn normal_equations(&mut self, problem: &Problem, tiles: &Tiles) -> States {
        let rows = problem.matrix.rows();
        let columns: Vec<_> = (0..tiles.count())
            .map(|j| {
                let (matrix, cols) = (Arc::clone(&problem.matrix), tiles.rows(j));
                self.executor.submit(move || Block::of(part::block(&matrix, 0..rows, cols).as_ref()))
            })
            .collect();
        let places = start::lower(tiles).into_iter();
        places.map(|(i, j)| self.at((i, j), part::normal, ((i, j), &columns[i], &columns[j]))).collect()
    }

    /// As `graph::factor`: the same updates of each tile in the same order, so that the factor is the same to the last bit.
    fn factor(&mut self, states: States, count: usize) -> Factor {
        let mut states: Vec<_> = states.into_iter().map(Some).collect();
        let mut factor: Vec<Option<_>> = states.iter().map(|_| None).collect();
        for j in 0..count {
            for i in j..count {
                let Some(mut own) = states[place(i, j)].take() else { continue };
                for k in updates(j, self.ahead) {
                    let (Some(a), Some(b)) = (&factor[place(i, k)], &factor[place(j, k)]) else { continue };
                    own = if i == j {
                        self.at((j, j), part::syrk, (j, &own, a))
                    } else {
                        self.at((i, j), part::gemm, ((i, j), &own, a, b))
                    };
                }
                factor[place(i, j)] = match &factor[place(j, j)] {
                    Some(l) => Some(self.at((i, j), part::trsm, ((i, j), &own, l))),
                    None => Some(self.at((j, j), part::potrf, (j, &own))),
                };
            }
        }
        factor.into_iter().flatten().collect()
    }

    /// As `solve::substitute`.
    fn substitute(&mut self, factor: &Factor, tiles: &Tiles, b: &[f64]) -> Vec<TaskFuture<Known<Segment>>> {
        let segment = |i| self.executor.scatter(Known::Ok(Segment::new(b[tiles.rows(i)].to_vec())));
        let mut x: Vec<_> = (0..tiles.count()).map(segment).collect();
        for k in 0..x.len() {
            x[k] = self.at((k, k), part::forward_pivot, (&x[k], &factor[place(k, k)]));
            for i in k + 1..x.len() {
                x[i] = self.at((i, k), part::forward_update, (&x[i], &x[k], &factor[place(i, k)]));
            }
        }
        for k in (0..x.len()).rev() {
            x[k] = self.at((k, k), part::backward_pivot, (&x[k], &factor[place(k, k)]));
            for i in (0..k).rev() {
                x[i] = self.at((k, i), part::backward_update, (&x[i], &x[k], &factor[place(k, i)]));
            }
        }
        x
    }
}

/// Waits for tiles to be where they belong.
fn wait(problem: &Problem, states: &States) -> Result<(), Fail> {
    known(problem, states.clone()).map(|_| ())
}

//! The graph against the plain loops, and whole solves against what they must give.

use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::args::{Command, Verb, Workload};
use crate::host;
use crate::matrix::Matrix;

pub(super) fn problem(line: &str) -> Problem {
    let line = format!("heist run cholesky {line}");
    let Verb::Run(Workload::Cholesky(args)) = Command::try_parse_from(line.split(' ')).unwrap().verb else {
        panic!("{line} runs no workload");
    };
    Problem::load(&args, Allowed::from(1 << 30)).unwrap()
}

pub(super) fn matrix_of(size: usize, entry: impl Fn(usize, usize) -> f64) -> Problem {
    let mut dense = Dense::zeros(size, size);
    for (i, j) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))) {
        *dense.at_mut(i, j) = entry(i, j);
    }
    let matrix = Matrix::Dense(Arc::new(dense));
    let rhs = matrix.times(&vec![1.0; size]);
    Problem {
        matrix: Arc::new(matrix),
        method: Method::Definite,
        source: "test".to_owned(),
        rhs,
        rhs_source: "test".to_owned(),
        tile: 3,
    }
}

pub(super) fn solve_with(problem: &Problem, workers: usize) -> Result<(Vec<f64>, Measured), Fail> {
    let executor = host::builder(Some(workers)).build()?;
    solve(&executor, problem, Progress::new(false, 0, "tasks"))
}

#[test]
fn the_graph_computes_what_the_loops_compute() {
    for (size, tile) in [(1, 1), (48, 48), (100, 32), (96, 16), (131, 17)] {
        for workers in [1, 2, 5] {
            let problem = problem(&format!("--size {size} --tile {tile}"));
            let executor = host::builder(Some(workers)).build().unwrap();
            let [by_graph, by_loops] = [0, 1].map(|_| Arc::new(Run::new(Tiles::empty(size, tile), workers)));
            let mut states = start::densify(&executor, &by_graph, &problem.matrix);
            graph::factor(&executor, &by_graph, &mut states);
            executor.gather_values(&states).unwrap();
            let copied = start::densify(&executor, &by_loops, &problem.matrix);
            executor.gather_values(&copied).unwrap();
            assert_eq!(sequential::factor(&by_loops.tiles), Ok(()));
            for (i, j) in (0..by_loops.tiles.count()).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                let (graph, loops) = (by_graph.tiles.read(i, j), by_loops.tiles.read(i, j));
                let apart = (&*graph - &*loops).norm_max();
                assert!(apart < 1e-13, "tile ({i}, {j}) of {size} by {tile}: {apart}");
            }
        }
    }
}

#[test]
fn a_run_can_be_repeated_to_the_last_bit() {
    let problem = problem("--size 300 --tile 24");
    let [first, second] = [0, 1].map(|_| solve_with(&problem, 2).unwrap().0);
    assert_eq!(first, second);
}

#[test]
fn every_tile_size_gives_the_solution_and_the_announced_number_of_tasks() {
    for tile in [1, 2, 7, 20, 39, 40] {
        let problem = problem(&format!("--size 40 --tile {tile}"));
        let (x, measured) = solve_with(&problem, 2).unwrap();
        assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-12), "{x:?}");
        assert!(problem.residual(&x) < 1e-14);
        assert_eq!(measured.tasks, problem.tasks());
    }
}

#[test]
fn least_squares_solve_the_normal_equations() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/data/well1850.mtx.gz");
    let problem = problem(&file.display().to_string());
    assert_eq!(problem.method, Method::LeastSquares);
    let (x, measured) = solve_with(&problem, 2).unwrap();
    assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-9));
    assert!(problem.residual(&x) < 1e-12);
    assert_eq!(measured.tasks, problem.tasks());
}

#[test]
fn the_first_bad_pivot_is_named_wherever_it_lies() {
    for bad in 0..8 {
        let diagonal = |i| if i == bad { -1.0 } else { 4.0 };
        let problem = matrix_of(8, |i, j| if i == j { diagonal(i) } else { 0.0 });
        let refusal = solve_with(&problem, 2).err().unwrap().to_string();
        let expected = format!("test: not positive definite: pivot {} is not a positive number", bad + 1);
        assert_eq!(refusal, expected);
    }
}

#[test]
fn the_critical_path_lies_between_the_longest_task_and_the_run() {
    let problem = problem("--size 200 --tile 50");
    let (_, measured) = solve_with(&problem, 1).unwrap();
    assert!(!measured.critical_path.is_zero());
    assert!(measured.critical_path <= measured.achieved);
}

#[test]
fn a_residual_without_right_hand_side_is_absolute() {
    let mut problem = matrix_of(4, |i, j| if i == j { 2.0 } else { 0.0 });
    problem.rhs = vec![0.0; 4];
    assert_eq!(problem.residual(&[0.0; 4]), 0.0);
    assert_eq!(problem.residual(&[1.5, 0.0, 0.0, 0.0]), 3.0);
}

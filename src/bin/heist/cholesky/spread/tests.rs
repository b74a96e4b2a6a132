//! The graph over ranks against the graph on one.

use heist::PinPolicy;

use super::super::tests::{matrix_of, problem, solve_with};
use super::*;

fn over(ranks: usize, problem: &Problem) -> Result<(Vec<f64>, Measured), Fail> {
    let each = |_| Executor::builder().workers(1).pin(PinPolicy::None);
    let world = Executor::in_process_world(ranks, each).unwrap();
    solve(&world[0], problem, Progress::new(false, 0, "tiles"))
}

#[test]
fn ranks_compute_what_as_many_workers_of_one_compute() {
    for (size, tile) in [(1, 1), (48, 48), (100, 32), (96, 16), (131, 17)] {
        let problem = problem(&format!("--size {size} --tile {tile}"));
        for ranks in [1, 2, 3, 4] {
            let (x, measured) = over(ranks, &problem).unwrap();
            assert_eq!(x, solve_with(&problem, ranks).unwrap().0, "{size} by {tile} over {ranks}");
            assert_eq!((measured.tasks, measured.ranks, measured.workers.len()), (problem.tasks(), ranks, ranks));
            assert!(!measured.critical_path.is_zero() && measured.critical_path <= measured.achieved);
        }
    }
}

#[test]
fn a_matrix_from_a_file_is_cut_up_and_sent() {
    let problem = matrix_of(8, |i, j| if i == j { 10.0 } else { 1.0 / (1.0 + i as f64 + j as f64) });
    assert_eq!(over(3, &problem).unwrap().0, solve_with(&problem, 3).unwrap().0);
}

#[test]
fn least_squares_solve_the_normal_equations_over_ranks() {
    let file = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/data/well1850.mtx.gz");
    let problem = problem(&file.display().to_string());
    let (x, measured) = over(4, &problem).unwrap();
    assert_eq!(x, solve_with(&problem, 4).unwrap().0);
    assert_eq!(measured.tasks, problem.tasks());
}

#[test]
fn the_first_bad_pivot_is_named_from_whatever_rank() {
    for bad in 0..8 {
        let diagonal = |i| if i == bad { -1.0 } else { 4.0 };
        let problem = matrix_of(8, |i, j| if i == j { diagonal(i) } else { 0.0 });
        let refusal = over(4, &problem).err().unwrap().to_string();
        assert_eq!(refusal, format!("test: not positive definite: pivot {} is not a positive number", bad + 1));
    }
}

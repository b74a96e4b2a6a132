//! Random graphs of tasks, compared with a serial evaluation.

use heist::{Executor, Status, TaskFuture};

use crate::{stress, tasks};

/// A node's inputs by index, all lower than its own.
type Graph = Vec<Vec<usize>>;

fn random(random: &mut fastrand::Rng, nodes: usize) -> Graph {
    (0..nodes)
        .map(|node| {
            let inputs = if node == 0 { 0 } else { random.usize(0..5) };
            // Near ones make it deep, far ones wide.
            (0..inputs).map(|_| if random.bool() { random.usize(0..node) } else { node - 1 }).collect()
        })
        .collect()
}

fn step(node: usize, inputs: impl Iterator<Item = u64>) -> u64 {
    inputs.fold(node as u64, |sum, input| sum.rotate_left(7).wrapping_mul(31) ^ input)
}

fn serial(graph: &Graph) -> Vec<u64> {
    let mut values: Vec<u64> = Vec::new();
    for (node, inputs) in graph.iter().enumerate() {
        values.push(step(node, inputs.iter().map(|&input| values[input])));
    }
    values
}

fn submit(ex: &Executor, graph: &Graph) -> Vec<TaskFuture<u64>> {
    let mut futures: Vec<TaskFuture<u64>> = Vec::new();
    for (node, inputs) in graph.iter().enumerate() {
        let future = match inputs[..] {
            [] => ex.submit(move || step(node, std::iter::empty())),
            [a] => ex.submit_after(&futures[a], move |a| step(node, [*a].into_iter())),
            [a, b] => ex.submit_after((&futures[a], &futures[b]), move |(a, b)| step(node, [*a, *b].into_iter())),
            _ => {
                let inputs: Vec<_> = inputs.iter().map(|&input| &futures[input]).collect();
                ex.submit_after(inputs, move |inputs| step(node, inputs.into_iter().copied()))
            }
        };
        futures.push(future);
    }
    futures
}

#[test]
fn stress_random_graphs() {
    for workers in [1, 2, 5] {
        stress(workers, |ex| {
            let mut rng = fastrand::Rng::with_seed(1);
            let mut left = tasks();
            while left > 0 {
                let graph = random(&mut rng, 10_000.min(left));
                left -= graph.len();
                assert_eq!(ex.gather(submit(ex, &graph)).unwrap(), serial(&graph));
            }
        });
    }
}

#[test]
fn stress_random_graphs_made_by_tasks() {
    stress(2, |ex| {
        let makers = ex.map(0..(tasks() / 1_000).max(1) as u64, |seed| {
            let graph = random(&mut fastrand::Rng::with_seed(seed), 1_000);
            let current = heist::current().unwrap();
            let values = current.executor().gather(submit(current.executor(), &graph)).unwrap();
            values == serial(&graph)
        });
        assert!(ex.gather(makers).unwrap().into_iter().all(|same| same));
    });
}

/// Nodes are cancelled while the graph runs: exactly those have no value that depend on one.
#[test]
fn stress_random_graphs_with_cancels() {
    for workers in [1, 2] {
        stress(workers, |ex| {
            let mut rng = fastrand::Rng::with_seed(2);
            let mut left = tasks();
            while left > 0 {
                let graph = random(&mut rng, 2_000.min(left));
                left -= graph.len();
                let futures = submit(ex, &graph);
                let mut lost = vec![false; graph.len()];
                for _ in 0..5 {
                    let node = rng.usize(0..graph.len());
                    lost[node] |= futures[node].cancel("at random");
                }
                let values = serial(&graph);
                for (node, future) in futures.iter().enumerate() {
                    future.wait().unwrap();
                    // What was done before the cancel of an input has its value.
                    let may_be_lost = lost[node] || graph[node].iter().any(|&input| lost[input]);
                    match future.status() {
                        Status::Finished => {
                            assert!(!lost[node]);
                            assert_eq!(future.result().unwrap(), values[node]);
                        }
                        Status::Cancelled => {
                            assert!(may_be_lost, "node {node} was cancelled by nobody");
                            lost[node] = true;
                        }
                        status => panic!("{status:?}"),
                    }
                }
            }
        });
    }
}

//! The workloads `spawn`, `chain` and `map` under criterion, for one runtime against itself over time. Peers are
//! compared by `scripts/bench-compare`, which runs them interleaved.

use std::thread::available_parallelism;

use clap::ValueEnum;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heist_benches::chain::CHAIN;
use heist_benches::map::MAP;
use heist_benches::spawn::SPAWN;
use heist_benches::tasks::Submitter;

const TASKS: u64 = 10_000;

fn tasks(criterion: &mut Criterion) {
    let workers = available_parallelism().map_or(2, usize::from);
    for tasks in [&SPAWN, &CHAIN, &MAP] {
        for &submitter in Submitter::value_variants() {
            let mut group = criterion.benchmark_group(format!("{}/{submitter:?}", tasks.name));
            group.throughput(Throughput::Elements(TASKS));
            // smol reads its number of workers from the environment of the process.
            for name in tasks.names(submitter, workers).into_iter().filter(|&name| name != "smol") {
                let mut job = tasks.start(name, submitter, workers).expect("starts");
                group.bench_function(name, |bencher| {
                    bencher.iter(|| tasks.check(job(TASKS), TASKS).expect("the right value"));
                });
            }
        }
    }
}

criterion_group!(benches, tasks);
criterion_main!(benches);

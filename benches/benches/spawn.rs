//! The workload `spawn` under criterion, for one runtime against itself over time. Peers are compared by
//! `scripts/bench-compare spawn`, which runs them interleaved.

use std::thread::available_parallelism;

use clap::ValueEnum;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heist_benches::spawn::{RUNTIMES, Workload, expected};

const TASKS: u64 = 10_000;

fn spawn(criterion: &mut Criterion) {
    let workers = available_parallelism().map_or(2, usize::from);
    let expected = expected(TASKS);
    for &workload in Workload::value_variants() {
        let mut group = criterion.benchmark_group(format!("spawn/{workload:?}"));
        group.throughput(Throughput::Elements(TASKS));
        // smol reads its number of workers from the environment of the process.
        for runtime in RUNTIMES.iter().filter(|r| r.name != "smol") {
            let Some(start) = runtime.start(workload, workers) else {
                continue;
            };
            let mut job = start(workers);
            group.bench_function(runtime.name, |bencher| {
                bencher.iter(|| assert_eq!(job(TASKS).sum, expected));
            });
        }
    }
}

criterion_group!(benches, spawn);
criterion_main!(benches);

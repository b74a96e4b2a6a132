//! The workload `wake` under criterion: the time to the start of a task in an idle pool, the pause left out.

use std::thread::available_parallelism;
use std::time::Duration;

use clap::ValueEnum;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use heist_benches::pool::{self, Pool, Visit};
use heist_benches::wake::{Pause, once};

const PAUSE: Duration = Duration::from_micros(100);

struct Bench<'a, 'b> {
    group: &'a mut BenchmarkGroup<'b, WallTime>,
    name: &'static str,
    pause: Pause,
}

impl Visit for Bench<'_, '_> {
    type Output = ();

    fn visit<P: Pool>(self, pool: &P) {
        let Bench { group, name, pause } = self;
        group.bench_function(name, |bencher| {
            bencher
                .iter_custom(|times| (0..times).map(|_| Duration::from_nanos(once(pool, || pause.take(PAUSE)))).sum());
        });
    }
}

fn wake(criterion: &mut Criterion) {
    let workers = available_parallelism().map_or(2, usize::from);
    for &pause in Pause::value_variants() {
        let mut group = criterion.benchmark_group(format!("wake/{pause:?}"));
        for &name in pool::NAMES {
            pool::on(name, workers, Bench { group: &mut group, name, pause }).expect("starts");
        }
    }
}

criterion_group!(benches, wake);
criterion_main!(benches);

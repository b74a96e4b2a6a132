//! From samples to rows: medians, spread and ratios.

use serde::Serialize;

use super::plan::Measurement;
use crate::report::Report;

/// A measurement and what its processes said, a report a round.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) plan: Measurement,
    pub(super) rounds: Vec<Report>,
    /// Rounds in which no undisturbed process was seen.
    pub(super) disturbed: usize,
}

/// One metric of one measurement, as the JSON file has it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) workload: String,
    pub(super) runtime: String,
    pub(super) workers: usize,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) runs: usize,
    pub(super) allocator: String,
}

impl Measured {
    pub(super) fn new(plan: Measurement) -> Measured {
        Measured { plan, rounds: Vec::new(), disturbed: 0 }
    }

    /// A row a metric, in the order of the reports.
    pub(super) fn rows(&self) -> Vec<Row> {
        let series = self.rounds.first().map_or(&[][..], |round| &round.series);
        series.iter().map(|series| self.row(&series.metric, &series.unit)).collect()
    }

    fn row(&self, metric: &str, unit: &str) -> Row {
        let mut samples: Vec<f64> = self.rounds.iter().flat_map(|round| samples(round, metric)).collect();
        Row {
            workload: self.plan.workload.clone(),
            runtime: self.plan.runtime.clone(),
            workers: self.plan.workers,
            metric: metric.into(),
            unit: unit.into(),
            median: median(&mut samples),
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(0.0, f64::max),
            runs: samples.len(),
            allocator: self.plan.allocator.name().into(),
        }
    }

    /// The median over the rounds of this one's metric by the other's.
    pub(super) fn ratio(&self, reference: &Measured, metric: &str) -> f64 {
        let median = |round| median(&mut samples(round, metric).collect::<Vec<_>>());
        let mut ratios: Vec<f64> =
            self.rounds.iter().zip(&reference.rounds).map(|(a, b)| median(a) / median(b)).collect();
        self::median(&mut ratios)
    }
}

/// The median of the first metric of one process.
pub(super) fn leading(report: &Report) -> f64 {
    median(&mut report.series.first().map_or(vec![], |series| series.samples.clone()))
}

fn samples<'a>(report: &'a Report, metric: &'a str) -> impl Iterator<Item = f64> + 'a {
    report.series.iter().filter(move |series| series.metric == metric).flat_map(|series| series.samples.iter().copied())
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let n = samples.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => samples[n / 2],
        _ => f64::midpoint(samples[n / 2 - 1], samples[n / 2]),
    }
}

//! From samples to rows: medians, spread and ratios.

use std::collections::BTreeMap;

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

    /// A row a metric, `total` first.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut samples: BTreeMap<(bool, &str, &str), Vec<f64>> = BTreeMap::new();
        for series in self.rounds.iter().flat_map(|round| &round.series) {
            let key = (series.metric != "total", &*series.metric, &*series.unit);
            samples.entry(key).or_default().extend(&series.samples);
        }
        let row = |((_, metric, unit), mut samples): (_, Vec<f64>)| Row {
            workload: self.plan.workload.clone(),
            runtime: self.plan.runtime.clone(),
            workers: self.plan.workers,
            metric: String::from(metric),
            unit: String::from(unit),
            median: median(&mut samples),
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(0.0, f64::max),
            runs: samples.len(),
            allocator: self.plan.allocator.to_string(),
        };
        samples.into_iter().map(row).collect()
    }

    /// The median over the rounds of this one's total by the other's.
    pub(super) fn ratio(&self, reference: &Measured) -> f64 {
        let mut ratios: Vec<f64> =
            self.rounds.iter().zip(&reference.rounds).map(|(a, b)| total(a) / total(b)).collect();
        median(&mut ratios)
    }
}

/// The median total of one process.
pub(super) fn total(report: &Report) -> f64 {
    let totals = report.series.iter().filter(|s| s.metric == "total");
    median(&mut totals.flat_map(|s| &s.samples).copied().collect::<Vec<_>>())
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

//! The table a person reads.

use std::io::{self, Write};

use super::rows::{Measured, Row};
use crate::groups::Allocator;

/// Prints a table a workload, the fewest workers and the fastest first. `reference` is the runtime that the others are divided by.
pub(super) fn print(measured: &[Measured], reference: Option<&str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut workloads: Vec<&str> = measured.iter().map(|m| &*m.plan.workload).collect();
    workloads.dedup();
    for workload in workloads {
        let mut entries: Vec<(&Measured, Vec<Row>)> =
            measured.iter().filter(|m| m.plan.workload == workload).map(|m| (m, m.rows())).collect();
        entries.sort_by(|(_, a), (_, b)| (a[0].workers.cmp(&b[0].workers)).then(a[0].median.total_cmp(&b[0].median)));
        head(&mut out, workload, &entries[0].1, reference)?;
        for (entry, rows) in &entries {
            line(&mut out, entry, rows, reference, measured)?;
        }
        writeln!(out)?;
    }
    if measured.iter().any(|m| m.disturbed > 0) {
        writeln!(out, "† rounds in which others kept the machine busy")?;
    }
    Ok(())
}

fn head(out: &mut impl Write, workload: &str, rows: &[Row], reference: Option<&str>) -> io::Result<()> {
    write!(out, "**{workload}**\n\n| runtime | workers | allocator |")?;
    for row in rows {
        write!(out, " {}, {} |", row.metric, row.unit)?;
        if let Some(reference) = reference {
            write!(out, " ×{reference} |")?;
        }
    }
    let columns = 3 + rows.len() * if reference.is_some() { 2 } else { 1 };
    writeln!(out, "\n|{}", "---|".repeat(columns))
}

fn line(
    out: &mut impl Write,
    entry: &Measured,
    rows: &[Row],
    reference: Option<&str>,
    all: &[Measured],
) -> io::Result<()> {
    let plan = &entry.plan;
    write!(out, "| {} | {} | {} |", plan.runtime, plan.workers, plan.allocator.name())?;
    for (index, row) in rows.iter().enumerate() {
        let runs = match (index, entry.disturbed) {
            (0, 0) => format!(", n={}", row.runs),
            (0, disturbed) => format!(", n={}, {disturbed}†", row.runs),
            _ => String::new(),
        };
        write!(out, " {} ({}–{}{runs}) |", short(row.median), short(row.min), short(row.max))?;
        if let Some(reference) = reference {
            let ratio = reference_of(entry, all, reference).map(|by| entry.ratio(by, &row.metric));
            write!(out, " {} |", ratio.map_or("–".into(), |ratio| format!("{ratio:.2}")))?;
        }
    }
    writeln!(out)
}

/// What `entry` is divided by: the reference on the same workload with as many workers, under the system's allocator.
fn reference_of<'a>(entry: &Measured, all: &'a [Measured], reference: &str) -> Option<&'a Measured> {
    all.iter().find(|m| {
        m.plan.workload == entry.plan.workload
            && m.plan.workers == entry.plan.workers
            && m.plan.runtime == reference
            && m.plan.allocator == Allocator::System
    })
}

/// Three significant digits, as far as there is a point to them.
fn short(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

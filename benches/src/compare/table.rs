//! The table a person reads.

use std::io::{self, Write};

use super::Reference;
use super::rows::{Measured, Row};

/// Prints a table a workload, the fastest first.
pub(super) fn print(measured: &[Measured], reference: Reference) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut workloads: Vec<&str> = measured.iter().map(|m| &*m.plan.workload).collect();
    workloads.dedup();
    for workload in workloads {
        let mut entries: Vec<(&Measured, Vec<Row>)> =
            measured.iter().filter(|m| m.plan.workload == workload).map(|m| (m, m.rows())).collect();
        entries.sort_by(|(_, a), (_, b)| a[0].median.total_cmp(&b[0].median));
        head(&mut out, workload, &entries[0].1, reference)?;
        for (entry, rows) in &entries {
            line(&mut out, entry, rows, reference_of(entry, measured, reference))?;
        }
        writeln!(out)?;
    }
    if measured.iter().any(|m| m.disturbed > 0) {
        writeln!(out, "† rounds in which others kept the machine busy")?;
    }
    Ok(())
}

fn head(out: &mut impl Write, workload: &str, rows: &[Row], reference: Reference) -> io::Result<()> {
    let total = &rows[0];
    write!(
        out,
        "**{workload}**\n\n| runtime | workers | allocator | total, {} | ×{} |",
        total.unit, reference.runtime
    )?;
    for row in &rows[1..] {
        write!(out, " {}, {} |", row.metric, row.unit)?;
    }
    writeln!(out, "\n|{}", "---|".repeat(4 + rows.len()))
}

fn line(out: &mut impl Write, entry: &Measured, rows: &[Row], reference: Option<&Measured>) -> io::Result<()> {
    let plan = &entry.plan;
    let total = &rows[0];
    write!(
        out,
        "| {} | {} | {} | {} ({}–{}, n={}{}) |",
        plan.runtime,
        plan.workers,
        plan.allocator,
        short(total.median),
        short(total.min),
        short(total.max),
        total.runs,
        if entry.disturbed > 0 { format!(", {}†", entry.disturbed) } else { String::new() },
    )?;
    match reference {
        Some(reference) => write!(out, " {:.2} |", entry.ratio(reference))?,
        None => write!(out, " – |")?,
    }
    for row in &rows[1..] {
        write!(out, " {} |", short(row.median))?;
    }
    writeln!(out)
}

/// What `entry` is divided by: the reference on the same workload with as many workers, else with the fewest.
fn reference_of<'a>(entry: &Measured, all: &'a [Measured], reference: Reference) -> Option<&'a Measured> {
    all.iter().find(|m| {
        m.plan.workload == entry.plan.workload
            && m.plan.workers == entry.plan.workers
            && m.plan.runtime == reference.runtime
            && m.plan.allocator == reference.allocator
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

//! `heist doctor`: what about this host, or about how the process was started on it, costs speed, and what mends it.

mod facts;
mod findings;
mod mend;
mod ranks;
mod report;

use crate::args::Doctor;
use crate::fail::Fail;
use crate::{layout, output};
use facts::Facts;
use report::Report;

/// Prints what was found; true when nothing of it costs.
pub(crate) fn run(args: &Doctor) -> Result<bool, Fail> {
    let facts = Facts::gather()?;
    let report = Report::new(&facts, findings::all(&facts));
    output::print(&if args.json { report.json()? } else { report.text(layout::width()) })?;
    Ok(report.is_well())
}

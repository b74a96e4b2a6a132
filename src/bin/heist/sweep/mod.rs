//! `heist run sweep`: a model for every row of a file, its results written as they come.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use heist::prelude::*;
use heist::{AsCompleted, World};

use crate::args::{self, Which};
use crate::fail::{Fail, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::ranks;

mod epidemic;
mod lorenz;
mod model;
mod oscillator;
mod parameters;
mod report;
mod results;

use model::Model;
use parameters::{Parameters, Row, Rows};
use report::{Counts, Measured, Report, Subject};
use results::{Done, Format, Place, Results, Solved, Worst};

/// Rows that are under way at a time, by the worker: enough that none waits for the file, few enough for memory.
const UNDER_WAY: usize = 64;

/// Reads, sweeps, writes and reports.
pub(crate) fn run(executor: &Executor, args: &args::Sweep) -> Result<Outcome, Fail> {
    let model = Model::of(args.model);
    let format = Format::new(model, args.steps);
    let parameters = Parameters::open(&args.file, model)?;
    let mut place = args.output.as_deref().map(|path| Place::probe(path, &format, &parameters)).transpose()?;
    let done = place.as_mut().map(|place| std::mem::take(&mut place.done)).unwrap_or_default();
    let counts = look_through(&parameters, &format, &done, args)?;
    let workers = ranks::workers(&executor.world())?.iter().sum();
    let results = match place {
        Some(place) => place.begin(format)?,
        None => Results::printed(format)?,
    };
    let wanted = !args.json && (args.output.is_some() || !io::stdout().is_terminal());
    let progress = Progress::new(wanted, counts.to_do(), "rows");
    let world = executor.world();
    let sweep = Sweep { world, workers, which: args.model, steps: args.steps, done: &done, to_do: counts.to_do() };
    let measured = sweep.run(parameters.rows()?, results, progress)?;
    let subject = Subject {
        model,
        steps: args.steps,
        parameters: args.file.display().to_string(),
        results: args.output.as_deref().map_or("stdout".to_owned(), |path| path.display().to_string()),
        ranks: sweep.world.size(),
        workers,
        warnings: executor.warnings(),
    };
    let report = Report::new(subject, counts, &measured);
    let text = if args.json { report.json()? } else { report.text() };
    match args.output {
        Some(_) => output::print(&text)?,
        None => tell(&text),
    }
    if args.check && !report.within_bound() {
        return Ok(Outcome::AboveBound(report.above_bound()));
    }
    Ok(Outcome::Done)
}

/// Tells what does not belong to the results.
fn tell(text: &str) {
    // With stderr gone there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Looks for bad rows, and for results of other parameters, before there is any work.
fn look_through(parameters: &Parameters, format: &Format, done: &Done, args: &args::Sweep) -> Result<Counts, Fail> {
    let shown = parameters.path.display();
    let mut counts = Counts::default();
    let mut first_bad = None;
    let changed = |line: u64, what: String| {
        let results = args.output.as_deref().unwrap_or(&args.file).display();
        Fail::new(format!("{shown}:{line}: {what} in {results}; remove that file or name another --output"))
    };
    let mut rows = parameters.rows()?;
    while let Some(row) = rows.next()? {
        counts.rows += 1;
        match row {
            Ok(row) if done.differs(&row, format) => {
                let what = format!("row {} is not the one, or not swept in as many steps, whose result is", row.number);
                return Err(changed(rows.line()?, what));
            }
            Ok(row) => counts.before += u64::from(done.has(row.number)),
            Err(bad) if done.has(counts.rows) => {
                return Err(changed(rows.line()?, format!("{bad}; its row {} has a result", counts.rows)));
            }
            Err(bad) => {
                counts.bad += 1;
                if args.skip_bad {
                    tell(&format!("heist: left out: {shown}:{}: {bad}\n", rows.line()?));
                } else if counts.bad == 1 {
                    first_bad = Some((rows.line()?, bad));
                }
            }
        }
    }
    if done.last() > counts.rows {
        let what = format!("the last row is {}, and row {} has a result", counts.rows, done.last());
        return Err(changed(rows.line()?, what));
    }
    let Some((line, bad)) = first_bad else {
        return Ok(counts);
    };
    let more = match counts.bad {
        1 => String::new(),
        bad => format!(" (the first of {bad} bad rows)"),
    };
    Err(Fail::new(format!("{shown}:{line}: {bad}{more}; --skip-bad leaves bad rows out")))
}

/// A sweep over the rows that are not done, by all ranks: those that have nothing to do pull rows from this one.
struct Sweep<'a> {
    world: World,
    /// Those of all ranks.
    workers: usize,
    which: Which,
    steps: u64,
    done: &'a Done,
    to_do: u64,
}

type UnderWay = AsCompleted<(Solved, Duration)>;

/// Runs the model for a row, on whatever rank.
fn solve((which, steps, row): (Which, u64, Row)) -> (Solved, Duration) {
    let start = Instant::now();
    let observed = (Model::of(which).run)(&row.values, steps);
    (Solved { row, observed }, start.elapsed())
}

impl Sweep<'_> {
    fn run(&self, mut rows: Rows<'_>, mut results: Results, progress: Progress) -> Result<Measured, Fail> {
        let start = Instant::now();
        let mut measured = Measured { took: Duration::ZERO, busy: Duration::ZERO, swept: 0, worst: self.done.worst };
        let mut under_way: UnderWay = as_completed([]);
        let to_the_end = loop {
            self.refill(&mut under_way, &mut rows)?;
            let batch = under_way.next_batch(true);
            if batch.is_empty() {
                break true;
            }
            let solved = batch.into_iter().map(|(_, solved)| solved).collect::<Result<Vec<_>, _>>();
            let solved = solved.map_err(|error| Fail::task(&error))?;
            if !results.write(solved.iter().map(|solved| &solved.0))? {
                break false;
            }
            for (solved, took) in solved {
                measured.swept += 1;
                measured.busy += took;
                let error = solved.observed.last().copied().unwrap_or_default();
                measured.worst = Worst::or(measured.worst, solved.row.number, error);
            }
            progress.show(measured.swept);
        };
        if let Some(error) = under_way.ended_early() {
            return Err(Fail::new(format!("the sweep ended early: {error}")));
        }
        results.finish()?;
        progress.clear();
        if to_the_end && measured.swept != self.to_do {
            return Err(Fail::new("the parameters were changed while they were swept; run it again"));
        }
        measured.took = start.elapsed();
        Ok(measured)
    }

    /// Submits rows until enough are under way.
    fn refill(&self, under_way: &mut UnderWay, rows: &mut Rows<'_>) -> Result<(), Fail> {
        while under_way.len() < UNDER_WAY * self.workers {
            match rows.next()? {
                Some(Ok(row)) if !self.done.has(row.number) => {
                    under_way.push(self.world.submit(solve, (self.which, self.steps, row)));
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }
}

//! The `heist` program: real workloads on the executor, measured and checked; what heist makes of a host, and what is wrong
//! with it.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

mod args;
mod cholesky;
mod doctor;
mod fail;
mod host;
mod layout;
mod matrix;
mod memory;
mod output;
mod progress;
mod ranks;
mod sweep;
mod topo;

use args::{Command, Verb, Workload};
use fail::{Fail, Outcome};

/// An error is above its bound.
const ABOVE_BOUND: u8 = 1;

/// Something about the host costs.
const UNWELL: u8 = 1;

/// The input cannot be used.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) if error.use_stderr() => return stop(BAD_INPUT, &args::one_line(&error)),
        Err(help) => return help_or_version(&format!("{}\n", help.to_string().trim_end())),
    };
    let done = match command.verb {
        Verb::Run(workload) => run(workload).map(|outcome| match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::AboveBound(reason) => stop(ABOVE_BOUND, &reason),
        }),
        Verb::Topo(args) => topo::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Doctor(args) => doctor::run(&args).map(|well| if well { ExitCode::SUCCESS } else { UNWELL.into() }),
    };
    done.unwrap_or_else(|fail| stop(BAD_INPUT, &fail.to_string()))
}

/// Runs a workload on all ranks: rank 0 directs it, and the others serve until it is done.
fn run(workload: Workload) -> Result<Outcome, Fail> {
    workload.validate()?;
    let outcome = host::builder(workload.workers()).launch(|executor| match &workload {
        Workload::Cholesky(args) => cholesky::run(executor, args),
        Workload::Sweep(args) => sweep::run(executor, args),
    })?;
    outcome.unwrap_or(Ok(Outcome::Done))
}

fn help_or_version(text: &str) -> ExitCode {
    match output::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => stop(BAD_INPUT, &fail.to_string()),
    }
}

fn stop(code: u8, reason: &str) -> ExitCode {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "heist: {reason}");
    ExitCode::from(code)
}

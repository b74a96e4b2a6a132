//! The `heist` program: real workloads on the executor, measured and checked.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

mod args;
mod cholesky;
mod fail;
mod matrix;
mod memory;
mod output;
mod progress;

use args::{Command, Verb, Workload};
use cholesky::Outcome;

/// The residual is above its bound.
const ABOVE_BOUND: u8 = 1;

/// The input cannot be used.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) if error.use_stderr() => return stop(BAD_INPUT, &args::one_line(&error)),
        Err(help) => return help_or_version(&format!("{}\n", help.to_string().trim_end())),
    };
    let Verb::Run(Workload::Cholesky(args)) = command.verb;
    match cholesky::run(&args) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::AboveBound(reason)) => stop(ABOVE_BOUND, &reason),
        Err(fail) => stop(BAD_INPUT, &fail.to_string()),
    }
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

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::fail::Fail;

/// heist: a work-stealing executor with live futures
#[derive(Debug, Parser)]
#[command(name = "heist", version, arg_required_else_help = false)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a real workload on the executor and report what it cost
    #[command(subcommand, arg_required_else_help = false)]
    Run(Workload),
}

/// The workloads of `heist run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Workload {
    /// Solve A·x = b by a tiled Cholesky factorisation, or least squares through the normal equations
    Cholesky(Cholesky),
}

/// Arguments of `heist run cholesky`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 solved; 1 the residual is above its bound (with --check); 2 bad input.")]
pub(crate) struct Cholesky {
    /// Matrix Market file (coordinate or array; real, integer or pattern; general or symmetric; plain or gzip).
    /// Square: symmetric positive definite. More rows than columns: least squares
    #[arg(value_name = "FILE", conflicts_with = "size")]
    pub(crate) file: Option<PathBuf>,

    /// Right-hand side, a Matrix Market file of one column [default: A times a vector of ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) rhs: Option<PathBuf>,

    /// Without FILE: the size of the generated symmetric positive definite matrix
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) size: usize,

    /// Rows and columns of a tile [default: chosen from the size of the matrix]
    #[arg(long, value_name = "B")]
    pub(crate) tile: Option<usize>,

    /// Worker threads [default: one pinned to each physical core this process may use]
    #[arg(long, value_name = "W")]
    pub(crate) workers: Option<usize>,

    /// Exit with 1 if the residual is above its bound
    #[arg(long)]
    pub(crate) check: bool,

    /// Print one JSON object instead of text, and no progress bar
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the solution x to this file, as a Matrix Market array
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The most workers one run may ask for.
const MAX_WORKERS: usize = 4096;

impl Cholesky {
    /// Refuses what no matrix could make sensible.
    pub(crate) fn validate(&self) -> Result<(), Fail> {
        match (self.size, self.tile, self.workers) {
            (0, _, _) => Err(Fail::new("--size 0: a matrix needs at least one row")),
            (_, Some(0), _) => Err(Fail::new("--tile 0: a tile needs at least one row")),
            (_, _, Some(0)) => Err(Fail::new("--workers 0: a run needs at least one worker")),
            (_, _, Some(w)) if w > MAX_WORKERS => Err(Fail::new(format!("--workers {w}: at most {MAX_WORKERS}"))),
            _ => Ok(()),
        }
    }
}

/// What the parser has to say, on one line and without the usage that follows it.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or(&text);
    let words: Vec<&str> = first.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cholesky, clap::Error> {
        let Verb::Run(Workload::Cholesky(args)) = Command::try_parse_from(line.split(' '))?.verb;
        Ok(args)
    }

    #[test]
    fn a_complete_line_is_understood() {
        let args =
            parse("heist run cholesky a.mtx --rhs b.mtx --tile 96 --workers 2 --check --json --output x.mtx").unwrap();
        assert_eq!(args.file, Some(PathBuf::from("a.mtx")));
        assert_eq!(args.rhs, Some(PathBuf::from("b.mtx")));
        assert_eq!((args.tile, args.workers), (Some(96), Some(2)));
        assert!(args.check && args.json);
        assert_eq!(args.output, Some(PathBuf::from("x.mtx")));
        assert!(args.validate().is_ok());
    }

    #[test]
    fn a_file_and_a_size_exclude_each_other() {
        let error = parse("heist run cholesky a.mtx --size 10").unwrap_err();
        let line = one_line(&error);
        assert_eq!(line, "the argument '[FILE]' cannot be used with '--size <N>'");
    }

    #[test]
    fn senseless_numbers_are_refused() {
        for (line, start) in [
            ("heist run cholesky --size 0", "--size 0:"),
            ("heist run cholesky --tile 0", "--tile 0:"),
            ("heist run cholesky --workers 0", "--workers 0:"),
            ("heist run cholesky --workers 4097", "--workers 4097:"),
        ] {
            let refusal = parse(line).unwrap().validate().unwrap_err().to_string();
            assert!(refusal.starts_with(start), "{refusal}");
        }
        assert!(parse("heist run cholesky --workers 4096").unwrap().validate().is_ok());
        assert!(parse("heist run cholesky --tile -3").is_err());
    }
}

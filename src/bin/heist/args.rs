//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use heist::numa::{CpuSet, Order};
use serde::{Deserialize, Serialize};

use crate::fail::Fail;
use crate::host::check_workers;

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
    /// Show a host as heist sees it: domains, caches, cores, what is allowed, and where workers would sit and why
    Topo(Topo),
    /// Look for what makes this host slower than it is, and say which flag of the launcher mends it
    Doctor(Doctor),
}

/// The workloads of `heist run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Workload {
    /// Solve A·x = b by a tiled Cholesky factorisation, or least squares through the normal equations
    Cholesky(Cholesky),
    /// Run a model for every row of a CSV of parameters; results as they come, resumable when interrupted
    Sweep(Sweep),
}

/// Arguments of `heist topo`.
#[derive(Debug, Args)]
pub(crate) struct Topo {
    /// A made-up host instead of this one, as "2 domains × 4 cores × 2 threads" or "numa:2 core:4 pu:2"
    #[arg(long, value_name = "TEXT", conflicts_with = "root")]
    pub(crate) synthetic: Option<String>,

    /// A recorded host: a directory with a copy of its /sys/devices/system
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Workers to seat [default: HEIST_WORKERS, else one for each core allowed, cut to the CPU quota]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,

    /// What each worker has for itself
    #[arg(long, value_enum, default_value_t = Unit::Core)]
    pub(crate) per: Unit,

    /// Which seats are taken first: spread (over domains and caches), compact, or only these PUs, as 0-3,8
    #[arg(long, value_name = "ORDER", default_value = "spread", value_parser = order)]
    pub(crate) order: Order,

    /// Cores to leave without a worker, the last ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) leave_free: usize,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a worker has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// A physical core
    Core,
    /// A processing unit: SMT siblings work side by side
    Pu,
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "spread" => Ok(Order::Spread),
        "compact" => Ok(Order::Compact),
        list => match list.parse::<CpuSet>() {
            Ok(pus) if !pus.is_empty() => Ok(Order::List(pus)),
            Ok(_) => Err("a list of PUs has at least one".to_owned()),
            Err(error) => Err(format!("neither spread nor compact, and {error}")),
        },
    }
}

/// Arguments of `heist doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Run it as the program is run: `mpirun … heist doctor`, `srun … heist doctor`.\n\n\
                  Exit code: 0 all well; 1 something costs; 2 bad usage.")]
pub(crate) struct Doctor {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
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

    /// Worker threads, of each rank [default: one pinned to each physical core this process may use]
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

/// Arguments of `heist run sweep`.
#[derive(Debug, Args)]
#[command(after_help = "Run again with the same --output, an interrupted sweep goes on where it was.\n\n\
                  Exit code: 0 all rows done; 1 an error is above its bound (with --check); 2 bad input.")]
pub(crate) struct Sweep {
    /// CSV file with a column for each parameter of the model and a row for each run of it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The model
    #[arg(long, value_enum, default_value_t = Which::Oscillator)]
    pub(crate) model: Which,

    /// Runge-Kutta steps of each run
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) steps: u64,

    /// Write results to this CSV file, and keep those that are there already [default: to stdout, the report to stderr]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out rows that cannot be used, each named on stderr
    #[arg(long)]
    pub(crate) skip_bad: bool,

    /// Worker threads, of each rank [default: one pinned to each physical core this process may use]
    #[arg(long, value_name = "W")]
    pub(crate) workers: Option<usize>,

    /// Exit with 1 if the error of a row is above its bound
    #[arg(long)]
    pub(crate) check: bool,

    /// Report by one JSON object instead of text, and no progress bar
    #[arg(long)]
    pub(crate) json: bool,
}

/// The models of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Which {
    /// A damped oscillator driven from rest: damping, natural, driving, force
    Oscillator,
    /// The Lorenz system and its Lyapunov exponents: sigma, rho, beta
    Lorenz,
    /// An epidemic in a closed population: transmission, recovery, infected
    Epidemic,
}

impl Workload {
    /// Refuses what no input could make sensible.
    pub(crate) fn validate(&self) -> Result<(), Fail> {
        match self {
            Workload::Cholesky(args) => args.validate(),
            Workload::Sweep(args) => args.validate(),
        }
    }

    /// Workers of each rank, if that is not left to heist.
    pub(crate) fn workers(&self) -> Option<usize> {
        match self {
            Workload::Cholesky(args) => args.workers,
            Workload::Sweep(args) => args.workers,
        }
    }
}

impl Sweep {
    /// Refuses what no sweep could make sensible.
    fn validate(&self) -> Result<(), Fail> {
        if self.steps == 0 {
            return Err(Fail::new("--steps 0: a run needs at least one step"));
        }
        check_workers("--workers", self.workers)
    }
}

impl Cholesky {
    /// Refuses what no matrix could make sensible.
    pub(crate) fn validate(&self) -> Result<(), Fail> {
        match (self.size, self.tile) {
            (0, _) => Err(Fail::new("--size 0: a matrix needs at least one row")),
            (_, Some(0)) => Err(Fail::new("--tile 0: a tile needs at least one row")),
            _ => check_workers("--workers", self.workers),
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
        match Command::try_parse_from(line.split(' '))?.verb {
            Verb::Run(Workload::Cholesky(args)) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    fn topo(line: &str) -> Result<Topo, String> {
        match Command::try_parse_from(line.split(' ')).map_err(|error| one_line(&error))?.verb {
            Verb::Topo(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn seats_can_be_asked_for_in_three_ways() {
        for (text, expected) in
            [("spread", Order::Spread), ("compact", Order::Compact), ("8,0-3", Order::List("0-3,8".parse().unwrap()))]
        {
            assert_eq!(topo(&format!("heist topo --order {text}")).unwrap().order, expected);
        }
        let defaults = topo("heist topo").unwrap();
        assert_eq!((defaults.order, defaults.per, defaults.leave_free), (Order::Spread, Unit::Core, 0));
        assert_eq!(topo("heist topo --per pu").unwrap().per, Unit::Pu);
        for wrong in ["near", "3-1", ","] {
            let error = topo(&format!("heist topo --order {wrong}")).unwrap_err();
            assert!(error.contains("neither spread nor compact") && error.contains(wrong), "{error}");
        }
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

    #[test]
    fn a_sweep_needs_nothing_but_its_parameters() {
        let sweep = |line: &str| -> Result<Sweep, String> {
            match Command::try_parse_from(line.split(' ')).map_err(|error| one_line(&error))?.verb {
                Verb::Run(Workload::Sweep(args)) => Ok(args),
                other => panic!("{other:?}"),
            }
        };
        let args = sweep("heist run sweep p.csv").unwrap();
        assert_eq!((args.model, args.steps, args.workers, args.output), (Which::Oscillator, 20_000, None, None));
        assert!(!args.skip_bad && !args.check && !args.json);
        assert!(sweep("heist run sweep").unwrap_err().contains("<FILE>"));
        let zero = sweep("heist run sweep p.csv --steps 0").unwrap();
        assert!(zero.validate().unwrap_err().to_string().starts_with("--steps 0:"));
    }
}

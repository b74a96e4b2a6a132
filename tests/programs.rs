//! The program and the examples as ranks, under every launcher there is: they say what they say alone, rank 0 says it, and
//! nothing is to be told to them but how many they are.
//!
//! `HEIST_REQUIRE` names what must be there, with commas: `openmpi`, `mpich`, `slurm`, or `all`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Ways to start ranks, and what they are called by who insists on them.
const LAUNCHERS: [(&str, &[&str]); 4] = [
    ("openmpi", &["mpirun", "--oversubscribe"]),
    ("mpich", &["mpirun.mpich"]),
    ("slurm", &["srun", "-Q", "-O", "--mpi=pmix"]),
    ("slurm", &["srun", "-Q", "-O", "--mpi=pmi2"]),
];

/// Without these, Open MPI starts nothing for root.
const AS_ROOT: [(&str, &str); 2] = [("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")];

/// Seconds that a job may take.
const LIMIT: &str = "120";

/// Runs a program behind `words`.
fn behind(words: &[&str], program: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", LIMIT]).args(words).args(program).envs(AS_ROOT).stdin(Stdio::null());
    command.output().unwrap()
}

/// Calls `test` with the words of each launcher there is, for so many ranks.
fn each(ranks: &str, test: impl Fn(&[&str])) {
    let required = std::env::var("HEIST_REQUIRE").unwrap_or_default();
    for (name, words) in LAUNCHERS {
        let tried = behind(words, &["-n", "1", "true"]);
        if tried.status.success() {
            test(&[words, &["-n", ranks]].concat());
            continue;
        }
        let reason = text(&tried.stderr);
        let insisted = required.split(',').any(|one| one == name || one == "all");
        assert!(!insisted, "{name} is required by HEIST_REQUIRE: {reason}");
        // Past the capture of the test harness, which would keep it from sight.
        let _ = writeln!(io::stderr(), "skipped for want of {name}: {reason}");
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What the program prints behind `words`.
#[track_caller]
fn heist(words: &[&str], args: &[&str]) -> String {
    let output = behind(words, &[&[env!("CARGO_BIN_EXE_heist"), "run"], args].concat());
    assert!(output.status.success(), "{words:?} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// The report of a run behind `words`.
#[track_caller]
fn report(words: &[&str], args: &[&str]) -> Value {
    let printed = heist(words, &[args, &["--json"]].concat());
    assert_eq!(printed.lines().count(), 1, "rank 0 alone reports: {printed}");
    serde_json::from_str(&printed).unwrap()
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name).display().to_string()
}

#[test]
fn cholesky_over_ranks_gives_what_as_many_workers_give_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = data("well1850.mtx.gz");
    for problem in [&["--size", "300", "--tile", "48"][..], &[&file]] {
        let (alone, over) = (path("alone.mtx"), path("over.mtx"));
        let check = ["cholesky", "--check"];
        report(&[], &[&check, &["--workers", "4", "--output", &alone][..], problem].concat());
        each("4", |words| {
            let one = ["--workers", "1", "--output", &over];
            let report = report(words, &[&check, &one[..], problem].concat());
            assert_eq!((&report["ranks"], report["workers"].as_array().unwrap().len()), (&4.into(), 4), "{words:?}");
            assert_eq!(fs::read(&over).unwrap(), fs::read(&alone).unwrap(), "{words:?}: to the last bit");
        });
    }
}

#[test]
fn what_is_wrong_with_the_input_is_said_once() {
    each("3", |words| {
        let output = behind(words, &[env!("CARGO_BIN_EXE_heist"), "run", "cholesky", "/no/such/file.mtx"]);
        assert!(!output.status.success(), "{words:?}");
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        let lines: Vec<_> = said.lines().filter(|line| line.contains("heist: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains("/no/such/file.mtx: "), "{words:?}: {said}");
    });
}

/// Writes so many rows of parameters, which differ.
fn parameters(path: &str, rows: u64) {
    let mut text = String::from("damping,natural,driving,force\n");
    (1..=rows).for_each(|row| text.push_str(&format!("0.1,1,{},1\n", 0.5 + row as f64 * 1e-4)));
    fs::write(path, text).unwrap();
}

#[test]
fn a_sweep_over_ranks_writes_what_it_writes_alone_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (rows, alone) = (path("p.csv"), path("alone.csv"));
    parameters(&rows, 300);
    let sweep = |words: &[&str], results: &str| {
        report(words, &["sweep", &rows, "--steps", "2000", "--workers", "1", "--output", results])
    };
    sweep(&[], &alone);
    let lines = |results: &str| {
        let text = fs::read_to_string(results).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        let rows: BTreeSet<String> = rows.lines().map(str::to_owned).collect();
        (header.to_owned(), rows)
    };
    each("4", |words| {
        let over = path("over.csv");
        let first = sweep(words, &over);
        assert_eq!((&first["ranks"], &first["workers"], &first["swept"]), (&4.into(), &4.into(), &300.into()));
        assert_eq!(lines(&over), lines(&alone), "{words:?}: in whatever order");
        // Half of it, and a row that was being written when the program was killed.
        let whole = fs::read_to_string(&over).unwrap();
        let half: usize = whole.lines().take(151).map(|line| line.len() + 1).sum();
        fs::write(&over, &whole[..half + 3]).unwrap();
        let again = sweep(words, &over);
        assert_eq!((&again["before"], &again["swept"]), (&150.into(), &150.into()), "{words:?}");
        assert_eq!(lines(&over), lines(&alone), "{words:?}");
        fs::remove_file(&over).unwrap();
    });
}

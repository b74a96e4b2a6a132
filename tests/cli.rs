//! The program from the outside: what it prints, how it ends, what it leaves behind.

#[path = "../numa/tests/hosts/mod.rs"]
mod hosts;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use heist::numa::{self, CpuSet, Pinned, Topology};
use hosts::Recording;
use serde_json::Value;
use tempfile::TempDir;

const SPD: &str = "%%MatrixMarket matrix coordinate real symmetric\n3 3 5\n1 1 4\n2 1 -1\n2 2 5\n3 2 2\n3 3 6\n";

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    folder.join(name).display().to_string()
}

fn heist(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heist"));
    command.args(["run", "cholesky", "--workers", "2"]).args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    heist(args).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The report of a run that must succeed.
fn report(args: &[&str]) -> Value {
    let output = run(&[args, &["--json", "--check"]].concat());
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{args:?}");
    assert_eq!(stdout(&output).lines().count(), 1);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one line with which a run is refused.
fn refusal(args: &[&str]) -> String {
    let output = run(args);
    let line = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{args:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line.strip_prefix("heist: ").unwrap().trim_end().to_owned()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_generated_matrix_is_solved_and_reported_in_full() {
    let output = run(&["--size", "300", "--tile", "64"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let text = stdout(&output);
    for expected in [
        "generated, diagonally dominant: 300 × 300",
        "densified     5 × 5 tiles of 64 × 64, the lower triangle takes 426.6 KiB",
        "workers       2\n",
        "tasks         65, ",
        " tasks/s, ",
        " GFLOP/s",
        "busy          ",
        "steals        ",
        "critical path ",
        "achieved      ",
        "‖Ax−b‖/‖b‖ = ",
        "within the bound 1e-10",
    ] {
        assert!(text.contains(expected), "no '{expected}' in\n{text}");
    }
}

#[test]
fn json_carries_the_figures_and_nothing_else_is_printed() {
    let report = report(&["--size", "300", "--tile", "64"]);
    assert_eq!(report["tasks"], 65);
    assert_eq!(report["rows"], 300);
    assert_eq!(report["workers"].as_array().unwrap().len(), 2);
    for share in report["workers"].as_array().unwrap() {
        assert!((0.0..=1.0).contains(&share["busy"].as_f64().unwrap()), "{report}");
    }
    let [path, seconds] = ["critical_path_seconds", "seconds"].map(|name| report[name].as_f64().unwrap());
    assert!(0.0 < path && path <= seconds, "{report}");
    assert!(report["residual"].as_f64().unwrap() < 1e-13);
    assert_eq!(report["within_bound"], true);
}

#[test]
fn a_rectangular_file_is_solved_in_the_least_squares_sense() {
    let (matrix, rhs) = (data("well1850.mtx.gz"), data("well1850_rhs1.mtx.gz"));
    let report = report(&[&matrix, "--rhs", &rhs]);
    assert_eq!((&report["rows"], &report["columns"]), (&1850.into(), &712.into()));
    assert_eq!(report["residual_of"], "‖Aᵀ(Ax−b)‖/‖Aᵀb‖");
    assert!(report["residual"].as_f64().unwrap() < 1e-13);
    let output = run(&[&matrix]);
    assert!(stdout(&output).contains("A times a vector of ones (no --rhs)"));
    assert!(stdout(&output).contains("8758 entries stored"));
}

#[test]
fn the_solution_is_written_whole_and_can_be_read_back() {
    let folder = Folder::new();
    let matrix = folder.file("a.mtx", SPD);
    let rhs = folder.file("b.mtx", "%%MatrixMarket matrix array integer general\n3 1\n3\n6\n8\n");
    let x = folder.file("x.mtx", "old");
    report(&[&matrix, "--rhs", &rhs, "--output", &x]);
    let written = fs::read_to_string(&x).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines[..2], ["%%MatrixMarket matrix array real general", "3 1"]);
    let values: Vec<f64> = lines[2..].iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(values.len(), 3);
    assert!(values.iter().all(|x| (x - 1.0).abs() < 1e-15), "{values:?}");
    assert_eq!(folder.names(), ["a.mtx", "b.mtx", "x.mtx"]);
    report(&[&matrix, "--rhs", &x]);
}

#[test]
fn bad_arguments_are_refused_in_one_line() {
    for (args, expected) in [
        (&["--tile", "0"] as &[&str], "--tile 0: a tile needs at least one row"),
        (&["--size", "100", "--tile", "101"], "--tile 101: the matrix to factor has only 100 rows"),
        (
            &["--size", "4096", "--tile", "1"],
            "--tile 1: 11478417408 tasks for 4096 rows, at most 4000000; the default would be 192",
        ),
        (&["--size", "0"], "--size 0: a matrix needs at least one row"),
        (&["--size", "many"], "invalid value 'many' for '--size <N>': invalid digit found in string"),
        (&["--fast"], "unexpected argument '--fast' found"),
    ] {
        assert_eq!(refusal(args), expected);
    }
    for workers in ["0", "4097"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_heist")).args(["run", "cholesky", "--workers", workers]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).starts_with(&format!("heist: --workers {workers}: ")));
    }
    let large = refusal(&["--size", "100000000"]);
    assert!(large.starts_with("a 100000000 × 100000000 matrix takes 71.1 PiB"), "{large}");
}

#[test]
fn bad_files_are_refused_in_one_line_and_nothing_is_written() {
    const HEAD: &str = "%%MatrixMarket matrix coordinate real general\n";
    let folder = Folder::new();
    let x = folder.path("x.mtx").display().to_string();
    for (text, expected) in [
        ("2 2\n1 2\n", "line 1: expected '%%MatrixMarket matrix <format> <field> <symmetry>'".to_owned()),
        (&format!("{HEAD}2 2 2\n1 1 1\n2 2 NaN\n"), "line 4: 'NaN' is not finite".to_owned()),
        (&format!("{HEAD}2 2 2\n1 1 1\n"), "the file ends after line 3, before entry 2 of 2".to_owned()),
        (
            &format!("{HEAD}2 3 1\n1 1 1\n"),
            "2 × 3: fewer rows than columns; needs a square matrix or more rows than columns".to_owned(),
        ),
        (
            &format!("{HEAD}2 2 3\n1 1 1\n2 2 1\n2 1 0.5\n"),
            "the square matrix is not symmetric: entry (2, 1) is 0.5 and entry (1, 2) is 0".to_owned(),
        ),
        (
            &format!("{HEAD}3 3 3\n1 1 1\n2 2 -1\n3 3 1\n"),
            "not positive definite: pivot 2 is not a positive number".to_owned(),
        ),
        (
            &format!("{HEAD}3 2 2\n1 1 1\n2 1 1\n"),
            "AᵀA is not positive definite: pivot 2 is not a positive number; are the columns linearly independent?"
                .to_owned(),
        ),
    ] {
        let matrix = folder.file("a.mtx", text);
        assert_eq!(refusal(&[&matrix, "--output", &x]), format!("{matrix}: {expected}"));
        assert_eq!(folder.names(), ["a.mtx"]);
    }
    let missing = folder.path("none.mtx").display().to_string();
    assert!(refusal(&[&missing]).starts_with(&format!("{missing}: No such file")));
    let directory = folder.0.path().display().to_string();
    assert!(refusal(&[&directory]).starts_with(&format!("{directory}: Is a directory")));
}

#[test]
fn a_right_hand_side_must_fit() {
    let folder = Folder::new();
    let matrix = folder.file("a.mtx", SPD);
    let long = folder.file("b.mtx", "%%MatrixMarket matrix array real general\n4 1\n1\n1\n1\n1\n");
    assert_eq!(refusal(&[&matrix, "--rhs", &long]), format!("{long}: 4 rows for a matrix with 3"));
    assert_eq!(
        refusal(&[&matrix, "--rhs", &matrix]),
        format!("{matrix}: a right-hand side has one column, this has 3")
    );
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let folder = Folder::new();
    let nowhere = folder.path("none/x.mtx").display().to_string();
    assert!(refusal(&["--size", "9", "--output", &nowhere]).starts_with(&format!("cannot write {nowhere}: ")));
    let place = folder.0.path().display().to_string();
    assert_eq!(refusal(&["--size", "9", "--output", &place]), format!("{place}: not a regular file"));
    assert_eq!(refusal(&["--size", "9", "--output", "/dev/null"]), "/dev/null: not a regular file");
    assert!(folder.names().is_empty());
}

#[test]
fn a_residual_above_the_bound_counts_only_when_checked() {
    let folder = Folder::new();
    let matrix = folder.file("a.mtx", "%%MatrixMarket matrix array real symmetric\n2 2\n1\n0.9999999999999\n1\n");
    let rhs = folder.file("b.mtx", "%%MatrixMarket matrix array real general\n2 1\n1\n-0.7\n");
    let plain = run(&[&matrix, "--rhs", &rhs]);
    assert_eq!((plain.status.code(), stderr(&plain)), (Some(0), ""));
    assert!(stdout(&plain).contains("ABOVE the bound 1e-10"), "{}", stdout(&plain));
    let checked = run(&[&matrix, "--rhs", &rhs, "--check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(stderr(&checked).lines().count(), 1);
    assert!(stderr(&checked).contains("is above its bound 1e-10"), "{}", stderr(&checked));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for json in [&[] as &[&str], &["--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let args = [&["--size", "50"], json].concat();
        let output = heist(&args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    }
}

#[test]
fn a_full_stdout_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = heist(&["--size", "50"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("heist: cannot write to stdout: "), "{}", stderr(&output));
}

#[test]
fn a_command_that_is_not_named_is_asked_for_in_one_line() {
    for args in [&[] as &[&str], &["run"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_heist")).args(args).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""));
        assert_eq!(stderr(&output).lines().count(), 1);
        assert!(stderr(&output).contains("requires a subcommand"), "{}", stderr(&output));
    }
}

#[test]
fn help_and_version_are_printed() {
    for (flag, expected) in [("--help", "Usage: heist"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = Command::new(env!("CARGO_BIN_EXE_heist")).arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains(expected), "{}", stdout(&output));
    }
}

/// `heist topo` or `heist doctor`, by itself: no launcher, no setting.
fn look(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heist"));
    for name in [
        "HEIST_WORKERS",
        "HEIST_TOPOLOGY",
        "HEIST_SYSFS_ROOT",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "MPI_LOCALNRANKS",
        "SLURM_STEP_ID",
    ] {
        command.env_remove(name);
    }
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

/// What `heist topo` prints, which must succeed.
#[track_caller]
fn topo(args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = look(&[&["topo"], args].concat(), variables);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{args:?}");
    stdout(&output).to_owned()
}

#[track_caller]
fn topo_json(args: &[&str], variables: &[(&str, &str)]) -> Value {
    let text = topo(&[args, &["--json"]].concat(), variables);
    assert_eq!(text.lines().count(), 1);
    serde_json::from_str(&text).unwrap()
}

/// The PUs of the workers.
fn seats(report: &Value) -> Vec<Option<u64>> {
    report["plan"]["workers"].as_array().unwrap().iter().map(|worker| worker["pu"].as_u64()).collect()
}

/// What `heist doctor` tells, and the names of the findings that cost.
#[track_caller]
fn doctor(variables: &[(&str, &str)]) -> (Value, Vec<String>) {
    let output = look(&["doctor", "--json"], variables);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let costly = findings.iter().filter(|finding| finding["costs"] == true);
    let costly: Vec<_> = costly.map(|finding| finding["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!((output.status.code(), stderr(&output)), (Some(i32::from(!costly.is_empty())), ""), "{report}");
    (report, costly)
}

#[test]
fn topo_shows_this_host_as_the_library_has_it() {
    let mask = numa::affinity().unwrap();
    let host = Topology::of_host(&mask).unwrap();
    let report = topo_json(&[], &[]);
    assert_eq!((&report["source"], &report["is_this_host"]), (&"this host".into(), &true.into()));
    assert_eq!(report["mask"], mask.to_string());
    assert_eq!(report["cores"].as_array().unwrap().len(), host.cores().len());
    assert!(seats(&report).iter().all(|pu| pu.is_some_and(|pu| mask.contains(pu as usize))), "{report}");
    let text = topo(&[], &[]);
    for part in ["host       this host: ", "mask       ", "quota      ", "plan       "] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn topo_keeps_to_the_mask_it_is_started_with() {
    let before = numa::affinity().unwrap();
    for pu in before.iter().take(2) {
        let pinned = Pinned::to(pu).unwrap();
        let report = topo_json(&[], &[]);
        assert_eq!((report["mask"].clone(), seats(&report)), (pu.to_string().into(), vec![Some(pu as u64)]));
        pinned.unpin().unwrap();
    }
}

#[test]
fn topo_plans_for_a_made_up_host() {
    let host = "2 domains × 4 cores × 2 threads";
    let asked = |args: &[&str]| seats(&topo_json(&[&["--synthetic", host], args].concat(), &[]));
    let pinned = |pus: &[u64]| pus.iter().map(|&pu| Some(pu)).collect::<Vec<_>>();
    assert_eq!(asked(&[]), pinned(&[0, 2, 4, 6, 8, 10, 12, 14]));
    assert_eq!(asked(&["--workers", "3"]), pinned(&[0, 2, 8]));
    assert_eq!(asked(&["--workers", "3", "--order", "compact"]), pinned(&[0, 2, 4]));
    assert_eq!(asked(&["--order", "5,7,9"]), pinned(&[5, 7, 9]));
    assert_eq!(asked(&["--per", "pu", "--leave-free", "7"]), pinned(&[0, 1]));
    assert_eq!(asked(&["--workers", "9"]), [None; 9]);

    let report = topo_json(&["--synthetic", host], &[]);
    assert_eq!(report["domains"][1]["distances"], serde_json::json!([20, 10]));
    assert_eq!(report["plan"]["workers"][5]["rings"], serde_json::json!(["4,6-7", "0-3"]));
    assert_eq!(report["plan"]["reasons"][0], "all 8 cores are allowed");
}

#[test]
fn topo_heeds_the_settings_of_executors_and_arguments_before_them() {
    let host = ("HEIST_TOPOLOGY", "6 cores");
    assert_eq!(seats(&topo_json(&[], &[host])).len(), 6);
    assert_eq!(seats(&topo_json(&[], &[host, ("HEIST_WORKERS", "2")])).len(), 2);
    assert_eq!(seats(&topo_json(&["--workers", "3"], &[host, ("HEIST_WORKERS", "2")])).len(), 3);
    assert_eq!(seats(&topo_json(&["--synthetic", "4 cores"], &[host])).len(), 4);
}

#[test]
fn topo_reads_recorded_hosts_and_has_no_line_too_long() {
    for recording in Recording::all() {
        let tree = recording.lay_out();
        let root = tree.root().to_str().unwrap();
        let report = topo_json(&["--root", root], &[]);
        let online: CpuSet = report["online"].as_str().unwrap().parse().unwrap();
        let pus: CpuSet = recording.hwloc("pu").iter().map(|pu| pu.parse::<usize>().unwrap()).collect();
        assert_eq!(online, pus, "{}", recording.name);
        let text = topo(&["--root", root], &[]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{}: {text}", recording.name);
        let domains = report["domains"].as_array().unwrap().len();
        assert!(text.lines().count() < 60 + 3 * domains, "{}: {text}", recording.name);
    }
}

#[test]
fn the_readme_shows_what_topo_prints() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, shown) = readme.split_once("$ heist topo --workers 6 --synthetic \"").unwrap();
    let (host, shown) = shown.split_once("\"\n").unwrap();
    assert_eq!(topo(&["--workers", "6", "--synthetic", host], &[]), shown.split_once("```").unwrap().0);
}

#[test]
fn topo_refuses_in_one_line() {
    for (args, expected) in [
        (&["--synthetic", "4 dogs"] as &[&str], "`4 dogs` describes no host: "),
        (&["--root", "/dev/null"], "no CPU is recorded below /dev/null"),
        (&["--synthetic", "4 cores", "--workers", "0"], "--workers 0: "),
        (&["--synthetic", "4 cores", "--leave-free", "4"], "4 cores cannot be left free of 4"),
        (&["--synthetic", "4 cores", "--order", "4"], "of the PUs `4` that were asked for, `4` are not allowed"),
        (&["--order", "near"], "invalid value 'near' for '--order <ORDER>': neither spread nor compact"),
        (&["--synthetic", "4 cores", "--root", "/"], "the argument '--synthetic <TEXT>' cannot be used with"),
    ] {
        let output = look(&[&["topo"], args].concat(), &[]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{args:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with(&format!("heist: {expected}")), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn doctor_finds_a_mask_of_one_core_and_says_what_widens_it() {
    let mask = numa::affinity().unwrap();
    let (report, found) = doctor(&[]);
    assert_eq!(report["mask"], mask.to_string());
    let cores = report["cores"].as_u64().unwrap();
    if cores > 1 {
        assert!(!found.contains(&"mask".to_owned()), "{report}");
    }
    let pinned = Pinned::to(mask.first().unwrap()).unwrap();
    let (report, found) = doctor(&[]);
    assert_eq!(found.contains(&"mask".to_owned()), report["cores_of_host"].as_u64().unwrap() > 1, "{report}");
    let output = look(&["doctor"], &[]);
    pinned.unpin().unwrap();
    if cores > 1 {
        assert_eq!(output.status.code(), Some(1));
        let text = stdout(&output);
        for part in
            ["COSTS  mask: ", "mpirun --map-by ppr:1:node:pe=", "mpirun.mpich -bind-to core:", "srun --cpu-bind=cores"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn doctor_goes_by_what_launchers_tell() {
    let ranks = [("OMPI_COMM_WORLD_LOCAL_RANK", "1"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "100000")];
    let (report, found) = doctor(&ranks);
    assert_eq!((&report["rank"]["launcher"], &report["rank"]["ranks_on_host"]), (&"mpirun".into(), &100_000.into()));
    assert!(found.contains(&"overlap".to_owned()), "{report}");
}

#[test]
fn doctor_sees_the_masks_of_the_other_ranks() {
    let pu = numa::affinity().unwrap().first().unwrap();
    let rank = |rank: &str| {
        let pinned = Pinned::to(pu).unwrap();
        let mut command = Command::new("cat");
        command.env("PMI_RANK", rank).stdin(Stdio::piped()).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        pinned.unpin().unwrap();
        child
    };
    let mut others = [rank("1"), rank("2")];
    let ranks = [("PMI_RANK", "0"), ("MPI_LOCALRANKID", "0"), ("MPI_LOCALNRANKS", "3")];
    let (report, found) = doctor(&ranks);
    for other in &mut others {
        drop(other.stdin.take());
        other.wait().unwrap();
    }
    assert_eq!(report["rank"]["other_masks"], serde_json::json!([pu.to_string(), pu.to_string()]));
    assert!(found.contains(&"overlap".to_owned()), "{report}");
}

#[test]
fn doctor_says_that_another_host_is_planned_for() {
    let (report, found) = doctor(&[("HEIST_TOPOLOGY", "4 cores")]);
    assert!(found.contains(&"pretended".to_owned()), "{report}");
}

#[test]
fn doctor_removes_what_killed_processes_left() {
    let folder = Folder::new();
    let leftover = folder.file("heist-4000000000-1-0", "left");
    let (report, _) = doctor(&[("TMPDIR", folder.0.path().to_str().unwrap())]);
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["name"] == "leftovers").unwrap();
    assert_eq!(finding["costs"], false);
    assert!(!Path::new(&leftover).exists());
}

#[test]
fn doctor_refuses_what_it_does_not_know_with_code_two() {
    for (args, variables) in
        [(&["doctor", "--fast"] as &[&str], &[] as &[_]), (&["doctor"], &[("HEIST_WORKERS", "many")])]
    {
        let output = look(args, variables);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
}

//! `heist run sweep` from the outside: what it writes, and what is there when it is killed in the middle and run again.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const HEADER: &str = "row,damping,natural,driving,force,steps,peak,swing,error";

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.shown(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A file of so many good rows, each of its own.
    fn parameters(&self, rows: u64) -> String {
        let mut text = String::from("damping,natural,driving,force\n");
        (1..=rows).for_each(|row| text.push_str(&format!("0.1,1,{},1\n", 0.5 + row as f64 * 1e-6)));
        self.file("p.csv", &text)
    }
}

fn heist(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heist"));
    command.args(["run", "sweep", "--workers", "2"]).args(args).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The report of a run that must succeed.
#[track_caller]
fn report(args: &[&str]) -> Value {
    let output = heist(&[args, &["--json"]].concat()).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{args:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line.strip_prefix("heist: ").unwrap().trim_end().to_owned()
}

/// The one line with which a run is refused.
#[track_caller]
fn refusal(args: &[&str]) -> String {
    refused(&heist(args).output().unwrap())
}

/// The numbers of the rows of results, sorted.
fn rows(results: &str) -> Vec<u64> {
    let mut lines = results.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let mut rows: Vec<u64> = lines.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    rows.sort_unstable();
    rows
}

fn sorted(results: &str) -> Vec<&str> {
    let mut lines: Vec<_> = results.lines().collect();
    lines.sort_unstable();
    lines
}

/// Waits for a condition, a minute at most.
#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "a condition did not come true within a minute");
        thread::yield_now();
    }
}

/// Kills a sweep once it has written so many bytes.
fn kill_after(args: &[&str], output: &PathBuf, bytes: u64) {
    let mut child = heist(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(|| fs::metadata(output).is_ok_and(|found| found.len() >= bytes));
    assert_eq!(child.try_wait().unwrap(), None, "the sweep was over before it could be killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn every_row_is_swept_once_and_reported() {
    let folder = Folder::new();
    let (parameters, results) = (folder.parameters(100), folder.shown("r.csv"));
    let report = report(&[&parameters, "--output", &results, "--steps", "9000"]);
    assert_eq!(rows(&folder.text("r.csv")), (1..=100).collect::<Vec<_>>());
    assert_eq!([&report["rows"], &report["bad"], &report["before"], &report["swept"]], [100, 0, 0, 100]);
    assert_eq!((&report["within_bound"], &report["workers"]), (&true.into(), &2.into()));
    assert!((0.0..=1.01).contains(&report["busy"].as_f64().unwrap()), "{report}");
    let output = heist(&[&parameters, "--output", &results, "--steps", "9000"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    for part in
        ["100 rows\n", "100 rows from before, 0 new\n", "workers       2\n", "within the bound 1e-6", "|x - closed"]
    {
        assert!(text(&output.stdout).contains(part), "no '{part}' in\n{}", text(&output.stdout));
    }
}

#[test]
fn every_model_sweeps_its_own_columns_in_any_order() {
    let folder = Folder::new();
    for (model, parameters, header) in [
        ("lorenz", "rho,beta,sigma\n28,2.6666,10\n", "row,sigma,rho,beta,steps,exponent_1,exponent_2,exponent_3,error"),
        (
            "epidemic",
            "\u{feff}infected, recovery ,transmission\r\n1e-3, 0.1,\"0.5\"\r\n",
            "row,transmission,recovery,infected,steps,peak,peak_time,total,error",
        ),
    ] {
        let (parameters, results) = (folder.file("p.csv", parameters), folder.shown(model));
        report(&[&parameters, "--model", model, "--output", &results, "--check"]);
        let written = folder.text(model);
        assert_eq!(written.lines().next(), Some(header));
        assert_eq!(written.lines().count(), 2, "{written}");
    }
}

#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let folder = Folder::new();
    let (parameters, results, whole) = (folder.parameters(200_000), folder.shown("r.csv"), folder.shown("whole.csv"));
    let args = |output| [&*parameters, "--steps", "2000", "--output", output];
    for bytes in [1, 20_000, 60_000] {
        kill_after(&args(&results), &folder.path("r.csv"), bytes);
    }
    let before = folder.text("r.csv");
    let torn = before.rfind('\n').unwrap();
    let kept = rows(&before[..torn]);
    // So that the rest is swept in no time: rows that have no result so far may go.
    let all = kept.last().unwrap() + 200;
    folder.parameters(all);
    let ended = report(&args(&results));
    assert_eq!((&ended["before"], &ended["swept"]), (&kept.len().into(), &(all - kept.len() as u64).into()));
    assert!(folder.text("r.csv").starts_with(&before[..torn]), "a row from before was changed");
    assert_eq!(rows(&folder.text("r.csv")), (1..=all).collect::<Vec<_>>());
    report(&args(&whole));
    assert_eq!(sorted(&folder.text("r.csv")), sorted(&folder.text("whole.csv")));
}

#[test]
fn a_torn_last_line_is_swept_again_wherever_it_was_torn() {
    let folder = Folder::new();
    let (parameters, results) = (folder.parameters(2), folder.shown("r.csv"));
    let args = [&*parameters, "--steps", "50", "--output", &results];
    report(&args);
    let whole = folder.text("r.csv");
    let near_an_end = |&at: &usize| whole[..at].ends_with('\n') || whole[at..].starts_with('\n');
    for length in (0..whole.len()).filter(|at| at % 8 == 0 || near_an_end(at)) {
        fs::write(folder.path("r.csv"), &whole[..length]).unwrap();
        let left = whole[..length].matches('\n').count().saturating_sub(1);
        assert_eq!(report(&args)["before"], left, "torn at {length}");
        assert_eq!(sorted(&folder.text("r.csv")), sorted(&whole), "torn at {length}");
    }
}

#[test]
fn changed_parameters_are_refused_and_added_ones_are_swept() {
    let folder = Folder::new();
    let (parameters, results) = (folder.parameters(3), folder.shown("r.csv"));
    let args = [&*parameters, "--steps", "50", "--output", &results];
    report(&args);
    let (old, written) = (folder.text("p.csv"), folder.text("r.csv"));
    let more = "; remove that file or name another --output";
    for (text, expected) in [
        (
            old.replace("0.500002", "0.6"),
            ":3: row 2 is not the one, or not swept in as many steps, whose result is in ",
        ),
        (old.replace("0.500002", "x"), ":3: column 3 (driving): 'x' is not a number; its row 2 has a result in "),
        (old.lines().take(3).collect::<Vec<_>>().join("\n"), ":3: the last row is 2, and row 3 has a result in "),
    ] {
        folder.file("p.csv", &text);
        assert_eq!(refusal(&args), format!("{parameters}{expected}{results}{more}"));
        assert_eq!(folder.text("r.csv"), written);
    }
    folder.file("p.csv", &old);
    let steps = refusal(&[&parameters, "--steps", "60", "--output", &results]);
    assert!(steps.starts_with(&format!("{parameters}:2: row 1 is not the one, or not swept in as many")), "{steps}");
    folder.file("p.csv", &format!("{}0.2,1.0,1,1\n", old.replace("0.1,1,", "0.10,1e0,")));
    assert_eq!(report(&args)["before"], 3);
    assert_eq!(rows(&folder.text("r.csv")), [1, 2, 3, 4]);
}

#[test]
fn bad_rows_are_named_before_any_work_and_left_out_on_request() {
    let folder = Folder::new();
    let results = folder.shown("r.csv");
    let head = "damping,natural,driving,force\n0.1,1,1,1\n";
    for (rows, expected) in [
        ("0.1,1,one,1\n", ":3: column 3 (driving): 'one' is not a number"),
        ("0.1,1,,1\n", ":3: column 3 (driving): '' is not a number"),
        ("\n\n0.1,1,1\n", ":5: 3 fields, where the header has 4"),
        ("\r\n\r\n0.1,1,1\r\n", ":5: 3 fields, where the header has 4"),
        ("0.1,1,1,1,\n", ":3: 5 fields, where the header has 4"),
        ("0.1,inf,1,1\n", ":3: column 2 (natural): 'inf' is not finite"),
        ("0.1,1,1,1e999\n", ":3: column 4 (force): '1e999' is not finite"),
        ("-0.1,1,1,1\n", ":3: column 1 (damping): '-0.1' is not above 0"),
    ] {
        let parameters = folder.file("p.csv", &format!("{head}{rows}0.2,1,1,1\n"));
        let line = refusal(&[&parameters, "--output", &results]);
        assert_eq!(line, format!("{parameters}{expected}; --skip-bad leaves bad rows out"));
        assert!(!folder.path("r.csv").exists());

        let output = heist(&[&parameters, "--output", &results, "--steps", "50", "--skip-bad"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), format!("heist: left out: {parameters}{expected}\n"));
        assert!(text(&output.stdout).contains("left out      1 bad rows\n"), "{}", text(&output.stdout));
        assert_eq!(self::rows(&folder.text("r.csv")), [1, 3]);
        fs::remove_file(folder.path("r.csv")).unwrap();
    }
    fs::write(folder.path("p.csv"), [head.as_bytes(), b"\xff,1,1,1\n1,1,1\n"].concat()).unwrap();
    let line = refusal(&[&folder.shown("p.csv")]);
    assert!(line.contains(":3: column 1 (damping): '\u{fffd}' is not a number (the first of 2 bad rows)"), "{line}");
}

#[test]
fn files_that_are_none_of_a_sweep_are_refused_and_left_as_they_are() {
    let folder = Folder::new();
    let takes = "the model oscillator takes damping, natural, driving, force";
    for (text, expected) in [
        ("", ": empty; "),
        ("damping,natural,driving\n", ":1: no column 'force'; "),
        ("damping,natural,driving,force,mass\n", ":1: column 5: 'mass' is no parameter; "),
        ("damping,natural,driving,damping\n", ":1: column 4: 'damping' is there already; "),
    ] {
        let parameters = folder.file("p.csv", text);
        assert_eq!(refusal(&[&parameters]), format!("{parameters}{expected}{takes}"));
    }
    let (parameters, results) = (folder.parameters(2), folder.shown("r.csv"));
    let of_it = format!("{HEADER}\n1,0.1,1.0,0.500001,1.0,50,1.0,1.0,0.0\n");
    let foreign = ": there already, and not by a sweep of the model oscillator; remove it or name another --output";
    for (text, expected) in [
        ("a,b\n1,2\n", foreign),
        ("notes", foreign),
        (&of_it.replace("50,1.0", "50,1.x"), ":2: not a row that a sweep of this model writes"),
        (&of_it.replace("50,1.0,", "50,"), ":2: not a row that a sweep of this model writes"),
        (&format!("{of_it}{}\n", of_it.lines().nth(1).unwrap()), ":3: row 1 is there twice"),
        (&of_it.replace("\n1,", "\n9999999999,"), ":2: row 9999999999 is more than the parameters have"),
    ] {
        folder.file("r.csv", text);
        assert_eq!(refusal(&[&parameters, "--steps", "50", "--output", &results]), format!("{results}{expected}"));
        assert_eq!(folder.text("r.csv"), text);
    }
    let same = refusal(&[&parameters, "--output", &parameters]);
    assert_eq!(same, format!("{parameters}: the results would replace the parameters"));
    assert_eq!(refusal(&[&parameters, "--output", "/dev/null"]), "/dev/null: not a regular file");
    assert_eq!(refusal(&["/dev/null"]), "/dev/null: not a regular file");
    assert_eq!(refusal(&[&parameters, "--steps", "0"]), "--steps 0: a run needs at least one step");
    let nowhere = folder.shown("none/r.csv");
    assert!(refusal(&[&parameters, "--output", &nowhere]).starts_with(&format!("cannot write {nowhere}: ")));
    assert!(refusal(&[&nowhere]).starts_with(&format!("{nowhere}: No such file")));
}

#[test]
fn two_sweeps_do_not_write_to_one_file() {
    let folder = Folder::new();
    let (parameters, results) = (folder.parameters(2), folder.shown("r.csv"));
    let held = File::create(folder.path("r.csv")).unwrap();
    held.lock().unwrap();
    assert_eq!(refusal(&[&parameters, "--output", &results]), format!("{results}: another run is writing to it"));
}

#[test]
fn without_an_output_the_results_go_to_stdout() {
    let folder = Folder::new();
    let parameters = folder.parameters(5);
    let output = heist(&[&parameters, "--steps", "50"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(rows(text(&output.stdout)), [1, 2, 3, 4, 5]);
    assert!(text(&output.stderr).contains("results       stdout: 0 rows from before, 5 new\n"));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = heist(&[&parameters, "--steps", "50"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("heist: cannot write to stdout: "));
}

#[test]
fn a_reader_that_goes_away_ends_the_sweep() {
    let folder = Folder::new();
    let parameters = folder.parameters(1_000_000);
    let mut child = heist(&[&parameters, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 200];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(report["swept"].as_u64().unwrap() < 1_000_000);
}

#[test]
fn errors_above_the_bound_count_only_when_checked() {
    let folder = Folder::new();
    let parameters = folder.file("p.csv", "damping,natural,driving,force\n0.1,1,1,1\n0.1,300,1,1\n");
    let results = folder.shown("r.csv");
    let args = [&*parameters, "--output", &results, "--steps", "5000"];
    assert_eq!(report(&args)["greatest_error_row"], 2);
    let checked = heist(&[&args[..], &["--check"]].concat()).output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let line = text(&checked.stderr);
    assert!(line.starts_with("heist: the error inf of row 2 is above its bound 1e-6"), "{line}");
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    let folder = Folder::new();
    let peak = |rows: u64| {
        let parameters = folder.parameters(rows);
        let mut child =
            heist(&[&parameters, "--steps", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut most = 0;
        until(|| {
            most = most.max(peak_kib(&child).unwrap_or(0));
            child.try_wait().unwrap().is_some()
        });
        most
    };
    let (few, many) = (peak(1000), peak(200_000));
    assert!(few > 0 && many < few + 16 * 1024, "{few} KiB for a thousand rows, {many} KiB for 200 000");
}

/// The most memory that a process has had.
fn peak_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[test]
fn the_parameters_of_the_demo_are_swept_within_the_bound() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/resonance.csv");
    let folder = Folder::new();
    let report = report(&[demo, "--output", &folder.shown("r.csv"), "--steps", "12000", "--check"]);
    assert_eq!(report["swept"], 200);
}

//! What `heist doctor` finds under real launchers is mended by the very flags that it names.
//!
//! `HEIST_REQUIRE` names what must be there, as for the tests of launchers.

#[path = "../numa/tests/launch/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what starts a test binary again is for others")]
mod launch;

use std::process::Command;

use heist::numa::CpuSet;
use launch::{Cgroup, cores, mask, need, program, taskset};
use serde_json::Value;

/// Runs `heist doctor` behind `words`, and gives what each rank tells.
#[track_caller]
fn doctor(words: &[&str]) -> Vec<Value> {
    let output = Command::new("timeout")
        .args(["-k", "5", "120"])
        .args(words)
        .args([env!("CARGO_BIN_EXE_heist"), "doctor", "--json"])
        // Without it, OpenMPI starts nothing for root.
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let reports = text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap());
    let reports: Vec<_> = reports.collect();
    assert!(!reports.is_empty(), "{words:?}: {}{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    reports
}

/// The finding of this name, where there is one.
fn finding<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == name)
}

/// Behind `words`, each of `ranks` ranks finds the trouble `name`; behind the flags that the first of them names, none does.
/// `number` are words that the launcher wants besides.
#[track_caller]
fn mended(launcher: &str, ranks: usize, words: &[&str], name: &str, number: &[&str]) {
    let reports = doctor(words);
    assert_eq!(reports.len(), ranks, "{words:?}");
    for report in &reports {
        assert!(finding(report, name).is_some(), "{words:?}: {report}");
        assert_eq!((&report["rank"]["launcher"], &report["rank"]["ranks_on_host"]), (&launcher.into(), &ranks.into()));
    }
    let way = finding(&reports[0], name).unwrap()["mend"][launcher].as_str().unwrap();
    let mut words: Vec<_> = way.split(' ').collect();
    words.splice(1..1, number.iter().copied());
    let mended = doctor(&words);
    assert_eq!(mended.len(), ranks, "{words:?}");
    for report in mended {
        assert!(
            ["mask", "overlap", "siblings"].iter().all(|name| finding(&report, name).is_none()),
            "{words:?}: {report}"
        );
    }
}

/// Whether there are two cores, without which nothing is to be mended.
fn two_cores() -> Option<()> {
    need("two cores", if cores(&mask()) > 1 { Ok(()) } else { Err("the mask has one".to_owned()) })
}

#[test]
fn under_mpirun_of_openmpi() {
    let version = Command::new("mpirun").arg("--version").output();
    let found = match version {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("Open MPI") => Ok(()),
        _ => Err("mpirun of OpenMPI is not in the PATH".to_owned()),
    };
    if need("openmpi", found).and_then(|()| two_cores()).is_some() {
        mended("mpirun", 1, &["mpirun", "-n", "1"], "mask", &[]);
        mended("mpirun", 2, &["mpirun", "-n", "2", "--bind-to", "none"], "overlap", &[]);
    }
}

#[test]
fn under_mpirun_of_mpich() {
    if need("mpich", program("mpirun.mpich")).and_then(|()| two_cores()).is_some() {
        mended("mpirun.mpich", 1, &["mpirun.mpich", "-n", "1", "-bind-to", "core"], "mask", &["-n", "1"]);
        mended("mpirun.mpich", 2, &["mpirun.mpich", "-n", "2"], "overlap", &["-n", "2"]);
    }
}

#[test]
fn under_srun() {
    let works = Command::new("timeout").args(["60", "srun", "-n", "1", "true"]).output();
    let works = works.map_err(|error| error.to_string()).and_then(|output| {
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
    if need("slurm", works).and_then(|()| two_cores()).is_some() {
        let all = mask().len().to_string();
        mended("srun", 1, &["srun", "-n", "1", "-c", "1"], "mask", &["-n", "1"]);
        mended("srun", 2, &["srun", "-O", "-n", "2", "-c", &all, "--cpu-bind=none"], "overlap", &["-n", "2"]);
    }
}

#[test]
fn under_taskset() {
    if need("taskset", program("taskset")).and_then(|()| two_cores()).is_none() {
        return;
    }
    let one: CpuSet = mask().iter().take(1).collect();
    let words = taskset(&one);
    let reports = doctor(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let way = finding(&reports[0], "mask").unwrap()["mend"]["otherwise"].as_str().unwrap();
    let words: Vec<_> = way.strip_suffix(" PROGRAM").unwrap().split(' ').collect();
    assert!(finding(&doctor(&words)[0], "mask").is_none(), "{words:?}");
}

#[test]
fn in_a_cpuset_of_a_control_group() {
    if two_cores().is_none() {
        return;
    }
    let one: CpuSet = mask().iter().take(1).collect();
    let Some(group) = need("cgroup", Cgroup::of(&one)) else { return };
    let words = group.words();
    let reports = doctor(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let found = finding(&reports[0], "mask").unwrap();
    assert!(found["what"].as_str().unwrap().contains("the control group's cpuset grants"), "{found}");
    assert!(found["mend"]["mpirun"].is_null(), "no flag of a launcher widens a cpuset: {found}");
}

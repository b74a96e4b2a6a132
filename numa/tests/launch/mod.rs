//! Starts this test binary again under a launcher, in as many processes as that makes, and collects what each of them
//! reports of its threads.

mod cgroup;
pub(crate) mod report;

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{env, fs, io, process};

pub(crate) use cgroup::Cgroup;
use heist_numa::CpuSet;
pub(crate) use report::{Report, Thread, cores, mask};

/// Set in a launched process: the folder that takes its report.
const REPORTS: &str = "LAUNCH_REPORTS";
/// The needs that the caller insists on, with commas, or `all`: what is not there is then a failure, and not skipped.
const REQUIRE: &str = "HEIST_REQUIRE";
/// Seconds after which what was launched is ended.
const LIMIT: &str = "300";

/// Where this process leaves its report, if it was launched for one.
pub(crate) fn reports() -> Option<PathBuf> {
    env::var_os(REPORTS).map(PathBuf::from)
}

/// Runs the test `name` of this binary behind `words`, and gives the reports of all processes that came of it.
#[track_caller]
pub(crate) fn launch<S: AsRef<OsStr>>(name: &str, words: &[S], variables: &[(&str, &str)]) -> Vec<Report> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let folder = env::temp_dir().join(format!("launch-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed)));
    fs::create_dir(&folder).unwrap();
    let output = Command::new("timeout")
        .args(["-k", "5", LIMIT])
        .args(words)
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(REPORTS, &folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let reports = fs::read_dir(&folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let reports = reports.map(|text| Report::read(&text)).collect::<Vec<_>>();
    fs::remove_dir_all(&folder).unwrap();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = format!("{words:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && !reports.is_empty(), "{told}");
    reports
}

/// What a test needs, or else that the test is skipped, with the reason printed; fails where the caller insists on it.
#[track_caller]
pub(crate) fn need<T>(what: &str, found: Result<T, String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(reason) => {
            let required = env::var(REQUIRE).unwrap_or_default();
            let insisted = required.split(',').any(|one| one == what || one == "all");
            assert!(!insisted, "{what} is required by {REQUIRE}: {reason}");
            // Past the capture of the test harness, which would keep it from sight.
            let _ = writeln!(io::stderr(), "skipped for want of {what}: {reason}");
            None
        }
    }
}

/// That a program is in the PATH.
pub(crate) fn program(name: &str) -> Result<(), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if found { Ok(()) } else { Err(format!("{name} is not in the PATH")) }
}

/// Words before a command that leave it `pus`.
pub(crate) fn taskset(pus: &CpuSet) -> Vec<String> {
    ["taskset", "-c", &pus.to_string()].map(String::from).into()
}

/// Words before a command that let it see an empty folder in the place of `path`.
pub(crate) fn without(path: &str) -> Result<Vec<String>, String> {
    let script = format!("mount -t tmpfs none {path} && exec \"$@\"");
    let words = ["unshare", "-m", "sh", "-c", &script, "sh"].map(String::from);
    let tried = Command::new(&words[0]).args(&words[1..]).arg("true").output();
    let tried = tried.map_err(|error| format!("unshare: {error}"))?;
    if tried.status.success() { Ok(words.into()) } else { Err(String::from_utf8_lossy(&tried.stderr).trim().into()) }
}

/// Each PU of `mask` alone, and with the one that follows it; the first follows the last.
pub(crate) fn singles_and_pairs(mask: &CpuSet) -> Vec<CpuSet> {
    let pus: Vec<_> = mask.iter().collect();
    let single = pus.iter().map(|&pu| CpuSet::from_iter([pu]));
    let pairs = pus.iter().zip(pus.iter().cycle().skip(1)).map(|(&pu, &next)| CpuSet::from_iter([pu, next]));
    single.chain(pairs).collect()
}

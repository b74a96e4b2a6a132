//! Runs one test of the calling binary again, in a process of its own.

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// Set in the process that plays a part; its value is the part.
const PART: &str = "AGAIN_PART";

/// The part this process is to play, if it was started for one.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Runs the test `name` of this binary with `part` to play, and `variables` set; gives what it wrote.
#[track_caller]
pub(crate) fn again(name: &str, part: &str, variables: &[(&str, &str)]) -> Output {
    let output = ended(name, part, variables);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "`{part}`: {}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "no test is called `{name}`: {}", text(&output.stdout));
    output
}

/// As [`again`], however that ends.
#[track_caller]
pub(crate) fn ended(name: &str, part: &str, variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("`{part}` hangs: not at its end after {LIMIT:?}");
        }
        thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

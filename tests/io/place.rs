//! Where the loop's thread runs.

use std::fs;

use heist::io::Watched;

use crate::again::{again, part};
use crate::support::{executor, until};

/// The CPUs that the threads of this process of a name may run on.
fn allowed(name: &str) -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let named = threads.filter(|thread| fs::read_to_string(thread.join("comm")).unwrap().trim() == name);
    let status = named.map(|thread| fs::read_to_string(thread.join("status")).unwrap());
    let line = |status: String| status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap().to_owned();
    status.map(line).collect()
}

#[test]
fn the_loop_is_not_pinned_to_the_core_of_the_task_that_started_it() {
    let name = "place::the_loop_is_not_pinned_to_the_core_of_the_task_that_started_it";
    if part().is_none() {
        again(name, "start", &[]);
        return;
    }
    let free = fs::read_to_string("/proc/thread-self/status").unwrap();
    let free = free.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap();
    let ex = executor(1);
    assert!(ex.submit(|| Watched::new(std::io::pipe().unwrap().0).is_ok()).result().unwrap());
    until("it runs wherever the process may", || allowed("heist-io") == [free]);
}

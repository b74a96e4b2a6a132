//! What holds within a host holds between hosts: here such that are made up of network namespaces.

use std::process::Command;

use crate::behind::{Job, need, start_behind};
use crate::failures::{ends_badly, ends_soon};

/// Starts so many ranks, in turn on one and on the other of two hosts.
fn start(kind: &str, ranks: usize, program: &str, variables: &[(&str, &str)]) -> Option<Job> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mpi-hosts");
    let tried = Command::new("timeout").args(["60", script, "2", kind, "-n", "2", "--", "true"]).output();
    need("hosts", tried)?;
    let ranks = ranks.to_string();
    let by_turns: &[&str] = match kind {
        "openmpi" => &["--map-by", "node", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"],
        _ => &["-ppn", "1"],
    };
    let words = [&[script, "2", kind], by_turns, &["-n", &ranks, "--"]].concat();
    Some(start_behind(&words, program, variables))
}

#[test]
fn ranks_of_several_hosts_work_and_leave_together() {
    for kind in ["openmpi", "mpich"] {
        for (ranks, program) in [(2, "equals drop"), (4, "serves"), (4, "closure")] {
            let Some(job) = start(kind, ranks, program, &[]) else { return };
            let ended = job.end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            match program {
                "serves" => assert_eq!(ended.file("served"), "328350"),
                "closure" => assert_eq!(ended.file("world"), "0 of 4"),
                _ => assert_eq!((ended.file("left-0"), ended.file("left-1")), ("true", "true")),
            }
        }
    }
}

#[test]
fn a_rank_that_is_gone_is_told_of_by_its_host() {
    for (program, says) in [("first panic", "rank 0 of 4"), ("last 3", "rank 3 of 4"), ("last kill", "rank 3 of 4")] {
        let Some(job) = start("openmpi", 4, program, &[]) else { return };
        let ended = job.end();
        if program == "last kill" && ended.words().is_empty() {
            // The launcher saw it first.
            assert!(ended.told.contains("Killed"), "{}", ended.told);
            ends_soon(&ended);
        } else {
            ends_badly(&ended, &[says]);
        }
    }
}

/// A host of one rank, which is stopped: only another host can tell.
#[test]
fn a_host_that_is_silent() {
    let Some(job) = start("openmpi", 2, "last stop", &[("HEIST_LOST_AFTER", "1")]) else { return };
    let ended = job.end();
    let words = ended.words();
    assert!(words.len() == 1 && words[0].contains("rank 1 of 2"), "{}", ended.told);
    assert!(words[0].contains("has not been heard of for 1s") && !ended.status.success(), "{}", ended.told);
}

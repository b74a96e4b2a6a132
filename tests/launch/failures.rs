//! What goes wrong with one rank ends all of them, soon, with one message and a bad code.

use std::time::Duration;

use crate::behind::{Ended, again, each, start};

/// How long a job may go on when one of its ranks has failed.
const SOON: Duration = Duration::from_secs(5);

/// The job ends badly, and says so once, with these words.
#[track_caller]
pub(crate) fn ends_badly(ended: &Ended, says: &[&str]) {
    let words = ended.words();
    assert_eq!(words.len(), 1, "{}", ended.told);
    assert!(says.iter().all(|part| words[0].contains(part)), "{says:?}: {}", ended.told);
    ends_soon(ended);
}

#[track_caller]
pub(crate) fn ends_soon(ended: &Ended) {
    assert!(!ended.status.success(), "{}", ended.told);
    let took = ended.took.unwrap_or_else(|| panic!("nothing failed: {}", ended.told));
    assert!(took <= SOON, "{took:?} after the failure of {}: {}", ended.begun_by, ended.told);
    nothing_left();
}

/// Memory is shared by descriptors, which end with their processes.
fn nothing_left() {
    let left = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let left: Vec<_> =
        left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with("heist")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_panic_of_the_program() {
    again(|launcher| {
        ends_badly(&start(launcher, 3, "first panic", &[]).end(), &["rank 0 of 3", "panicked"]);
        ends_badly(&start(launcher, 3, "last panic", &[]).end(), &["rank 2 of 3", "panicked"]);
    });
}

#[test]
fn a_panic_of_a_task_is_a_result() {
    each(|launcher| {
        for program in ["bad task", "far panic"] {
            let ended = start(launcher, 2, program, &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            assert_eq!(ended.file("told"), "true");
        }
    });
}

#[test]
fn an_exit_with_any_code() {
    again(|launcher| {
        for code in ["0", "3"] {
            let says = ["rank 0 of 2", &format!("exited with code {code}")];
            ends_badly(&start(launcher, 2, &format!("first {code}"), &[]).end(), &says);
        }
        for program in ["last 0", "far 0"] {
            ends_badly(&start(launcher, 3, program, &[]).end(), &["rank 2 of 3", "exited with code 0"]);
        }
    });
}

#[test]
fn a_rank_that_is_killed() {
    again(|launcher| {
        for (ranks, program, who) in [
            (3, "last kill", "rank 2 of 3"),
            (2, "far kill", "rank 1 of 2"),
            (2, "first kill", "rank 0 of 2"),
            (2, "last abort", "rank 1 of 2"),
        ] {
            let ended = start(launcher, ranks, program, &[]).end();
            // A launcher that sees it first ends the others before they can speak, and tells of it in its own words.
            if ended.words().is_empty() && ["Killed", "Aborted", "signal"].iter().any(|word| ended.told.contains(word))
            {
                ends_soon(&ended);
            } else {
                ends_badly(&ended, &[who, "had not left"]);
            }
        }
    });
}

#[test]
fn a_rank_that_is_stopped_for_too_long() {
    again(|launcher| {
        let ended = start(launcher, 2, "last stop", &[("HEIST_LOST_AFTER", "1")]).end();
        ends_badly(&ended, &["rank 1 of 2", "stopped for 1"]);
    });
}

/// A program that ends its executor when it is interrupted does so as far as the launcher lets it: Open MPI's is ended itself,
/// and kills all after a second.
#[test]
fn an_interrupt_that_the_program_sees_to() {
    each(|launcher| {
        let job = start(launcher, 2, "signals", &[]);
        job.wait_for(2, "works");
        let ended = job.interrupt();
        assert!(ended.words().is_empty(), "{}", ended.told);
        assert_eq!((ended.file("told-0"), ended.file("told-1")), ("true", "true"), "{}", ended.told);
    });
}

/// What a person does with Ctrl-C, the terminal does to the launcher: all ends, and nobody complains.
#[test]
fn an_interrupt() {
    again(|launcher| {
        let job = start(launcher, 3, "wait", &[]);
        job.wait_for(1, "works");
        let ended = job.interrupt();
        // What the code then is, is the launcher's affair: to some this is no failure.
        assert!(ended.words().is_empty(), "{}", ended.told);
        nothing_left();
    });
}

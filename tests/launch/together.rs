//! Ranks find each other, and leave together.

use crate::behind::{each, start, start_behind, under};

#[test]
fn the_first_rank_runs_the_closure_and_the_others_serve() {
    each(|launcher| {
        for ranks in [1, 2, 4] {
            let ended = start(launcher, ranks, "closure", &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            assert_eq!(ended.file("world"), format!("0 of {ranks}"));
            let values: Vec<_> = ended.files.iter().filter(|(name, _)| name.starts_with("value")).collect();
            assert_eq!(values.len(), ranks, "{}", ended.told);
            let given = |what: &str| values.iter().filter(|(_, value)| value == what).count();
            assert_eq!((given("Some(42)"), given("None")), (1, ranks - 1), "{}", ended.told);
        }
    });
}

#[test]
fn without_a_launcher_the_process_is_the_first_of_one() {
    let ended = start_behind(&["env"], "closure", &[]).end();
    assert!(ended.status.success(), "{}", ended.told);
    assert_eq!(ended.file("world"), "0 of 1");
}

#[test]
fn equal_ranks_leave_when_all_have_come_to_their_end() {
    each(|launcher| {
        for end in ["equals drop", "equals wait"] {
            for ranks in [1, 3] {
                let ended = start(launcher, ranks, end, &[]).end();
                assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
                for rank in 0..ranks {
                    assert_eq!(ended.file(&format!("rank-{rank}")), ranks.to_string());
                    // Nobody is past its end while another has not come to it.
                    assert_eq!(ended.file(&format!("left-{rank}")), "true", "{}", ended.told);
                }
            }
        }
    });
}

#[test]
fn a_rank_that_is_done_serves_the_others() {
    each(|launcher| {
        for ranks in [1, 2, 4] {
            let ended = start(launcher, ranks, "serves", &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            assert_eq!(ended.file("served"), "328350");
        }
    });
}

/// Where the end cannot be waited for, the process waits for it when it exits.
#[test]
fn equal_ranks_may_leave_when_they_exit() {
    each(|launcher| {
        for end in ["equals in a task", "equals never"] {
            let ended = start(launcher, 2, end, &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            assert_eq!(ended.file("rank-1"), "2");
        }
    });
}

#[test]
fn the_users_word_keeps_processes_apart() {
    each(|launcher| {
        let ended = start(launcher, 2, "equals drop", &[("HEIST_LAUNCHER", "none")]).end();
        assert!(ended.status.success(), "{}", ended.told);
        assert_eq!(ended.file("rank-0"), "1", "each is the first of one");
    });
}

#[test]
fn ranks_that_cannot_find_each_other_are_told_the_way_out() {
    let told = |words: &[&str], variables: &[(&str, &str)], says: &[&str]| {
        let ended = start_behind(words, "joins", variables).end();
        let error = ended.file("joined");
        assert!(says.iter().all(|part| error.contains(part)), "{says:?}: {}\n{error}", ended.told);
    };
    under("slurm", |_| {
        told(
            &["srun", "-Q", "-O", "--mpi=none", "-n", "2"],
            &[],
            &["srun", "of 2", "--mpi=pmix", "HEIST_LAUNCHER=none"],
        );
    });
    under("mpich", |_| {
        let words = ["mpirun.mpich", "-n", "2"];
        told(&words, &[("HEIST_MPI_LIB", "libmpi.so.40")], &["mpirun.mpich", "rank 0 of 1", "of 2", "HEIST_MPI_LIB"]);
        told(&words, &[("HEIST_MPI_LIB", "/no/such.so")], &["mpirun.mpich", "/no/such.so"]);
    });
}

#[test]
fn a_job_is_joined_once() {
    each(|launcher| {
        let ended = start(launcher, 2, "twice", &[]).end();
        assert!(ended.status.success(), "{}", ended.told);
        assert_eq!(ended.file("again"), "true true", "{}", ended.told);
    });
}

#[test]
fn a_child_of_a_rank_is_no_rank() {
    each(|launcher| {
        let ended = start(launcher, 2, "child", &[]).end();
        assert!(ended.status.success(), "{}", ended.told);
        assert_eq!(ended.file("child"), "1");
    });
}

#[test]
fn ranks_of_a_job_call_and_name_things_together() {
    each(|launcher| {
        for ranks in [1, 2, 4] {
            let ended = start(launcher, ranks, "collective", &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            for rank in 0..ranks {
                assert_eq!(ended.file(&format!("rank-{rank}")), format!("{ranks} on 1"));
            }
        }
    });
}

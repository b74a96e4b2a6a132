//! What launchers leave to a rank, it keeps to: each worker of its executor is pinned as the executor tells, asked from
//! inside tasks, and none is outside the mask that the rank inherited. Ranks that share CPUs are warned of it.
//!
//! `HEIST_REQUIRE` names what must be there, with commas: `openmpi`, `mpich`, `slurm`, `taskset`, `cgroup`, `mount`, or
//! `all`.

#[path = "../numa/tests/launch/mod.rs"]
mod launch;

use std::process::Command;
use std::sync::{Arc, Barrier};

use heist::Executor;
use heist_numa::CpuSet;
use launch::{
    Cgroup, Report, Thread, cores, launch, mask, need, program, reports, singles_and_pairs, taskset, without,
};

const ALONE: &str = "a_process_alone";

/// Makes an executor as a program does, and tells the mask of each worker.
fn report() -> Report {
    let inherited = mask();
    let ex = Executor::new().unwrap();
    let barrier = Arc::new(Barrier::new(ex.workers()));
    let masks = ex.map(0..ex.workers(), move |_| {
        barrier.wait();
        (heist::current().unwrap().worker(), mask())
    });
    let mut masks = ex.gather(masks).unwrap();
    masks.sort_by_key(|&(worker, _)| worker);
    let told = ex.stats().per_worker;
    assert!(masks.iter().map(|&(worker, _)| worker).eq(0..told.len()), "each worker ran one task");
    let threads = masks.into_iter().zip(told).map(|((_, mask), told)| Thread { planned: told.cpu, mask }).collect();
    assert_eq!(mask(), inherited, "who makes an executor keeps its mask");
    Report { name: "executor".into(), inherited, threads, warnings: ex.warnings().to_vec() }
}

/// Starts `ranks` ranks behind `words`.
#[track_caller]
fn ranks(ranks: usize, words: &[&str]) -> Vec<Report> {
    let variables = [
        // Without it, OpenMPI starts nothing for root.
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        // What becomes of ranks that join each other is told in tests/launch.
        ("HEIST_LAUNCHER", "none"),
    ];
    let reports = launch(ALONE, words, &variables);
    assert_eq!(reports.len(), ranks, "{words:?}");
    for report in &reports {
        report.check();
        assert!(report.threads.iter().all(|thread| thread.planned.is_some()), "{words:?}: not pinned: {report:?}");
        assert_eq!(report.threads.len(), cores(&report.inherited), "{words:?}: one for each core: {report:?}");
    }
    for (rank, report) in reports.iter().enumerate() {
        let others = reports.iter().enumerate().filter(|&(other, _)| other != rank).map(|(_, other)| &other.inherited);
        let shares = others.into_iter().any(|other| !other.intersection(&report.inherited).is_empty());
        let told = report.warnings.iter().any(|warning| warning.contains("ranks of this host share the CPUs"));
        assert_eq!(told, shares, "{words:?}: {reports:?}");
        assert_eq!(report.warnings.len(), usize::from(told), "{words:?}: {report:?}");
    }
    reports
}

/// Starts one process behind `words`; it must inherit `expected`.
#[track_caller]
fn alone(words: &[String], expected: &CpuSet) {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert_eq!(ranks(1, &words)[0].inherited, *expected, "{words:?}");
}

#[test]
fn a_process_alone() {
    match reports() {
        Some(folder) => report().write(&folder),
        None => alone(&[], &mask()),
    }
}

#[test]
fn under_taskset() {
    if need("taskset", program("taskset")).is_some() {
        for pus in singles_and_pairs(&mask()) {
            alone(&taskset(&pus), &pus);
        }
    }
}

#[test]
fn in_a_cpuset_of_a_control_group() {
    for pus in singles_and_pairs(&mask()) {
        let Some(group) = need("cgroup", Cgroup::of(&pus)) else { return };
        alone(&group.words(), &pus);
    }
}

#[test]
fn without_what_the_kernel_tells_of_domains_and_cores() {
    for path in ["/sys/devices/system/node", "/sys"] {
        let Some(words) = need("mount", without(path)) else { return };
        for report in launch(ALONE, &words, &[]) {
            report.check();
            assert!(report.threads.len() >= cores(&report.inherited), "no core is lost: {report:?}");
        }
    }
}

/// OpenMPI's own choice is a core for each of two ranks, one core for a rank alone, and all of them for more.
#[test]
fn under_mpirun_of_openmpi() {
    let version = Command::new("mpirun").arg("--version").output();
    let found = match version {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("Open MPI") => Ok(()),
        _ => Err("mpirun of OpenMPI is not in the PATH".into()),
    };
    if need("openmpi", found).is_none() {
        return;
    }
    for n in [1, 2, 4] {
        let number = n.to_string();
        for options in [
            &["--oversubscribe"][..],
            &["--oversubscribe", "--bind-to", "none"],
            &["--oversubscribe", "--bind-to", "core:overload-allowed"],
            &["--oversubscribe", "--map-by", "numa:oversubscribe", "--bind-to", "numa:overload-allowed"],
        ] {
            ranks(n, &[&["mpirun", "-n", &number], options].concat());
        }
        if n <= cores(&mask()) {
            ranks(n, &["mpirun", "-n", &number]);
            ranks(n, &["mpirun", "-n", &number, "--bind-to", "none"]);
        }
    }
}

/// MPICH binds nothing unless told to.
#[test]
fn under_mpirun_of_mpich() {
    if need("mpich", program("mpirun.mpich")).is_none() {
        return;
    }
    for n in ["1", "2", "4"] {
        for report in ranks(n.parse().unwrap(), &["mpirun.mpich", "-n", n]) {
            assert_eq!(report.inherited, mask());
        }
        for report in ranks(n.parse().unwrap(), &["mpirun.mpich", "-bind-to", "core", "-n", n]) {
            assert_eq!(report.threads.len(), 1);
        }
    }
}

/// Slurm binds each rank to a core of its own, and all of them to one where they may overcommit.
#[test]
fn under_srun() {
    let works = Command::new("timeout").args(["60", "srun", "-n", "1", "true"]).output();
    let works = works.map_err(|error| error.to_string()).and_then(|output| {
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
    if need("slurm", works).is_none() {
        return;
    }
    let all = mask().len().to_string();
    for n in [1, 2, 4] {
        let number = n.to_string();
        ranks(n, &["srun", "-O", "-n", &number]);
        for report in ranks(n, &["srun", "-O", "-n", &number, "-c", &all, "--cpu-bind=none"]) {
            assert_eq!(report.inherited, mask());
        }
        if n <= mask().len() {
            ranks(n, &["srun", "-n", &number]);
        }
    }
}

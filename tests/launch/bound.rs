//! Ranks of a host work on cores of their own, as far as there are any, and never outside of what they were left.

use std::{env, fs, process};

use heist::numa::{CpuSet, Topology, affinity};

use crate::behind::{Ended, each, start, start_behind, under};

/// What one rank told: what it was left, the masks of its workers, what it was warned of.
struct Told {
    inherited: CpuSet,
    workers: Vec<CpuSet>,
    warnings: Vec<String>,
}

fn told(ended: &Ended, ranks: usize) -> Vec<Told> {
    assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
    let told = |rank: usize| {
        let text = ended.file(&format!("mask-{rank}"));
        let mut lines = text.lines();
        let inherited = lines.next().unwrap().parse().unwrap();
        let workers = lines.next().unwrap().split(' ').map(|mask| mask.parse().unwrap()).collect();
        let warnings = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Told { inherited, workers, warnings }
    };
    (0..ranks).map(told).collect()
}

/// No two workers, of whatever rank, are on one core while another, that the rank of either was left, has none; and there is
/// at most one warning on the host, which names a flag.
#[track_caller]
fn well_bound(ended: &Ended, ranks: usize) -> Vec<Told> {
    let all = told(ended, ranks);
    let host = Topology::of_host(&affinity().unwrap()).unwrap();
    let core = |mask: &CpuSet| host.cores().iter().position(|core| mask.iter().all(|pu| core.pus().contains(pu)));
    let cores = |mask: &CpuSet| {
        (0..host.cores().len()).filter(|&at| !host.cores()[at].pus().intersection(mask).is_empty()).collect::<Vec<_>>()
    };
    let mut used = vec![0; host.cores().len()];
    for worker in all.iter().flat_map(|told| &told.workers) {
        used[core(worker).unwrap_or_else(|| panic!("a worker on {worker}: {}", ended.told))] += 1;
    }
    for told in &all {
        for worker in &told.workers {
            assert!(worker.difference(&told.inherited).is_empty(), "outside of {}: {}", told.inherited, ended.told);
            if used[core(worker).unwrap()] > 1 {
                assert!(cores(&told.inherited).iter().all(|&core| used[core] > 0), "a free core: {}", ended.told);
            }
        }
    }
    let warnings: Vec<_> = all.iter().flat_map(|told| &told.warnings).collect();
    assert!(warnings.len() < 2, "{warnings:?}");
    all
}

#[test]
fn under_every_launcher() {
    each(|launcher| {
        for ranks in [1, 2, 4] {
            let ended = start(launcher, ranks, "masks", &[]).end();
            let all = well_bound(&ended, ranks);
            let cores = Topology::of_host(&affinity().unwrap()).unwrap().cores().len();
            let shared = all.iter().enumerate().any(|(at, one)| {
                all[..at].iter().any(|other| !one.inherited.intersection(&other.inherited).is_empty())
            });
            let narrow = all.iter().any(|told| told.inherited.len() == 1) && cores / ranks > 1;
            let warned = all.iter().any(|told| !told.warnings.is_empty());
            assert_eq!(warned, shared || narrow, "{}", ended.told);
        }
    });
}

/// Open MPI leaves one CPU to a rank alone: the flags that the warning names give it all of them.
#[test]
fn the_flags_of_the_warning_mend_it() {
    under("openmpi", |_| {
        let narrow = start_behind(&["mpirun", "-n", "1"], "masks", &[]).end();
        let told = well_bound(&narrow, 1).remove(0);
        let cores = Topology::of_host(&affinity().unwrap()).unwrap().cores().len();
        if cores == 1 {
            return;
        }
        let warning = &told.warnings[0];
        let flags = warning.split('`').nth(1).unwrap_or_else(|| panic!("{warning}"));
        let wide = start_behind(&flags.split(' ').collect::<Vec<_>>(), "masks", &[]).end();
        let told = well_bound(&wide, 1).remove(0);
        assert_eq!((told.workers.len(), told.warnings.len()), (cores, 0), "{}", wide.told);
    });
}

#[test]
fn ranks_that_nobody_bound_part_the_host() {
    under("openmpi", |_| {
        for ranks in ["2", "4"] {
            let words = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", ranks];
            well_bound(&start_behind(&words, "masks", &[]).end(), ranks.parse().unwrap());
        }
    });
    under("slurm", |_| {
        let words = ["srun", "-Q", "-O", "--mpi=pmix", "--cpu-bind=none", "-n", "2"];
        well_bound(&start_behind(&words, "masks", &[]).end(), 2);
    });
}

/// An mpirun within a batch job: its ranks have the variables of both.
#[test]
fn mpirun_in_a_batch_job() {
    under("slurm", |_| {
        under("openmpi", |_| {
            for mpirun in ["mpirun --oversubscribe", "mpirun.mpich"] {
                let script = env::temp_dir().join(format!("batch-{}-{}", process::id(), mpirun.len()));
                fs::write(&script, format!("#!/bin/sh\nexec {mpirun} -n 2 \"$@\"\n")).unwrap();
                let words = ["sbatch", "-W", "-Q", "-O", "-n", "2", "-o", "/dev/null", script.to_str().unwrap()];
                let ended = start_behind(&words, "masks", &[]).end();
                fs::remove_file(&script).unwrap();
                well_bound(&ended, 2);
            }
        });
    });
}

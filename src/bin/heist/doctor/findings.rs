//! What is wrong, told from the facts alone.

use heist::numa::{Core, CpuSet};
use serde::Serialize;

use super::facts::{Facts, Room};
use super::mend::Mend;
use crate::layout::count;
use crate::memory::size;

/// Less shared memory than this is little, if it is also little beside the host's memory.
const LITTLE: u64 = 1 << 30;
/// Shared memory of a host is little below this part of its memory; Linux gives it half.
const PART: u64 = 8;
/// With less of it free, shared memory is full.
const FULL: u64 = 64 << 20;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// One word, always the same for the same trouble.
    pub(super) name: &'static str,
    /// Whether it makes programs slower, or fail.
    pub(super) costs: bool,
    pub(super) what: String,
    pub(super) cost: String,
    pub(super) mend: Mend,
}

impl Finding {
    fn costly(name: &'static str, what: String, cost: impl Into<String>, mend: Mend) -> Finding {
        Finding { name, costs: true, what, cost: cost.into(), mend }
    }

    fn note(name: &'static str, what: String, cost: impl Into<String>, mend: Mend) -> Finding {
        Finding { name, costs: false, what, cost: cost.into(), mend }
    }
}

/// All there is, the dearest first.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let one_each = [
        pretended,
        narrow,
        overlap,
        siblings,
        crowd,
        quota,
        pinning,
        placing,
        closed,
        balancing,
        shared_memory,
        leftovers,
    ];
    let mut found: Vec<_> = one_each.iter().filter_map(|find| find(facts)).collect();
    found.extend(facts.host.warnings().iter().map(|warning| contradiction(warning)));
    found.sort_by_key(|finding| !finding.costs);
    found
}

fn pretended(facts: &Facts) -> Option<Finding> {
    let name = facts.pretended?;
    Some(Finding::costly(
        "pretended",
        format!("{name} is set: heist plans for the host it describes, not for this one"),
        "no worker is pinned and no memory is placed",
        Mend::only(format!("env -u {name} PROGRAM")),
    ))
}

/// One core, where there are more than ranks.
fn narrow(facts: &Facts) -> Option<Finding> {
    let (own, granted, all) = (facts.cores_of(&facts.mask), facts.cores_of(&facts.cpuset), facts.host.cores().len());
    let on = if facts.mask.len() == 1 { "PU" } else { "PUs" };
    let cost = |of| format!("one worker, which has 1 of {} to work on", count(of, "core"));
    if own == 1 && granted > facts.ranks_here() {
        return Some(Finding::costly(
            "mask",
            format!("the mask allows the {on} {} only, of {}", facts.mask, count(granted, "core")),
            cost(granted),
            Mend::bind(facts).or(format!("taskset -c {} PROGRAM", facts.cpuset)),
        ));
    }
    (granted == 1 && all > 1).then(|| {
        Finding::costly(
            "mask",
            format!("the control group's cpuset grants the {on} {} only, of {}", facts.mask, count(all, "core")),
            cost(all),
            Mend {
                srun: Some(format!("sbatch or salloc -c {}, then srun with the same", facts.host.online().len())),
                ..Mend::only("widen the cpuset where it is set (containers: --cpuset-cpus)")
            },
        )
    })
}

/// Ranks with PUs in common.
fn overlap(facts: &Facts) -> Option<Finding> {
    let ranks = facts.ranks.as_ref()?;
    let sharing: Vec<_> =
        ranks.others.iter().map(|mask| mask.intersection(&facts.mask)).filter(|pus| !pus.is_empty()).collect();
    let what = if sharing.is_empty() {
        // As large as this one's, more masks than there is room for cannot but overlap.
        let fits = ranks.knows_all() || ranks.count.saturating_mul(facts.mask.len()) <= facts.cpuset.len();
        if fits || ranks.count < 2 {
            return None;
        }
        format!("{} have masks as large as this one's, {}: they overlap", ranks_of(ranks.count), facts.mask)
    } else {
        let pus = sharing.iter().fold(CpuSet::new(), |all, pus| all.union(pus));
        let of = if pus == facts.mask { String::new() } else { format!(" of its {}", facts.mask) };
        format!("{} of this host may run on this one's PUs, too: {pus}{of}", count(sharing.len(), "other rank"))
    };
    Some(Finding::costly(
        "overlap",
        what,
        "their workers take turns: a task, and whoever waits for it, is held up for milliseconds at a time",
        Mend::bind(facts),
    ))
}

fn ranks_of(number: usize) -> String {
    format!("the {} of this host", count(number, "rank"))
}

/// Cores of which this rank has some PUs and another rank others.
fn siblings(facts: &Facts) -> Option<Finding> {
    let ranks = facts.ranks.as_ref().filter(|ranks| ranks.count > 1)?;
    let split = |other: &CpuSet| -> CpuSet {
        let cores = facts.host.cores().iter().map(Core::pus);
        let mixed = |pus: &&CpuSet| {
            !pus.intersection(&facts.mask).is_empty() && pus.intersection(&facts.mask).intersection(other).is_empty()
        };
        cores.filter(mixed).flat_map(|pus| pus.intersection(other).iter().collect::<Vec<_>>()).collect()
    };
    let threads = facts.host.cores().iter().map(|core| core.pus().len()).max().unwrap_or(1);
    let mend = || {
        Mend::flags(
            "--map-by core --bind-to core, without --use-hwthread-cpus",
            "-bind-to core, not hwthread",
            format!("--hint=nomultithread, or -c with a multiple of {threads}"),
        )
    };
    let taken = ranks.others.iter().fold(CpuSet::new(), |all, other| all.union(&split(other)));
    if !taken.is_empty() {
        return Some(Finding::costly(
            "siblings",
            format!("other ranks run on the PUs {taken}, SMT siblings of this one's {}", facts.mask),
            "two workers share the units and caches of one core: together they do far less than on two",
            mend(),
        ));
    }
    let halves: CpuSet = facts
        .host
        .cores()
        .iter()
        .map(Core::pus)
        .filter(|pus| !pus.intersection(&facts.mask).is_empty())
        .flat_map(|pus| pus.difference(&facts.mask).iter().collect::<Vec<_>>())
        .collect();
    (!halves.is_empty() && !ranks.knows_all()).then(|| {
        Finding::note(
            "siblings",
            format!("the PUs {halves}, SMT siblings of the mask's {}, may be another rank's", facts.mask),
            "if they are, two workers share the units and caches of one core",
            mend(),
        )
    })
}

/// More workers than cores, of which heist pins none.
fn crowd(facts: &Facts) -> Option<Finding> {
    let (workers, cores) = (facts.workers?, facts.cores_of(&facts.mask));
    (workers > cores).then(|| {
        Finding::costly(
            "workers",
            format!("HEIST_WORKERS is {workers}, and the mask allows {}", count(cores, "core")),
            "no worker is pinned, and workers take turns",
            Mend::flags(
                format!("-x HEIST_WORKERS={cores}"),
                format!("-genv HEIST_WORKERS {cores}"),
                format!("--export=ALL,HEIST_WORKERS={cores}"),
            )
            .or("env -u HEIST_WORKERS PROGRAM: a worker for each core is what heist makes by itself"),
        )
    })
}

fn quota(facts: &Facts) -> Option<Finding> {
    let quota = facts.quota?;
    let (cores, ranks) = (facts.cores_of(&facts.mask), facts.ranks_here());
    let workers = facts.workers.unwrap_or(cores.min(quota));
    let all = workers.saturating_mul(ranks);
    let raise = format!(
        "raise the quota (containers: --cpus={0}; systemd: CPUQuota={0}00%)",
        cores.saturating_mul(ranks).min(facts.cores_of(&facts.cpuset)).max(workers)
    );
    let granted = format!("the control group grants {} of time", count(quota, "CPU"));
    if all > quota {
        let each = (quota / ranks).max(1);
        let of = if ranks > 1 { format!(" of {}", ranks_of(ranks)) } else { String::new() };
        let stopped = (100.0 - 100.0 * quota as f64 / all as f64).round();
        let few = |option: &str| if ranks > quota { format!("{option}{quota} ") } else { String::new() };
        let nodes = if ranks > quota { format!("--map-by ppr:{quota}:node ") } else { String::new() };
        return Some(Finding::costly(
            "quota",
            format!("{granted} to {}{of}", count(all, "worker")),
            format!("when all have work, they are stopped for {stopped} % of the time, all at once"),
            Mend::flags(
                format!("{nodes}-x HEIST_WORKERS={each}"),
                format!("{}-genv HEIST_WORKERS {each}", few("-ppn ")),
                format!("{}--export=ALL,HEIST_WORKERS={each}", few("--ntasks-per-node=")),
            )
            .or(raise),
        ));
    }
    (quota < cores).then(|| {
        Finding::costly(
            "quota",
            format!("{granted}, where the mask allows {}", count(cores, "core")),
            format!("{} without a worker", stay(cores.saturating_sub(workers))),
            Mend::only(format!("no launcher has a flag for it: {raise}")),
        )
    })
}

/// `1 core stays`, `2 cores stay`.
fn stay(cores: usize) -> String {
    format!("{} stay{}", count(cores, "core"), if cores == 1 { "s" } else { "" })
}

fn pinning(facts: &Facts) -> Option<Finding> {
    let refusal = facts.pin_refusal.as_ref()?;
    Some(Finding::costly(
        "pin",
        format!("threads cannot be pinned: {refusal}"),
        "workers are moved from core to core, away from their caches and their memory",
        Mend::flags(
            "--map-by core --bind-to core, one rank a core: it binds from outside of containers",
            "-map-by core -bind-to core, one rank a core",
            "--cpu-bind=cores --ntasks-per-core=1, one rank a core",
        )
        .or("allow sched_setaffinity in the filter of system calls (containers: --security-opt seccomp=PROFILE)"),
    ))
}

fn placing(facts: &Facts) -> Option<Finding> {
    let refusal = facts.place_refusal.as_ref()?;
    Some(Finding::costly(
        "place",
        format!("memory cannot be placed: {refusal}"),
        "data lies where it was first written, and tasks that are sent to another domain work on it from afar",
        Mend::flags(
            "--map-by numa --bind-to numa, one rank a domain: what it first writes is near",
            "-map-by numa -bind-to numa, one rank a domain",
            format!("--cpu-bind=ldoms --ntasks-per-node={}, one rank a domain", facts.host.domains().len()),
        )
        .or("allow mbind (containers: --cap-add SYS_NICE, or another seccomp profile)"),
    ))
}

/// Domains whose PUs are in the mask and whose memory is not to be had.
fn closed(facts: &Facts) -> Option<Finding> {
    let domains = || facts.host.domains().iter();
    let is_closed = |id: u32| facts.closed.contains(&id);
    let far: CpuSet = domains()
        .filter(|domain| is_closed(domain.id()))
        .flat_map(|domain| domain.pus().intersection(&facts.mask).iter().collect::<Vec<_>>())
        .collect();
    if far.is_empty() {
        return None;
    }
    let near = facts.mask.difference(&far);
    let ids: CpuSet = facts.closed.iter().map(|&id| id as usize).collect();
    let all: CpuSet = domains().map(|domain| domain.id() as usize).collect();
    let widen = format!("widen cpuset.mems of the control group (containers: --cpuset-mems={all})");
    let mend = if near.is_empty() {
        Mend::only(widen)
    } else {
        let keep = format!("taskset -c {near} PROGRAM");
        Mend::flags(
            format!("--bind-to none {keep}"),
            format!("-bind-to none {keep}"),
            format!("--cpu-bind=none {keep}"),
        )
        .or(widen)
    };
    Some(Finding::costly(
        "memory",
        format!("this process may take no memory of the domains {ids}, and may run on their PUs {far}"),
        "whatever workers there touch is in another domain",
        mend,
    ))
}

fn balancing(facts: &Facts) -> Option<Finding> {
    (facts.balances && facts.host.domains().len() > 1).then(|| {
        Finding::costly(
            "balancing",
            "the kernel balances memory between domains by itself (kernel.numa_balancing)".to_owned(),
            "it takes pages away for a moment to see who uses them, and moves those that heist did not place",
            Mend::flags(
                "… numactl --localalloc PROGRAM",
                "… numactl --localalloc PROGRAM",
                "--mem-bind=local, or … numactl --localalloc PROGRAM",
            )
            .or("sysctl kernel.numa_balancing=0, as root"),
        )
    })
}

fn shared_memory(facts: &Facts) -> Option<Finding> {
    let mend = |wanted: u64| Mend {
        mpirun: Some("mpirun --mca btl_vader_backing_directory /tmp (OpenMPI 5: btl_sm_backing_directory)".to_owned()),
        mpich: Some("mpirun.mpich -genv UCX_POSIX_DIR /tmp, where it is built with UCX".to_owned()),
        srun: Some("srun --export=ALL,OMPI_MCA_btl_vader_backing_directory=/tmp,UCX_POSIX_DIR=/tmp".to_owned()),
        ..Mend::only(format!(
            "enlarge it: containers --shm-size={0}g; else mount -o remount,size={0}G /dev/shm",
            wanted.div_ceil(1 << 30)
        ))
    };
    let wanted = facts.memory.map_or(LITTLE, |memory| memory / 2);
    let cost = "MPI libraries pass messages within a host through it: without room for them, they do not start, are slower, or \
                end with SIGBUS; heist's segments lie there on kernels without memfd";
    match facts.shared_memory {
        None => Some(Finding::costly("shm", "there is no /dev/shm".to_owned(), cost, mend(wanted))),
        Some(Room { size: room, .. }) if room < LITTLE && facts.memory.is_some_and(|memory| room < memory / PART) => {
            let what =
                format!("/dev/shm has {}, of {} of memory", size(room.into()), size(facts.memory.unwrap_or(0).into()));
            Some(Finding::costly("shm", what, cost, mend(wanted)))
        }
        Some(Room { size: room, free }) if free < FULL.min(room / 2) => {
            let what = format!("/dev/shm is full: {} free of {}", size(free.into()), size(room.into()));
            let mend = mend(wanted).or("remove from /dev/shm what nobody uses: fuser -v /dev/shm/* tells who does");
            Some(Finding::costly("shm", what, cost, mend))
        }
        Some(_) => None,
    }
}

fn leftovers(facts: &Facts) -> Option<Finding> {
    let found = facts.leftovers;
    (found.files > 0).then(|| {
        Finding::note(
            "leftovers",
            format!(
                "killed processes had left {} of segments, {}",
                count(found.files, "file"),
                size(found.bytes.into())
            ),
            "memory that nobody used; it is free again",
            Mend::only("nothing is left to do: heist doctor has removed them"),
        )
    })
}

fn contradiction(warning: &str) -> Finding {
    Finding::note(
        "host",
        warning.to_owned(),
        "workers may sit where it is not best",
        Mend::only("heist topo shows what heist makes of it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::Leftovers;
    use crate::doctor::ranks::{Launcher, Ranks};

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    /// One of `count` ranks, of which the masks of others are known.
    fn ranks(count: usize, others: &[&str]) -> Option<Ranks> {
        let others = others.iter().map(|mask| set(mask)).collect();
        Some(Ranks { launcher: Launcher::OpenMpi, own: 0, count, others })
    }

    /// The only finding of a host that is otherwise well.
    #[track_caller]
    fn only(text: &str, change: impl FnOnce(&mut Facts)) -> Finding {
        let mut facts = Facts::well(text);
        change(&mut facts);
        let mut found = all(&facts);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    #[track_caller]
    fn nothing(text: &str, change: impl FnOnce(&mut Facts)) {
        let mut facts = Facts::well(text);
        change(&mut facts);
        assert_eq!(all(&facts), []);
    }

    /// The ways to mend it, by launcher.
    fn ways(finding: &Finding) -> Vec<(&str, &str)> {
        finding.mend.ways().collect()
    }

    const HOST: &str = "2 domains × 4 cores × 2 threads";

    #[test]
    fn a_host_that_is_well() {
        nothing(HOST, |_| {});
        nothing("1 core", |_| {});
        nothing(HOST, |facts| facts.ranks = ranks(1, &[]));
        nothing(HOST, |facts| (facts.ranks, facts.mask) = (ranks(2, &["8-15"]), set("0-7")));
        nothing(HOST, |facts| facts.quota = Some(8));
    }

    #[test]
    fn a_mask_of_one_core_where_there_are_more() {
        let finding = only(HOST, |facts| facts.mask = set("3"));
        assert!(
            finding.name == "mask" && finding.costs && finding.what.contains("the PU 3 only, of 8 cores"),
            "{finding:?}"
        );
        assert!(finding.cost.contains("1 of 8 cores"), "{finding:?}");
        assert_eq!(
            ways(&finding),
            [
                ("mpirun", "mpirun --map-by ppr:1:node:pe=8 --bind-to core"),
                ("mpirun.mpich", "mpirun.mpich -bind-to core:8"),
                ("srun", "srun --cpu-bind=cores -c 16"),
                ("otherwise", "taskset -c 0-15 PROGRAM"),
            ]
        );
        let whole = only(HOST, |facts| facts.mask = set("2-3"));
        assert!(whole.what.contains("the PUs 2-3 only"), "{whole:?}");
    }

    #[test]
    fn a_core_for_each_rank_is_well_where_there_are_no_more() {
        let masks = ["2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"];
        nothing(HOST, |facts| (facts.mask, facts.ranks) = (set("0-1"), ranks(8, &masks)));
        let finding = only(HOST, |facts| (facts.mask, facts.ranks) = (set("0-1"), ranks(4, &masks[..3])));
        assert_eq!(ways(&finding)[0].1, "mpirun --map-by ppr:4:node:pe=2 --bind-to core");
        assert_eq!(ways(&finding)[2].1, "srun --cpu-bind=cores -c 4");
    }

    #[test]
    fn a_cpuset_of_one_core_is_not_mended_by_a_wider_mask() {
        let finding = only(HOST, |facts| (facts.mask, facts.cpuset) = (set("2"), set("2")));
        assert!(
            finding.name == "mask" && finding.what.contains("cpuset grants the PU 2 only, of 8 cores"),
            "{finding:?}"
        );
        let ways = ways(&finding);
        assert!(ways[0].1.starts_with("sbatch or salloc -c 16") && ways[1].1.contains("--cpuset-cpus"), "{ways:?}");
        nothing(HOST, |facts| (facts.mask, facts.cpuset) = (set("2-5"), set("2-5")));
    }

    #[test]
    fn ranks_with_pus_in_common() {
        let finding = only(HOST, |facts| {
            (facts.mask, facts.ranks) = (set("0-7"), ranks(4, &["4-11", "0-1", "8-15"]));
        });
        assert!(finding.name == "overlap" && finding.costs, "{finding:?}");
        assert_eq!(finding.what, "2 other ranks of this host may run on this one's PUs, too: 0-1,4-7 of its 0-7");
        assert_eq!(ways(&finding)[0].1, "mpirun --map-by ppr:4:node:pe=2 --bind-to core");
        let crowd = only(HOST, |facts| facts.ranks = ranks(9, &["0-15"]));
        assert_eq!(ways(&crowd)[1].1, "mpirun.mpich -bind-to core:1, with 8 ranks on each host");
    }

    #[test]
    fn ranks_with_unknown_masks_overlap_where_there_is_no_room_for_all() {
        let finding = only(HOST, |facts| facts.ranks = ranks(2, &[]));
        assert_eq!((finding.name, finding.costs), ("overlap", true));
        assert!(
            finding.what.contains("the 2 ranks of this host have masks as large as this one's, 0-15"),
            "{finding:?}"
        );
        nothing(HOST, |facts| (facts.mask, facts.ranks) = (set("0-7"), ranks(2, &[])));
    }

    #[test]
    fn siblings_of_one_core_in_two_ranks() {
        let finding = only(HOST, |facts| (facts.mask, facts.ranks) = (set("0,2,4-5"), ranks(2, &["1,3,6-7"])));
        assert!(finding.name == "siblings" && finding.costs && finding.what.contains("the PUs 1,3,"), "{finding:?}");
        assert_eq!(ways(&finding)[2].1, "srun --hint=nomultithread, or -c with a multiple of 2");
        let perhaps = only(HOST, |facts| (facts.mask, facts.ranks) = (set("0,2,4"), ranks(3, &["6,8"])));
        assert!(perhaps.name == "siblings" && !perhaps.costs && perhaps.what.contains("the PUs 1,3,5,"), "{perhaps:?}");
        nothing(HOST, |facts| (facts.mask, facts.ranks) = (set("0,2,4"), ranks(2, &["6,8"])));
        nothing(HOST, |facts| facts.mask = set("0,2,4,6,8,10,12,14"));
    }

    #[test]
    fn more_workers_than_cores() {
        let finding = only(HOST, |facts| (facts.mask, facts.workers) = (set("0-7"), Some(5)));
        assert!(finding.name == "workers" && finding.costs, "{finding:?}");
        assert_eq!(finding.what, "HEIST_WORKERS is 5, and the mask allows 4 cores");
        assert_eq!(ways(&finding)[1].1, "mpirun.mpich -genv HEIST_WORKERS 4");
        nothing(HOST, |facts| facts.workers = Some(8));
    }

    #[test]
    fn absurd_numbers_are_no_trouble() {
        let mut facts = Facts::well(HOST);
        (facts.quota, facts.ranks) = (Some(usize::MAX / 2), ranks(usize::MAX, &[]));
        let found = all(&facts);
        assert_eq!(found.iter().map(|finding| finding.name).collect::<Vec<_>>(), ["overlap", "quota"]);
    }

    #[test]
    fn a_quota_below_the_cores() {
        let finding = only(HOST, |facts| facts.quota = Some(3));
        assert!(finding.name == "quota" && finding.costs, "{finding:?}");
        assert!(finding.what.contains("3 CPUs") && finding.cost.starts_with("5 cores stay"), "{finding:?}");
        assert!(ways(&finding)[0].1.contains("--cpus=8") && ways(&finding).len() == 1, "{finding:?}");
    }

    #[test]
    fn a_quota_below_the_workers() {
        let own = only(HOST, |facts| (facts.quota, facts.workers) = (Some(2), Some(8)));
        assert!(own.what.ends_with("to 8 workers") && own.cost.contains("75 %"), "{own:?}");
        assert_eq!(ways(&own)[0].1, "mpirun -x HEIST_WORKERS=2");
        let shared = only(HOST, |facts| {
            (facts.quota, facts.mask, facts.ranks) = (Some(4), set("0-7"), ranks(2, &["8-15"]));
        });
        assert!(shared.what.ends_with("to 8 workers of the 2 ranks of this host"), "{shared:?}");
        let expected =
            ["mpirun -x HEIST_WORKERS=2", "mpirun.mpich -genv HEIST_WORKERS 2", "srun --export=ALL,HEIST_WORKERS=2"];
        assert_eq!(ways(&shared)[..3].iter().map(|way| way.1).collect::<Vec<_>>(), expected);
        let many = only(HOST, |facts| {
            (facts.quota, facts.mask, facts.ranks) = (Some(1), set("0-7"), ranks(2, &["8-15"]));
        });
        let expected = [
            "mpirun --map-by ppr:1:node -x HEIST_WORKERS=1",
            "mpirun.mpich -ppn 1 -genv HEIST_WORKERS 1",
            "srun --ntasks-per-node=1 --export=ALL,HEIST_WORKERS=1",
        ];
        assert_eq!(ways(&many)[..3].iter().map(|way| way.1).collect::<Vec<_>>(), expected);
        nothing(HOST, |facts| {
            (facts.quota, facts.mask, facts.ranks, facts.workers) = (Some(8), set("0-7"), ranks(2, &["8-15"]), Some(4));
        });
    }

    #[test]
    fn shared_memory_that_is_little_or_full() {
        let room = |size, free| move |facts: &mut Facts| facts.shared_memory = Some(Room { size, free });
        let little = only(HOST, room(64 << 20, 64 << 20));
        assert_eq!((little.name, little.what.as_str()), ("shm", "/dev/shm has 64.0 MiB, of 64.0 GiB of memory"));
        assert!(ways(&little).iter().any(|way| way.1.contains("--shm-size=32g")), "{little:?}");
        assert!(ways(&little)[0].1.contains("btl_vader_backing_directory"), "{little:?}");
        let full = only(HOST, room(32 << 30, 1 << 20));
        assert!(full.what.contains("full: 1.0 MiB free of 32.0 GiB"), "{full:?}");
        let absent = only(HOST, |facts| facts.shared_memory = None);
        assert!(absent.what.contains("no /dev/shm"), "{absent:?}");
        nothing(HOST, |facts| {
            (facts.memory, facts.shared_memory) = (Some(1 << 30), Some(Room { size: 512 << 20, free: 500 << 20 }));
        });
    }

    #[test]
    fn balancing_matters_where_there_are_several_domains() {
        let finding = only(HOST, |facts| facts.balances = true);
        assert_eq!((finding.name, finding.costs), ("balancing", true));
        assert_eq!(ways(&finding).len(), 4);
        assert!(ways(&finding)[2].1.starts_with("srun --mem-bind=local"), "{finding:?}");
        nothing("8 cores", |facts| facts.balances = true);
    }

    #[test]
    fn domains_without_memory_for_those_who_run_there() {
        let finding = only(HOST, |facts| facts.closed = vec![1]);
        assert!(
            finding.name == "memory" && finding.what.contains("the domains 1, and may run on their PUs 8-15"),
            "{finding:?}"
        );
        assert_eq!(ways(&finding)[2].1, "srun --cpu-bind=none taskset -c 0-7 PROGRAM");
        let all = only(HOST, |facts| (facts.closed, facts.mask) = (vec![1], set("8-11")));
        assert!(ways(&all).len() == 1 && ways(&all)[0].1.contains("--cpuset-mems=0-1"), "{all:?}");
        nothing(HOST, |facts| (facts.closed, facts.mask) = (vec![1], set("0-7")));
    }

    #[test]
    fn a_kernel_that_refuses() {
        let pin = only(HOST, |facts| facts.pin_refusal = Some("not allowed".to_owned()));
        assert!(
            pin.name == "pin" && pin.costs && pin.what.ends_with("not allowed") && ways(&pin).len() == 4,
            "{pin:?}"
        );
        let place = only(HOST, |facts| facts.place_refusal = Some("no mbind".to_owned()));
        assert!(place.name == "place" && place.costs && place.what.ends_with("no mbind"), "{place:?}");
        assert!(ways(&place)[2].1.contains("--ntasks-per-node=2"), "{place:?}");
    }

    #[test]
    fn another_host_than_this_one() {
        let finding = only(HOST, |facts| facts.pretended = Some("HEIST_TOPOLOGY"));
        assert!(finding.costs && ways(&finding) == [("otherwise", "env -u HEIST_TOPOLOGY PROGRAM")], "{finding:?}");
    }

    #[test]
    fn leftovers_are_told_after_what_costs() {
        let mut facts = Facts::well(HOST);
        facts.leftovers = Leftovers { files: 2, bytes: 3 << 20 };
        facts.mask = set("0");
        facts.place_refusal = Some("no mbind".to_owned());
        let found = all(&facts);
        assert_eq!(found.iter().map(|finding| finding.name).collect::<Vec<_>>(), ["mask", "place", "leftovers"]);
        assert!(!found[2].costs && found[2].what.contains("2 files of segments, 3.0 MiB"), "{found:?}");
    }
}

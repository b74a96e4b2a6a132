//! Which PUs each rank of a host works on: what its launcher left it, where no other rank was left the same.
//!
//! A pure function of the host and of all ranks' masks, so that every rank comes to the same answer by itself.

use heist_numa::{CpuSet, Topology};

use crate::config::Launcher;

/// What one rank works on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) pus: CpuSet,
    /// What the ranks' masks were made into, when they had to be.
    pub(crate) reason: Option<String>,
    /// The same for a person, with the way out; of one rank of the host.
    pub(crate) warning: Option<String>,
}

/// The part of rank `own` of those on a host, which have these masks.
pub(crate) fn bind(host: &Topology, launcher: &Launcher, masks: &[CpuSet], own: usize) -> Bound {
    let Some(inherited) = masks.get(own) else {
        return Bound { pus: CpuSet::new(), reason: None, warning: None };
    };
    let contending = contending(masks);
    if !contending.contains(&own) {
        return Bound { pus: inherited.clone(), reason: None, warning: None };
    }
    let parts = split(host, masks, &contending);
    let pus = parts[own].clone();
    let count = contending.len();
    let reason = format!("{count} ranks of this host were left CPUs in common: of {inherited} this one takes {pus}");
    let warning = (contending[0] == own).then(|| {
        let all = contending.iter().fold(CpuSet::new(), |all, &rank| all.union(&masks[rank]));
        let common = format!("{count} ranks of this host were left the CPUs {all} in common");
        let (cores, on_host) = (cores_of(host, &all).len(), host.cores().len());
        if cores >= count {
            let flags = launcher.flags(masks.len(), cores / count, all.len() / count);
            return format!("{common}: each takes a part of them, this one {pus}; `{flags}` gives each its own");
        }
        let ranks = masks.len().min(on_host);
        let flags = launcher.flags(ranks, on_host / ranks, host.online().len() / ranks);
        let fewer =
            if ranks < masks.len() { format!(", with no more than {ranks} ranks on the host,") } else { String::new() };
        format!(
            "{common}, on {cores} of its {on_host} cores, so that some take turns; `{flags}`{fewer} gives each its own"
        )
    });
    Bound { pus, reason: Some(reason), warning }
}

/// A warning when a rank was left one CPU, and there are more for each of the ranks of the host.
pub(crate) fn narrow(host: &Topology, launcher: &Launcher, mask: &CpuSet, ranks: usize) -> Option<String> {
    let ranks = ranks.max(1);
    let (cores, pus) = (host.cores().len() / ranks, host.online().len() / ranks);
    (mask.len() == 1 && cores > 1).then(|| {
        let flags = launcher.flags(ranks, cores, pus);
        format!(
            "{} left this rank the CPU {mask} alone, of a host with {} cores: it has one worker; `{flags}` gives it {cores}",
            launcher.command(),
            host.cores().len()
        )
    })
}

/// The ranks that have a PU in common with another.
fn contending(masks: &[CpuSet]) -> Vec<usize> {
    let mut all: Vec<_> = masks.iter().flat_map(CpuSet::iter).collect();
    all.sort_unstable();
    let shared: CpuSet = all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    (0..masks.len()).filter(|&rank| !masks[rank].intersection(&shared).is_empty()).collect()
}

/// The cores that have a PU in the mask: by domain, then by number.
fn cores_of(host: &Topology, mask: &CpuSet) -> Vec<usize> {
    let has = |core: &usize| host.cores()[*core].pus().iter().any(|pu| mask.contains(pu));
    let mut cores: Vec<_> = (0..host.cores().len()).filter(has).collect();
    cores.sort_by_key(|&core| (host.cores()[core].domain(), core));
    cores
}

/// The part of each rank. Those that contend get cores of their own, as many as can be and as evenly as can be, near each
/// other where ranks have equal masks; who gets none shares one with as few others as possible.
fn split(host: &Topology, masks: &[CpuSet], contending: &[usize]) -> Vec<CpuSet> {
    let choices: Vec<_> = contending.iter().map(|&rank| cores_of(host, &masks[rank])).collect();
    let mut owned = deal(&choices, host.cores().len());
    let mask_of = |at: usize| &masks[contending[at]];
    let mut dealt = vec![false; owned.len()];
    for first in 0..owned.len() {
        if dealt[first] {
            continue;
        }
        let equal: Vec<_> = (first..owned.len()).filter(|&at| mask_of(at) == mask_of(first)).collect();
        let mut cores: Vec<_> = equal.iter().flat_map(|&at| std::mem::take(&mut owned[at])).collect();
        cores.sort_by_key(|&core| (host.cores()[core].domain(), core));
        let mut cores = cores.into_iter();
        let (each, more) = (cores.len() / equal.len(), cores.len() % equal.len());
        for (place, &at) in equal.iter().enumerate() {
            dealt[at] = true;
            owned[at] = cores.by_ref().take(each + usize::from(place < more)).collect();
        }
    }
    let mut users = vec![Vec::new(); host.cores().len()];
    for (at, cores) in owned.iter().enumerate() {
        cores.iter().for_each(|&core| users[core].push(at));
    }
    for at in 0..owned.len() {
        if owned[at].is_empty()
            && let Some(&core) = choices[at].iter().min_by_key(|&&core| users[core].len())
        {
            owned[at].push(core);
            users[core].push(at);
        }
    }
    let mut parts = masks.to_vec();
    for (at, cores) in owned.iter().enumerate() {
        let pus = cores.iter().flat_map(|&core| host.cores()[core].pus().iter());
        // A mask of PUs that are not online stays as it is.
        if !cores.is_empty() {
            parts[contending[at]] = pus.filter(|&pu| mask_of(at).contains(pu)).collect();
        }
    }
    for (core, users) in users.iter().enumerate().filter(|(_, users)| users.len() > 1) {
        let siblings: Vec<_> = host.cores()[core].pus().iter().collect();
        let theirs = |&at: &usize| (0..siblings.len()).filter(|&pu| mask_of(at).contains(siblings[pu])).collect();
        let theirs: Vec<Vec<usize>> = users.iter().map(theirs).collect();
        for (&at, pus) in users.iter().zip(deal(&theirs, siblings.len())) {
            if !pus.is_empty() {
                parts[contending[at]] = pus.into_iter().map(|pu| siblings[pu]).collect();
            }
        }
    }
    parts
}

/// Deals out things to those who have a choice among them: each thing once, and so that the one who gets least gets as
/// much as it can.
fn deal(choices: &[Vec<usize>], things: usize) -> Vec<Vec<usize>> {
    let mut owner = vec![None; things];
    let mut wanting: Vec<_> = (0..choices.len()).collect();
    while !wanting.is_empty() {
        // Who cannot have one more now cannot later either.
        wanting.retain(|&who| gains(choices, &mut owner, &mut vec![false; things], who));
    }
    let mut dealt = vec![Vec::new(); choices.len()];
    for (thing, who) in owner.into_iter().enumerate() {
        if let Some(who) = who {
            dealt[who].push(thing);
        }
    }
    dealt
}

/// Gives `who` one more thing, and those it takes it from another one instead; false when that cannot be.
fn gains(choices: &[Vec<usize>], owner: &mut [Option<usize>], tried: &mut [bool], who: usize) -> bool {
    if let Some(&free) = choices[who].iter().find(|&&thing| owner[thing].is_none()) {
        owner[free] = Some(who);
        return true;
    }
    for &thing in &choices[who] {
        if std::mem::replace(&mut tried[thing], true) {
            continue;
        }
        let other = owner[thing].filter(|&other| other != who);
        if other.is_some_and(|other| gains(choices, owner, tried, other)) {
            owner[thing] = Some(who);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LauncherKind, Service};

    fn launcher(kind: LauncherKind) -> Launcher {
        Launcher { kind, rank: 0, size: 4, on_host: Some(4), service: Service::Pmix, job: None }
    }

    /// What ranks with these masks work on.
    fn parts(host: &str, masks: &[&str]) -> Vec<String> {
        let host = Topology::synthetic(host).unwrap();
        let masks: Vec<CpuSet> = masks.iter().map(|mask| mask.parse().unwrap()).collect();
        let bound = |own| bind(&host, &launcher(LauncherKind::OpenMpi), &masks, own);
        let bounds: Vec<_> = (0..masks.len()).map(bound).collect();
        assert!(bounds.iter().filter(|bound| bound.warning.is_some()).count() < 2, "{bounds:?}");
        for (bound, mask) in bounds.iter().zip(&masks) {
            assert!(!bound.pus.is_empty() && bound.pus.difference(mask).is_empty(), "{bounds:?}");
        }
        well_parted(&host, &masks, &bounds);
        bounds.iter().map(|bound| bound.pus.to_string()).collect()
    }

    /// No two ranks are on one core while another, in the mask of either, has nobody.
    fn well_parted(host: &Topology, masks: &[CpuSet], bounds: &[Bound]) {
        let cores = |pus: &CpuSet| cores_of(host, pus);
        let users = |core: usize| bounds.iter().filter(|bound| cores(&bound.pus).contains(&core)).count();
        for (bound, mask) in bounds.iter().zip(masks).filter(|(bound, _)| bound.reason.is_some()) {
            if cores(&bound.pus).iter().any(|&core| users(core) > 1) {
                assert!(cores(mask).iter().all(|&core| users(core) > 0), "{masks:?}: {bounds:?}");
            }
        }
    }

    #[test]
    fn what_nobody_shares_stays_as_it_is() {
        assert_eq!(parts("2 cores", &["0", "1"]), ["0", "1"]);
        assert_eq!(parts("2 domains × 4 cores", &["0-3", "4-7"]), ["0-3", "4-7"]);
        assert_eq!(parts("4 cores × 2 threads", &["0,2", "1,3"]), ["0,2", "1,3"], "siblings, as the launcher chose");
        assert_eq!(parts("4 cores", &["0-3"]), ["0-3"]);
    }

    #[test]
    fn unbound_ranks_take_domains_then_cores() {
        assert_eq!(parts("2 domains × 4 cores", &["0-7"; 2]), ["0-3", "4-7"]);
        assert_eq!(parts("2 domains × 4 cores", &["0-7"; 4]), ["0-1", "2-3", "4-5", "6-7"]);
        assert_eq!(parts("4 domains × 2 cores × 2 threads", &["0-15"; 2]), ["0-7", "8-15"]);
        assert_eq!(parts("4 cores", &["0-3"; 3]), ["0-1", "2", "3"]);
        assert_eq!(parts("2 cores", &["0-1"; 2]), ["0", "1"]);
    }

    #[test]
    fn ranks_bound_to_domains_part_each_of_them() {
        let masks = ["0-3", "0-3", "4-7", "4-7"];
        assert_eq!(parts("2 domains × 4 cores", &masks), ["0-1", "2-3", "4-5", "6-7"]);
        let masks = ["0-3", "4-7", "0-3", "0-3"];
        assert_eq!(parts("2 domains × 4 cores", &masks), ["0-1", "4-7", "2", "3"]);
    }

    #[test]
    fn more_ranks_than_cores_share_as_little_as_can_be() {
        let four = parts("2 cores", &["0-1"; 4]);
        assert_eq!(four.iter().filter(|pus| *pus == "0").count(), 2);
        assert_eq!(parts("2 cores", &["0"; 4]), ["0"; 4], "no more is to be had");
        let smt = parts("2 cores × 2 threads", &["0-3"; 4]);
        assert_eq!(smt.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "a thread of its own each: {smt:?}");
    }

    #[test]
    fn a_wide_mask_makes_room_for_a_narrow_one() {
        assert_eq!(parts("4 cores", &["0-3", "0"]), ["1-3", "0"]);
        assert_eq!(parts("4 cores", &["0-3", "0-1", "0"]), ["2-3", "1", "0"]);
        assert_eq!(parts("4 cores", &["0-1", "1-2", "2-3", "3"]), ["0", "1", "2", "3"]);
        let halves = parts("8 cores", &["0-5", "2-7"]);
        assert!(halves.iter().all(|half| half.parse::<CpuSet>().unwrap().len() == 4), "{halves:?}");
    }

    #[test]
    fn any_masks_are_parted_well() {
        let mut random = fastrand::Rng::with_seed(6);
        for _ in 0..300 {
            let ranks = random.usize(1..7);
            let mask = |random: &mut fastrand::Rng| {
                let pus: CpuSet = (0..16).filter(|_| random.u8(..) < 60).collect();
                if pus.is_empty() { "3".to_owned() } else { pus.to_string() }
            };
            let masks: Vec<_> = (0..ranks).map(|_| mask(&mut random)).collect();
            parts("2 domains × 4 cores × 2 threads", &masks.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_warning_names_what_mends_it() {
        let host = Topology::synthetic("2 domains × 4 cores × 2 threads").unwrap();
        let all: CpuSet = "0-15".parse().unwrap();
        for (kind, flags) in [
            (LauncherKind::OpenMpi, "mpirun --map-by ppr:2:node:pe=4 --bind-to core"),
            (LauncherKind::Mpich, "mpirun.mpich -bind-to core:4"),
            (LauncherKind::Slurm, "srun -c 8 --cpu-bind=cores"),
        ] {
            let masks = [all.clone(), all.clone()];
            let first = bind(&host, &launcher(kind), &masks, 0).warning.unwrap();
            assert!(first.contains(flags) && first.contains("0-7"), "{first}");
            assert_eq!(bind(&host, &launcher(kind), &masks, 1).warning, None, "one is enough");
            let one: CpuSet = "3".parse().unwrap();
            let narrow = narrow(&host, &launcher(kind), &one, 2).unwrap();
            assert!(narrow.contains(flags) && narrow.contains("CPU 3 alone"), "{narrow}");
        }
    }

    #[test]
    fn more_ranks_than_cores_are_told_how_many_there_may_be() {
        let host = Topology::synthetic("2 cores").unwrap();
        let warning = |mask: &str, ranks| {
            let masks = vec![mask.parse().unwrap(); ranks];
            bind(&host, &launcher(LauncherKind::OpenMpi), &masks, 0).warning.unwrap()
        };
        let many = warning("0-1", 4);
        assert!(many.contains("ppr:2:node:pe=1") && many.contains("no more than 2 ranks"), "{many}");
        let one = warning("0", 2);
        assert!(
            one.contains("ppr:2:node:pe=1") && one.contains("1 of its 2 cores") && !one.contains("no more"),
            "{one}"
        );
    }

    #[test]
    fn one_cpu_is_little_only_where_there_is_more() {
        let host = Topology::synthetic("4 cores").unwrap();
        let told = |mask: &str, ranks| narrow(&host, &launcher(LauncherKind::OpenMpi), &mask.parse().unwrap(), ranks);
        assert!(told("0", 1).unwrap().contains("ppr:1:node:pe=4"));
        assert!(told("0", 2).is_some());
        assert!(told("0", 4).is_none() && told("0", 3).is_none() && told("0-1", 1).is_none());
    }
}

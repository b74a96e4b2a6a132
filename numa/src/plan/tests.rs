//! Plans by example, and for random hosts, masks and wishes.
#![allow(clippy::single_range_in_vec_init, reason = "a ring may be one range")]

use std::num::NonZeroUsize;

use super::*;
use crate::fixture::{Host, Random};

fn set(list: &str) -> CpuSet {
    list.parse().unwrap()
}

fn pus(plan: &Plan) -> Vec<usize> {
    plan.seats().iter().filter_map(Seat::pu).collect()
}

fn plan(host: &str, mask: &str, wishes: &Wishes) -> Result<Plan, Error> {
    let host = Topology::synthetic(host).unwrap();
    Plan::new(&host, &set(mask), wishes)
}

/// Eight cores with siblings 8 apart, two packages of two L3 caches; a domain for each package.
fn two_sockets() -> Host {
    let host = Host::new();
    for (package, l3) in [(0, "0-1,8-9"), (0, "2-3,10-11"), (1, "4-5,12-13"), (1, "6-7,14-15")] {
        for pu in set(l3).iter() {
            host.cpu(pu, "topology/core_cpus_list", &format!("{},{}", pu % 8, pu % 8 + 8))
                .cpu(pu, "topology/physical_package_id", &package.to_string())
                .cpu(pu, "cache/index3/level", "3")
                .cpu(pu, "cache/index3/shared_cpu_list", l3);
        }
    }
    for (id, cpus) in [(0, "0-3,8-11"), (1, "4-7,12-15")] {
        host.write(&format!("sys/devices/system/node/node{id}/cpulist"), cpus);
    }
    host
}

#[test]
fn one_worker_a_core_by_default_and_one_a_pu_when_asked() {
    let host = two_sockets();
    let host = Topology::recorded(host.root()).unwrap();
    let cores = Plan::new(&host, host.allowed(), &Wishes::default()).unwrap();
    assert_eq!(pus(&cores), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(cores.rings(0), [vec![1..2], vec![2..4], vec![4..8]]);
    assert_eq!(cores.rings(6), [vec![7..8], vec![4..6], vec![0..4]]);
    assert_eq!(cores.worker_of(13), Some(5));

    let threads = Plan::new(&host, host.allowed(), &Wishes::default().per(Per::Pu)).unwrap();
    assert_eq!(pus(&threads), [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]);
    assert_eq!(threads.rings(3), [vec![2..3], vec![0..2], vec![4..8], vec![8..16]]);
    assert_eq!(threads.worker_of(13), Some(11));
}

#[test]
fn packages_are_told_apart_inside_a_domain() {
    let host = two_sockets();
    for id in [0, 1] {
        std::fs::remove_dir_all(host.root().join(format!("sys/devices/system/node/node{id}"))).unwrap();
    }
    let host = Topology::recorded(host.root()).unwrap();
    let plan = Plan::new(&host, host.allowed(), &Wishes::default()).unwrap();
    assert_eq!(plan.domains().len(), 1);
    assert_eq!(plan.rings(2), [vec![3..4], vec![0..2], vec![4..8]]);
}

#[test]
fn packages_may_be_numbered_in_turn() {
    let host = Host::smt(&[("0", 0, "0,2"), ("1", 1, "1,3"), ("2", 0, "0,2"), ("3", 1, "1,3")]);
    for (id, cpus) in [(0, "0,2"), (1, "1,3")] {
        host.write(&format!("sys/devices/system/node/node{id}/cpulist"), cpus);
    }
    let host = Topology::recorded(host.root()).unwrap();
    let plan = Plan::new(&host, host.allowed(), &Wishes::default()).unwrap();
    assert_eq!(pus(&plan), [0, 2, 1, 3]);
    assert_eq!(plan.rings(1), [[0..1], [2..4]]);
    assert_eq!(plan.worker_of(1), Some(2));
}

#[test]
fn a_core_without_a_known_l3_has_no_l3_neighbours() {
    let plan = plan("2 domains × 3 cores", "0-5", &Wishes::default()).unwrap();
    assert_eq!(plan.rings(4), [vec![3..4, 5..6], vec![0..3]]);
}

#[test]
fn the_mask_may_leave_a_core_its_second_thread_only() {
    let plan = plan("4 cores × 2 threads", "1,3-5,99", &Wishes::default()).unwrap();
    assert_eq!(pus(&plan), [1, 3, 4]);
    assert_eq!(plan.worker_of(2), Some(1));
    assert_eq!(plan.worker_of(6), None);
    assert_eq!(plan.worker_of(usize::MAX), None);
}

#[test]
fn spread_takes_domains_then_caches_then_cores_then_threads() {
    let host = "2 domains × 2 l3 × 2 cores × 2 threads";
    for (workers, per, expected) in [
        (1, Per::Core, vec![0]),
        (2, Per::Core, vec![0, 8]),
        (3, Per::Core, vec![0, 4, 8]),
        (6, Per::Core, vec![0, 2, 4, 8, 10, 12]),
        (8, Per::Pu, vec![0, 2, 4, 6, 8, 10, 12, 14]),
        (9, Per::Pu, vec![0, 1, 2, 4, 6, 8, 10, 12, 14]),
    ] {
        let plan = plan(host, "0-15", &Wishes::default().workers(workers).per(per)).unwrap();
        assert_eq!(pus(&plan), expected, "{workers} {per:?}");
    }
    let small_first = plan("1 domain × 1 core + 1 domain × 7 cores", "0-7", &Wishes::default().workers(6)).unwrap();
    assert_eq!(pus(&small_first), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn compact_fills_from_the_front() {
    let compact = |workers, per| Wishes::default().order(Order::Compact).workers(workers).per(per);
    let host = "2 domains × 2 cores × 2 threads";
    assert_eq!(pus(&plan(host, "0-7", &compact(3, Per::Core)).unwrap()), [0, 2, 4]);
    assert_eq!(pus(&plan(host, "0-7", &compact(3, Per::Pu)).unwrap()), [0, 1, 2]);
    assert_eq!(plan(host, "0-7", &compact(2, Per::Pu)).unwrap().rings(0), [[1..2]]);
}

#[test]
fn a_list_is_kept_to() {
    let listed = |list| Wishes::default().order(Order::List(set(list)));
    let host = "2 domains × 2 cores × 2 threads";
    assert_eq!(pus(&plan(host, "0-7", &listed("5,2-3")).unwrap()), [2, 5]);
    assert_eq!(pus(&plan(host, "0-7", &listed("5,2-3").per(Per::Pu)).unwrap()), [2, 3, 5]);
    for (list, mask) in [("5,9", "0-7"), ("0-1", "1-7"), ("", "0-7")] {
        let error = plan(host, mask, &listed(list)).unwrap_err();
        assert!(error.is_unavailable());
        assert!(error.to_string().contains(&format!("`{list}`")), "{error}");
    }
}

#[test]
fn cores_are_left_free_from_the_end() {
    let host = "2 domains × 2 cores × 2 threads";
    let left = plan(host, "0-7", &Wishes::default().leave_free(1)).unwrap();
    assert_eq!(pus(&left), [0, 2, 4]);
    assert!(left.reasons().iter().any(|reason| reason.contains("1 core left free as asked for: the PUs 6-7")));
    let error = plan(host, "0-3", &Wishes::default().leave_free(2)).unwrap_err();
    assert!(error.is_unavailable());
    assert!(error.to_string().contains("2 cores cannot be left free of 2"), "{error}");
}

#[test]
fn what_cannot_be_had_is_said_with_the_way_out() {
    let too_many = plan("2 cores × 2 threads", "0-3", &Wishes::default().workers(3)).unwrap_err();
    assert!(too_many.is_unavailable());
    let message = too_many.to_string();
    assert!(message.contains("3 workers") && message.contains("2 cores") && message.contains("one a PU"), "{message}");
    let far_too_many = plan("2 cores × 2 threads", "0-3", &Wishes::default().workers(5)).unwrap_err().to_string();
    assert!(far_too_many.contains("widen the mask"), "{far_too_many}");
    assert!(plan("2 cores", "0-1", &Wishes::default().workers(0)).unwrap_err().is_unavailable());
    let elsewhere = plan("2 cores", "7", &Wishes::default()).unwrap_err();
    assert!(elsewhere.to_string().contains("`7`") && elsewhere.to_string().contains("`0-1`"), "{elsewhere}");
}

#[test]
fn the_quota_cuts_unless_a_number_is_wished_for() {
    let topology = with_quota("4 domains × 2 cores", 3);
    let cut = Plan::new(&topology, topology.allowed(), &Wishes::default()).unwrap();
    assert_eq!(pus(&cut), [0, 2, 4]);
    assert!(cut.reasons().contains(&"the quota of 3 CPUs cuts 8 cores to as many workers".to_owned()));
    let asked = Plan::new(&topology, topology.allowed(), &Wishes::default().workers(5)).unwrap();
    assert_eq!(asked.seats().len(), 5);
    assert!(asked.reasons().iter().any(|reason| reason.contains("share a quota of 3 CPUs")), "{:?}", asked.reasons());
}

#[test]
fn nobody_is_pinned_in_one_ring() {
    let plan = Plan::unpinned(4);
    assert!(plan.seats().iter().all(|seat| seat.pu().is_none() && seat.domain() == 0));
    assert_eq!(plan.rings(0), [[1..4]]);
    assert_eq!(plan.rings(2), [[0..2, 3..4]]);
    assert!(plan.rings(4).is_empty() && plan.worker_of(0).is_none());
    assert!(Plan::unpinned(1).rings(0).is_empty());
    assert!(Plan::unpinned(0).domains().is_empty() && Plan::unpinned(0).rings(0).is_empty());
}

#[test]
fn plans_and_hosts_are_shared_by_threads() {
    fn portable<T: Clone + std::fmt::Debug + Eq + Send + Sync + 'static>() {}
    portable::<Plan>();
    portable::<Topology>();
    portable::<Wishes>();
}

fn with_quota(text: &str, quota: usize) -> Topology {
    Topology::synthetic(text).unwrap().with_quota(NonZeroUsize::new(quota))
}

/// A host of up to 3 unlike parts, with memory-only domains among them.
fn random_host(random: &mut Random) -> Topology {
    let mut parts = Vec::new();
    for _ in 0..1 + random.below(3) {
        let mut count = |most| 1 + random.below(most);
        let (packages, domains, l3) = (count(2), count(3), count(3));
        let (cores, threads, memory) = (count(4), count(3), count(2));
        let levels = [
            format!("{packages} packages"),
            format!("{domains} domains"),
            format!("{l3} l3"),
            format!("{cores} cores"),
            format!("{threads} threads"),
        ];
        let kept: Vec<_> = levels.into_iter().enumerate().filter(|&(at, _)| at == 3 || random.below(4) > 0).collect();
        parts.push(kept.into_iter().map(|(_, level)| level).collect::<Vec<_>>().join(" × "));
        if random.below(3) == 0 {
            parts.push(format!("{memory} memory domains"));
        }
    }
    let quota = random.below(2) * (1 + random.below(20));
    with_quota(&parts.join(" + "), quota)
}

/// Any part of the host's PUs and some that it has not.
fn random_mask(random: &mut Random, host: &Topology) -> CpuSet {
    let density = 1 + random.below(8);
    (0..host.online().len() + 9).filter(|_| random.below(8) < density).collect()
}

fn random_wishes(random: &mut Random, usable: &CpuSet) -> Wishes {
    let list = |random: &mut Random| usable.iter().filter(|_| random.below(2) == 0).collect();
    let order = match random.below(3) {
        0 => Order::Compact,
        1 => Order::Spread,
        _ => Order::List(list(random)),
    };
    let per = if random.below(2) == 0 { Per::Core } else { Per::Pu };
    let workers = (random.below(2) == 0).then(|| 1 + random.below(usable.len() + 2));
    let leave_free = if random.below(3) == 0 { random.below(4) } else { 0 };
    Wishes { workers, per, order, leave_free }
}

#[test]
fn every_plan_keeps_its_promises() {
    let mut random = Random::new(0x9a75);
    let (mut planned, mut refused) = (0, 0);
    for _ in 0..1_000 {
        let host = random_host(&mut random);
        let mask = random_mask(&mut random, &host);
        let usable = mask.intersection(host.allowed());
        let wishes = random_wishes(&mut random, &usable);
        match Plan::new(&host, &mask, &wishes) {
            Ok(plan) => {
                planned += 1;
                keeps_to_the_mask(&plan, &host, &usable, &wishes);
                numbers_by_locality(&plan, &host);
                rings_partition(&plan, &host);
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_unavailable(), "{error}");
                assert!(cannot_be_met(&host, &usable, &wishes), "{error}: {wishes:?} of {usable}");
            }
        }
    }
    assert!(planned > 500 && refused > 50, "{planned} planned, {refused} refused");
}

fn core_of(host: &Topology, pu: usize) -> usize {
    host.cores().iter().position(|core| core.pus().contains(pu)).unwrap()
}

/// The seats there are: for Per::Core the cores, for Per::Pu the PUs, once the last cores were left free.
fn room(host: &Topology, usable: &CpuSet, wishes: &Wishes) -> usize {
    let listed = if let Order::List(list) = &wishes.order { list } else { usable };
    let mut cores: Vec<_> = host.cores().iter().map(|core| core.pus().intersection(listed).len()).collect();
    cores.retain(|&pus| pus > 0);
    // All cores of a synthetic host are numbered by locality.
    cores.truncate(cores.len().saturating_sub(wishes.leave_free));
    if wishes.per == Per::Core { cores.len() } else { cores.iter().sum() }
}

fn cannot_be_met(host: &Topology, usable: &CpuSet, wishes: &Wishes) -> bool {
    room(host, usable, wishes) < wishes.workers.unwrap_or(1)
}

fn keeps_to_the_mask(plan: &Plan, host: &Topology, usable: &CpuSet, wishes: &Wishes) {
    let seated: CpuSet = pus(plan).into_iter().collect();
    assert_eq!(seated.len(), plan.seats().len(), "a PU is given twice");
    assert_eq!(seated.intersection(usable), seated);
    let mut cores: Vec<_> = seated.iter().map(|pu| core_of(host, pu)).collect();
    cores.sort_unstable();
    if wishes.per == Per::Core {
        assert!(cores.windows(2).all(|pair| pair[0] != pair[1]), "a core is given twice");
    }
    if let Order::List(list) = &wishes.order {
        assert_eq!(seated.difference(list), CpuSet::new());
    }
    let room = room(host, usable, wishes);
    let quota = host.quota().map_or(usize::MAX, usize::from);
    assert_eq!(plan.seats().len(), wishes.workers.unwrap_or(room.min(quota)));
    for (worker, seat) in plan.seats().iter().enumerate() {
        assert_eq!(plan.worker_of(seat.pu().unwrap()), Some(worker));
    }
    if wishes.order == Order::Spread {
        for domain in plan.domains() {
            let full = domain.workers().len() == room_of(host, usable, wishes, domain.index());
            let most = plan.domains().iter().map(|other| other.workers().len()).max().unwrap();
            assert!(full || domain.workers().len() + 1 >= most, "{plan:?}");
        }
    }
}

/// The seats of one domain, counted as [`room`] does.
fn room_of(host: &Topology, usable: &CpuSet, wishes: &Wishes, domain: usize) -> usize {
    let before: CpuSet = host.domains()[..domain].iter().flat_map(|d| d.pus().iter()).collect();
    let upto = before.union(host.domains()[domain].pus());
    let free = |pus: &CpuSet| {
        let cores = host.cores().iter().filter(|core| !core.pus().intersection(usable).is_empty());
        let kept = cores.clone().count() - wishes.leave_free;
        let here = cores.take(kept).filter(|core| core.pus().first().is_some_and(|pu| pus.contains(pu)));
        let seats =
            |core: &crate::Core| if wishes.per == Per::Core { 1 } else { core.pus().intersection(usable).len() };
        here.map(seats).sum::<usize>()
    };
    free(&upto) - free(&before)
}

fn numbers_by_locality(plan: &Plan, host: &Topology) {
    let key = |seat: &Seat| {
        let pu = seat.pu().unwrap();
        let core = core_of(host, pu);
        (host.cores()[core].domain(), host.cores()[core].l3().first(), core, pu)
    };
    assert!(plan.seats().is_sorted_by_key(key));
    let mut next = 0;
    for (index, domain) in plan.domains().iter().enumerate() {
        assert_eq!(domain.workers().start, next);
        assert!(!domain.workers().is_empty());
        assert!(!host.domains()[domain.index()].pus().is_empty(), "workers where there is only memory");
        assert_eq!(host.domains()[domain.index()].id(), domain.id());
        for seat in &plan.seats()[domain.workers()] {
            assert_eq!(seat.domain(), index);
            assert_eq!(host.domain_of(seat.pu().unwrap()), Some(domain.index()));
        }
        next = domain.workers().end;
    }
    assert_eq!(next, plan.seats().len());
}

/// How far apart two workers are, by the host's own account.
fn nearness(plan: &Plan, host: &Topology, a: usize, b: usize) -> (usize, u32) {
    let [a, b] = [a, b].map(|worker| core_of(host, plan.seats()[worker].pu().unwrap()));
    let (core_a, core_b) = (&host.cores()[a], &host.cores()[b]);
    if a == b {
        (0, 0)
    } else if core_a.domain() != core_b.domain() {
        (4, host.distance(core_a.domain(), core_b.domain()))
    } else if core_a.package() != core_b.package() {
        (3, 0)
    } else if core_a.l3().is_empty() || core_a.l3() != core_b.l3() {
        (2, 0)
    } else {
        (1, 0)
    }
}

fn rings_partition(plan: &Plan, host: &Topology) {
    for worker in 0..plan.seats().len() {
        let rings = plan.rings(worker);
        let mut seen = vec![worker];
        let mut last = None;
        for ring in &rings {
            let members: Vec<_> = ring.iter().cloned().flatten().collect();
            assert!(ring.iter().all(|range| !range.is_empty()) && ring.len() <= 1 + plan.domains().len());
            assert!(members.is_sorted());
            let nearness: Vec<_> = members.iter().map(|&other| nearness(plan, host, worker, other)).collect();
            assert!(nearness.iter().all(|near| near == &nearness[0]), "{rings:?}");
            assert!(last < Some(nearness[0]), "{rings:?}");
            last = Some(nearness[0]);
            seen.extend(members);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..plan.seats().len()), "{rings:?}");
    }
}

//! Recorded hosts against what hwloc's `lstopo` makes of the same files.

#![allow(clippy::single_range_in_vec_init, reason = "a ring may be one range")]

mod hosts;

use heist_numa::{Core, CpuSet, Domain, Per, Plan, Seat, Topology, Wishes};
use hosts::Recording;

/// The hosts of which `sysfs` is read otherwise than by hwloc: what differs, and why.
const OTHERWISE: &[(&str, &[&str], &str)] = &[
    ("16ia64-8n2s", &["package"], "two packages share each number; hwloc goes by core_siblings"),
    ("20s390-2g6s4c", &["package"], "the packages have no number; hwloc goes by core_siblings"),
    ("256ppc-8n8s4t", &["package"], "the packages have no number; hwloc goes by core_siblings"),
    ("40intel64-4n10c+pci-conflicts", &["l3", "package"], "made to conflict: hwloc drops a package and an L3 cache"),
    ("4fake-4gr1nu1pu", &["core"], "nothing is told of cores: hwloc has none, here each PU is one"),
    ("64amd64-4p2n4ca2co", &["core"], "Bulldozer: the siblings of sysfs are the two half cores of a module"),
    ("64amd64-4s2n4ca2co", &["core"], "Bulldozer: the siblings of sysfs are the two half cores of a module"),
    ("64fake-4n2s2ca2c2t", &["l3"], "each shared_cpu_list is that of CPU 0; hwloc goes by shared_cpu_map"),
    ("8em64t-2s2ca2c-buggynuma", &["domain"], "eight nodes have the same PUs: hwloc drops all but one"),
    ("fakeheterocpunuma", &["domain"], "nodes that overlap, and PUs in none: hwloc drops the nodes"),
    ("offline-cpu0-node0", &["domain"], "the PUs of an offline node are in none of hwloc's; here each PU is in one"),
];

/// Sets of PUs, once each, in a fixed order.
fn sets<'a>(sets: impl Iterator<Item = &'a CpuSet>) -> Vec<String> {
    let mut sets: Vec<_> = sets.filter(|set| !set.is_empty()).map(ToString::to_string).collect();
    sets.sort();
    sets.dedup();
    sets
}

/// The types of objects that are not as hwloc has them.
fn differences(recording: &Recording, host: &Topology) -> Vec<&'static str> {
    let mut packages: Vec<(u32, CpuSet)> = Vec::new();
    for (package, core) in host.cores().iter().filter_map(|core| Some((core.package()?, core))) {
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, pus)) => *pus = pus.union(core.pus()),
            None => packages.push((package, core.pus().clone())),
        }
    }
    let pus: Vec<CpuSet> = host.online().iter().map(|pu| CpuSet::from_iter([pu])).collect();
    let told = recording.hwloc("domain");
    let domain = |domain: &Domain| {
        let prefix = format!("{}:", domain.id());
        // hwloc gives domains without PUs those of the nearest.
        let same = told.iter().find(|told| told.starts_with(&prefix) && domain.pus().is_empty());
        same.cloned().unwrap_or_else(|| prefix + &domain.pus().to_string())
    };
    let mut domains: Vec<_> = host.domains().iter().map(domain).collect();
    domains.sort();
    let found = [
        ("pu", sets(pus.iter())),
        ("core", sets(host.cores().iter().map(Core::pus))),
        ("l3", sets(host.cores().iter().map(Core::l3))),
        ("package", sets(packages.iter().map(|(_, pus)| pus))),
        ("domain", domains),
    ];
    found.into_iter().filter(|(kind, found)| *found != recording.hwloc(kind)).map(|(kind, _)| kind).collect()
}

/// Calls `check` for each recorded host.
fn each(mut check: impl FnMut(&Recording, Topology)) {
    for recording in Recording::all() {
        let tree = recording.lay_out();
        check(&recording, Topology::recorded(tree.root()).unwrap());
    }
}

#[test]
fn recorded_hosts_are_as_hwloc_has_them() {
    let mut otherwise = Vec::new();
    each(|recording, host| {
        let name = recording.name.as_str();
        let differences = differences(recording, &host);
        if let Some((_, expected, why)) = OTHERWISE.iter().find(|(other, ..)| *other == name) {
            assert_eq!(differences, *expected, "{name}: {why}");
            otherwise.push(name.to_owned());
        } else {
            assert!(differences.is_empty(), "{name}: another {differences:?} than hwloc's");
            assert!(host.warnings().is_empty(), "{name}: {:?}", host.warnings());
        }
    });
    assert_eq!(otherwise.len(), OTHERWISE.len(), "only {otherwise:?} were met");
}

#[test]
fn recorded_hosts_are_planned_for() {
    each(|recording, host| {
        let name = &recording.name;
        let cores = Plan::new(&host, host.allowed(), &Wishes::default()).unwrap();
        assert_eq!(cores.seats().len(), host.cores().len(), "{name}");
        let threads = Plan::new(&host, host.allowed(), &Wishes::default().per(Per::Pu)).unwrap();
        let pus: CpuSet = threads.seats().iter().filter_map(Seat::pu).collect();
        assert_eq!(pus, *host.online(), "{name}");
        let with_pus = host.domains().iter().filter(|domain| !domain.pus().is_empty()).count();
        assert_eq!(cores.domains().len(), with_pus, "{name}");
        for worker in 0..cores.seats().len() {
            let others: usize = cores.rings(worker).into_iter().flatten().map(|range| range.len()).sum();
            assert_eq!(others, cores.seats().len() - 1, "{name}");
        }
    });
}

fn host(name: &str) -> Topology {
    let recordings = Recording::all();
    let tree = recordings.iter().find(|recording| recording.name == name).unwrap().lay_out();
    Topology::recorded(tree.root()).unwrap()
}

#[test]
fn memory_of_a_gpu_is_a_domain_without_workers() {
    let power = host("nvidiagpunumanodes");
    let ids: Vec<_> = power.domains().iter().map(|domain| (domain.id(), domain.pus().len())).collect();
    assert_eq!(ids, [(0, 16), (8, 16), (250, 0), (251, 0), (252, 0), (253, 0), (254, 0), (255, 0)]);
    assert_eq!([power.distance(0, 1), power.distance(0, 7)], [40, 80]);
    assert_eq!(power.domains()[2].memory(), Some(15_728_640 << 10));

    let hopper = host("made-grace-hopper");
    let allowed: Vec<_> = hopper.domains().iter().map(Domain::is_allowed).collect();
    assert_eq!(allowed, [true, true, false, false, false, false, false, false, false]);
}

#[test]
fn an_l3_across_domains_makes_no_neighbours_of_them() {
    let xeon = host("made-xeon-max-9480-2s-snc4-flat");
    assert_eq!((xeon.domains().len(), xeon.cores()[0].l3().len()), (16, 112));
    let plan = Plan::new(&xeon, xeon.allowed(), &Wishes::default()).unwrap();
    assert_eq!(plan.rings(0), [vec![1..14], vec![14..56], vec![56..112]]);
}

#[test]
fn domains_without_memory_have_workers() {
    let epyc = host("made-epyc-7551-2s-8n-memory-on-2");
    let allowed: Vec<_> = epyc.domains().iter().filter(|domain| domain.is_allowed()).map(Domain::id).collect();
    assert_eq!(allowed, [1, 5]);
    let plan = Plan::new(&epyc, epyc.allowed(), &Wishes::default()).unwrap();
    assert_eq!(plan.domains().len(), 8);
    assert_eq!(plan.rings(8), [vec![9..12], vec![12..16], vec![0..8, 16..32], vec![32..64]]);
}

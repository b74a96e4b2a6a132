//! Threads are pinned as planned, each to a core of its own, and never leave the mask that the process inherited: read
//! back from the kernel, in processes of their own behind what narrows masks, hides `/sys` or takes CPUs away.
//!
//! `HEIST_REQUIRE` names what must be there, with commas: `taskset`, `cgroup`, `mount`, `domains`, `offline`, `wide`,
//! or `all`.

mod launch;

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use heist_numa::{CpuSet, Order, Per, Plan, PlanDomain, Topology, Wishes, current_pu, pin};
use launch::report::{quota, siblings};
use launch::{
    Cgroup, Report, Thread, cores, launch, mask, need, program, reports, singles_and_pairs, taskset, without,
};

const PLAIN: &str = "a_plain_process";

/// What a process plans, by name.
fn wishes() -> [(&'static str, Wishes); 5] {
    let wishes = Wishes::default;
    [
        ("default", wishes()),
        ("every-pu", wishes().per(Per::Pu)),
        ("one", wishes().workers(1)),
        ("compact", wishes().order(Order::Compact)),
        ("one-left-free", wishes().leave_free(1)),
    ]
}

/// How many threads the plan of this name must have.
fn planned(name: &str, mask: &CpuSet) -> usize {
    match name {
        "one" => 1,
        "every-pu" => mask.len().min(quota()),
        "one-left-free" => (siblings(mask).len() - 1).min(quota()),
        _ => cores(mask),
    }
}

/// Pins threads as planned and tells their masks, taken while all of them run.
fn report(name: &str, topology: &Topology, plan: &Plan) -> Report {
    let inherited = mask();
    let barrier = Barrier::new(plan.seats().len());
    let pinned = |worker: usize| {
        let pu = plan.seats()[worker].pu().unwrap();
        let done = pin(pu);
        barrier.wait();
        done.unwrap();
        assert_eq!(current_pu(), Some(pu));
        assert_eq!(plan.worker_of(pu), Some(worker));
        let id = plan.domains()[plan.seats()[worker].domain()].id();
        assert!(is_near(pu, id) && topology.domain_of(pu).is_some(), "PU {pu} is not of domain {id}");
        Thread { planned: Some(pu), mask: mask() }
    };
    let threads = thread::scope(|s| {
        let pinned = &pinned;
        let threads: Vec<_> = (0..plan.seats().len()).map(|worker| s.spawn(move || pinned(worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(mask(), inherited, "who starts them keeps its mask");
    Report { name: name.into(), inherited, threads, warnings: topology.warnings().to_vec() }
}

/// Whether the kernel has `pu` in its domain `id`, or tells nothing of domains.
fn is_near(pu: usize, id: u32) -> bool {
    let domains = Path::new("/sys/devices/system/node");
    !domains.join("online").exists() || domains.join(format!("node{id}/cpu{pu}")).exists()
}

/// Plans all there is to wish for, and reports on each.
fn report_all(folder: &Path) {
    let inherited = mask();
    let topology = Topology::of_host(&inherited).unwrap();
    assert!(topology.is_this_host());
    assert_eq!(*topology.allowed(), inherited);
    for (name, wishes) in wishes() {
        match Plan::new(&topology, &inherited, &wishes) {
            Ok(plan) => report(name, &topology, &plan).write(folder),
            Err(error) => assert!(name == "one-left-free" && error.is_unavailable(), "{name}: {error}"),
        }
    }
}

/// Starts one process behind `words`, which must inherit `expected`, and have threads as that allows.
#[track_caller]
fn pins_exactly(words: &[String], expected: &CpuSet) {
    let reports = launch(PLAIN, words, &[]);
    let all = wishes().len() - usize::from(siblings(expected).len() == 1);
    assert_eq!(reports.len(), all, "{words:?}: {reports:?}");
    for report in reports {
        report.check();
        assert_eq!(report.inherited, *expected, "{words:?}");
        assert_eq!(report.threads.len(), planned(&report.name, expected), "{words:?}: {report:?}");
        assert!(report.warnings.is_empty(), "{words:?}: {report:?}");
    }
}

#[test]
fn a_plain_process() {
    if let Some(folder) = reports() {
        return report_all(&folder);
    }
    pins_exactly(&[], &mask());
}

#[test]
fn under_taskset() {
    if need("taskset", program("taskset")).is_some() {
        for pus in singles_and_pairs(&mask()) {
            pins_exactly(&taskset(&pus), &pus);
        }
    }
}

#[test]
fn in_a_cpuset_of_a_control_group() {
    for pus in singles_and_pairs(&mask()) {
        let Some(group) = need("cgroup", Cgroup::of(&pus)) else { return };
        pins_exactly(&group.words(), &pus);
    }
}

#[test]
fn in_a_cpuset_that_narrows_what_taskset_leaves() {
    let all = mask();
    let (Some(first), Some(last)) = (all.first(), all.iter().next_back()) else { return };
    let narrow = CpuSet::from_iter([last]);
    let Some(group) = need("cgroup", Cgroup::of(&narrow)) else { return };
    pins_exactly(&[taskset(&CpuSet::from_iter([first, last])), group.words()].concat(), &narrow);
    pins_exactly(&[group.words(), taskset(&all)].concat(), &narrow);
}

/// As of a kernel built without NUMA, and in containers that hide the host.
#[test]
fn without_what_the_kernel_tells_of_domains_and_cores() {
    for path in ["/sys/devices/system/node", "/sys"] {
        let Some(words) = need("mount", without(path)) else { return };
        let reports = launch(PLAIN, &words, &[]);
        for report in &reports {
            report.check();
            assert_eq!(report.inherited, mask());
        }
        let all = reports.iter().find(|report| report.name == "default").unwrap();
        assert!(all.threads.len() >= cores(&mask()), "no core is lost: {all:?}");
    }
}

#[test]
fn where_there_are_several_domains() {
    let topology = Topology::of_host(&mask()).unwrap();
    let several = if topology.domains().len() > 1 { Ok(()) } else { Err("there is one domain".into()) };
    if need("domains", several).is_none() {
        return;
    }
    let told = |file: &str| fs::read_to_string(format!("/sys/devices/system/node/{file}")).unwrap();
    let ids: CpuSet = told("online").trim().parse().unwrap();
    assert!(topology.domains().iter().map(|domain| domain.id() as usize).eq(ids.iter()));
    for (index, domain) in topology.domains().iter().enumerate() {
        assert_eq!(domain.pus().to_string(), told(&format!("node{}/cpulist", domain.id())).trim());
        let distances = told(&format!("node{}/distance", domain.id()));
        let distances = distances.split_whitespace().map(|distance| distance.parse::<u32>().unwrap());
        assert!((0..ids.len()).map(|other| topology.distance(index, other)).eq(distances));
    }
    let plan = Plan::new(&topology, &mask(), &Wishes::default()).unwrap();
    let with_pus = topology.domains().iter().enumerate().filter(|(_, domain)| !domain.pus().is_empty());
    assert!(plan.domains().iter().map(PlanDomain::index).eq(with_pus.map(|(index, _)| index)));
    for domain in plan.domains() {
        let seats = domain.workers().map(|worker| plan.seats()[worker].pu().unwrap()).collect::<CpuSet>();
        let pus = topology.domains()[domain.index()].pus();
        assert_eq!((seats.len(), seats.intersection(pus)), (siblings(pus).len(), seats.clone()), "a worker a core");
    }
}

#[test]
fn where_cpus_are_offline() {
    let cpus = |file: &str| -> Result<CpuSet, String> {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/{file}")).map_err(|e| e.to_string())?;
        Ok(text.trim().parse().unwrap())
    };
    let offline = cpus("present").and_then(|present| {
        let online = cpus("online")?;
        let offline: CpuSet = present.iter().filter(|&pu| !online.contains(pu)).collect();
        if offline.is_empty() { Err(format!("CPUs {present} are all online")) } else { Ok(offline) }
    });
    if let Some(offline) = need("offline", offline) {
        pins_exactly(&[], &mask());
        assert!(mask().intersection(&offline).is_empty());
        assert!(offline.iter().all(|pu| pin(pu).is_err()));
    }
}

/// The kernel's masks are then longer than the C library's.
#[test]
fn where_more_than_1024_cpus_are_possible() {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible").map_err(|error| error.to_string());
    let wide = possible.and_then(|text| {
        let possible: CpuSet = text.trim().parse().unwrap();
        if possible.len() > 1024 { Ok(()) } else { Err(format!("only CPUs {possible} are possible")) }
    });
    if need("wide", wide).is_some() {
        pins_exactly(&[], &mask());
    }
}

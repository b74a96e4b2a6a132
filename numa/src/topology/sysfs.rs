//! A host as Linux's `sysfs` tells it, this one or a recorded one, with the oddities of kernels and firmware of 15 years.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::{Core, Domain, findings::Findings};
use crate::{CpuSet, sysfs};

const CPUS: &str = "sys/devices/system/cpu";
const NODES: &str = "sys/devices/system/node";

/// Adds what is below `root`. With a mask the host is this one: without `sysfs` its PUs are those of the mask, and
/// memory is what this process is allowed.
pub(super) fn read(root: &Path, mask: Option<&CpuSet>, findings: &mut Findings) {
    let dir = root.join(CPUS);
    let online = online(&dir, findings);
    findings.online = match mask {
        Some(mask) if mask.intersection(&online).is_empty() => {
            if !online.is_empty() {
                findings
                    .warnings
                    .push(format!("the PUs {online} are online, none of the mask `{mask}`; taken as the mask has it"));
            }
            mask.clone()
        }
        _ => online,
    };
    read_cores(&dir, findings);
    read_domains(root, mask.is_some(), findings);
}

/// The PUs that are online: those of `cpu/online`, else of the `cpuN` directories, that have a `topology/` directory
/// as all that are online do; where none has, all.
fn online(dir: &Path, findings: &mut Findings) -> CpuSet {
    let listed = findings.accept(sysfs::value(&dir.join("online"), "a CPU list", |text| text.parse::<CpuSet>().ok()));
    let online = listed.unwrap_or_else(|| numbered(dir, "cpu"));
    let described: CpuSet = online.iter().filter(|pu| dir.join(format!("cpu{pu}/topology")).is_dir()).collect();
    if described.is_empty() { online } else { described }
}

fn read_cores(dir: &Path, findings: &mut Findings) {
    let online = findings.online.clone();
    let mut free = online.clone();
    let mut groups: BTreeMap<usize, Arc<CpuSet>> = BTreeMap::new();
    let no_l3 = Arc::new(CpuSet::new());
    while let Some(pu) = free.first() {
        let cpu = dir.join(format!("cpu{pu}"));
        let mut pus = siblings(&cpu, findings).intersection(&free);
        pus.insert(pu);
        free = free.difference(&pus);
        if !groups.contains_key(&pu)
            && let Some(told) = l3(&cpu, findings)
        {
            let l3 = told.intersection(&online).union(&pus);
            let l3: Arc<CpuSet> = Arc::new(l3.iter().filter(|pu| !groups.contains_key(pu)).collect());
            groups.extend(l3.iter().map(|pu| (pu, l3.clone())));
        }
        let l3 = groups.get(&pu).unwrap_or(&no_l3).clone();
        let package = package(&cpu, findings);
        findings.cores.push(Core { pus, package, l3, domain: 0 });
    }
}

/// The PUs of the same core; empty when not told. Never by `core_id`, which repeats across packages.
fn siblings(cpu: &Path, findings: &mut Findings) -> CpuSet {
    let topology = cpu.join("topology");
    let names = [("core_cpus_list", "core_cpus"), ("thread_siblings_list", "thread_siblings")];
    let told = names.iter().find_map(|(list, map)| findings.accept(sysfs::set(&topology, list, map)));
    told.unwrap_or_default()
}

/// The number of the package; firmware that has none writes -1.
fn package(cpu: &Path, findings: &mut Findings) -> Option<u32> {
    let path = cpu.join("topology/physical_package_id");
    let id = findings.accept(sysfs::value(&path, "a number", |text| text.parse::<i64>().ok()))?;
    u32::try_from(id).ok()
}

/// The PUs behind the same L3 cache, none when its sharing is not told; `None` when there is no L3.
fn l3(cpu: &Path, findings: &mut Findings) -> Option<CpuSet> {
    let caches = cpu.join("cache");
    let mut indices =
        numbered(&caches, "index").iter().map(|index| caches.join(format!("index{index}"))).collect::<Vec<_>>();
    // The outermost cache comes last, and L3 is that of most hosts.
    indices.reverse();
    let cache = indices.iter().find(|cache| {
        let level = findings.accept(sysfs::value(&cache.join("level"), "a number", |text| text.parse::<u32>().ok()));
        level == Some(3) && sysfs::text(&cache.join("type")).is_none_or(|kind| kind != "Instruction")
    })?;
    Some(findings.accept(sysfs::set(cache, "shared_cpu_list", "shared_cpu_map")).unwrap_or_default())
}

/// Adds the domains below `root`; of this host's, memory is allowed as the control group has it.
pub(super) fn read_domains(root: &Path, this_host: bool, findings: &mut Findings) {
    let dir = root.join(NODES);
    let listed =
        findings.accept(sysfs::value(&dir.join("online"), "a list of nodes", |text| text.parse::<CpuSet>().ok()));
    let present = numbered(&dir, "node");
    let ids = listed.map_or_else(|| present.clone(), |online| online.intersection(&present));
    let memory_allowed = if this_host { memory_allowed(root) } else { None };
    let mut rows = Vec::new();
    for id in ids.iter() {
        let node = dir.join(format!("node{id}"));
        let pus = findings.accept(sysfs::set(&node, "cpulist", "cpumap")).unwrap_or_default();
        let memory = memory(&node.join("meminfo"));
        let allowed = memory != Some(0) && memory_allowed.as_ref().is_none_or(|allowed| allowed.contains(id));
        rows.push(findings.accept(sysfs::value(&node.join("distance"), "a row of distances", row)));
        // A CPU list holds no larger id, and neither does the kernel.
        let id = id as u32;
        findings.domains.push(Domain { id, pus, memory, allowed });
    }
    if findings.domains.is_empty() {
        let memory = memory(&root.join("proc/meminfo"));
        findings.domains.push(Domain { id: 0, pus: findings.online.clone(), memory, allowed: true });
        return;
    }
    let told = rows.iter().flatten().count();
    let distances: Vec<u32> = rows.into_iter().flatten().filter(|row| row.len() == ids.len()).flatten().collect();
    if distances.len() == ids.len() * ids.len() {
        findings.distances = Some(distances);
    } else if told > 0 {
        findings.warnings.push(format!(
            "the domains {ids} do not each tell {} distances in {}/node*/distance; taken to be equally far",
            ids.len(),
            dir.display()
        ));
    }
}

/// A row of the matrix of distances.
fn row(text: &str) -> Option<Vec<u32>> {
    text.split_whitespace().map(|word| word.parse().ok()).collect()
}

/// The bytes of `MemTotal` in a `meminfo` file, of a node or of the host.
fn memory(path: &Path) -> Option<u64> {
    let text = sysfs::text(path)?;
    let (_, total) = text.split_once("MemTotal:")?;
    let kilobytes: u64 = total.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The domains whose memory this process may use, as its control group has it; `None` when not told.
fn memory_allowed(root: &Path) -> Option<CpuSet> {
    let status = sysfs::text(&root.join("proc/self/status"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:"))?;
    list.parse().ok()
}

/// The numbers `N` of the entries `<prefix>N` of `dir`.
fn numbered(dir: &Path, prefix: &str) -> CpuSet {
    let Ok(entries) = fs::read_dir(dir) else {
        return CpuSet::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use crate::{CpuSet, Domain, Topology, fixture::Host};

    fn set(list: &str) -> CpuSet {
        list.parse().unwrap()
    }

    fn recorded(host: &Host) -> Topology {
        Topology::recorded(host.root()).unwrap()
    }

    fn cores(host: &Topology) -> Vec<String> {
        host.cores().iter().map(|core| core.pus().to_string()).collect()
    }

    fn domains(host: &Topology) -> Vec<(u32, String)> {
        host.domains().iter().map(|domain| (domain.id(), domain.pus().to_string())).collect()
    }

    fn node(host: &Host, id: u32, name: &str, text: &str) {
        host.write(&format!("sys/devices/system/node/node{id}/{name}"), text);
    }

    /// Four cores without SMT.
    fn four() -> Host {
        Host::smt(&[("0", 0, "0-3"), ("1", 0, "0-3"), ("2", 0, "0-3"), ("3", 0, "0-3")])
    }

    #[test]
    fn smt_with_sparse_ids() {
        let host = Host::smt(&[("2,34", 8442, "2,7,34,39"), ("7,39", 8442, "2,7,34,39")]);
        let found = recorded(&host);
        assert_eq!(cores(&found), ["2,34", "7,39"]);
        assert_eq!(found.cores()[0].package(), Some(8442));
        assert_eq!(found.cores()[1].l3(), &set("2,7,34,39"));
        assert_eq!(found.online(), &set("2,7,34,39"));
        assert_eq!(domains(&found), [(0, "2,7,34,39".to_owned())]);
        assert!(found.warnings().is_empty() && !found.is_this_host());
    }

    #[test]
    fn the_mask_cuts_what_is_allowed_and_nothing_else() {
        let host = Host::smt(&[("0,4", 0, "0-7"), ("1,5", 0, "0-7"), ("2,6", 0, "0-7"), ("3,7", 0, "0-7")]);
        let found = Topology::below(host.root(), Some(&set("1,4-5,77"))).unwrap();
        assert_eq!(cores(&found), ["0,4", "1,5", "2,6", "3,7"]);
        assert_eq!(found.allowed(), &set("1,4-5"));
        assert!(found.is_this_host());
        let error = Topology::below(host.root(), Some(&CpuSet::new())).unwrap_err();
        assert!(error.is_unavailable());
    }

    #[test]
    fn a_mask_that_is_not_online_counts_more() {
        let host = four();
        let found = Topology::below(host.root(), Some(&set("6-7"))).unwrap();
        assert_eq!(cores(&found), ["6", "7"]);
        assert!(found.warnings()[0].contains("`6-7`"), "{:?}", found.warnings());
    }

    #[test]
    fn an_offline_cpu_has_no_topology() {
        let host = Host::smt(&[("0-1", 0, "0-3"), ("2", 0, "0-3")]);
        host.cpu(3, "online", "0\n").write("sys/devices/system/cpu/online", "   0-3\n");
        node(&host, 0, "cpulist", "0-3\n");
        let found = recorded(&host);
        assert_eq!(cores(&found), ["0-1", "2"]);
        assert_eq!(found.cores()[0].l3(), &set("0-2"));
        assert_eq!(found.online(), &set("0-2"));
        assert_eq!(domains(&found), [(0, "0-2".to_owned())]);
    }

    #[test]
    fn online_may_be_missing_blank_odd_or_all_there_is() {
        let host = Host::new();
        let nothing = Topology::recorded(host.root()).unwrap_err();
        assert!(nothing.is_unavailable());
        assert!(nothing.to_string().contains(host.root().to_str().unwrap()), "{nothing}");
        host.cpu(0, "uevent", "").cpu(9, "uevent", "").write("sys/devices/system/cpu/cpufreq/boost", "1");
        assert_eq!(recorded(&host).online(), &set("0,9"));
        host.write("sys/devices/system/cpu/online", "\n");
        assert_eq!(recorded(&host).online(), &set("0,9"));
        host.write("sys/devices/system/cpu/online", "\t9\n");
        assert_eq!(recorded(&host).online(), &set("9"));
        host.write("sys/devices/system/cpu/online", "9-\n");
        let found = recorded(&host);
        assert_eq!(found.online(), &set("0,9"));
        assert!(found.warnings()[0].contains("cpu/online says `9-`"), "{:?}", found.warnings());
    }

    #[test]
    fn old_kernels_have_maps_and_other_names() {
        let host = Host::new();
        for pu in [0, 32] {
            host.cpu(pu, "topology/thread_siblings", "00000001,00000001\n")
                .cpu(pu, "topology/thread_siblings_list", "\n")
                .cpu(pu, "cache/index2/level", "3\n")
                .cpu(pu, "cache/index2/shared_cpu_map", "00000003,00000003\n");
        }
        host.cpu(1, "topology/core_cpus", "00000002\n").cpu(1, "topology/thread_siblings", "ffffffff");
        node(&host, 0, "cpulist", "\n");
        node(&host, 0, "cpumap", "00000001,00000001\n");
        node(&host, 3, "cpumap", "00000000,00000002\n");
        let found = recorded(&host);
        assert_eq!(cores(&found), ["0,32", "1"]);
        assert_eq!(found.cores()[0].l3(), &set("0-1,32"));
        assert_eq!(found.cores()[0].package(), None);
        assert_eq!(domains(&found), [(0, "0,32".to_owned()), (3, "1".to_owned())]);
    }

    #[test]
    fn without_sysfs_every_allowed_pu_is_a_core() {
        let host = Host::new();
        host.write("proc/meminfo", "MemTotal:       24663212 kB\nMemFree: 1 kB\n");
        let found = Topology::below(host.root(), Some(&set("0-1,5"))).unwrap();
        assert_eq!(cores(&found), ["0", "1", "5"]);
        assert_eq!(domains(&found), [(0, "0-1,5".to_owned())]);
        assert_eq!(found.domains()[0].memory(), Some(24_663_212 << 10));
        assert_eq!(found.distance(0, 0), 10);
        assert!(found.warnings().is_empty());
    }

    #[test]
    fn an_instruction_cache_is_no_l3_and_minus_one_is_no_package() {
        let host = Host::smt(&[("0", -1, "0-1"), ("1", -1, "0-1")]);
        host.cpu(0, "cache/index3/type", "Instruction\n").cpu(1, "cache/index3/type", "Instruction\n");
        let found = recorded(&host);
        assert!(found.cores().iter().all(|core| core.l3().is_empty() && core.package().is_none()));
    }

    #[test]
    fn an_l3_that_does_not_tell_its_sharing_is_the_cores_own() {
        let host = Host::smt(&[("0-1", 0, "\n"), ("2-3", 0, "\n")]);
        host.cpu(2, "cache/index3/shared_cpu_map", "00000000\n");
        let groups: Vec<_> = recorded(&host).cores().iter().map(|core| core.l3().to_string()).collect();
        assert_eq!(groups, ["0-1", "2-3"]);
    }

    #[test]
    fn contradicting_lists_never_share_a_pu() {
        let host = Host::smt(&[("0-1", 0, "0-3"), ("2-3", 0, "2-5"), ("4-5", 0, "0-5")]);
        host.cpu(2, "topology/core_cpus_list", "1-3\n").cpu(3, "topology/core_cpus_list", "0\n");
        let found = recorded(&host);
        assert_eq!(cores(&found), ["0-1", "2-3", "4-5"]);
        let groups: Vec<_> = found.cores().iter().map(|core| core.l3().to_string()).collect();
        assert_eq!(groups, ["0-3", "0-3", "4-5"]);
    }

    #[test]
    fn an_odd_file_counts_as_missing_and_is_named() {
        let host = Host::smt(&[("0-1", 0, "0-1")]);
        host.cpu(0, "topology/physical_package_id", "socket\n");
        let found = recorded(&host);
        assert_eq!(found.cores()[0].package(), None);
        assert!(found.warnings()[0].contains("cpu0/topology/physical_package_id"), "{:?}", found.warnings());
    }

    #[test]
    fn warnings_come_to_an_end() {
        let cores: Vec<_> = (0..40).map(|pu| pu.to_string()).collect();
        let host = Host::smt(&cores.iter().map(|pus| (pus.as_str(), 0, "0-39")).collect::<Vec<_>>());
        for pu in 0..40 {
            host.cpu(pu, "topology/physical_package_id", "socket\n");
        }
        let found = recorded(&host);
        assert_eq!(found.warnings().len(), 17);
        assert!(found.warnings()[16].starts_with("24 more"), "{:?}", found.warnings());
    }

    #[test]
    fn domains_have_sparse_ids_and_need_no_cpus() {
        let host = four();
        for (id, cpus, memory, distance) in
            [(8, "2-3", 16, "20 10 80\n"), (0, "0-1", 8, "10 20 80\n"), (250, "", 4, "80 80 10\n")]
        {
            node(&host, id, "cpulist", cpus);
            node(&host, id, "meminfo", &format!("Node {id} MemTotal:       {memory} kB\nNode {id} MemFree: 1 kB\n"));
            node(&host, id, "distance", distance);
        }
        node(&host, 9, "cpulist", "\n");
        host.write("sys/devices/system/node/online", "0,8,250-255\n")
            .write("sys/devices/system/node/possible", "0-255\n");
        node(&host, 9, "cpumap", "f\n");
        let found = recorded(&host);
        assert_eq!(domains(&found), [(0, "0-1".to_owned()), (8, "2-3".to_owned()), (250, String::new())]);
        assert_eq!(found.domains()[1].memory(), Some(16 << 10));
        assert_eq!([found.distance(0, 1), found.distance(0, 2), found.distance(2, 2)], [20, 80, 10]);
        assert_eq!(found.domain_of(3), Some(1));
        assert_eq!(found.cores()[2].domain(), 1);
    }

    #[test]
    fn rows_of_another_length_are_no_distances() {
        let host = four();
        for (id, cpus, distance) in [(0, "0-1", "10 21\n"), (1, "2-3", "21\n")] {
            node(&host, id, "cpulist", cpus);
            node(&host, id, "distance", distance);
        }
        let found = recorded(&host);
        assert_eq!([found.distance(0, 1), found.distance(1, 1)], [20, 10]);
        assert!(found.warnings()[0].contains("node*/distance"), "{:?}", found.warnings());
    }

    #[test]
    fn a_pu_of_two_domains_stays_in_the_first_and_one_of_none_joins_it() {
        let host = four();
        node(&host, 1, "cpulist", "0-1\n");
        node(&host, 2, "cpulist", "1-2\n");
        let found = recorded(&host);
        assert_eq!(domains(&found), [(1, "0-1,3".to_owned()), (2, "2".to_owned())]);
        let warnings = found.warnings();
        assert!(warnings[0].contains("domain 2 claims the PUs 1"), "{warnings:?}");
        assert!(warnings[1].contains("no domain claims the PUs 3"), "{warnings:?}");
    }

    #[test]
    fn a_core_across_domains_is_in_that_of_its_first_pu() {
        let host = Host::smt(&[("0-1", 0, "0-3"), ("2-3", 0, "0-3")]);
        node(&host, 0, "cpulist", "0,2\n");
        node(&host, 1, "cpulist", "1,3\n");
        let found = recorded(&host);
        assert_eq!(domains(&found), [(0, "0-3".to_owned()), (1, String::new())]);
        assert_eq!(found.warnings().len(), 2);
    }

    #[test]
    fn memory_is_allowed_where_the_control_group_says_and_there_is_some() {
        let host = four();
        host.write("proc/self/status", "Name:\tx\nMems_allowed:\t7\nMems_allowed_list:\t0-1\n");
        for (id, cpus, memory) in [(0, "0-1", 0), (1, "2-3", 8), (2, "", 8)] {
            node(&host, id, "cpulist", cpus);
            node(&host, id, "meminfo", &format!("Node {id} MemTotal: {memory} kB\n"));
        }
        let allowed = |host: Topology| host.domains().iter().map(Domain::is_allowed).collect::<Vec<_>>();
        assert_eq!(allowed(Topology::below(host.root(), Some(&set("0-3"))).unwrap()), [false, true, false]);
        assert_eq!(allowed(recorded(&host)), [false, true, true]);
    }
}

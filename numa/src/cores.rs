//! The physical cores of a host and how near they are, as `sysfs` tells.

use std::{fs, path::Path, sync::Arc};

use crate::{Core, CpuSet, error::Error, sysfs};

const CPUS: &str = "sys/devices/system/cpu";

/// The PUs that the host below `root` (`/` for this one) has online, whoever may use them.
///
/// For this host [`affinity`](crate::affinity) is the better answer. This one is for recorded hosts,
/// where there is no thread to ask. PUs come from `cpu/online`, else from the `cpuN` directories; when
/// any of them has a `topology/` directory, those without are offline. Empty when there is no `sysfs`.
/// One look at a directory per PU.
///
/// # Errors
///
/// [`is_syntax`](Error::is_syntax) when `cpu/online` is not a CPU list; the message names the file.
///
/// ```
/// let root = std::path::Path::new("/");
/// let online = heist_numa::online(root)?;
/// let cores = heist_numa::Cores::read(root, &online)?;
/// assert_eq!(cores.iter().map(|core| core.pus().len()).sum::<usize>(), online.len());
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn online(root: &Path) -> Result<CpuSet, Error> {
    let dir = root.join(CPUS);
    let listed = sysfs::value(&dir.join("online"), "a CPU list", |text| text.parse().ok())?;
    let online = listed.unwrap_or_else(|| numbered(&dir, "cpu"));
    let described = described(&dir, &online);
    Ok(if described.is_empty() { online } else { described })
}

/// The physical cores a thread may use, each with the PUs it may use of it, ordered by lowest PU.
///
/// A core is known by its number in this order, from 0 up to [`len`](Cores::len). Every allowed PU
/// is in at most one core.
///
/// ```
/// let allowed = heist_numa::affinity()?;
/// let cores = heist_numa::Cores::read(std::path::Path::new("/"), &allowed)?;
/// assert!(!cores.is_empty() && cores.len() <= allowed.len());
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores {
    cores: Vec<Core>,
}

impl Cores {
    /// Reads the cores of the host below `root` (`/` for this one) that have a PU in `allowed`, each
    /// cut to `allowed`.
    ///
    /// Pass [`affinity`](crate::affinity) for this host, [`online`] for a recorded one. Siblings come
    /// from `core_cpus_list` or its older names, never from `core_id`, which repeats across packages.
    /// PUs without a `topology/` directory are offline and left out; when no allowed PU has one, as
    /// without `sysfs`, the answer is [`Cores::flat`]. Reads about ten small files per core.
    ///
    /// # Errors
    ///
    /// [`is_syntax`](Error::is_syntax) when a file's content is not what the kernel documents; the
    /// message names the file. [`Cores::flat`] is the way on without it.
    ///
    /// ```
    /// use std::{env::temp_dir, fs, path::Path};
    ///
    /// let root = temp_dir().join(format!("one-core-{}", std::process::id()));
    /// for pu in [0, 4] {
    ///     let topology = root.join(format!("sys/devices/system/cpu/cpu{pu}/topology"));
    ///     fs::create_dir_all(&topology)?;
    ///     fs::write(topology.join("thread_siblings_list"), "0,4\n")?;
    /// }
    /// let cores = heist_numa::Cores::read(&root, &"0-7".parse()?)?;
    /// assert_eq!(cores.len(), 1);
    /// assert_eq!(cores.as_slice()[0].pus().to_string(), "0,4");
    /// # fs::remove_dir_all(&root)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(root: &Path, allowed: &CpuSet) -> Result<Cores, Error> {
        let dir = root.join(CPUS);
        let usable = described(&dir, allowed);
        if usable.is_empty() {
            return Ok(Cores::flat(allowed));
        }
        let mut free = usable.clone();
        let mut cores = Vec::new();
        while let Some(pu) = free.first() {
            let cpu = dir.join(format!("cpu{pu}"));
            let mut pus = siblings(&cpu)?.intersection(&free);
            pus.insert(pu);
            for pu in pus.iter() {
                free.remove(pu);
            }
            let l3 = match l3(&cpu)? {
                Some(l3) => l3.intersection(&usable).union(&pus),
                None => CpuSet::new(),
            };
            let package = package(&cpu)?;
            cores.push(Core { pus, package, l3: Arc::new(l3), domain: 0 });
        }
        Ok(Cores { cores })
    }

    /// Takes every PU of `allowed` for a core, with nothing known of packages and caches.
    ///
    /// ```
    /// let cores = heist_numa::Cores::flat(&"0-3,8".parse()?);
    /// assert_eq!(cores.len(), 5);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn flat(allowed: &CpuSet) -> Cores {
        let core = |pu| Core { pus: CpuSet::from_iter([pu]), package: None, l3: Arc::default(), domain: 0 };
        Cores { cores: allowed.iter().map(core).collect() }
    }

    /// The cores, the one with the lowest PU first.
    ///
    /// ```
    /// let cores = heist_numa::Cores::flat(&"3,9".parse()?);
    /// assert_eq!(cores.as_slice()[0].pus().first(), Some(3));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn as_slice(&self) -> &[Core] {
        &self.cores
    }

    /// Goes through the cores, the one with the lowest PU first.
    ///
    /// ```
    /// let cores = heist_numa::Cores::flat(&"3,9".parse()?);
    /// assert!(cores.iter().all(|core| core.pus().len() == 1));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn iter(&self) -> std::slice::Iter<'_, Core> {
        self.cores.iter()
    }

    /// The number of cores.
    ///
    /// ```
    /// assert_eq!(heist_numa::Cores::flat(&"3,9".parse()?).len(), 2);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.cores.len()
    }

    /// Whether there is no core, which means that no PU was allowed.
    ///
    /// ```
    /// assert!(heist_numa::Cores::flat(&heist_numa::CpuSet::new()).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cores.is_empty()
    }
}

/// The numbers `N` of the entries `<prefix>N` of `dir`.
fn numbered(dir: &Path, prefix: &str) -> CpuSet {
    let Ok(entries) = fs::read_dir(dir) else {
        return CpuSet::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()).collect()
}

/// The PUs of `of` that have a `topology/` directory, as all that are online do.
fn described(dir: &Path, of: &CpuSet) -> CpuSet {
    of.iter().filter(|pu| dir.join(format!("cpu{pu}/topology")).is_dir()).collect()
}

/// The PUs of the same core; empty when not told.
fn siblings(cpu: &Path) -> Result<CpuSet, Error> {
    let topology = cpu.join("topology");
    let names = [("core_cpus_list", "core_cpus"), ("thread_siblings_list", "thread_siblings")];
    for (list, map) in names {
        if let Some(set) = sysfs::set(&topology, list, map)? {
            return Ok(set);
        }
    }
    Ok(CpuSet::new())
}

fn package(cpu: &Path) -> Result<Option<u32>, Error> {
    let path = cpu.join("topology/physical_package_id");
    let id = sysfs::value(&path, "a number", |text| text.parse::<i64>().ok())?;
    Ok(id.and_then(|id| u32::try_from(id).ok()))
}

/// The PUs behind the same L3 cache; `None` when there is no L3 or its sharing is not told.
fn l3(cpu: &Path) -> Result<Option<CpuSet>, Error> {
    let caches = cpu.join("cache");
    for index in numbered(&caches, "index").iter() {
        let cache = caches.join(format!("index{index}"));
        let level = sysfs::value(&cache.join("level"), "a number", |text| text.parse::<u32>().ok())?;
        let instructions = sysfs::text(&cache.join("type")).is_some_and(|t| t == "Instruction");
        if level == Some(3) && !instructions {
            return sysfs::set(&cache, "shared_cpu_list", "shared_cpu_map");
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ring, fixture::Host};

    fn set(list: &str) -> CpuSet {
        list.parse().unwrap()
    }

    fn pus(cores: &Cores) -> Vec<String> {
        cores.iter().map(|core| core.pus().to_string()).collect()
    }

    #[test]
    fn smt_with_sparse_ids() {
        let host = Host::smt(&[("2,34", 8442, "2,7,34,39"), ("7,39", 8442, "2,7,34,39")]);
        let cores = Cores::read(host.root(), &set("0-63")).unwrap();
        assert_eq!(pus(&cores), ["2,34", "7,39"]);
        assert_eq!(cores.as_slice()[0].package(), Some(8442));
        assert_eq!(cores.as_slice()[1].l3(), &set("2,7,34,39"));
        assert_eq!(online(host.root()).unwrap(), set("2,7,34,39"));
    }

    #[test]
    fn cores_are_cut_to_what_is_allowed() {
        let host = Host::smt(&[("0,4", 0, "0-7"), ("1,5", 0, "0-7"), ("2,6", 0, "0-7"), ("3,7", 0, "0-7")]);
        let cores = Cores::read(host.root(), &set("1,4-5,7")).unwrap();
        assert_eq!(pus(&cores), ["1,5", "4", "7"]);
        assert_eq!(cores.as_slice()[1].l3(), &set("1,4-5,7"));
        let none = Cores::read(host.root(), &CpuSet::new()).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn an_offline_cpu_has_no_topology() {
        let host = Host::smt(&[("0-1", 0, "0-3"), ("2", 0, "0-3")]);
        host.cpu(3, "online", "0\n").write("sys/devices/system/cpu/online", "   0-2\n");
        let cores = Cores::read(host.root(), &set("0-3")).unwrap();
        assert_eq!(pus(&cores), ["0-1", "2"]);
        assert_eq!(cores.as_slice()[0].l3(), &set("0-2"));
        assert_eq!(online(host.root()).unwrap(), set("0-2"));
    }

    #[test]
    fn online_may_be_missing_blank_or_all_there_is() {
        let host = Host::new();
        assert_eq!(online(host.root()).unwrap(), CpuSet::new());
        host.cpu(0, "uevent", "").cpu(9, "uevent", "").write("sys/devices/system/cpu/cpufreq/boost", "1");
        assert_eq!(online(host.root()).unwrap(), set("0,9"));
        host.write("sys/devices/system/cpu/online", "\n");
        assert_eq!(online(host.root()).unwrap(), set("0,9"));
        host.write("sys/devices/system/cpu/online", "\t9\n");
        assert_eq!(online(host.root()).unwrap(), set("9"));
        host.write("sys/devices/system/cpu/online", "9-\n");
        assert!(online(host.root()).unwrap_err().is_syntax());
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
        let cores = Cores::read(host.root(), &set("0-63")).unwrap();
        assert_eq!(pus(&cores), ["0,32", "1"]);
        assert_eq!(cores.as_slice()[0].l3(), &set("0-1,32"));
        assert_eq!(cores.as_slice()[0].package(), None);
    }

    #[test]
    fn without_sysfs_every_allowed_pu_is_a_core() {
        let host = Host::new();
        let cores = Cores::read(host.root(), &set("0-1,5")).unwrap();
        assert_eq!(pus(&cores), ["0", "1", "5"]);
        assert_eq!(cores.ring(0, 2), Ring::SamePackage);
        let gone = Cores::read(&host.root().join("absent"), &set("3")).unwrap();
        assert_eq!(pus(&gone), ["3"]);
    }

    #[test]
    fn an_instruction_cache_is_no_l3_and_minus_one_is_no_package() {
        let host = Host::smt(&[("0", -1, "0-1"), ("1", -1, "0-1")]);
        host.cpu(0, "cache/index3/type", "Instruction\n");
        let cores = Cores::read(host.root(), &set("0-1")).unwrap();
        assert_eq!(cores.as_slice()[0].l3(), &CpuSet::new());
        assert_eq!(cores.as_slice()[0].package(), None);
        assert_eq!(cores.ring(0, 1), Ring::SamePackage);
    }

    #[test]
    fn contradicting_sibling_lists_never_share_a_pu() {
        let host = Host::smt(&[("0-1", 0, "0-3"), ("2-3", 0, "0-3")]);
        host.cpu(2, "topology/core_cpus_list", "1-3\n").cpu(3, "topology/core_cpus_list", "0\n");
        let cores = Cores::read(host.root(), &set("0-3")).unwrap();
        assert_eq!(pus(&cores), ["0-1", "2-3"]);
    }

    #[test]
    fn an_odd_file_stops_the_reading_by_name() {
        let host = Host::smt(&[("0-1", 0, "0-1")]);
        host.cpu(0, "topology/physical_package_id", "socket\n");
        let error = Cores::read(host.root(), &set("0-1")).unwrap_err();
        assert!(error.is_syntax());
        assert!(error.to_string().contains("cpu0/topology/physical_package_id"), "{error}");
    }
}

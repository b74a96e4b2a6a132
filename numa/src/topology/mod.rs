//! One immutable description of a host, whatever it was read from: its domains, cores and distances, and what is allowed.

mod cores;
mod findings;
#[cfg(feature = "hwloc")]
mod hwloc;
mod synthetic;
mod sysfs;

use std::{num::NonZeroUsize, path::Path};

pub use cores::Core;

use crate::{
    CpuSet,
    error::{Error, Kind},
    quota::cpu_quota,
};
use findings::Findings;

/// What a host is made of: domains of memory, cores with their PUs, packages and L3 caches, distances, and what of it
/// this process may use. A snapshot; nothing of it changes.
///
/// Domains are named by their index in [`domains`](Topology::domains), in ascending order of the kernel's numbers,
/// which may have gaps. Every online PU is in exactly one core and one domain, and every core in one domain, also
/// where the host's own files contradict each other: [`warnings`](Topology::warnings) tells what had to be guessed.
///
/// ```
/// let host = heist_numa::Topology::of_host(&heist_numa::affinity()?)?;
/// for (index, domain) in host.domains().iter().enumerate() {
///     let cores = host.cores().iter().filter(|core| core.domain() == index).count();
///     println!("domain {}: {cores} cores, PUs {}", domain.id(), domain.pus());
/// }
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    domains: Vec<Domain>,
    cores: Vec<Core>,
    online: CpuSet,
    allowed: CpuSet,
    quota: Option<NonZeroUsize>,
    distances: Vec<u32>,
    this_host: bool,
    warnings: Vec<String>,
}

/// A domain: memory that is equally near to some cores, what the kernel calls a NUMA node.
///
/// ```
/// let host = heist_numa::Topology::synthetic("2 domains × 4 cores + 1 memory domain")?;
/// assert_eq!(host.domains()[1].pus().to_string(), "4-7");
/// assert!(host.domains()[2].pus().is_empty());
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    id: u32,
    pus: CpuSet,
    memory: Option<u64>,
    allowed: bool,
}

impl Domain {
    /// The kernel's number for the domain.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 domains × 4 cores")?;
    /// assert_eq!(host.domains()[1].id(), 1);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The online PUs of the domain; empty when it has only memory, as banks of HBM, CXL or of a GPU do.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("1 domain × 2 cores × 2 threads")?;
    /// assert_eq!(host.domains()[0].pus().to_string(), "0-3");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn pus(&self) -> &CpuSet {
        &self.pus
    }

    /// The domain's memory in bytes, where known. The kernel's figure can grow while memory is added; it is no budget.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("numa:2(memory=4GiB) core:4")?;
    /// assert_eq!(host.domains()[0].memory(), Some(4 << 30));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Whether this process may take memory from the domain: the control group allows it, and there is memory.
    ///
    /// ```
    /// let host = heist_numa::Topology::of_host(&heist_numa::affinity()?)?;
    /// assert!(host.domains().iter().any(|domain| domain.is_allowed()));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }
}

impl Topology {
    /// Reads this host from `sysfs`. `mask` is [`affinity`](crate::affinity) from before anything was pinned.
    ///
    /// A host whose `sysfs` tells nothing, as in some containers, is one domain where each PU of the mask is a core.
    /// Files that make no sense count as missing, with a [warning](Topology::warnings). About three small files per
    /// core are read, and a few per domain.
    ///
    /// # Errors
    ///
    /// [`is_unavailable`](Error::is_unavailable) when `mask` is empty.
    ///
    /// ```
    /// let mask = heist_numa::affinity()?;
    /// let host = heist_numa::Topology::of_host(&mask)?;
    /// assert_eq!(*host.allowed(), mask);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn of_host(mask: &CpuSet) -> Result<Topology, Error> {
        Topology::below(Path::new("/"), Some(mask))
    }

    /// Reads a recorded host: `root` stands for its `/`, with a copy of `sys/devices/system/cpu` and `node`. All that
    /// is online is allowed, and a CPU quota holds if `proc/self` and the control group were recorded too.
    ///
    /// # Errors
    ///
    /// [`is_unavailable`](Error::is_unavailable) when no PU is recorded below `root`.
    ///
    /// ```
    /// # let root = std::env::temp_dir().join(format!("recorded-{}", std::process::id()));
    /// # for pu in [0, 4] {
    /// #     let topology = root.join(format!("sys/devices/system/cpu/cpu{pu}/topology"));
    /// #     std::fs::create_dir_all(&topology)?;
    /// #     std::fs::write(topology.join("thread_siblings_list"), "0,4\n")?;
    /// # }
    /// let host = heist_numa::Topology::recorded(&root)?;
    /// assert_eq!(host.cores()[0].pus().to_string(), "0,4");
    /// assert!(!host.is_this_host());
    /// # std::fs::remove_dir_all(&root)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recorded(root: &Path) -> Result<Topology, Error> {
        Topology::below(root, None)
    }

    /// Makes up a host from its description, for tests and for planning.
    ///
    /// Either levels from the outermost to the innermost, `2 packages × 2 domains × 1 l3 × 4 cores × 2 threads`, any of
    /// them left out, also joined by `x` or `*`; `+` puts unlike parts side by side, and `2 memory domains` is a part
    /// without cores. Or hwloc's notation, `package:2 numa:2 l3:1 core:8 pu:2`, with `(memory=4GiB)` after a domain
    /// and `[numa]` for one that is attached to the level before; of a PU's several domains the innermost is its own, the
    /// others have only memory. PUs and domains are numbered from 0 in the order of the text. Domains of one package
    /// are 12 apart, others 20.
    ///
    /// # Errors
    ///
    /// [`is_syntax`](Error::is_syntax) for any other text, and for more than 65536 PUs or 1024 domains; the message
    /// names the part.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 domains × 4 cores × 2 threads")?;
    /// assert_eq!((host.domains().len(), host.cores().len(), host.online().len()), (2, 8, 16));
    /// let same = heist_numa::Topology::synthetic("numa:2 core:4 pu:2")?;
    /// assert_eq!(same.cores(), host.cores());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn synthetic(text: &str) -> Result<Topology, Error> {
        let findings = synthetic::parse(text)?;
        let allowed = findings.online.clone();
        Ok(findings.settle(allowed, None, false))
    }

    /// Reads what hwloc describes: this host, or the one that `HWLOC_SYNTHETIC`, `HWLOC_XMLFILE` or `HWLOC_FSROOT` name.
    /// `mask` is [`affinity`](crate::affinity) from before anything was pinned; of another host all is allowed.
    ///
    /// Needs hwloc 2 on the machine, and its development files to build. hwloc is asked for PUs, cores, packages, L3
    /// caches and which domains there are; what its crate cannot tell (memory, distances, which domains have cores of
    /// their own) comes from `sysfs` for this host. The calling thread's mask is left alone while hwloc looks around: by
    /// default on each PU in turn, which `HWLOC_COMPONENTS=-x86` spares a large host.
    ///
    /// # Errors
    ///
    /// [`is_syntax`](Error::is_syntax) or [`is_unavailable`](Error::is_unavailable) where hwloc finds nothing, or passes
    /// over in silence what it was told to describe: the message names the variable. [`Topology::of_host`] is the way on
    /// without hwloc.
    ///
    /// ```
    /// let mask = heist_numa::affinity()?;
    /// let (hwloc, own) = (heist_numa::Topology::from_hwloc(&mask)?, heist_numa::Topology::of_host(&mask)?);
    /// assert_eq!(hwloc.online(), own.online());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[cfg(feature = "hwloc")]
    pub fn from_hwloc(mask: &CpuSet) -> Result<Topology, Error> {
        if mask.is_empty() {
            return Err(Kind::NoPu.into());
        }
        let source = hwloc::Source::from_environment()?;
        let mut findings = hwloc::read(&source)?;
        if !source.is_this_host() {
            let allowed = findings.online.clone();
            return Ok(findings.settle(allowed, None, false));
        }
        let quota = findings.accept(cpu_quota(Path::new("/")));
        let allowed = mask.intersection(&findings.online);
        if allowed.is_empty() {
            return Err(hwloc::trouble(format!("it finds the PUs `{}`, none of the mask `{mask}`", findings.online)));
        }
        Ok(findings.settle(allowed, quota, true))
    }

    /// Whether this describes the host that it was read on. Never pin, and never place memory, by another's.
    ///
    /// ```
    /// assert!(!heist_numa::Topology::synthetic("4 cores")?.is_this_host());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_this_host(&self) -> bool {
        self.this_host
    }

    /// The domains, one or more, in ascending order of their [ids](Domain::id).
    ///
    /// ```
    /// let host = heist_numa::Topology::of_host(&heist_numa::affinity()?)?;
    /// assert!(host.domains().is_sorted_by_key(|domain| domain.id()));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// All online cores, the one with the lowest PU first.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("3 cores × 2 threads")?;
    /// assert_eq!(host.cores()[2].pus().first(), Some(4));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn cores(&self) -> &[Core] {
        &self.cores
    }

    /// The PUs that the host has online, whoever may use them.
    ///
    /// ```
    /// let host = heist_numa::Topology::of_host(&heist_numa::affinity()?)?;
    /// assert_eq!(host.online().len(), host.cores().iter().map(|core| core.pus().len()).sum());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn online(&self) -> &CpuSet {
        &self.online
    }

    /// The online PUs that the mask allows.
    ///
    /// ```
    /// let mask = heist_numa::affinity()?;
    /// let host = heist_numa::Topology::of_host(&mask)?;
    /// assert_eq!(*host.allowed(), mask.intersection(host.online()));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn allowed(&self) -> &CpuSet {
        &self.allowed
    }

    /// The CPUs' worth of time that control groups grant, as [`cpu_quota`] has it.
    ///
    /// ```
    /// let host = heist_numa::Topology::of_host(&heist_numa::affinity()?)?;
    /// assert_eq!(host.quota(), heist_numa::cpu_quota(std::path::Path::new("/"))?);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn quota(&self) -> Option<NonZeroUsize> {
        self.quota
    }

    /// How far the memory of domain `b` is from the PUs of domain `a`, as the firmware rates it: 10 is a domain's
    /// own, 20 twice as slow. Where the host tells nothing, 20 for every other domain; [`u32::MAX`] for an index that no
    /// domain has.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 domains × 4 cores")?;
    /// assert_eq!((host.distance(0, 0), host.distance(0, 1), host.distance(0, 2)), (10, 20, u32::MAX));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn distance(&self, a: usize, b: usize) -> u32 {
        let known = self.domains.len();
        if a < known && b < known { self.distances[a * known + b] } else { u32::MAX }
    }

    /// The index of the domain that `pu` is in; `None` when it is not online. O(domains).
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 domains × 4 cores")?;
    /// assert_eq!((host.domain_of(5), host.domain_of(8)), (Some(1), None));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn domain_of(&self, pu: usize) -> Option<usize> {
        self.domains.iter().position(|domain| domain.pus.contains(pu))
    }

    /// What had to be guessed, one sentence each: files that make no sense or contradict each other.
    ///
    /// ```
    /// assert!(heist_numa::Topology::synthetic("2 cores")?.warnings().is_empty());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    #[cfg(test)]
    pub(crate) fn with_quota(mut self, quota: Option<NonZeroUsize>) -> Topology {
        self.quota = quota;
        self
    }

    /// The host below `root`; with a mask it is this one.
    fn below(root: &Path, mask: Option<&CpuSet>) -> Result<Topology, Error> {
        if mask.is_some_and(CpuSet::is_empty) {
            return Err(Kind::NoPu.into());
        }
        let mut findings = Findings::default();
        let quota = findings.accept(cpu_quota(root));
        sysfs::read(root, mask, &mut findings);
        if findings.online.is_empty() {
            return Err(Kind::NoHost { root: root.to_owned() }.into());
        }
        let online = &findings.online;
        let allowed = mask.map_or_else(|| online.clone(), |mask| mask.intersection(online));
        Ok(findings.settle(allowed, quota, mask.is_some()))
    }
}

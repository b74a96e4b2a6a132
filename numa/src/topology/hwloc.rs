//! A host as hwloc has it: all that heist uses of the crate `hwloc2`, and why only so much.
//!
//! Of `hwloc2` 2.2 these are sound with hwloc 2: loading, the objects of the types below, their `os_index`, and clones of
//! their sets, which are owned. NUMA nodes cannot be asked for (it panics); they are seen through the `nodeset` of PUs.
//! Names and `Display` of objects, attributes of caches and binding are not touched: they write or read out of bounds, or
//! need exclusive access.
//!
//! hwloc takes another host from the environment, and in silence this one when it cannot: what it answers is held
//! against our own reading of the same source. Loading may move the calling thread to each PU in turn; it is done on a
//! thread of its own.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use hwloc2::{Bitmap, ObjectType, Topology as Hwloc, TopologyFlag, TopologyObject};

use super::{Core, Domain, findings::Findings, synthetic, sysfs};
use crate::{
    CpuSet,
    error::{Error, Kind},
};

/// What hwloc describes.
pub(super) enum Source {
    ThisHost,
    Synthetic(String),
    Xml(PathBuf),
    Root(PathBuf),
}

impl Source {
    /// What the environment tells hwloc to describe.
    pub(super) fn from_environment() -> Result<Source, Error> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let synthetic = set("HWLOC_SYNTHETIC").map(|text| Source::Synthetic(text.to_string_lossy().into_owned()));
        let xml = set("HWLOC_XMLFILE").map(|path| Source::Xml(path.into()));
        let root = set("HWLOC_FSROOT").map(|path| Source::Root(path.into()));
        if set("HWLOC_CPUID_PATH").is_some() {
            return Err(trouble("HWLOC_CPUID_PATH is set, and what hwloc makes of it cannot be checked; unset it"));
        }
        let mut sources = [synthetic, xml, root].into_iter().flatten();
        match (sources.next(), sources.next()) {
            (None, _) => Ok(Source::ThisHost),
            (Some(source), None) => Ok(source),
            _ => Err(trouble("set only one of HWLOC_SYNTHETIC, HWLOC_XMLFILE and HWLOC_FSROOT")),
        }
    }

    pub(super) fn is_this_host(&self) -> bool {
        matches!(self, Source::ThisHost)
    }

    /// The PUs that hwloc must find, by our own reading; `None` for this host, of which we may see less.
    fn expected(&self) -> Result<Option<CpuSet>, Error> {
        match self {
            Source::ThisHost => Ok(None),
            Source::Synthetic(text) => synthetic::parse(text).map(|findings| Some(findings.online)),
            Source::Xml(path) => {
                let read = fs::read_to_string(path);
                let text = read.map_err(|error| trouble(format!("HWLOC_XMLFILE is `{}`: {error}", path.display())))?;
                if !text.contains("</topology>") {
                    return Err(trouble(format!("HWLOC_XMLFILE is `{}`, which is no whole topology", path.display())));
                }
                let objects = text.split("<object ").filter(|object| object.starts_with("type=\"PU\""));
                let index = |object: &str| object.split_once("os_index=\"")?.1.split_once('"')?.0.parse().ok();
                Ok(Some(objects.filter_map(index).collect()))
            }
            Source::Root(path) => {
                let mut findings = Findings::default();
                sysfs::read(path, None, &mut findings);
                Ok(Some(findings.online))
            }
        }
    }
}

pub(super) fn trouble(text: impl Into<String>) -> Error {
    Kind::Hwloc { trouble: text.into() }.into()
}

/// What hwloc finds in `source`.
pub(super) fn read(source: &Source) -> Result<Findings, Error> {
    let expected = source.expected()?;
    let loading = thread::Builder::new().name("heist-hwloc".to_owned()).spawn(load);
    let loading = loading.map_err(|error| trouble(format!("no thread can be had to load it on: {error}")))?;
    let mut findings = loading.join().map_err(|_| trouble("its crate panicked"))??;
    if let Some(expected) = expected.filter(|expected| *expected != findings.online) {
        return Err(trouble(format!(
            "it was told to describe a host of the PUs `{expected}`, and describes one of `{}`; check the value of \
             HWLOC_SYNTHETIC, HWLOC_XMLFILE or HWLOC_FSROOT",
            findings.online
        )));
    }
    if source.is_this_host() {
        add_details(&mut findings);
    }
    Ok(findings)
}

fn load() -> Result<Findings, Error> {
    let hwloc = Hwloc::with_flags(vec![TopologyFlag::IncludeDisallowed]);
    let hwloc = hwloc.ok_or_else(|| trouble("it found nothing; look at HWLOC_COMPONENTS, or go by sysfs"))?;
    let mut findings = Findings::default();
    let mut nodes: BTreeMap<usize, CpuSet> = BTreeMap::new();
    for node in set(hwloc.object_at_root().nodeset())?.iter() {
        nodes.insert(node, CpuSet::new());
    }
    for object in objects(&hwloc, ObjectType::PU) {
        let pu = object.os_index() as usize;
        findings.online.insert(pu);
        for node in set(object.nodeset())?.iter() {
            nodes.entry(node).or_default().insert(pu);
        }
    }
    let mut packages = BTreeMap::new();
    for object in objects(&hwloc, ObjectType::Package) {
        let number = Some(object.os_index()).filter(|&number| number != u32::MAX);
        packages.extend(set(object.cpuset())?.iter().map(|pu| (pu, number)));
    }
    let mut caches = BTreeMap::new();
    for object in objects(&hwloc, ObjectType::L3Cache) {
        let pus = Arc::new(set(object.cpuset())?);
        caches.extend(pus.iter().map(|pu| (pu, pus.clone())));
    }
    let mut cores = Vec::new();
    for object in objects(&hwloc, ObjectType::Core) {
        cores.push(set(object.cpuset())?);
    }
    let mut alone = findings.online.clone();
    for core in &cores {
        alone = alone.difference(core);
    }
    cores.extend(alone.iter().map(|pu| CpuSet::from_iter([pu])));
    cores.sort_by_key(CpuSet::first);
    let no_l3 = Arc::new(CpuSet::new());
    findings.cores.extend(cores.into_iter().filter_map(|pus| {
        let first = pus.first()?;
        let package = packages.get(&first).copied().flatten();
        Some(Core { package, l3: caches.get(&first).unwrap_or(&no_l3).clone(), pus, domain: 0 })
    }));
    // A node without PUs of its own has those of the nearest: the first to have them keeps them.
    let mut free = findings.online.clone();
    for (id, pus) in nodes {
        let pus = pus.intersection(&free);
        free = free.difference(&pus);
        findings.domains.push(Domain { id: id as u32, pus, memory: None, allowed: true });
    }
    Ok(findings)
}

/// Adds what `hwloc2` does not tell and `sysfs` does: which PUs are a node's own, memory, distances.
fn add_details(findings: &mut Findings) {
    let mut told = Findings { online: findings.online.clone(), ..Findings::default() };
    sysfs::read_domains(Path::new("/"), true, &mut told);
    let places = findings.domains.iter().map(|own| told.domains.iter().position(|other| other.id == own.id));
    let Some(places) = places.collect::<Option<Vec<_>>>() else {
        return;
    };
    let count = told.domains.len();
    let pairs = places.iter().flat_map(|&a| places.iter().map(move |&b| a * count + b));
    findings.distances = told.distances.map(|told| pairs.map(|pair| told[pair]).collect());
    findings.domains = places.iter().map(|&place| told.domains[place].clone()).collect();
    findings.warnings.append(&mut told.warnings);
}

/// The objects of a type; none where hwloc knows of none.
fn objects(hwloc: &Hwloc, kind: ObjectType) -> Vec<&TopologyObject> {
    hwloc.objects_with_type(&kind).unwrap_or_default()
}

/// An owned copy of a set of hwloc's.
fn set(of_object: Option<Bitmap>) -> Result<CpuSet, Error> {
    // A set taken from an object points into the topology; its clone does not.
    let copy = of_object.clone().unwrap_or_default();
    if copy.weight() < 0 {
        return Err(trouble("one of its sets has no end"));
    }
    Ok(copy.into_iter().map(|id| id as usize).collect())
}

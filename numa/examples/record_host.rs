//! Records a host for the tests: `record_host ROOT NOTE…` prints what heist reads of the `sysfs` below ROOT, `/` for
//! this host, and what hwloc's `lstopo` makes of it. Output like this, in `tests/hosts`, is what a bug report needs.

#![allow(clippy::print_stdout, reason = "a program prints")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use heist_numa::CpuSet;

const BASE: &str = "sys/devices/system";
const SIBLINGS: [(&str, &str); 2] = [("core_cpus_list", "core_cpus"), ("thread_siblings_list", "thread_siblings")];

/// What has the same text, by the rest of the path: first the numbers of CPUs or nodes, then those of caches.
#[derive(Default)]
struct Lines {
    files: BTreeMap<(String, String, usize, String), CpuSet>,
    plain: Vec<String>,
}

impl Lines {
    /// Records the file `name` of number `id`, if it is there; true when it says anything.
    fn file(&mut self, root: &Path, kind: &str, id: usize, name: &str) -> bool {
        let path = root.join(format!("{BASE}/{kind}{id}/{name}"));
        let Some(mut text) = one_line(&path) else { return false };
        if name == "meminfo" {
            text = text.split("\\n").find(|line| line.contains("MemTotal")).unwrap_or_default().to_owned();
        }
        let says = !text.trim().is_empty();
        let text = if text == id.to_string() && name.ends_with("_list") { "%".to_owned() } else { text };
        self.add(kind, id, name, text);
        says
    }

    fn add(&mut self, kind: &str, id: usize, name: &str, text: String) {
        let (name, index) = match name.strip_prefix("cache/index").and_then(|rest| rest.split_once('/')) {
            Some((index, name)) => (format!("cache/index#/{name}"), index.parse().unwrap_or(0)),
            None => (name.to_owned(), 0),
        };
        let ids = self.files.entry((kind.to_owned(), name, index, text)).or_default();
        ids.insert(id);
    }

    /// A list, and its map where the list is missing or blank.
    fn set(&mut self, root: &Path, kind: &str, id: usize, (list, map): (&str, &str)) -> bool {
        self.file(root, kind, id, list) || self.file(root, kind, id, map)
    }

    fn print(&self) {
        for line in &self.plain {
            println!("{line}");
        }
        let mut caches: BTreeMap<_, CpuSet> = BTreeMap::new();
        for ((kind, name, index, text), ids) in &self.files {
            caches.entry((kind, ids.to_string(), name, text)).or_default().insert(*index);
        }
        for ((kind, ids, name, text), indices) in caches {
            println!("{kind}{{{ids}}}/{}\t{text}", name.replace('#', &format!("{{{indices}}}")));
        }
    }
}

/// The text of a file in one line, without the zeros that a map starts with.
fn one_line(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\n').replace('\0', "\\0").replace('\n', "\\n");
    Some(text.trim_start_matches("00000000,").to_owned())
}

fn numbered(dir: &Path, prefix: &str) -> CpuSet {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()).collect()
}

fn record(root: &Path) -> Lines {
    let mut lines = Lines::default();
    for name in ["cpu/online", "node/online"] {
        if let Some(text) = one_line(&root.join(BASE).join(name)) {
            lines.plain.push(format!("{name}\t{text}"));
        }
    }
    for cpu in numbered(&root.join(BASE).join("cpu"), "cpu").iter() {
        let dir = root.join(format!("{BASE}/cpu/cpu{cpu}"));
        lines.add("cpu/cpu", cpu, "", String::new());
        if dir.join("topology").is_dir() {
            lines.add("cpu/cpu", cpu, "topology/", String::new());
        }
        lines.file(root, "cpu/cpu", cpu, "topology/physical_package_id");
        let siblings = SIBLINGS.map(|(list, map)| (format!("topology/{list}"), format!("topology/{map}")));
        let _ = siblings.iter().any(|(list, map)| lines.set(root, "cpu/cpu", cpu, (list, map)));
        for index in numbered(&dir.join("cache"), "index").iter() {
            let cache = format!("cache/index{index}");
            lines.file(root, "cpu/cpu", cpu, &format!("{cache}/level"));
            lines.file(root, "cpu/cpu", cpu, &format!("{cache}/type"));
            if fs::read_to_string(dir.join(&cache).join("level")).is_ok_and(|level| level.trim() == "3") {
                let names = ["list", "map"].map(|form| format!("{cache}/shared_cpu_{form}"));
                lines.set(root, "cpu/cpu", cpu, (&names[0], &names[1]));
            }
        }
    }
    for node in numbered(&root.join(BASE).join("node"), "node").iter() {
        lines.add("node/node", node, "", String::new());
        lines.set(root, "node/node", node, ("cpulist", "cpumap"));
        lines.file(root, "node/node", node, "meminfo");
        lines.file(root, "node/node", node, "distance");
    }
    lines
}

/// The value of an attribute of an XML element.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = element.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// hwloc's sets are the kernel's maps with `0x` before each word, where words of zeros may be left out.
fn cpus(element: &str) -> Option<CpuSet> {
    let words: Vec<_> = attribute(element, "cpuset")?.split(',').map(|word| word.trim_start_matches("0x")).collect();
    let words: Vec<_> = words.into_iter().map(|word| if word.is_empty() { "0" } else { word }).collect();
    CpuSet::from_hex_map(&words.join(",")).ok()
}

/// What hwloc makes of the host, by type.
fn hwloc(root: &Path) -> Option<BTreeMap<&'static str, Vec<String>>> {
    let mut command = Command::new("lstopo-no-graphics");
    command.args(["--disallowed", "--no-io", "--of", "xml"]).env("HWLOC_KEEP_NVIDIA_GPU_NUMA_NODES", "1");
    command.env("HWLOC_COMPONENTS", "linux,stop");
    if root != Path::new("/") {
        command.env("HWLOC_FSROOT", root);
    }
    let output = command.output().ok()?.stdout;
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for element in String::from_utf8_lossy(&output).split("<object ").skip(1) {
        let element = format!(" {element}");
        let cpus = cpus(&element).unwrap_or_default();
        let (kind, text) = match attribute(&element, "type")? {
            "PU" => ("pu", attribute(&element, "os_index")?.to_owned()),
            "Core" => ("core", cpus.to_string()),
            "Package" => ("package", cpus.to_string()),
            "L3Cache" => ("l3", cpus.to_string()),
            "NUMANode" => ("domain", format!("{}:{cpus}", attribute(&element, "os_index")?)),
            _ => continue,
        };
        found.entry(kind).or_default().push(text);
    }
    found.values_mut().for_each(|texts| texts.sort());
    Some(found)
}

fn main() {
    let mut arguments = env::args().skip(1);
    let root = PathBuf::from(arguments.next().unwrap_or_else(|| "/".to_owned()));
    println!("# {}", arguments.collect::<Vec<_>>().join(" "));
    record(&root).print();
    for (kind, texts) in hwloc(&root).into_iter().flatten() {
        println!("= {kind} {}", texts.join(" "));
    }
}

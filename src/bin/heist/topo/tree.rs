//! What is inside what: packages, domains, L3 caches and their cores, with like ones in one line.

use std::collections::BTreeMap;

use heist::numa::{Core, CpuSet, Topology};

use crate::layout::count;

/// More siblings of one shape than these are one line.
const MOST_ALIKE: usize = 4;

/// A part of the host that has cores.
pub(super) struct Node {
    kind: Kind,
    /// The number that the host gives it.
    id: Option<u32>,
    pub(super) pus: CpuSet,
    /// The PUs of each core.
    cores: Vec<CpuSet>,
    parts: Vec<Node>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Package,
    Domain,
    Cache,
    /// The cores beside caches that have none.
    NoCache,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Package => "package",
            Kind::Domain => "domain",
            Kind::Cache => "L3 cache",
            Kind::NoCache => "without L3 cache",
        }
    }
}

/// A line of the tree.
pub(super) struct Line {
    /// What leads to it from the left.
    pub(super) branch: String,
    pub(super) text: String,
    /// Its PUs, where they are said: of what has no parts of its own.
    pub(super) pus: Option<CpuSet>,
}

/// The levels to sort cores by: packages around domains where each domain is in one of them, else inside.
fn levels(host: &Topology) -> [Kind; 3] {
    let mut packages: BTreeMap<usize, Option<u32>> = BTreeMap::new();
    let one_each =
        host.cores().iter().all(|core| *packages.entry(core.domain()).or_insert(core.package()) == core.package());
    if one_each { [Kind::Package, Kind::Domain, Kind::Cache] } else { [Kind::Domain, Kind::Package, Kind::Cache] }
}

/// The parts of the host that have cores.
pub(super) fn parts(host: &Topology) -> Vec<Node> {
    group(host, &host.cores().iter().collect::<Vec<_>>(), &levels(host))
}

/// What a core's part at a level is told by; none where the host does not tell.
fn key(host: &Topology, core: &Core, level: Kind) -> Option<u32> {
    match level {
        Kind::Package => core.package(),
        Kind::Domain => Some(host.domains()[core.domain()].id()),
        Kind::Cache | Kind::NoCache => core.l3().first().and_then(|first| first.try_into().ok()),
    }
}

fn group(host: &Topology, cores: &[&Core], levels: &[Kind]) -> Vec<Node> {
    let Some((&level, inner)) = levels.split_first() else { return Vec::new() };
    let mut groups: BTreeMap<Option<u32>, Vec<&Core>> = BTreeMap::new();
    for core in cores {
        groups.entry(key(host, core, level)).or_default().push(core);
    }
    if groups.keys().all(Option::is_none) {
        return group(host, cores, inner);
    }
    let mut nodes: Vec<_> = groups
        .into_iter()
        .map(|(id, cores)| Node {
            kind: if level == Kind::Cache && id.is_none() { Kind::NoCache } else { level },
            id: id.filter(|_| level != Kind::Cache),
            pus: cores.iter().flat_map(|core| core.pus().iter()).collect(),
            cores: cores.iter().map(|core| core.pus().clone()).collect(),
            parts: group(host, &cores, inner),
        })
        .collect();
    nodes.sort_by_key(|node| (node.kind == Kind::NoCache, node.id, node.pus.first()));
    nodes
}

/// What two parts have in common that differ only in their numbers.
fn shape(node: &Node) -> String {
    let parts: Vec<_> = node.parts.iter().map(shape).collect();
    format!("{}{}({})", node.kind.name(), cores(&node.cores), parts.join(","))
}

/// The lines of `nodes` and of all inside them.
pub(super) fn lines(nodes: &[Node]) -> Vec<Line> {
    let mut lines = Vec::new();
    draw(nodes, "", true, &mut lines);
    lines
}

fn draw(nodes: &[Node], indent: &str, is_top: bool, lines: &mut Vec<Line>) {
    let mut rest = nodes;
    while !rest.is_empty() {
        let alike = rest.iter().take_while(|node| shape(node) == shape(&rest[0])).count();
        let alike = if alike > MOST_ALIKE { alike } else { 1 };
        let (run, after) = rest.split_at(alike);
        rest = after;
        let (branch, inner) = match (is_top, rest.is_empty()) {
            (true, _) => (String::new(), String::new()),
            (_, true) => (format!("{indent}└ "), format!("{indent}  ")),
            (_, false) => (format!("{indent}├ "), format!("{indent}│ ")),
        };
        let (mut name, mut node) = (named(run), &run[0]);
        while let [only] = node.parts.as_slice() {
            name = format!(
                "{name}, {}",
                if run.len() == 1 { named(std::slice::from_ref(only)) } else { only.kind.name().to_owned() }
            );
            node = only;
        }
        let each = if run.len() == 1 { "" } else { "each " };
        let pus: CpuSet = run.iter().flat_map(|node| node.pus.iter()).collect();
        let is_leaf = node.parts.is_empty();
        lines.push(Line {
            branch,
            text: format!("{name}: {each}{}", cores(&node.cores)),
            pus: (is_leaf || run.len() > 1).then_some(pus),
        });
        if !is_leaf && run.len() == 1 {
            draw(&node.parts, &inner, false, lines);
        } else if !is_leaf {
            lines.extend(within(&node.parts, &inner));
        }
    }
}

/// What each of several like parts is made of, without numbers.
fn within(parts: &[Node], indent: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = parts;
    while !rest.is_empty() {
        let alike = rest.iter().take_while(|node| shape(node) == shape(&rest[0])).count();
        let (run, after) = rest.split_at(alike);
        rest = after;
        let (branch, inner) = if rest.is_empty() { ("└ ", "  ") } else { ("├ ", "│ ") };
        let text = format!("each {}, of {}", count(alike, run[0].kind.name()), cores(&run[0].cores));
        lines.push(Line { branch: format!("{indent}{branch}"), text, pus: None });
        lines.extend(within(&run[0].parts, &format!("{indent}{inner}")));
    }
    lines
}

/// `domain 3`, `domains 0-15`, `16 L3 caches`.
fn named(run: &[Node]) -> String {
    let name = run[0].kind.name();
    let ids: CpuSet = run.iter().filter_map(|node| node.id).map(|id| id as usize).collect();
    match (run.len(), ids.is_empty()) {
        (1, true) => name.to_owned(),
        (1, false) => format!("{name} {ids}"),
        (many, true) => count(many, name),
        (_, false) => format!("{name}s {ids}"),
    }
}

/// How many cores there are, of how many PUs, and how far siblings are apart.
fn cores(cores: &[CpuSet]) -> String {
    let cores_in_words = count(cores.len(), "core");
    let sizes = || cores.iter().map(CpuSet::len);
    let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    if most <= 1 {
        return cores_in_words;
    }
    if least < most {
        return format!("{cores_in_words} of {least} to {most} PUs");
    }
    let steps = cores.iter().flat_map(|pus| pus.iter().zip(pus.iter().skip(1)).map(|(a, b)| b - a));
    let steps: CpuSet = steps.collect();
    let apart = if steps.len() == 1 { format!(", siblings {steps} apart") } else { String::new() };
    format!("{cores_in_words} × {most} PUs{apart}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Vec<String> {
        let host = Topology::synthetic(text).unwrap();
        let lines = lines(&parts(&host)).into_iter();
        lines
            .map(|line| {
                format!("{}{}{}", line.branch, line.text, line.pus.map(|pus| format!(" [{pus}]")).unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn what_is_alone_in_something_shares_its_line() {
        assert_eq!(drawn("1 package × 1 domain × 2 cores"), ["package 0, domain 0: 2 cores [0-1]"]);
        assert_eq!(drawn("2 cores × 2 threads"), ["domain 0: 2 cores × 2 PUs, siblings 1 apart [0-3]"]);
    }

    #[test]
    fn few_parts_have_a_line_each() {
        assert_eq!(
            drawn("2 packages × 2 domains × 2 l3 × 2 cores")[..7],
            [
                "package 0: 8 cores",
                "├ domain 0: 4 cores",
                "│ ├ L3 cache: 2 cores [0-1]",
                "│ └ L3 cache: 2 cores [2-3]",
                "└ domain 1: 4 cores",
                "  ├ L3 cache: 2 cores [4-5]",
                "  └ L3 cache: 2 cores [6-7]",
            ]
        );
    }

    #[test]
    fn many_like_parts_share_a_line() {
        assert_eq!(
            drawn("2 packages × 1 domain × 8 l3 × 8 cores × 2 threads"),
            [
                "package 0, domain 0: 64 cores × 2 PUs, siblings 1 apart",
                "└ 8 L3 caches: each 8 cores × 2 PUs, siblings 1 apart [0-127]",
                "package 1, domain 1: 64 cores × 2 PUs, siblings 1 apart",
                "└ 8 L3 caches: each 8 cores × 2 PUs, siblings 1 apart [128-255]",
            ]
        );
        assert_eq!(
            drawn("64 domains × 2 l3 × 2 cores"),
            ["domains 0-63: each 4 cores [0-255]", "└ each 2 L3 caches, of 2 cores"]
        );
        assert_eq!(
            drawn("8 domains × 4 cores + 1 domain × 2 cores"),
            ["domains 0-7: each 4 cores [0-31]", "domain 8: 2 cores [32-33]"]
        );
    }
}

//! A host made up from a short description, in a notation of our own or in hwloc's.

use std::{ops::Range, sync::Arc};

use super::{
    Core, Domain,
    findings::{Findings, LOCAL, REMOTE},
};
use crate::{
    CpuSet,
    error::{Error, Kind},
};

/// The distance of two domains of one package.
const SAME_PACKAGE: u32 = 12;
const MOST_PUS: usize = 65_536;
const MOST_DOMAINS: usize = 1_024;
const MOST_LEVELS: usize = 16;

/// What is side by side with the other parts: memory of its own, and levels from the outermost to the innermost.
#[derive(Default)]
struct Part {
    attached: Vec<Memory>,
    levels: Vec<Level>,
}

/// The bytes of a domain, where they are told.
type Memory = Option<u64>;

struct Level {
    kind: Object,
    count: usize,
    memory: Memory,
    /// The domains that hwloc's notation attaches to each object of this level.
    attached: Vec<Memory>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    Package,
    Domain,
    L3,
    Core,
    Pu,
    /// A level that this crate does not know of, as an L2 cache: it only multiplies.
    Other,
}

impl Object {
    /// What a word of either notation stands for, in any case, singular or plural.
    fn named(word: &str) -> Option<Object> {
        let word = word.to_ascii_lowercase();
        let word = word.strip_suffix('s').unwrap_or(&word);
        Some(match word {
            "package" | "pack" | "socket" => Object::Package,
            "domain" | "numa" | "numanode" | "node" => Object::Domain,
            "l3" | "l3cache" => Object::L3,
            "core" => Object::Core,
            "thread" | "pu" => Object::Pu,
            "die" | "group" | "cluster" | "l1" | "l1d" | "l1cache" | "l1dcache" | "l2" | "l2d" | "l2cache" | "l4"
            | "l4cache" | "l5" | "l5cache" | "l1i" | "l1icache" => Object::Other,
            _ => return None,
        })
    }
}

/// The host that `text` describes.
pub(super) fn parse(text: &str) -> Result<Findings, Error> {
    let wrong = |trouble: String| Kind::Synthetic { text: text.to_owned(), trouble };
    let parts = if text.contains([':', '[']) { hwloc_part(text).map(|part| vec![part]) } else { own_parts(text) };
    let parts = parts.map_err(wrong)?;
    for part in &parts {
        check(part).map_err(wrong)?;
    }
    let (pus, domains) = parts
        .iter()
        .map(size)
        .fold((0, 0), |(p, d), (pus, domains)| (usize::saturating_add(p, pus), usize::saturating_add(d, domains)));
    if pus == 0 {
        return Err(wrong("it has no core".to_owned()).into());
    }
    if pus > MOST_PUS || domains > MOST_DOMAINS {
        let trouble = format!("at most {MOST_PUS} PUs and {MOST_DOMAINS} domains can be made up");
        return Err(wrong(trouble).into());
    }
    let mut made = Made::default();
    for part in &parts {
        made.add(part);
    }
    Ok(made.into_findings())
}

/// The parts of `2 domains × 4 cores + 1 memory domain`.
fn own_parts(text: &str) -> Result<Vec<Part>, String> {
    text.split('+').map(own_part).collect()
}

fn own_part(text: &str) -> Result<Part, String> {
    let mut part = Part::default();
    for product in text.split(['×', 'x', 'X', '*']) {
        let product = product.trim();
        let digits = product.find(|c: char| !c.is_ascii_digit()).unwrap_or(product.len());
        let (count, word) = product.split_at(digits);
        let count = number(count).ok_or_else(|| format!("`{product}` does not start with a number of at least 1"))?;
        let word = word.trim();
        let memory = word.strip_prefix("memory").map(str::trim_start);
        let object = Object::named(memory.unwrap_or(word));
        let kind = object.filter(|&kind| kind != Object::Other && (memory.is_none() || kind == Object::Domain));
        let kind =
            kind.ok_or_else(|| format!("`{word}` is none of packages, domains, l3, cores, threads, memory domains"))?;
        if memory.is_some() {
            if count > MOST_DOMAINS {
                return Err(format!("at most {MOST_DOMAINS} domains can be made up"));
            }
            part.attached = vec![None; count];
        } else {
            part.levels.push(Level { kind, count, memory: None, attached: Vec::new() });
        }
    }
    if !part.attached.is_empty() && !part.levels.is_empty() {
        return Err("`memory domains` stand by themselves: put `+` before and after them".to_owned());
    }
    Ok(part)
}

/// The host of `package:2 [numa(memory=4GB)] core:8 pu:2`.
fn hwloc_part(text: &str) -> Result<Part, String> {
    let mut part = Part::default();
    for token in tokens(text) {
        if let Some(inner) = token.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| format!("`{token}` lacks its `]`"))?;
            let (word, memory) = attributes(inner)?;
            if Object::named(word) != Some(Object::Domain) {
                return Err(format!("`{token}`: only `[numa]` can be attached"));
            }
            part.levels.last_mut().map_or(&mut part.attached, |level| &mut level.attached).push(memory);
        } else {
            let (level, memory) = attributes(token)?;
            let (word, count) = level.split_once(':').ok_or_else(|| format!("`{token}` is not `type:count`"))?;
            let kind =
                Object::named(word).ok_or_else(|| format!("`{word}` is no type of hwloc's that is known here"))?;
            let count = number(count).ok_or_else(|| format!("`{token}`: the count is no number of at least 1"))?;
            part.levels.push(Level { kind, count, memory, attached: Vec::new() });
        }
    }
    Ok(part)
}

/// The words of a text, where blanks inside parentheses and brackets do not separate.
fn tokens(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let separates = |c: char| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && c.is_whitespace()
    };
    text.split(separates).filter(|token| !token.is_empty()).collect()
}

/// The token without its attributes, and the memory they tell. The size of a cache is of no use here.
fn attributes(token: &str) -> Result<(&str, Memory), String> {
    let Some((head, rest)) = token.split_once('(') else {
        return Ok((token, None));
    };
    let list = rest.strip_suffix(')').ok_or_else(|| format!("`{token}` lacks its `)` at the end"))?;
    let mut memory = None;
    for attribute in list.split_whitespace() {
        match attribute.split_once('=') {
            Some(("memory", size)) => {
                memory = Some(bytes(size).ok_or_else(|| format!("`{size}` is no size: write `4GB` or `4GiB`"))?);
            }
            Some(("size", _)) => {}
            _ => return Err(format!("the attribute `{attribute}` is not known here: memory and size are")),
        }
    }
    Ok((head, memory))
}

/// `4GB` is four thousand million, `4GiB` 2³².
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit = unit.to_ascii_lowercase();
    let power = |letter| "kmgt".find(letter).map(|at| at as u32 + 1);
    let factor = match unit.as_bytes() {
        [] | [b'b'] => Some(1),
        [letter, b'b'] => power(char::from(*letter)).map(|power| 1_000_u64.pow(power)),
        [letter, b'i', b'b'] => power(char::from(*letter)).map(|power| 1_024_u64.pow(power)),
        _ => None,
    }?;
    count.parse::<u64>().ok()?.checked_mul(factor)
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|&number| number > 0)
}

/// Complains of levels that cannot contain each other.
fn check(part: &Part) -> Result<(), String> {
    if part.levels.len() > MOST_LEVELS {
        return Err(format!("it has more than {MOST_LEVELS} levels"));
    }
    let attached = part.levels.iter().any(|level| !level.attached.is_empty()) || !part.attached.is_empty();
    let mut seen = Vec::new();
    for level in &part.levels {
        let closed = match level.kind {
            Object::Other => seen.contains(&Object::Pu),
            Object::Pu => seen.contains(&Object::Pu),
            kind => [kind, Object::Core, Object::Pu].iter().any(|inner| seen.contains(inner)),
        };
        if closed {
            return Err(
                "its levels do not go from the outermost to the innermost, each once: packages, domains and l3, \
                        then cores, then threads"
                    .to_owned(),
            );
        }
        let in_core = seen.contains(&Object::Core) || level.kind == Object::Core || level.kind == Object::Pu;
        if in_core && !level.attached.is_empty() {
            return Err("a domain is attached to a core or a thread; attach it to something larger".to_owned());
        }
        if attached && level.kind == Object::Domain {
            return Err("it has domains both as a level and attached".to_owned());
        }
        if level.memory.is_some() && level.kind != Object::Domain {
            return Err("only domains have memory".to_owned());
        }
        seen.push(level.kind);
    }
    Ok(())
}

/// The PUs and domains of a part.
fn size(part: &Part) -> (usize, usize) {
    let mut objects = 1_usize;
    let mut domains = part.attached.len();
    for level in &part.levels {
        objects = objects.saturating_mul(level.count);
        let here = level.attached.len() + usize::from(level.kind == Object::Domain);
        domains = domains.saturating_add(objects.saturating_mul(here));
    }
    (if part.levels.is_empty() { 0 } else { objects }, domains.max(1))
}

/// The host as far as it is made.
#[derive(Default)]
struct Made {
    cores: Vec<Core>,
    domains: Vec<Domain>,
    /// By domain, the package it is in, if it is in one.
    packages: Vec<Option<u32>>,
    pus: usize,
    next_package: u32,
    no_l3: Arc<CpuSet>,
}

impl Made {
    fn add(&mut self, part: &Part) {
        let start = self.pus;
        let domains = self.domains.len();
        if !part.levels.is_empty() {
            self.fill(&part.levels, None, false);
        }
        for &memory in &part.attached {
            self.add_domain(start..self.pus, memory, None);
        }
        if self.domains.len() == domains {
            self.add_domain(start..self.pus, None, None);
        }
    }

    /// Makes one object of the level above `levels`: all that is in it.
    fn fill(&mut self, levels: &[Level], package: Option<u32>, in_core: bool) {
        let Some((level, inner)) = levels.split_first() else {
            if !in_core {
                self.add_core(self.pus..self.pus + 1, package);
            }
            self.pus += 1;
            return;
        };
        for _ in 0..level.count {
            let (start, cores) = (self.pus, self.cores.len());
            let package = if level.kind == Object::Package {
                self.next_package += 1;
                Some(self.next_package - 1)
            } else {
                package
            };
            self.fill(inner, package, in_core || level.kind == Object::Core);
            let pus = start..self.pus;
            match level.kind {
                Object::Core => self.add_core(pus.clone(), package),
                Object::Domain => self.add_domain(pus.clone(), level.memory, package),
                Object::L3 => {
                    let l3 = Arc::new(pus.clone().collect::<CpuSet>());
                    for core in &mut self.cores[cores..] {
                        core.l3 = l3.clone();
                    }
                }
                Object::Package | Object::Pu | Object::Other => {}
            }
            for &memory in &level.attached {
                self.add_domain(pus.clone(), memory, package);
            }
        }
    }

    fn add_core(&mut self, pus: Range<usize>, package: Option<u32>) {
        self.cores.push(Core { pus: pus.collect(), package, l3: self.no_l3.clone(), domain: 0 });
    }

    /// Adds a domain with those of `pus` that are in none yet: an inner domain, which comes first, keeps its own.
    fn add_domain(&mut self, pus: Range<usize>, memory: Memory, package: Option<u32>) {
        let taken: Vec<_> = self.domains.iter().filter_map(|domain| domain.pus.iter().next_back()).collect();
        let first_free = taken.into_iter().max().map_or(0, |last| last + 1);
        let pus = pus.start.max(first_free)..pus.end;
        let id = self.domains.len() as u32;
        self.domains.push(Domain { id, pus: pus.collect(), memory, allowed: memory != Some(0) });
        self.packages.push(package);
    }

    fn into_findings(self) -> Findings {
        let count = self.domains.len();
        let distance = |a: usize, b: usize| match (self.packages[a], self.packages[b]) {
            _ if a == b => LOCAL,
            (Some(a), Some(b)) if a == b => SAME_PACKAGE,
            _ => REMOTE,
        };
        let distances = (0..count * count).map(|at| distance(at / count, at % count)).collect();
        let online = (0..self.pus).collect();
        Findings { online, cores: self.cores, domains: self.domains, distances: Some(distances), ..Findings::default() }
    }
}

#[cfg(test)]
mod tests {
    use crate::Topology;

    /// Domains by PUs, cores by PUs, L3 groups by PUs, and packages, each once.
    fn shape(text: &str) -> [Vec<String>; 4] {
        let host = Topology::synthetic(text).unwrap();
        assert!(host.warnings().is_empty(), "{:?}", host.warnings());
        let mut l3: Vec<_> = host.cores().iter().map(|core| core.l3().to_string()).collect();
        l3.dedup();
        let mut packages: Vec<_> = host.cores().iter().map(|core| format!("{:?}", core.package())).collect();
        packages.dedup();
        [
            host.domains().iter().map(|domain| domain.pus().to_string()).collect(),
            host.cores().iter().map(|core| core.pus().to_string()).collect(),
            l3,
            packages,
        ]
    }

    #[test]
    fn both_notations_say_the_same() {
        for (own, hwloc) in [
            ("2 domains × 4 cores × 2 threads", "numa:2 core:4 pu:2"),
            ("2 packages x 2 domains x 1 l3 x 8 cores x 2 threads", "package:2 numa:2 l3:1 core:8 pu:2"),
            ("2 sockets*3 nodes * 2 cores", "Socket:2 NUMANode:3 L2Cache:1 Core:2 PU:1"),
            ("1 domain × 2 l3 × 2 cores", "numa:1 l3:2(size=32MB) core:2 pu:1"),
            ("2 packages × 2 cores", "package:2 core:2 pu:1"),
            ("4 cores", "pu:4"),
            ("2 domains × 2 cores", "group:2 [numa] l2:2 core:1 pu:1"),
        ] {
            assert_eq!(shape(own), shape(hwloc), "{own}");
        }
    }

    #[test]
    fn levels_number_pus_from_the_inside() {
        let [domains, cores, l3, packages] = shape("2 packages × 2 domains × 1 l3 × 2 cores × 2 threads");
        assert_eq!(domains, ["0-3", "4-7", "8-11", "12-15"]);
        assert_eq!(cores, ["0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"]);
        assert_eq!(l3, ["0-3", "4-7", "8-11", "12-15"]);
        assert_eq!(packages, ["Some(0)", "Some(1)"]);
    }

    #[test]
    fn parts_may_be_unlike() {
        let [domains, cores, ..] =
            shape("1 domain × 2 cores × 2 threads + 2 memory domains + 1 core + 1 memory domain");
        assert_eq!(domains, ["0-3", "", "", "4", ""]);
        assert_eq!(cores, ["0-1", "2-3", "4"]);
    }

    #[test]
    fn of_attached_domains_the_innermost_and_first_has_the_pus() {
        // As lstopo numbers them.
        assert_eq!(shape("pack:2 [numa] l3:2 [numa] core:2 pu:1")[0], ["0-1", "2-3", "", "4-5", "6-7", ""]);
        assert_eq!(shape("pack:2 [numa] [numa(memory=4GB)] core:2 pu:1")[0], ["0-1", "", "2-3", ""]);
        assert_eq!(shape("[numa] pack:2 pu:2")[0], ["0-3"]);
    }

    #[test]
    fn memory_is_told() {
        let host = Topology::synthetic("[numa(memory=0)] pack:2 [numa(memory=3MiB)] core:1 pu:1").unwrap();
        let told: Vec<_> = host.domains().iter().map(|d| (d.memory(), d.is_allowed())).collect();
        assert_eq!(told, [(Some(3 << 20), true), (Some(3 << 20), true), (Some(0), false)]);
        let thousand = Topology::synthetic("numa:1(memory=2kB) pu:1").unwrap();
        assert_eq!(thousand.domains()[0].memory(), Some(2_000));
    }

    #[test]
    fn packages_are_nearer_than_the_rest() {
        let host = Topology::synthetic("2 packages × 2 domains × 1 core").unwrap();
        let row: Vec<_> = (0..4).map(|other| host.distance(1, other)).collect();
        assert_eq!(row, [12, 10, 20, 20]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "``"),
            ("4", "none of packages"),
            ("cores", "`cores`"),
            ("0 cores", "`0 cores`"),
            ("-1 cores", "`-1 cores`"),
            ("2 domains × 4 rods", "`rods`"),
            ("2 domains ×", "``"),
            ("2 cores × 2 domains", "outermost"),
            ("2 threads × 2 cores", "outermost"),
            ("2 cores × 2 cores", "each once"),
            ("2 memory domains", "no core"),
            ("2 memory domains × 4 cores", "stand by themselves"),
            ("2 memory cores", "`memory cores`"),
            ("70000 cores", "65536"),
            ("2000 domains × 1 core", "1024"),
            ("99999999999 cores × 99999999999 threads", "65536"),
            ("999999999999999999999 cores", "number"),
            ("2000 memory domains + 1 core", "1024"),
            ("numa:2 4", "`4`"),
            ("numa:2 core:zwei", "`core:zwei`"),
            ("numa:2 [core] pu:2", "`[core]`"),
            ("numa:2 [numa] pu:2", "both"),
            ("numa:2 pu:2(indexes=0,2,1,3)", "indexes"),
            ("numa:2(memory=lots) pu:2", "`lots`"),
            ("core:2(memory=1GB) pu:2", "only domains"),
            ("pack:2 [numa(memory=1GB pu:2", "`]`"),
            ("core:2 [numa] pu:2", "attached"),
            ("gpu:2 pu:2", "`gpu`"),
            ("l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 l1:1 pu:1", "16 levels"),
        ] {
            let error = Topology::synthetic(text).unwrap_err();
            assert!(error.is_syntax(), "{text}");
            let message = error.to_string();
            assert!(message.contains(part) && message.contains(&format!("`{text}`")), "{message}");
        }
    }
}

//! The host and the plan as text: a tree, a table, sentences.

use std::collections::BTreeSet;
use std::ops::Range;

use heist::numa::{CpuSet, Topology};

use super::{Seats, tree};
use crate::host::Host;
use crate::layout::{abridged, count, table, wrapped};
use crate::memory;

/// With more domains, what is told of each is told in groups.
const FEW_DOMAINS: usize = 8;

/// All there is to say, in lines of `width` columns.
pub(super) fn text(host: &Host, seats: &Seats, width: usize) -> String {
    let topology = &host.topology;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text.push_str(&wrapped(&format!("{name:<11}"), &abridged(value), width));
    line("host", &format!("{}: {}", host.source, inventory(topology)));
    line("mask", &mask(host));
    line("quota", &topology.quota().map_or("none".to_owned(), |cpus| format!("{} of time", count(cpus.get(), "CPU"))));
    for warning in topology.warnings() {
        line("warning", warning);
    }
    text.push('\n');
    text.push_str(&drawing(host, seats, width));
    text.push('\n');
    text.push_str(&domains(host, seats, width));
    if topology.domains().len() > 1 {
        text.push('\n');
        text.push_str(&distances(topology, width));
    }
    text.push('\n');
    text.push_str(&plan(seats, width));
    text
}

fn inventory(host: &Topology) -> String {
    let cores = host.cores();
    let packages: CpuSet =
        cores.iter().filter_map(heist::numa::Core::package).map(|package| package as usize).collect();
    let caches: CpuSet = cores.iter().filter_map(|core| core.l3().first()).collect();
    let parts = [
        (packages.len(), "package"),
        (host.domains().len(), "domain"),
        (caches.len(), "L3 cache"),
        (cores.len(), "core"),
        (host.online().len(), "PU"),
    ];
    let told: Vec<_> = parts.into_iter().filter(|part| part.0 > 0).map(|(number, unit)| count(number, unit)).collect();
    told.join(", ")
}

fn mask(host: &Host) -> String {
    let topology = &host.topology;
    if host.mask == *topology.online() {
        return format!("{}: all PUs", host.mask);
    }
    let cores = topology.cores().iter().filter(|core| !core.pus().intersection(&host.mask).is_empty()).count();
    format!("{}: {} of {}", host.mask, cores, count(topology.cores().len(), "core"))
}

/// The tree, with what of each part is allowed and who works there.
fn drawing(host: &Host, seats: &Seats, width: usize) -> String {
    let mut text = String::new();
    for line in tree::lines(&tree::parts(&host.topology)) {
        let mut told = line.text;
        if let Some(pus) = &line.pus {
            told.push_str(&format!(": PUs {pus}"));
            let allowed = pus.intersection(&host.mask);
            if allowed.is_empty() {
                told.push_str("; none allowed");
            } else if allowed != *pus {
                told.push_str(&format!("; allowed {allowed}"));
            }
            let workers: CpuSet = (0..)
                .zip(seats.plan.seats())
                .filter(|(_, seat)| seat.pu().is_some_and(|pu| pus.contains(pu)))
                .map(|(worker, _)| worker)
                .collect();
            if !workers.is_empty() {
                let plural = if workers.len() == 1 { "" } else { "s" };
                told.push_str(&format!("; worker{plural} {workers}"));
            }
        }
        text.push_str(&wrapped(&line.branch, &abridged(&told), width));
    }
    text
}

fn domains(host: &Host, seats: &Seats, width: usize) -> String {
    let row = |(index, domain): (usize, &heist::numa::Domain)| {
        let cores = host.topology.cores().iter().filter(|core| core.domain() == index).count();
        let memory = domain.memory().map_or("unknown".to_owned(), |bytes| memory::size(bytes.into()));
        let allowed = if domain.is_allowed() { "yes" } else { "no" };
        let planned = seats.plan.domains().iter().find(|planned| planned.index() == index);
        let pinned = planned.filter(|_| seats.plan.seats().iter().any(|seat| seat.pu().is_some()));
        let pus = match (domain.pus().is_empty(), domain.memory()) {
            (false, _) => abridged(&domain.pus().to_string()),
            (true, Some(0)) => "none, and no memory".to_owned(),
            (true, _) => "none: only memory".to_owned(),
        };
        let workers = pinned.map_or("none".to_owned(), |planned| span(&planned.workers()));
        vec![domain.id().to_string(), cores.to_string(), memory, allowed.to_owned(), workers, pus]
    };
    let rows: Vec<_> = host.topology.domains().iter().enumerate().map(row).collect();
    table(&["domain", "cores", "memory", "allowed", "workers", "PUs"], &rows, width)
}

fn distances(host: &Topology, width: usize) -> String {
    let domains = host.domains();
    let ids: Vec<_> = domains.iter().map(|domain| domain.id().to_string()).collect();
    if domains.len() <= FEW_DOMAINS {
        let to: Vec<_> = ["distance".to_owned()].into_iter().chain(ids.iter().map(|id| format!("to {id}"))).collect();
        let headings: Vec<_> = to.iter().map(String::as_str).chain([""]).collect();
        let row = |from: usize| {
            let told = (0..domains.len()).map(|to| host.distance(from, to).to_string());
            [format!("from {}", ids[from])].into_iter().chain(told).chain([String::new()]).collect()
        };
        let rows: Vec<_> = (0..domains.len()).map(row).collect();
        return table(&headings, &rows, width).lines().map(|line| format!("{}\n", line.trim_end())).collect();
    }
    let pairs = (0..domains.len()).flat_map(|from| (0..domains.len()).map(move |to| (from, to)));
    let afar: BTreeSet<_> = pairs.filter(|(a, b)| a != b).map(|(a, b)| host.distance(a, b)).collect();
    if let (1, Some(afar)) = (afar.len(), afar.first()) {
        return wrapped("distance   ", &format!("{afar} between any two domains"), width);
    }
    let row = |from: usize| {
        let mut others: Vec<_> = (0..domains.len()).filter(|&to| to != from).collect();
        others.sort_by_key(|&to| host.distance(from, to));
        let told = others.chunk_by(|&a, &b| host.distance(from, a) == host.distance(from, b)).map(|ring| {
            let ids: CpuSet = ring.iter().map(|&to| domains[to].id() as usize).collect();
            format!("{} to {ids}", host.distance(from, ring[0]))
        });
        vec![ids[from].clone(), told.collect::<Vec<_>>().join("; ")]
    };
    table(&["domain", "distance"], &(0..domains.len()).map(row).collect::<Vec<_>>(), width)
}

fn plan(seats: &Seats, width: usize) -> String {
    let mut told: Vec<String> = seats.refusal.iter().cloned().collect();
    let domains = seats.plan.domains().len();
    let is_pinned = seats.plan.seats().iter().any(|seat| seat.pu().is_some());
    if is_pinned && domains > FEW_DOMAINS {
        // The last reasons are one for each domain.
        let reasons = seats.plan.reasons();
        told.extend(reasons[..reasons.len() - domains].iter().cloned());
        told.push(format!("{domains} domains seat them, as the table has it"));
    } else {
        told.extend(seats.plan.reasons().iter().cloned());
    }
    let rings: Vec<_> = seats.plan.rings(0).iter().map(|ring| spans(ring)).collect();
    if !rings.is_empty() {
        told.push(format!("worker 0 steals from {}", rings.join(", then from ")));
    }
    let heads = ["plan"].into_iter().chain(std::iter::repeat(""));
    heads.zip(&told).map(|(head, line)| wrapped(&format!("{head:<11}"), &abridged(line), width)).collect()
}

fn spans(ring: &[Range<usize>]) -> String {
    ring.iter().map(span).collect::<Vec<_>>().join(" and ")
}

fn span(workers: &Range<usize>) -> String {
    let last = workers.end - 1;
    if workers.start == last { last.to_string() } else { format!("{}-{last}", workers.start) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topo::example::{host, seats};

    fn shown(text_of: &str, mask: &str, width: usize) -> String {
        let host = host(text_of, mask);
        text(&host, &seats(&host), width)
    }

    #[test]
    fn a_masked_host_is_told_in_full() {
        assert_eq!(
            shown("2 packages × 1 domain × 2 cores × 2 threads + 1 memory domain", "0-1,4-7", 100),
            "host       made up: 2 packages × 1 domain × 2 cores × 2 threads + 1 memory domain: 2 packages, 3\n           \
                       domains, 4 cores, 8 PUs\n\
             mask       0-1,4-7: 3 of 4 cores\n\
             quota      none\n\
             \n\
             package 0, domain 0: 2 cores × 2 PUs, siblings 1 apart: PUs 0-3; allowed 0-1; worker 0\n\
             package 1, domain 1: 2 cores × 2 PUs, siblings 1 apart: PUs 4-7; workers 1-2\n\
             \n\
             domain  cores   memory  allowed  workers  PUs\n     \
                  0      2  unknown      yes        0  0-3\n     \
                  1      2  unknown      yes      1-2  4-7\n     \
                  2      0  unknown      yes     none  none: only memory\n\
             \n\
             distance  to 0  to 1  to 2\n  \
               from 0    10    20    20\n  \
               from 1    20    10    20\n  \
               from 2    20    20    10\n\
             \n\
             plan       the mask allows the PUs 0-1,4-7: 3 of 4 cores\n           \
                        3 workers, one a core\n           \
                        domain 0 seats worker 0 on the PUs 0\n           \
                        domain 1 seats workers 1-2 on the PUs 4,6\n           \
                        worker 0 steals from 1-2\n"
        );
    }

    #[test]
    fn many_domains_are_told_in_groups() {
        let flat = shown("16 domains × 2 cores", "0-31", 100);
        assert!(flat.contains("\ndistance   20 between any two domains\n"), "{flat}");
        assert!(flat.contains("\n           16 domains seat them, as the table has it\n"), "{flat}");
        let packages = shown("2 packages × 8 domains × 2 cores", "0-31", 100);
        assert!(packages.contains("\n     9  12 to 8,10-15; 20 to 0-7\n"), "{packages}");
    }

    #[test]
    fn a_wide_host_takes_lines_for_its_domains_and_none_for_its_pus() {
        for (text_of, most) in [
            ("2 packages × 4 domains × 4 l3 × 8 cores × 2 threads", 80),
            ("4 packages × 512 cores × 2 threads", 40),
            ("64 domains × 4 cores", 80),
            ("32 packages × 2 domains × 4 cores", 150),
        ] {
            let mask = Topology::synthetic(text_of).unwrap().allowed().to_string();
            for width in [40, 80, 120] {
                let text = shown(text_of, &mask, width);
                assert!(width < 80 || text.lines().count() <= most, "{}: {text}", text.lines().count());
                assert!(text.lines().all(|line| line.chars().count() <= width.max(60)), "{width}: {text}");
            }
        }
    }
}

//! Shows what heist makes of this host, or of `show_host "2 domains × 4 cores × 2 threads"`: what it is, where workers
//! would sit and why, and how long it took to find out.

#![allow(clippy::print_stdout, reason = "a program prints")]

use std::{env, error::Error, time::Instant};

use heist_numa::{Core, Plan, Topology, Wishes, affinity};

fn main() -> Result<(), Box<dyn Error>> {
    let mask = affinity()?;
    let start = Instant::now();
    let host = match env::args().nth(1) {
        Some(text) => Topology::synthetic(&text)?,
        None => Topology::of_host(&mask)?,
    };
    let read = start.elapsed();
    let plan = Plan::new(&host, if host.is_this_host() { &mask } else { host.allowed() }, &Wishes::default())?;
    let planned = start.elapsed() - read;

    for (index, domain) in host.domains().iter().enumerate() {
        let cores: Vec<&Core> = host.cores().iter().filter(|core| core.domain() == index).collect();
        let memory = domain.memory().map_or("unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        println!("domain {}: {} cores, PUs {}, memory {memory}", domain.id(), cores.len(), domain.pus());
    }
    for line in host.warnings().iter().chain(plan.reasons()) {
        println!("{line}");
    }
    println!("read in {read:?}, planned in {planned:?}");
    Ok(())
}

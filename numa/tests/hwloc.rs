//! Topologies by way of hwloc, whose sources are chosen by the environment: each is read in a process of its own.

use std::{env, fmt::Write, process::Command};

use heist_numa::{Topology, affinity};

/// What the child process must find; set only there.
const EXPECTED: &str = "TEST_EXPECTED";

fn describe(read: Result<Topology, heist_numa::Error>) -> String {
    let host = match read {
        Ok(host) => host,
        Err(error) => return format!("error: {error}"),
    };
    let mut text = format!("this host: {}; allowed: {};", host.is_this_host(), host.allowed());
    for (index, domain) in host.domains().iter().enumerate() {
        let distances: Vec<_> = (0..host.domains().len()).map(|other| host.distance(index, other)).collect();
        let allowed = domain.is_allowed();
        write!(text, " domain {}: {} {distances:?} {allowed};", domain.id(), domain.pus()).unwrap();
    }
    for core in host.cores() {
        write!(text, " core {} {:?} {} {};", core.pus(), core.package(), core.l3(), core.domain()).unwrap();
    }
    text
}

/// In the child: what hwloc says, against what is expected.
#[test]
fn child() {
    let Ok(expected) = env::var(EXPECTED) else { return };
    let mask = affinity().unwrap();
    let found = describe(Topology::from_hwloc(&mask));
    assert_eq!(affinity().unwrap(), mask);
    match expected.strip_prefix("error: ") {
        Some(part) => assert!(found.starts_with("error: ") && found.contains(part), "{found}"),
        None => assert_eq!(found, expected),
    }
}

#[track_caller]
fn finds(variables: &[(&str, &str)], expected: &str) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    for name in ["HWLOC_SYNTHETIC", "HWLOC_XMLFILE", "HWLOC_FSROOT", "HWLOC_COMPONENTS", "HWLOC_THISSYSTEM"] {
        command.env_remove(name);
    }
    let output = command.env(EXPECTED, expected).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{variables:?}: {said}");
}

#[test]
fn this_host_is_as_sysfs_has_it() {
    let expected = describe(Topology::of_host(&affinity().unwrap()));
    finds(&[], &expected);
    finds(&[("HWLOC_COMPONENTS", "-x86")], &expected);
}

#[test]
fn synthetic_hosts_are_as_our_own_reader_has_them() {
    for text in [
        "numa:2 core:2 pu:2",
        "package:2 l3:2 [numa] core:3 pu:2",
        "numa:1 pu:4",
        "pack:2 [numa] l3:2 [numa] core:2 pu:1",
        "pack:2 [numa] [numa(memory=4GB)] l2:2 core:1 pu:1",
        "[numa] pack:2 pu:2",
    ] {
        let own = Topology::synthetic(text).unwrap();
        // hwloc2 tells no distances, so no package's domains are nearer here.
        let expected = describe(Ok(own)).replace("12,", "20,").replace(", 12", ", 20");
        finds(&[("HWLOC_SYNTHETIC", text)], &expected);
    }
}

#[test]
fn a_saved_host_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/two-packages.xml");
    let host = Topology::synthetic("2 packages × 1 domain × 1 l3 × 1 core × 2 threads").unwrap();
    finds(&[("HWLOC_XMLFILE", path)], &describe(Ok(host)));
}

#[test]
fn what_hwloc_would_pass_over_is_an_error() {
    finds(&[("HWLOC_SYNTHETIC", "rubbish:2 pu:2")], "error: `rubbish`");
    finds(&[("HWLOC_SYNTHETIC", "numa:2 core:2")], "error: HWLOC_SYNTHETIC");
    finds(&[("HWLOC_XMLFILE", "/nonexistent")], "error: HWLOC_XMLFILE is `/nonexistent`");
    finds(&[("HWLOC_XMLFILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))], "error: no whole topology");
    finds(&[("HWLOC_FSROOT", "/nonexistent")], "error: HWLOC_FSROOT");
    finds(&[("HWLOC_COMPONENTS", "stop")], "error: HWLOC_COMPONENTS");
    finds(&[("HWLOC_SYNTHETIC", "pu:2"), ("HWLOC_XMLFILE", "x")], "error: only one");
}

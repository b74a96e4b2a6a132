//! Recorded hosts for tests: directory trees that stand for `/`, and repeatable randomness.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::CpuSet;

/// A directory that stands for `/`, removed on drop.
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    pub(crate) fn new() -> Host {
        static HOSTS: AtomicUsize = AtomicUsize::new(0);
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let root = env::temp_dir().join(format!("heist-numa-{}-{number}", process::id()));
        fs::create_dir_all(&root).unwrap();
        Host { root }
    }

    /// A host of `(siblings, package, PUs behind the L3)` cores.
    pub(crate) fn smt(cores: &[(&str, i64, &str)]) -> Host {
        let host = Host::new();
        for &(siblings, package, l3) in cores {
            for pu in siblings.parse::<CpuSet>().unwrap().iter() {
                host.cpu(pu, "topology/core_cpus_list", &format!("{siblings}\n"))
                    .cpu(pu, "topology/physical_package_id", &format!("{package}\n"))
                    .cpu(pu, "topology/core_id", "0\n")
                    .cpu(pu, "cache/index0/level", "1\n")
                    .cpu(pu, "cache/index0/shared_cpu_list", &format!("{siblings}\n"))
                    .cpu(pu, "cache/index3/level", "3\n")
                    .cpu(pu, "cache/index3/type", "Unified\n")
                    .cpu(pu, "cache/index3/shared_cpu_list", &format!("{l3}\n"));
            }
        }
        host
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Host {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Writes `name` for the CPU `pu`, below its `sysfs` directory.
    pub(crate) fn cpu(&self, pu: usize, name: &str, text: &str) -> &Host {
        self.write(&format!("sys/devices/system/cpu/cpu{pu}/{name}"), text)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

/// A xorshift generator.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % end as u64) as usize
    }
}

//! A control group that allows some CPUs, of version 1 or 2.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fs, process};

use heist_numa::CpuSet;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Removed when dropped.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one that allows `pus`, or says why there can be none.
    pub(crate) fn of(pus: &CpuSet) -> Result<Cgroup, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| format!("/proc/mounts: {error}"))?;
        let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
        let mount = |matches: fn(&[&str]) -> bool| mounts.iter().find(|mount| matches(mount)).map(|mount| mount[1]);
        let own = format!("heist-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        if let Some(top) = mount(|mount| mount[2] == "cgroup" && mount[3].split(',').any(|word| word == "cpuset")) {
            let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let ours = groups.lines().find_map(|line| line.split_once(":cpuset:")).map_or("/", |(_, path)| path);
            let parent = PathBuf::from(top).join(ours.trim_start_matches('/'));
            let memory =
                fs::read_to_string(parent.join("cpuset.mems")).map_err(|error| format!("cpuset.mems: {error}"))?;
            return Cgroup::make(
                parent.join(own),
                &[("cpuset.mems", memory.trim()), ("cpuset.cpus", &pus.to_string())],
            );
        }
        let Some(top) = mount(|mount| mount[2] == "cgroup2").map(PathBuf::from) else {
            return Err("no control groups are mounted".into());
        };
        fs::write(top.join("cgroup.subtree_control"), "+cpuset")
            .map_err(|error| format!("no cpuset in {}: {error}", top.display()))?;
        Cgroup::make(top.join(own), &[("cpuset.cpus", &pus.to_string())])
    }

    fn make(folder: PathBuf, files: &[(&str, &str)]) -> Result<Cgroup, String> {
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Cgroup(folder);
        for (file, text) in files {
            fs::write(group.0.join(file), text).map_err(|error| format!("{file} = {text}: {error}"))?;
        }
        Ok(group)
    }

    /// Words before a command that start it in the group.
    pub(crate) fn words(&self) -> Vec<String> {
        let script = "echo 0 >\"$0/cgroup.procs\" && exec \"$@\"";
        ["sh", "-c", script, &self.0.display().to_string()].map(String::from).into()
    }
}

impl Drop for Cgroup {
    /// What ran in it may take a moment to be gone.
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

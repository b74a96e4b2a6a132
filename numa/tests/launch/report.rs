//! What a launched process tells of itself: the mask it inherited, and where its threads were meant to be and are.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, process};

use heist_numa::CpuSet;

/// One set of threads of one process.
#[derive(Debug)]
pub(crate) struct Report {
    /// Tells it from others of the same process.
    pub(crate) name: String,
    /// The mask of its first thread, from before it pinned any.
    pub(crate) inherited: CpuSet,
    /// Its threads, by number.
    pub(crate) threads: Vec<Thread>,
    /// What it was warned of.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Thread {
    /// The PU it was to be pinned to; none when it was to be left free.
    pub(crate) planned: Option<usize>,
    /// Its mask, read back when all of them ran.
    pub(crate) mask: CpuSet,
}

/// The calling thread's mask as `sched_getaffinity` gives it, which must agree with what the kernel tells in `/proc`.
#[track_caller]
pub(crate) fn mask() -> CpuSet {
    let mask = heist_numa::affinity().unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let told = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    assert_eq!(mask, told.trim().parse::<CpuSet>().unwrap().intersection(&online()));
    mask
}

/// The CPUs that are online, by `/proc/stat`, which is there when `/sys` is not.
pub(crate) fn online() -> CpuSet {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok()).collect()
}

/// What the kernel tells of siblings, once for each core that `mask` holds a PU of.
pub(crate) fn siblings(mask: &CpuSet) -> BTreeSet<String> {
    let siblings = |pu| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{pu}/topology/core_cpus_list"));
    mask.iter().map(|pu| siblings(pu).unwrap_or_else(|_| pu.to_string())).collect()
}

/// As many threads as there should be for `mask`: one for each core, but no more than the quota.
pub(crate) fn cores(mask: &CpuSet) -> usize {
    siblings(mask).len().min(quota())
}

/// The CPUs that the control group grants.
pub(crate) fn quota() -> usize {
    heist_numa::cpu_quota(Path::new("/")).unwrap().map_or(usize::MAX, Into::into)
}

impl Report {
    /// Leaves the report in `folder`.
    pub(crate) fn write(&self, folder: &Path) {
        let mut text = format!("name {}\ninherited {}\n", self.name, self.inherited);
        for thread in &self.threads {
            let planned = thread.planned.map_or("none".into(), |pu| pu.to_string());
            text += &format!("thread {planned} {}\n", thread.mask);
        }
        for warning in &self.warnings {
            text += &format!("warning {warning}\n");
        }
        fs::write(folder.join(format!("{}-{}", process::id(), self.name)), text).unwrap();
    }

    pub(super) fn read(text: &str) -> Report {
        let (name, inherited) = (String::new(), CpuSet::new());
        let mut report = Report { name, inherited, threads: Vec::new(), warnings: Vec::new() };
        for line in text.lines() {
            match line.split_once(' ').unwrap() {
                ("name", name) => report.name = name.to_owned(),
                ("inherited", mask) => report.inherited = mask.parse().unwrap(),
                ("thread", rest) => {
                    let (planned, mask) = rest.split_once(' ').unwrap();
                    let thread = Thread { planned: planned.parse().ok(), mask: mask.parse().unwrap() };
                    report.threads.push(thread);
                }
                ("warning", text) => report.warnings.push(text.to_owned()),
                (other, _) => panic!("a report with `{other}`"),
            }
        }
        report
    }

    /// Every thread has the mask it was planned to have, a PU of its own, and none is outside what was inherited.
    #[track_caller]
    pub(crate) fn check(&self) {
        assert!(!self.inherited.is_empty() && !self.threads.is_empty(), "{self:?}");
        let mut taken = CpuSet::new();
        for thread in &self.threads {
            assert_eq!(thread.mask.intersection(&self.inherited), thread.mask, "outside the mask: {self:?}");
            match thread.planned {
                Some(pu) => {
                    assert_eq!(thread.mask, CpuSet::from_iter([pu]), "not where it was planned: {self:?}");
                    assert!(taken.insert(pu), "two threads on PU {pu}: {self:?}");
                }
                None => assert_eq!(thread.mask, self.inherited, "neither pinned nor free: {self:?}"),
            }
        }
    }
}

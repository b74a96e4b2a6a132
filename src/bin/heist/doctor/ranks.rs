//! The other ranks of this process's job on this host, by what launchers tell and by what `/proc` shows.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use heist::numa::CpuSet;

/// How long to look for the other ranks: launchers start them one after the other.
const PATIENCE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(2);

/// What started the ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launcher {
    OpenMpi,
    Mpich,
    Slurm,
}

/// The ranks of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranks {
    pub(super) launcher: Launcher,
    /// This process's number among them.
    pub(super) own: usize,
    pub(super) count: usize,
    /// The masks of others, of as many as could be found.
    pub(super) others: Vec<CpuSet>,
}

impl Launcher {
    /// A rank of an `mpirun` within a Slurm job has the variables of both; those of Slurm then are about the daemon.
    fn told(variable: impl Fn(&str) -> Option<String>) -> Option<Launcher> {
        let is_set = |name| variable(name).is_some();
        if is_set("OMPI_COMM_WORLD_LOCAL_SIZE") {
            return Some(Launcher::OpenMpi);
        }
        if is_set("MPI_LOCALNRANKS") {
            return Some(Launcher::Mpich);
        }
        // Outside a step, as in a batch script, the other variables are about the job.
        (is_set("SLURM_STEP_ID") && is_set("SLURM_PROCID")).then_some(Launcher::Slurm)
    }

    /// The variable that has another value in each rank of a job.
    fn rank_variable(self) -> &'static str {
        match self {
            Launcher::OpenMpi => "OMPI_COMM_WORLD_RANK",
            Launcher::Mpich => "PMI_RANK",
            Launcher::Slurm => "SLURM_PROCID",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Launcher::OpenMpi => "mpirun",
            Launcher::Mpich => "mpirun.mpich",
            Launcher::Slurm => "srun",
        }
    }
}

impl Ranks {
    /// Those that were started together with this process; none when no launcher started it.
    pub(super) fn of_this_process() -> Option<Ranks> {
        let variable = |name: &str| std::env::var(name).ok();
        Ranks::told(variable, |launcher, others| {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let found = siblings(Path::new("/proc"), std::process::id(), launcher.rank_variable());
                if found.len() >= others || Instant::now() >= deadline {
                    return found;
                }
                thread::park_timeout(PAUSE);
            }
        })
    }

    fn told(
        variable: impl Fn(&str) -> Option<String>,
        siblings: impl FnOnce(Launcher, usize) -> Vec<CpuSet>,
    ) -> Option<Ranks> {
        let launcher = Launcher::told(&variable)?;
        let number = |name: &str| variable(name)?.parse::<usize>().ok();
        let (own, count) = match launcher {
            Launcher::OpenMpi => (number("OMPI_COMM_WORLD_LOCAL_RANK")?, number("OMPI_COMM_WORLD_LOCAL_SIZE")?),
            Launcher::Mpich => (number("MPI_LOCALRANKID")?, number("MPI_LOCALNRANKS")?),
            // The ranks of this host, by their numbers in the job.
            Launcher::Slurm => (number("SLURM_LOCALID")?, variable("SLURM_GTIDS")?.split(',').count()),
        };
        let told = match launcher {
            Launcher::Slurm => masks_of_slurm(&variable, own, count),
            _ => None,
        };
        Some(Ranks {
            launcher,
            own,
            count,
            others: told.unwrap_or_else(|| siblings(launcher, count.saturating_sub(1))),
        })
    }

    /// Whether the masks of all others are known.
    pub(super) fn knows_all(&self) -> bool {
        self.others.len() + 1 >= self.count
    }
}

/// The masks that Slurm gave the other ranks of this host, where it tells.
fn masks_of_slurm(variable: impl Fn(&str) -> Option<String>, own: usize, count: usize) -> Option<Vec<CpuSet>> {
    variable("SLURM_CPU_BIND_TYPE").filter(|kind| kind.starts_with("mask_cpu"))?;
    let list = variable("SLURM_CPU_BIND_LIST")?;
    let masks: Vec<_> = list.split(',').map(from_hex).collect::<Option<_>>()?;
    // With fewer masks than ranks, they are used again from the first one.
    let others = masks.into_iter().cycle().take(count).enumerate().filter(|&(rank, _)| rank != own);
    Some(others.map(|(_, mask)| mask).collect())
}

/// The CPUs of Slurm's `0x5`, however many digits it has.
fn from_hex(mask: &str) -> Option<CpuSet> {
    let digits = mask.strip_prefix("0x").filter(|digits| digits.is_ascii())?;
    let words: Vec<&str> = digits.as_bytes().rchunks(8).rev().filter_map(|word| str::from_utf8(word).ok()).collect();
    CpuSet::from_hex_map(&words.join(",")).ok()
}

/// The masks of the processes that the daemon which started this one, or whatever this one was started by in turn, started
/// as other ranks. `name` is the variable that numbers ranks.
fn siblings(proc: &Path, own: u32, name: &str) -> Vec<CpuSet> {
    let rank = |pid: u32| value(&fs::read(proc.join(pid.to_string()).join("environ")).ok()?, name);
    let Some(own_rank) = rank(own) else { return Vec::new() };
    // A rank may have started others in its turn, as a script does: they have its number.
    let mut top = own;
    let daemon = loop {
        match parent(proc, top) {
            Some(above) if above != top && rank(above).as_ref() == Some(&own_rank) => top = above,
            Some(daemon) => break daemon,
            None => return Vec::new(),
        }
    };
    let pids = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = pids.filter(|&pid| pid != top && parent(proc, pid) == Some(daemon));
    others.filter(|&pid| rank(pid).is_some_and(|rank| rank != own_rank)).filter_map(|pid| mask(proc, pid)).collect()
}

/// The value of a variable in the environment of a process.
fn value(environ: &[u8], name: &str) -> Option<String> {
    let entries = environ.split(|&byte| byte == 0).filter_map(|entry| str::from_utf8(entry).ok());
    entries
        .filter_map(|entry| entry.split_once('='))
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value.to_owned())
}

fn parent(proc: &Path, pid: u32) -> Option<u32> {
    field(proc, pid, "PPid:")?.parse().ok()
}

fn mask(proc: &Path, pid: u32) -> Option<CpuSet> {
    field(proc, pid, "Cpus_allowed_list:")?.parse().ok()
}

fn field(proc: &Path, pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(proc.join(pid.to_string()).join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    fn told(variables: &[(&str, &str)], siblings: &[&str]) -> Option<Ranks> {
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        Ranks::told(variable, |_, _| siblings.iter().map(|text| set(text)).collect())
    }

    const OPENMPI: [(&str, &str); 3] =
        [("OMPI_COMM_WORLD_RANK", "5"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "4")];
    const SRUN: [(&str, &str); 6] = [
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "6"),
        ("SLURM_LOCALID", "2"),
        ("SLURM_GTIDS", "4,5,6"),
        ("SLURM_CPU_BIND_TYPE", "mask_cpu:"),
        ("SLURM_CPU_BIND_LIST", "0x1,0x1000000000000000000000005"),
    ];

    #[test]
    fn each_launcher_tells_of_the_ranks_in_its_way() {
        let ranks = told(&OPENMPI, &["0-3"]).unwrap();
        assert_eq!((ranks.launcher, ranks.own, ranks.count), (Launcher::OpenMpi, 1, 4));
        assert!(ranks.others == [set("0-3")] && !ranks.knows_all());
        let mpich = told(&[("PMI_RANK", "3"), ("MPI_LOCALRANKID", "1"), ("MPI_LOCALNRANKS", "2")], &["0"]).unwrap();
        assert_eq!((mpich.launcher, mpich.own, mpich.count, mpich.knows_all()), (Launcher::Mpich, 1, 2, true));
        assert_eq!(told(&[], &[]), None);
    }

    #[test]
    fn slurm_tells_the_masks_too() {
        let ranks = told(&SRUN, &["63"]).unwrap();
        assert_eq!((ranks.launcher, ranks.own, ranks.count), (Launcher::Slurm, 2, 3));
        assert_eq!(ranks.others, [set("0"), set("0,2,96")]);
        let unbound = [&SRUN[..4], &[("SLURM_CPU_BIND_TYPE", "none")]].concat();
        assert_eq!(told(&unbound, &["63"]).unwrap().others, [set("63")]);
        assert_eq!(told(&SRUN[1..], &[]), None, "a batch script is no rank");
        assert_eq!(told(&[&SRUN[..], &OPENMPI].concat(), &[]).unwrap().launcher, Launcher::OpenMpi);
        assert_eq!((from_hex("5"), from_hex("0xg"), from_hex("0x…")), (None, None, None));
    }

    /// A process as `/proc` shows it.
    fn process(proc: &Path, pid: u32, parent: u32, rank: Option<&str>, mask: &str) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(&folder).unwrap();
        let rank = rank.map(|rank| format!("R={rank}\0")).unwrap_or_default();
        fs::write(folder.join("environ"), format!("A=1\0RR=7\0{rank}B=2\0")).unwrap();
        fs::write(folder.join("status"), format!("Name:\tx\nPPid:\t{parent}\nCpus_allowed_list:\t{mask}\n")).unwrap();
    }

    #[test]
    fn siblings_are_what_the_same_daemon_started() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(proc, 10, 1, None, "0-7");
        process(proc, 11, 10, Some("0"), "0-1");
        process(proc, 12, 10, Some("1"), "2-3");
        process(proc, 13, 10, Some("2"), "4-5");
        process(proc, 14, 11, Some("0"), "0");
        process(proc, 15, 14, Some("0"), "0");
        process(proc, 16, 12, Some("1"), "2");
        process(proc, 17, 10, None, "6");
        process(proc, 20, 1, None, "0-7");
        process(proc, 21, 20, Some("1"), "7");
        for own in [11, 14, 15] {
            let mut found: Vec<_> = siblings(proc, own, "R").iter().map(ToString::to_string).collect();
            found.sort();
            assert_eq!(found, ["2-3", "4-5"], "{own}");
        }
        assert_eq!(siblings(proc, 16, "R").len(), 2);
        assert!(siblings(proc, 21, "R").is_empty(), "another job");
        assert!(siblings(proc, 17, "R").is_empty() && siblings(proc, 99, "R").is_empty());
    }
}

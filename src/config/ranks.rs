//! Whether the ranks that a launcher started on this host share CPUs, by the variables it leaves each of them.

use heist_numa::CpuSet;

/// More ranks than a host has.
const MOST_RANKS: usize = 1 << 16;

/// The ranks of this host, as one of them is told.
struct Ranks {
    count: usize,
    /// The mask of each, where the launcher tells, and which of them is this one's.
    masks: Vec<CpuSet>,
    own: usize,
    launcher: LauncherKind,
}

/// A warning when this rank has CPUs in common with others of the host. `mask` is what it inherited;
/// the host has these CPUs online, and so many cores.
///
/// Where the launcher does not tell the masks of all, they are taken to be as large as this one's: more than there are
/// CPUs in all cannot but overlap.
pub(super) fn shared(
    variable: impl Fn(&str) -> Option<String>,
    mask: &CpuSet,
    online: &CpuSet,
    cores: usize,
) -> Option<String> {
    let Ranks { count, masks, own, launcher } = Ranks::told(variable)?;
    let shares = match masks.get(own) {
        Some(told) => masks.iter().enumerate().any(|(rank, other)| rank != own && !other.intersection(told).is_empty()),
        None => count > 1 && count.saturating_mul(mask.len()) > online.len(),
    };
    shares.then(|| {
        // To both mpiruns a core is one, to Slurm a CPU is a hardware thread.
        let (each, cpus) = ((cores / count).max(1), (online.len() / count).max(1));
        let remedy = launcher.flags(count, each, cpus);
        let fewer = if count > online.len() { format!(", for no more than {} ranks", online.len()) } else { String::new() };
        format!("{count} ranks of this host share the CPUs {mask}, and their workers take turns: `{remedy}` gives each its own{fewer}")
    })
}

/// The launchers that are known apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "ranks"), expect(dead_code, reason = "only ranks are told of all"))]
pub(crate) enum LauncherKind {
    OpenMpi,
    /// Hydra, of MPICH and its relatives.
    Mpich,
    Slurm,
    /// Cray's. Untested.
    Pals,
    /// Untested.
    Flux,
    /// LSF's. Untested.
    Jsm,
    /// MVAPICH's own `mpirun_rsh`. Untested.
    Mvapich,
}

impl LauncherKind {
    /// The command with the flags by which it gives each of `ranks` ranks of a host so many cores, or hardware threads.
    pub(super) fn flags(self, ranks: usize, cores: usize, pus: usize) -> String {
        match self {
            Self::OpenMpi => format!("mpirun --map-by ppr:{ranks}:node:pe={cores} --bind-to core"),
            Self::Mpich => format!("mpirun.mpich -bind-to core:{cores}"),
            Self::Slurm => format!("srun -c {pus} --cpu-bind=cores, without -O"),
            Self::Pals => format!("mpiexec --cpu-bind depth -d {pus}"),
            Self::Flux => format!("flux run --cores-per-task={cores} -o cpu-affinity=per-task"),
            Self::Jsm => format!("jsrun -c {cores} -b packed:{cores}"),
            Self::Mvapich => format!("mpirun_rsh MV2_THREADS_PER_PROCESS={cores} MV2_CPU_BINDING_POLICY=hybrid"),
        }
    }
}

impl Ranks {
    /// A rank of an `mpirun` within a Slurm job has the variables of both; those of Slurm then are about the daemon.
    fn told(variable: impl Fn(&str) -> Option<String>) -> Option<Ranks> {
        let number = |name: &str| variable(name)?.parse().ok();
        let counted = |count, launcher| Ranks { count, masks: Vec::new(), own: 0, launcher };
        if let Some(count) = number("OMPI_COMM_WORLD_LOCAL_SIZE") {
            return Some(counted(count, LauncherKind::OpenMpi));
        }
        if let Some(count) = number("MPI_LOCALNRANKS") {
            return Some(counted(count, LauncherKind::Mpich));
        }
        // Outside a step, as in a batch script, the other variables are about the job.
        variable("SLURM_STEP_ID")?;
        let count = tasks_of_node(&variable("SLURM_STEP_TASKS_PER_NODE")?, number("SLURM_NODEID")?)?;
        let bound = variable("SLURM_CPU_BIND_TYPE").is_some_and(|kind| kind.starts_with("mask_cpu"));
        let masks = variable("SLURM_CPU_BIND_LIST").filter(|_| bound).unwrap_or_default();
        // With fewer masks than ranks, they are used again from the first one.
        let masks: Vec<_> = masks.split(',').map_while(from_hex).collect();
        let masks = masks.into_iter().cycle().take(count.min(MOST_RANKS)).collect();
        Some(Ranks { count, masks, own: number("SLURM_LOCALID")?, launcher: LauncherKind::Slurm })
    }
}

/// The entry of `node` in Slurm's `2(x3),1`: two tasks on each of three nodes, one on a fourth.
pub(super) fn tasks_of_node(list: &str, node: usize) -> Option<usize> {
    let mut first = 0;
    for part in list.split(',') {
        let (tasks, nodes) = part.split_once("(x").unwrap_or((part, "1)"));
        first = nodes.strip_suffix(')')?.parse::<usize>().ok()?.checked_add(first)?;
        if node < first {
            return tasks.parse().ok();
        }
    }
    None
}

/// The CPUs of Slurm's `0x5`.
fn from_hex(mask: &str) -> Option<CpuSet> {
    let mut pus = CpuSet::new();
    for (at, digit) in mask.strip_prefix("0x")?.chars().rev().enumerate() {
        let digit = digit.to_digit(16)?;
        pus = pus.union(&(0..4).filter(|bit| digit >> bit & 1 == 1).map(|bit| 4 * at + bit).collect());
    }
    Some(pus)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The warning of a rank with `mask` on a host of `online` CPUs, two a core, that has these variables.
    fn warning(variables: &[(&str, &str)], mask: &str, online: &str) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let online: CpuSet = online.parse().unwrap();
        shared(variable, &mask.parse().unwrap(), &online, online.len() / 2)
    }

    fn srun<'a>(rank: &'a str, tasks: &'a str, kind: &'a str, list: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("SLURM_STEP_ID", "0"),
            ("SLURM_LOCALID", rank),
            ("SLURM_NODEID", "1"),
            ("SLURM_STEP_TASKS_PER_NODE", tasks),
            ("SLURM_CPU_BIND_TYPE", kind),
            ("SLURM_CPU_BIND_LIST", list),
        ]
    }

    #[test]
    fn unbound_ranks_share_everything() {
        for (variable, remedy) in [
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "--map-by ppr:4:node:pe=1 --bind-to core"),
            ("MPI_LOCALNRANKS", "-bind-to core:1"),
        ] {
            let text = warning(&[(variable, "4")], "0-7", "0-7").unwrap();
            assert!(text.contains("4 ranks") && text.contains("0-7") && text.contains(remedy), "{text}");
            assert_eq!(warning(&[(variable, "4")], "2-3", "0-7"), None, "bound to two CPUs each");
            assert_eq!(warning(&[(variable, "1")], "0-7", "0-7"), None);
            assert_eq!(warning(&[(variable, "many")], "0-7", "0-7"), None);
            assert!(warning(&[(variable, "9")], "3", "0-7").unwrap().contains("no more than 8 ranks"));
        }
        assert_eq!(warning(&[], "0-7", "0-7"), None);
    }

    #[test]
    fn slurm_tells_every_mask() {
        let text = warning(&srun("1", "2(x3)", "mask_cpu:", "0x1,0x1"), "0", "0-63").unwrap();
        assert!(text.contains("2 ranks") && text.contains("srun -c 32"), "{text}");
        assert_eq!(warning(&srun("1", "2(x3)", "mask_cpu:", "0x1,0x2"), "1", "0-63"), None);
        assert!(warning(&srun("1", "4(x2)", "mask_cpu:", "0x1,0x2"), "1", "0-63").is_some(), "used twice each");
        assert!(warning(&srun("0", "3", "mask_cpu:", "0x1,0x2,0x3"), "0", "0-63").is_none(), "node 1 has no tasks");
        let three =
            |rank| warning(&srun(rank, "1,3", "mask_cpu:", "0x1,0x100000000,0x100000001"), "0", "0-63").is_some();
        assert!(three("0") && three("1") && three("2"));
        let four = |rank| warning(&srun(rank, "1,4", "mask_cpu:", "0x1,0x2,0x1,0x8"), "0", "0-63").is_some();
        assert!(four("0") && !four("1") && four("2") && !four("3"));
    }

    #[test]
    fn slurm_may_bind_nothing() {
        assert!(warning(&srun("1", "2(x3)", "none", ""), "0-7", "0-7").is_some());
        assert!(warning(&srun("1", "1(x3)", "none", ""), "0-7", "0-7").is_none());
        let batch = srun("0", "2(x3)", "none", "").into_iter().skip(1).collect::<Vec<_>>();
        assert!(warning(&batch, "0-7", "0-7").is_none(), "a batch script is no rank");
    }

    #[test]
    fn a_rank_of_mpirun_within_slurm_is_one_of_mpirun() {
        let both = [srun("0", "2(x3)", "mask_cpu:", "0x1,0x1"), vec![("OMPI_COMM_WORLD_LOCAL_SIZE", "2")]].concat();
        assert_eq!(warning(&both, "0-3", "0-7"), None);
        assert!(warning(&both, "0-7", "0-7").unwrap().contains("mpirun"));
    }

    #[test]
    fn lists_of_slurm() {
        assert_eq!(tasks_of_node("2(x2),1", 1), Some(2));
        assert_eq!(tasks_of_node("2(x2),1", 2), Some(1));
        assert_eq!(tasks_of_node("2(x2),1", 3), None);
        assert_eq!(tasks_of_node("2(x", 0), None);
        assert_eq!(from_hex("0x10000000000000005").unwrap().to_string(), "0,2,64");
        assert_eq!((from_hex("5"), from_hex("0xg")), (None, None));
    }
}

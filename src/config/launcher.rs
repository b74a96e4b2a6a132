//! What started this process, as one of how many: told by the variables that launchers leave to their ranks.

use super::ranks::{LauncherKind, tasks_of_node};
use crate::error::{Error, ErrorKind};

/// What started this process as a rank, and what it said of the rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launcher {
    pub(crate) kind: LauncherKind,
    /// This process's number in the job.
    pub(crate) rank: usize,
    /// The ranks of the job.
    pub(crate) size: usize,
    /// The ranks that were started on this host, where that is told.
    pub(crate) on_host: Option<usize>,
    /// What a library of MPI can ask for the others.
    pub(crate) service: Service,
    /// The launcher's own name of the job, where it tells one.
    pub(crate) job: Option<String>,
}

/// How the ranks of a job can find each other before MPI is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Pmix,
    Pmi,
    /// There is none: ranks cannot find each other.
    Missing,
}

/// Where a launcher leaves what.
struct Row {
    kind: LauncherKind,
    /// As `HEIST_LAUNCHER` has it.
    name: &'static str,
    /// The command.
    command: &'static str,
    rank: &'static str,
    size: &'static str,
    /// Without which the others mean something else.
    needs: &'static [&'static str],
    on_host: &'static str,
    job: &'static [&'static str],
}

/// In the order in which they are looked for: of nested launchers, the inner one comes first.
const TABLE: &[Row] = &[
    Row {
        kind: LauncherKind::Jsm,
        name: "jsm",
        command: "jsrun",
        rank: "JSM_NAMESPACE_RANK",
        size: "JSM_NAMESPACE_SIZE",
        needs: &[],
        on_host: "JSM_NAMESPACE_LOCAL_SIZE",
        job: &["LSB_JOBID"],
    },
    Row {
        kind: LauncherKind::OpenMpi,
        name: "openmpi",
        command: "mpirun",
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        needs: &[],
        on_host: "OMPI_COMM_WORLD_LOCAL_SIZE",
        job: &["PMIX_NAMESPACE"],
    },
    Row {
        kind: LauncherKind::Mvapich,
        name: "mvapich",
        command: "mpirun_rsh",
        rank: "MV2_COMM_WORLD_RANK",
        size: "MV2_COMM_WORLD_SIZE",
        needs: &[],
        on_host: "MV2_COMM_WORLD_LOCAL_SIZE",
        job: &[],
    },
    Row {
        kind: LauncherKind::Pals,
        name: "pals",
        command: "mpiexec",
        rank: "PALS_RANKID",
        size: "PMI_SIZE",
        needs: &["PMI_RANK"],
        on_host: "PMI_LOCAL_SIZE",
        job: &["PALS_APID"],
    },
    Row {
        kind: LauncherKind::Flux,
        name: "flux",
        command: "flux run",
        rank: "FLUX_TASK_RANK",
        size: "FLUX_JOB_SIZE",
        needs: &[],
        on_host: "",
        job: &["FLUX_JOB_ID"],
    },
    Row {
        kind: LauncherKind::Mpich,
        name: "mpich",
        command: "mpirun.mpich",
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        needs: &[],
        on_host: "MPI_LOCALNRANKS",
        job: &["PMI_JOBID"],
    },
    // Outside a step, as in a batch script, the other variables are about the job.
    Row {
        kind: LauncherKind::Slurm,
        name: "slurm",
        command: "srun",
        rank: "SLURM_PROCID",
        size: "SLURM_STEP_NUM_TASKS",
        needs: &["SLURM_STEP_ID"],
        on_host: "",
        job: &["SLURM_JOB_ID", "SLURM_STEP_ID"],
    },
];

/// How the names of variables begin by which a launcher tells a process that it is a rank: nothing of what the user has set
/// for a library of MPI, nor what tells of a batch job.
const TELLING: &[&str] = &[
    "OMPI_APP_CTX_",
    "OMPI_ARGV",
    "OMPI_COMMAND",
    "OMPI_COMM_WORLD_",
    "OMPI_FILE_LOCATION",
    "OMPI_FIRST_RANKS",
    "OMPI_MCA_ess_",
    "OMPI_MCA_initial_wdir",
    "OMPI_MCA_mpi_oversubscribe",
    "OMPI_MCA_orte_",
    "OMPI_MCA_shmem_RUNTIME",
    "OMPI_NUM_APP_CTX",
    "OMPI_UNIVERSE_SIZE",
    "PMIX_",
    "PRTE_",
    "PMI_",
    "PMI2_",
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
    "HYDI_",
    "HYDRA_",
    "MV2_COMM_WORLD_",
    "PALS_",
    "FLUX_TASK_",
    "FLUX_JOB_SIZE",
    "JSM_NAMESPACE_",
    "SLURM_STEP",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_GTIDS",
    "SLURM_TASK_PID",
    "SLURM_SRUN_COMM_",
    "SLURM_CPU_BIND",
];

impl Launcher {
    /// As the variables tell it; `wanted` is the user's word, of `auto`, `none` and the names of the table.
    ///
    /// # Errors
    /// Another word, or a launcher that did not start this process.
    pub(super) fn told(
        wanted: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Launcher>, Error> {
        let Some(wanted) = wanted.filter(|&wanted| wanted != "auto") else {
            return Ok(TABLE.iter().find_map(|row| row.read(&variable)));
        };
        if wanted == "none" {
            return Ok(None);
        }
        let bad = |text| Error::new(ErrorKind::Setting(text));
        let Some(row) = TABLE.iter().find(|row| row.name == wanted) else {
            let known: Vec<_> = TABLE.iter().map(|row| row.name).collect();
            let known = known.join(", ");
            return Err(bad(format!("HEIST_LAUNCHER is `{wanted}`; it may be auto, none, or one of {known}")));
        };
        let Row { rank, size, .. } = row;
        row.read(&variable).map(Some).ok_or_else(|| {
            bad(format!(
                "HEIST_LAUNCHER is `{wanted}`, but {rank} and {size} are not what {} sets for its ranks: start the program by that, or leave HEIST_LAUNCHER unset",
                row.command
            ))
        })
    }

    /// The command that people start it by.
    pub(crate) fn command(&self) -> &'static str {
        TABLE.iter().find(|row| row.kind == self.kind).map_or("the launcher", |row| row.command)
    }

    /// The command with the flags by which it gives each of `ranks` ranks of a host so many cores, or hardware threads.
    pub(crate) fn flags(&self, ranks: usize, cores: usize, pus: usize) -> String {
        self.kind.flags(ranks, cores, pus)
    }
}

impl Row {
    fn read(&self, variable: &impl Fn(&str) -> Option<String>) -> Option<Launcher> {
        let number = |name: &str| variable(name)?.parse::<usize>().ok();
        self.needs.iter().all(|name| variable(name).is_some()).then_some(())?;
        let (rank, size) = (number(self.rank)?, number(self.size)?);
        let service = if variable("PMIX_NAMESPACE").is_some() {
            Service::Pmix
        } else if variable("PMI_FD").is_some() || variable("PMI_RANK").is_some() {
            Service::Pmi
        } else {
            Service::Missing
        };
        let job: Option<Vec<_>> = self.job.iter().map(|name| variable(name)).collect();
        let job = job.filter(|parts| !parts.is_empty()).map(|parts| parts.join("."));
        let mut launcher = Launcher { kind: self.kind, rank, size, on_host: number(self.on_host), service, job };
        match self.kind {
            // With `--mpi=pmi2`, srun sets these too; not so the variables of Hydra, which may run below it.
            LauncherKind::Mpich if launcher.on_host.is_none() && is_of_step(variable, &launcher) => {
                launcher.kind = LauncherKind::Slurm;
                launcher.on_host = on_host_of_step(variable);
            }
            LauncherKind::Slurm => launcher.on_host = on_host_of_step(variable),
            _ => {}
        }
        (rank < size).then_some(launcher)
    }
}

/// Whether the task of the Slurm step is this very rank.
fn is_of_step(variable: &impl Fn(&str) -> Option<String>, launcher: &Launcher) -> bool {
    let is = |name: &str, value: usize| variable(name).and_then(|text| text.parse().ok()) == Some(value);
    variable("SLURM_STEP_ID").is_some()
        && variable("HYDI_CONTROL_FD").is_none()
        && is("SLURM_PROCID", launcher.rank)
        && is("SLURM_STEP_NUM_TASKS", launcher.size)
}

fn on_host_of_step(variable: &impl Fn(&str) -> Option<String>) -> Option<usize> {
    tasks_of_node(&variable("SLURM_STEP_TASKS_PER_NODE")?, variable("SLURM_NODEID")?.parse().ok()?)
}

/// Whether the variable tells its process that it is a rank of some launcher.
pub(crate) fn is_of_launcher(name: &str) -> bool {
    TELLING.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(wanted: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Launcher>, Error> {
        Launcher::told(wanted, |name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn found(variables: &[(&str, &str)]) -> Option<(LauncherKind, usize, usize, Option<usize>, Service)> {
        let launcher = told(None, variables).unwrap()?;
        let Launcher { kind, rank, size, on_host, service, .. } = launcher;
        Some((kind, rank, size, on_host, service))
    }

    const OPENMPI: &[(&str, &str)] = &[
        ("OMPI_COMM_WORLD_RANK", "5"),
        ("OMPI_COMM_WORLD_SIZE", "8"),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
        ("PMIX_NAMESPACE", "230293505"),
        ("PMIX_RANK", "5"),
    ];
    const HYDRA: &[(&str, &str)] = &[
        ("PMI_RANK", "1"),
        ("PMI_SIZE", "2"),
        ("PMI_FD", "8"),
        ("MPI_LOCALRANKID", "1"),
        ("MPI_LOCALNRANKS", "2"),
        ("HYDI_CONTROL_FD", "7"),
    ];
    const STEP: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "12"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "3"),
        ("SLURM_STEP_NUM_TASKS", "4"),
        ("SLURM_STEP_TASKS_PER_NODE", "1,3"),
        ("SLURM_NODEID", "1"),
        ("SLURM_NTASKS", "4"),
    ];

    #[test]
    fn each_launcher_tells_in_its_way() {
        assert_eq!(found(OPENMPI), Some((LauncherKind::OpenMpi, 5, 8, Some(4), Service::Pmix)));
        assert_eq!(found(HYDRA), Some((LauncherKind::Mpich, 1, 2, Some(2), Service::Pmi)));
        assert_eq!(found(STEP), Some((LauncherKind::Slurm, 3, 4, Some(3), Service::Missing)));
        let pmix = [STEP, &[("PMIX_NAMESPACE", "slurm.pmix.12.0"), ("PMIX_RANK", "3")]].concat();
        assert_eq!(found(&pmix), Some((LauncherKind::Slurm, 3, 4, Some(3), Service::Pmix)));
        let pmi2 = [STEP, &[("PMI_FD", "5"), ("PMI_JOBID", "12.0"), ("PMI_RANK", "3"), ("PMI_SIZE", "4")]].concat();
        assert_eq!(found(&pmi2), Some((LauncherKind::Slurm, 3, 4, Some(3), Service::Pmi)));
        assert_eq!(told(None, STEP).unwrap().unwrap().job.as_deref(), Some("12.0"));
        assert_eq!(told(None, OPENMPI).unwrap().unwrap().job.as_deref(), Some("230293505"));
        assert_eq!(told(None, HYDRA).unwrap().unwrap().job, None);
    }

    #[test]
    fn those_that_were_never_tried_are_found_by_their_variables() {
        let pals = [("PALS_RANKID", "1"), ("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("PMI_LOCAL_SIZE", "2")];
        assert_eq!(found(&pals), Some((LauncherKind::Pals, 1, 2, Some(2), Service::Pmi)));
        let flux = [("FLUX_TASK_RANK", "0"), ("FLUX_JOB_SIZE", "3"), ("PMI_RANK", "0"), ("PMI_SIZE", "3")];
        assert_eq!(found(&flux), Some((LauncherKind::Flux, 0, 3, None, Service::Pmi)));
        let jsm = [&[("JSM_NAMESPACE_RANK", "0"), ("JSM_NAMESPACE_SIZE", "8")], OPENMPI].concat();
        assert_eq!(found(&jsm).unwrap().0, LauncherKind::Jsm);
        let mvapich =
            [("MV2_COMM_WORLD_RANK", "0"), ("MV2_COMM_WORLD_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_SIZE", "2")];
        assert_eq!(found(&mvapich).unwrap().0, LauncherKind::Mvapich);
    }

    /// An mpirun in a batch job starts its daemons by srun, so that its ranks have the variables of both.
    #[test]
    fn of_nested_launchers_the_inner_one_counts() {
        let daemon =
            [("SLURM_STEP_ID", "0"), ("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_NODEID", "1")];
        assert_eq!(found(&[&daemon, OPENMPI].concat()).unwrap().0, LauncherKind::OpenMpi);
        let hydra = [&daemon[..], HYDRA].concat();
        assert_eq!(found(&hydra), Some((LauncherKind::Mpich, 1, 2, Some(2), Service::Pmi)));
    }

    #[test]
    fn a_batch_script_and_a_shell_are_no_ranks() {
        assert_eq!(found(&[]), None);
        let batch: Vec<_> = STEP.iter().copied().filter(|(name, _)| *name != "SLURM_STEP_ID").collect();
        assert_eq!(found(&batch), None);
        assert_eq!(found(&[("OMPI_COMM_WORLD_RANK", "0")]), None);
        assert_eq!(found(&[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "2")]), None);
        assert_eq!(found(&[("PMI_RANK", "x"), ("PMI_SIZE", "2")]), None);
    }

    #[test]
    fn the_users_word_counts_most() {
        assert_eq!(told(Some("none"), OPENMPI).unwrap(), None);
        assert_eq!(told(Some("auto"), OPENMPI).unwrap(), told(None, OPENMPI).unwrap());
        let both = [OPENMPI, STEP].concat();
        assert_eq!(told(Some("slurm"), &both).unwrap().unwrap().rank, 3);
        for (word, says) in [("slurm", "srun"), ("mpirun", "openmpi")] {
            let error = told(Some(word), OPENMPI).unwrap_err();
            assert!(error.is_setting() && error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn what_tells_a_rank_is_told_from_what_a_user_sets() {
        let of_launchers = [OPENMPI, HYDRA, &STEP[1..6]].concat();
        assert!(of_launchers.iter().all(|(name, _)| is_of_launcher(name)));
        for name in
            ["OMPI_MCA_btl", "OMPI_ALLOW_RUN_AS_ROOT", "SLURM_JOB_ID", "SLURM_CONF", "PATH", "MPICH_ASYNC_PROGRESS"]
        {
            assert!(!is_of_launcher(name), "{name}");
        }
    }
}

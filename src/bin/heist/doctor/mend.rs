//! What mends a finding: under each launcher, and apart from them.

use serde::Serialize;

use super::facts::Facts;
use crate::layout::count;

/// Flags and commands, `PROGRAM` standing for the program and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Mend {
    /// OpenMPI's launcher.
    pub(super) mpirun: Option<String>,
    /// MPICH's.
    #[serde(rename = "mpirun.mpich")]
    pub(super) mpich: Option<String>,
    /// Slurm's.
    pub(super) srun: Option<String>,
    /// Whatever the launcher, and without one.
    pub(super) otherwise: Option<String>,
}

impl Mend {
    /// With arguments for each of the launchers.
    pub(super) fn flags(mpirun: impl Into<String>, mpich: impl Into<String>, srun: impl Into<String>) -> Mend {
        let words = |launcher: &str, flags: String| Some(format!("{launcher} {flags}"));
        Mend {
            mpirun: words("mpirun", mpirun.into()),
            mpich: words("mpirun.mpich", mpich.into()),
            srun: words("srun", srun.into()),
            otherwise: None,
        }
    }

    /// Where no launcher has a flag for it.
    pub(super) fn only(otherwise: impl Into<String>) -> Mend {
        Mend { otherwise: Some(otherwise.into()), ..Mend::default() }
    }

    pub(super) fn or(self, otherwise: impl Into<String>) -> Mend {
        Mend { otherwise: Some(otherwise.into()), ..self }
    }

    /// What gives each rank cores of its own, of those there are.
    pub(super) fn bind(facts: &Facts) -> Mend {
        let ranks = facts.ranks_here();
        let cores = facts.cores_of(&facts.cpuset);
        let each = (cores / ranks).max(1);
        // Slurm counts PUs.
        let pus = each * (facts.cpuset.len() / cores.max(1)).max(1);
        let few = ranks.min(cores);
        let fewer = if ranks > cores { format!(", with {} on each host", count(few, "rank")) } else { String::new() };
        Mend::flags(
            format!("--map-by ppr:{few}:node:pe={each} --bind-to core{fewer}"),
            format!("-bind-to core:{each}{fewer}"),
            format!("--cpu-bind=cores -c {pus}{fewer}"),
        )
    }

    /// Each way, with the launcher it is for.
    pub(super) fn ways(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let ways = [
            ("mpirun", &self.mpirun),
            ("mpirun.mpich", &self.mpich),
            ("srun", &self.srun),
            ("otherwise", &self.otherwise),
        ];
        ways.into_iter().filter_map(|(launcher, way)| Some((launcher, way.as_deref()?)))
    }
}

//! Which host is looked at: this one, a made-up or a recorded one, as arguments or else the environment say; and the executor
//! that a run has on it.

use std::path::{Path, PathBuf};

use heist::numa::{self, CpuSet, Topology};
use heist::{Builder, Executor};

use crate::fail::Fail;

/// The most workers one executor takes.
const MAX_WORKERS: usize = 4096;

/// A host and what of it this process may use.
pub(crate) struct Host {
    pub(crate) topology: Topology,
    pub(crate) mask: CpuSet,
    /// What the description comes from, in words.
    pub(crate) source: String,
}

/// A variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The workers that the environment asks for.
pub(crate) fn workers() -> Result<Option<usize>, Fail> {
    let number = |text: String| {
        text.parse().map_err(|_| Fail::new(format!("HEIST_WORKERS is `{text}`, which is not a whole number in range")))
    };
    variable("HEIST_WORKERS").map(number).transpose()
}

/// Refuses a number of workers that no executor takes; `name` is where it comes from.
pub(crate) fn check_workers(name: &str, workers: Option<usize>) -> Result<(), Fail> {
    match workers {
        Some(0) => Err(Fail::new(format!("{name} 0: at least one worker is needed"))),
        Some(workers) if workers > MAX_WORKERS => Err(Fail::new(format!("{name} {workers}: at most {MAX_WORKERS}"))),
        _ => Ok(()),
    }
}

/// Of an executor with so many workers, else with as many as the host and the environment say.
pub(crate) fn builder(workers: Option<usize>) -> Builder {
    let builder = Executor::builder();
    match workers {
        Some(workers) => builder.workers(workers),
        None => builder,
    }
}

impl Host {
    /// The host that an executor would plan for, unless `made_up` or `root` name another.
    pub(crate) fn chosen(made_up: Option<String>, root: Option<PathBuf>) -> Result<Host, Fail> {
        let from_environment = made_up.is_none() && root.is_none();
        if let Some(text) = made_up.or_else(|| variable("HEIST_TOPOLOGY").filter(|_| from_environment)) {
            return Host::other(Topology::synthetic(&text), format!("made up: {text}"));
        }
        if let Some(root) =
            root.or_else(|| variable("HEIST_SYSFS_ROOT").filter(|_| from_environment).map(PathBuf::from))
        {
            return Host::other(Topology::recorded(&root), format!("recorded below {}", shown(&root)));
        }
        Host::own()
    }

    /// The host that this process runs on.
    pub(crate) fn own() -> Result<Host, Fail> {
        let mask = numa::affinity().map_err(unreadable)?;
        let topology = Topology::of_host(&mask).map_err(unreadable)?;
        Ok(Host { topology, mask, source: "this host".to_owned() })
    }

    /// A host that this process does not run on, where all is allowed.
    fn other(topology: Result<Topology, numa::Error>, source: String) -> Result<Host, Fail> {
        let topology = topology.map_err(|error| Fail::new(error.to_string()))?;
        Ok(Host { mask: topology.allowed().clone(), topology, source })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn unreadable(error: numa::Error) -> Fail {
    Fail::new(format!("cannot read this host: {error}"))
}

//! The settings that come from outside the program; the only reader of `HEIST_*`.

use std::path::PathBuf;
use std::sync::OnceLock;

use heist_numa::{Cores, CpuSet};

use crate::error::{Error, ErrorKind};

/// Spare threads an executor may make, unless the system allows fewer.
const MAX_SPARE_THREADS: usize = 4096;

/// A number in the environment; the table of the names is in the crate's documentation.
fn number<N: std::str::FromStr>(name: &str) -> Result<Option<N>, Error> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|_| {
            Error::new(ErrorKind::Setting(format!("{name} is `{text}`, which is not a whole number in range")))
        }),
        _ => Ok(None),
    }
}

pub(crate) fn workers() -> Result<Option<usize>, Error> {
    number("HEIST_WORKERS")
}

pub(crate) fn seed() -> Result<Option<u64>, Error> {
    number("HEIST_SEED")
}

/// The cores this process may use, and whether threads may be pinned to them.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) cores: Cores,
    /// Whole CPUs that the control group grants, if it limits them.
    pub(crate) quota: Option<usize>,
    pub(crate) real: bool,
    pub(crate) warnings: Vec<String>,
}

/// Reads the host. `inherited` is the affinity mask from before any thread was pinned.
pub(crate) fn host(inherited: &CpuSet) -> Result<Host, Error> {
    let recorded = std::env::var_os("HEIST_SYSFS_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from);
    let real = recorded.is_none();
    let root = recorded.unwrap_or_else(|| PathBuf::from("/"));
    let allowed = if real { inherited.clone() } else { heist_numa::online(&root)? };
    if !real && allowed.is_empty() {
        let text = format!("HEIST_SYSFS_ROOT is `{}`, below which no recorded CPUs are found", root.display());
        return Err(Error::new(ErrorKind::Setting(text)));
    }
    let mut warnings = Vec::new();
    let cores = match Cores::read(&root, &allowed) {
        Err(error) if error.is_syntax() => {
            warnings.push(format!("{error}; every allowed PU is taken for a core"));
            Cores::flat(&allowed)
        }
        cores => cores?,
    };
    let quota = if real { heist_numa::cpu_quota(&root).unwrap_or(None) } else { None };
    Ok(Host { cores, quota: quota.map(Into::into), real, warnings })
}

/// The mask of the first thread that built an executor, from before heist pinned any.
pub(crate) fn inherited_mask(on_own_thread: bool) -> Result<CpuSet, Error> {
    static FIRST: OnceLock<CpuSet> = OnceLock::new();
    if on_own_thread && let Some(mask) = FIRST.get() {
        return Ok(mask.clone());
    }
    let mask = heist_numa::affinity()?;
    FIRST.get_or_init(|| mask.clone());
    Ok(mask)
}

/// Spare threads an executor may make here: half of what the control group lets be made, at most 4096.
pub(crate) fn max_spare_threads() -> usize {
    ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max", "/proc/sys/kernel/threads-max"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok())
        .map(|limit| limit / 2)
        .fold(MAX_SPARE_THREADS, usize::min)
}

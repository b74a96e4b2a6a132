//! The settings that come from outside the program; the only reader of `HEIST_*` and of what launchers tell.

#[cfg(feature = "ranks")]
mod launcher;
mod ranks;

use std::sync::OnceLock;
#[cfg(feature = "ranks")]
use std::time::Duration;

use heist_numa::{CpuSet, Topology};

use crate::error::{Error, ErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

#[cfg(feature = "ranks")]
pub(crate) use launcher::{Launcher, Service};
#[cfg(feature = "ranks")]
pub(crate) use ranks::LauncherKind;

/// Spare threads an executor may make, unless the system allows fewer.
const MAX_SPARE_THREADS: usize = 4096;

/// Seconds that a rank may be stopped for, unless the user says otherwise.
#[cfg(feature = "ranks")]
const LOST_AFTER: u64 = 30;

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

/// A path or text in the environment.
fn text(name: &str) -> Result<Option<String>, Error> {
    match std::env::var_os(name).filter(|text| !text.is_empty()).map(std::ffi::OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(text)) => Err(Error::new(ErrorKind::Setting(format!("{name} is {text:?}, which is not text")))),
    }
}

/// The host to plan for: this one, as `inherited`, the affinity mask from before any thread was pinned, leaves it; or one
/// that is recorded or made up, on which nothing is bound.
pub(crate) fn host(inherited: &CpuSet) -> Result<Arc<Topology>, Error> {
    let described = |name: &str, text: &str, host: Result<Topology, heist_numa::Error>| {
        host.map(Arc::new).map_err(|error| Error::new(ErrorKind::Setting(format!("{name} is `{text}`: {error}"))))
    };
    if let Some(made_up) = text("HEIST_TOPOLOGY")? {
        return described("HEIST_TOPOLOGY", &made_up, Topology::synthetic(&made_up));
    }
    if let Some(root) = text("HEIST_SYSFS_ROOT")? {
        return described("HEIST_SYSFS_ROOT", &root, Topology::recorded(root.as_ref()));
    }
    this_host(inherited)
}

/// This host, read once for each mask in a row.
fn this_host(inherited: &CpuSet) -> Result<Arc<Topology>, Error> {
    static READ: Mutex<Option<(CpuSet, Arc<Topology>)>> = Mutex::new(None);
    if let Some((mask, host)) = &*READ.lock()
        && mask == inherited
    {
        return Ok(host.clone());
    }
    let host = Arc::new(Topology::of_host(inherited)?);
    *READ.lock() = Some((inherited.clone(), host.clone()));
    Ok(host)
}

/// What started this process as a rank of a job, if anything has, and `HEIST_LAUNCHER` lets it count.
///
/// # Errors
/// `HEIST_LAUNCHER` is no launcher's name, or that of one that did not start this process.
#[cfg(feature = "ranks")]
pub(crate) fn launcher() -> Result<Option<Launcher>, Error> {
    Launcher::told(text("HEIST_LAUNCHER")?.as_deref(), |name| std::env::var(name).ok())
}

/// The library of MPI that the user names.
#[cfg(feature = "ranks")]
pub(crate) fn mpi_library() -> Option<std::path::PathBuf> {
    std::env::var_os("HEIST_MPI_LIB").filter(|path| !path.is_empty()).map(Into::into)
}

/// How long a rank may be stopped, or a host not be heard of; `None` for any time.
///
/// # Errors
/// `HEIST_LOST_AFTER` is no number.
#[cfg(feature = "ranks")]
pub(crate) fn patience_with_ranks() -> Result<Option<Duration>, Error> {
    let seconds = number("HEIST_LOST_AFTER")?.unwrap_or(LOST_AFTER);
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// The names of the variables by which a launcher told this process that it is a rank.
#[cfg(feature = "ranks")]
pub(crate) fn launcher_variables() -> Vec<std::ffi::OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_str().is_some_and(launcher::is_of_launcher)).collect()
}

/// A warning when other ranks of this host have CPUs of `inherited` too.
pub(crate) fn shared(host: &Topology, inherited: &CpuSet) -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok();
    if host.is_this_host() { ranks::shared(variable, inherited, host.online(), host.cores().len()) } else { None }
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
/// What tests must not be skipped for the want of, with commas.
#[cfg(all(test, feature = "ranks"))]
pub(crate) fn required_by_tests() -> String {
    std::env::var("HEIST_REQUIRE").unwrap_or_default()
}

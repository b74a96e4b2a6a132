//! The settings that come from outside the program; the only reader of `HEIST_*` and of what launchers tell.

mod ranks;

use std::sync::OnceLock;

use heist_numa::{CpuSet, Topology};

use crate::error::{Error, ErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;

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

//! Which domains the pages of some memory come from.

use std::{io, path::Path};

use crate::{
    CpuSet,
    error::Error,
    fault::Fault,
    sys_memory::{self as sys, Move, NODE_LIMIT},
    sysfs,
};

/// Where the pages of some memory come from. Domains are named by the kernel's number.
///
/// A page gets its place when it is first written; a policy says which. Automatic NUMA balancing does not move
/// pages that any of these placed.
///
/// ```
/// use heist_numa::{Policy, Region};
///
/// let region = Region::<u64>::builder().policy(Policy::On(0)).allocate(1_000)?;
/// region.populate(..)?;
/// assert!(region.residency()?.is_all_on(0));
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// On the domain of the thread that first writes to the page, whatever policy the process was started with.
    #[default]
    FirstTouch,
    /// On this domain and on no other: when it is full, the kernel makes room there or ends the process, as it does
    /// when the host is out of memory.
    On(u32),
    /// On this domain as long as it has room, then on the ones near it.
    Preferred(u32),
    /// Page after page on each of these domains in turn; with huge pages, one huge page after the other.
    Interleaved(Vec<u32>),
}

impl Policy {
    pub(crate) fn mode(&self) -> libc::c_int {
        match self {
            Policy::FirstTouch => libc::MPOL_LOCAL,
            Policy::On(_) => libc::MPOL_BIND,
            Policy::Preferred(_) => libc::MPOL_PREFERRED,
            Policy::Interleaved(_) => libc::MPOL_INTERLEAVE,
        }
    }

    pub(crate) fn domains(&self) -> &[u32] {
        match self {
            Policy::FirstTouch => &[],
            Policy::On(id) | Policy::Preferred(id) => std::slice::from_ref(id),
            Policy::Interleaved(ids) => ids,
        }
    }
}

/// What became of an attempt to place memory.
#[derive(Debug)]
pub(crate) enum Placed {
    AsAsked,
    /// The kernel does not let this process place memory, for this reason; the memory is as good as any.
    Refused(io::Error),
    /// Some pages could not be moved.
    Stuck,
}

impl Placed {
    /// The warning about memory that stays unplaced.
    pub(crate) fn warning(&self, policy: &Policy) -> Option<String> {
        let Placed::Refused(source) = self else { return None };
        Some(format!(
            "memory is not placed by {policy:?}: the kernel refused mbind ({source}); allow it (containers: \
             --cap-add SYS_NICE or another seccomp profile), or have each page first written by a thread of its domain"
        ))
    }
}

/// Gives the pages from `start` on the policy.
pub(crate) fn place(start: usize, bytes: usize, policy: &Policy, moving: Move) -> Result<Placed, Error> {
    let ids = policy.domains();
    if ids.is_empty() && *policy != Policy::FirstTouch {
        return Err(Fault::NoDomain.into());
    }
    if ids.iter().any(|&id| id >= NODE_LIMIT) {
        return Err(absent(ids, |id| id < NODE_LIMIT).into());
    }
    let source = match sys::bind(start, bytes, policy.mode(), ids, moving) {
        Ok(()) => return all_taken(start, ids),
        Err(source) => source,
    };
    match source.raw_os_error() {
        Some(libc::EINVAL) => Err(absent(ids, |id| allowed().is_some_and(|allowed| allowed.contains(&id))).into()),
        Some(libc::EIO) => Ok(Placed::Stuck),
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => without_the_call(Path::new("/"), ids, source),
        _ => {
            let hint = "raise vm.max_map_count or hold fewer, larger regions";
            Err(Fault::Call { call: "mbind", what: format!("{bytes} bytes by {policy:?}"), hint, source }.into())
        }
    }
}

/// Deals the pages that are there out to the domains of the policy: [`place`] moves only those that are on none of them.
pub(crate) fn deal(start: usize, bytes: usize, policy: &Policy) -> Result<Placed, Error> {
    let Policy::Interleaved(ids) = policy else { return Ok(Placed::AsAsked) };
    let mut domains = ids.iter().map(|&id| id as libc::c_int).cycle();
    let chunk = sys::page_size() * 16 * 1024;
    let mut stuck = 0;
    for at in (0..bytes).step_by(chunk) {
        let pages = (bytes - at).min(chunk) / sys::page_size();
        let nodes: Vec<libc::c_int> = domains.by_ref().take(pages).collect();
        match sys::move_pages(start + at, sys::page_size(), &nodes) {
            Ok(stay) => stuck += stay,
            Err(source) => return Ok(Placed::Refused(source)),
        }
    }
    Ok(if stuck > 0 { Placed::Stuck } else { Placed::AsAsked })
}

/// The kernel drops domains that it cannot use from a policy of several without a word.
fn all_taken(start: usize, ids: &[u32]) -> Result<Placed, Error> {
    match sys::policy_of(start) {
        Ok((_, taken)) if ids.len() > 1 && ids.iter().any(|id| !taken.contains(id)) => {
            Err(absent(ids, |id| taken.contains(&id)).into())
        }
        _ => Ok(Placed::AsAsked),
    }
}

/// The verdict on `ids` where the kernel answers no call: an absent domain is still one, and a kernel without NUMA has
/// one domain, which everything is on.
fn without_the_call(root: &Path, ids: &[u32], source: io::Error) -> Result<Placed, Error> {
    let nodes = root.join("sys/devices/system/node");
    let present = match sysfs::value(&nodes.join("has_memory"), "a list of domains", |text| text.parse().ok())? {
        Some(present) => present,
        None if nodes.exists() => return Ok(Placed::Refused(source)),
        None if source.raw_os_error() == Some(libc::ENOSYS) => CpuSet::from_iter([0]),
        None => return Ok(Placed::Refused(source)),
    };
    if ids.iter().any(|&id| !present.contains(id as usize)) {
        return Err(absent(ids, |id| present.contains(id as usize)).into());
    }
    let trivial = ids.is_empty() || present.len() == 1;
    Ok(if trivial { Placed::AsAsked } else { Placed::Refused(source) })
}

/// The domains that memory may be taken from, where the kernel tells.
fn allowed() -> Option<Vec<u32>> {
    let mut allowed = sys::allowed_nodes().ok()?;
    let file = Path::new("/sys/devices/system/node/has_memory");
    if let Ok(Some(present)) = sysfs::value(file, "a list of domains", |text| text.parse::<CpuSet>().ok()) {
        allowed.retain(|&id| present.contains(id as usize));
    }
    Some(allowed)
}

fn absent(ids: &[u32], is_there: impl Fn(u32) -> bool) -> Fault {
    let mut asked: Vec<u32> = ids.iter().copied().filter(|&id| !is_there(id)).collect();
    if asked.is_empty() {
        asked = ids.to_vec();
    }
    Fault::Domains { asked, allowed: allowed().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Host;

    fn filtered() -> io::Error {
        io::Error::from_raw_os_error(libc::EPERM)
    }

    #[test]
    fn a_refused_call_is_a_warning_unless_the_domain_is_absent() {
        let host = Host::new();
        host.write("sys/devices/system/node/has_memory", "0-1,3\n");
        let placed = without_the_call(host.root(), &[0, 3], filtered()).unwrap();
        let warning = placed.warning(&Policy::Interleaved(vec![0, 3])).unwrap();
        assert!(warning.contains("Interleaved([0, 3])") && warning.contains("mbind"), "{warning}");

        let error = without_the_call(host.root(), &[2, 3], filtered()).unwrap_err();
        assert!(error.is_unavailable() && !error.is_refused());
        assert!(error.to_string().contains("domain 2:"), "{error}");
    }

    #[test]
    fn where_there_is_one_domain_a_refusal_takes_nothing_away() {
        let host = Host::new();
        host.write("sys/devices/system/node/has_memory", "0\n");
        assert!(matches!(without_the_call(host.root(), &[0], filtered()), Ok(Placed::AsAsked)));
        assert!(matches!(without_the_call(host.root(), &[], filtered()), Ok(Placed::AsAsked)));
    }

    #[test]
    fn a_kernel_without_numa_has_domain_zero() {
        let host = Host::new();
        let no_call = || io::Error::from_raw_os_error(libc::ENOSYS);
        assert!(matches!(without_the_call(host.root(), &[0], no_call()), Ok(Placed::AsAsked)));
        assert!(without_the_call(host.root(), &[1], no_call()).unwrap_err().is_unavailable());
        assert!(matches!(without_the_call(host.root(), &[1], filtered()), Ok(Placed::Refused(_))));
    }
}

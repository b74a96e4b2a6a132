//! What can go wrong between a process and its host.

use std::{fmt, io, path::PathBuf};

use crate::{CpuSet, fault::Fault};

/// Why a host could not be read or a thread could not be bound.
///
/// Opaque: ask the predicates. The message names the PU, text or file concerned and the way out;
/// the kernel's own error, where there is one, is the [`source`](std::error::Error::source).
///
/// ```
/// let error = "0-x".parse::<heist_numa::CpuSet>().unwrap_err();
/// assert!(error.is_syntax());
/// assert!(error.to_string().contains("`0-x`"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A text that is not a CPU list or map; `form` says what it should look like.
    Syntax { text: String, form: &'static str },
    /// A file of `sysfs`, `/proc` or a control group with another content than documented.
    File { path: PathBuf, text: String, form: &'static str },
    /// A text that describes no host; `trouble` says which part of it and why.
    Synthetic { text: String, trouble: String },
    /// No PU is recorded below the directory.
    NoHost { root: PathBuf },
    /// The mask to read the host by has no PU.
    NoPu,
    /// hwloc cannot be had, or does not describe what it was told to.
    #[cfg(feature = "hwloc")]
    Hwloc { trouble: String },
    /// A wish that no plan can meet.
    Unmet { wish: String, way_out: String },
    /// The kernel refused to pin the thread.
    Pin { pu: usize, source: io::Error },
    /// The kernel accepted the pinning, but the mask is another one.
    PinLost { pu: usize, mask: CpuSet },
    /// The PU, or one of the mask, has an id that no kernel can have.
    BeyondMask { pu: usize },
    /// The kernel refused the mask.
    SetMask { mask: CpuSet, source: io::Error },
    /// The kernel would not tell the mask.
    GetMask { source: io::Error },
    /// Memory could not be had, placed or shared.
    Memory(Fault),
}

impl Error {
    /// True when a text is not what it should be: a CPU list or map given by a person, or the content
    /// of a system file (the message then names the file).
    ///
    /// ```
    /// assert!(heist_numa::CpuSet::from_hex_map("0000000g").unwrap_err().is_syntax());
    /// ```
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        matches!(self.kind, Kind::Syntax { .. } | Kind::File { .. } | Kind::Synthetic { .. })
    }

    /// True when a PU or domain that was asked for cannot be had: it does not exist, is offline, has no
    /// memory, or lies outside the control group's cpuset.
    ///
    /// ```
    /// assert!(heist_numa::pin(usize::MAX).unwrap_err().is_unavailable());
    /// ```
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match &self.kind {
            Kind::PinLost { .. } | Kind::BeyondMask { .. } | Kind::NoHost { .. } | Kind::NoPu | Kind::Unmet { .. } => {
                true
            }
            #[cfg(feature = "hwloc")]
            Kind::Hwloc { .. } => true,
            Kind::Pin { source, .. } | Kind::SetMask { source, .. } => source.raw_os_error() == Some(libc::EINVAL),
            Kind::Memory(fault) => fault.is_unavailable(),
            Kind::Syntax { .. } | Kind::File { .. } | Kind::Synthetic { .. } | Kind::GetMask { .. } => false,
        }
    }

    /// True when the kernel refused the call itself, as a system call filter makes it do, whatever was
    /// asked for.
    ///
    /// ```
    /// assert!(!heist_numa::pin(usize::MAX).unwrap_err().is_refused());
    /// ```
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match &self.kind {
            Kind::Memory(fault) => fault.is_refused(),
            _ => !self.is_syntax() && !self.is_unavailable(),
        }
    }

    fn fault(&self) -> Option<&Fault> {
        if let Kind::Memory(fault) = &self.kind { Some(fault) } else { None }
    }

    /// True when there is no room for what was asked: no address space, no memory, or a full file system.
    ///
    /// ```
    /// let error = heist_numa::Region::<u64>::builder().allocate(usize::MAX).unwrap_err();
    /// assert!(error.is_out_of_memory());
    /// ```
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        self.fault().is_some_and(Fault::is_out_of_memory)
    }

    /// True when a range leaves the memory it is a range of.
    ///
    /// ```
    /// let region = heist_numa::Region::<u64>::builder().allocate(8)?;
    /// assert!(region.populate(4..9).unwrap_err().is_out_of_range());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_out_of_range(&self) -> bool {
        self.fault().is_some_and(Fault::is_out_of_range)
    }

    /// True when no segment, or another one, is where it is said to be, or it is damaged.
    ///
    /// ```
    /// let error = heist_numa::Segment::attach("memfd:4000000000:1:1:1:1").unwrap_err();
    /// assert!(error.is_gone());
    /// ```
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.fault().is_some_and(Fault::is_gone)
    }

    /// True when a segment must be frozen, and some process may still write to it.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(8)?;
    /// let other = heist_numa::Segment::attach(&segment.address())?;
    /// assert!(!segment.is_mapped() || segment.freeze().unwrap_err().error().is_busy());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.fault().is_some_and(Fault::is_busy)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Kind::Memory(fault).into()
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Error {
        Error { kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Syntax { text, form } => write!(f, "`{text}` is not {form}"),
            Kind::File { path, text, form } => {
                write!(f, "{} says `{text}`, which is not {form}; pass another root or go without it", path.display())
            }
            Kind::Synthetic { text, trouble } => write!(
                f,
                "`{text}` describes no host: {trouble}; write it as in `2 domains × 4 cores × 2 threads`, or in hwloc's \
                 notation, `package:2 numa:2 core:8 pu:2`"
            ),
            Kind::NoHost { root } => write!(
                f,
                "no CPU is recorded below {}; it should have a copy of sys/devices/system/cpu and node",
                root.display()
            ),
            Kind::NoPu => write!(f, "a mask without PUs allows no host; pass the affinity mask"),
            #[cfg(feature = "hwloc")]
            Kind::Hwloc { trouble } => write!(f, "hwloc: {trouble}"),
            Kind::Unmet { wish, way_out } => write!(f, "{wish}; {way_out}"),
            Kind::Pin { pu, .. } if self.is_unavailable() => write!(
                f,
                "cannot pin to PU {pu}: it is absent, offline or outside this process's cpuset; \
                 choose one of the affinity mask"
            ),
            Kind::Pin { pu, .. } => {
                write!(f, "the kernel refused to pin to PU {pu}; allow sched_setaffinity or run unpinned")
            }
            Kind::PinLost { pu, mask } => write!(
                f,
                "pinned to PU {pu}, but the mask is `{mask}`: something else sets masks here; \
                 run unpinned or stop it"
            ),
            Kind::BeyondMask { pu } => write!(f, "no kernel has a PU {pu}; choose one of the affinity mask"),
            Kind::SetMask { mask, .. } if self.is_unavailable() => write!(
                f,
                "cannot set the mask `{mask}`: none of its PUs is online and in this process's \
                 cpuset; choose some of the affinity mask"
            ),
            Kind::SetMask { mask, .. } => {
                write!(f, "the kernel refused the mask `{mask}`; allow sched_setaffinity or keep the mask")
            }
            Kind::GetMask { .. } => write!(f, "the kernel would not tell the affinity mask; allow sched_getaffinity"),
            Kind::Memory(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Pin { source, .. } | Kind::SetMask { source, .. } | Kind::GetMask { source } => Some(source),
            Kind::Memory(fault) => fault.source().map(|source| source as _),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_errno_tells_a_missing_pu_from_a_refused_call() {
        let absent = Error::from(Kind::Pin { pu: 77, source: io::Error::from_raw_os_error(libc::EINVAL) });
        assert!(absent.is_unavailable() && !absent.is_refused() && !absent.is_syntax());
        assert!(absent.to_string().contains("PU 77"), "{absent}");

        let filtered = Error::from(Kind::Pin { pu: 77, source: io::Error::from_raw_os_error(libc::EPERM) });
        assert!(filtered.is_refused() && !filtered.is_unavailable());
        assert!(filtered.to_string().contains("run unpinned"), "{filtered}");
        assert!(filtered.source().is_some());
    }

    #[test]
    fn crosses_threads_and_boxes() {
        fn portable<T: Send + Sync + 'static>() {}
        portable::<Error>();
    }
}

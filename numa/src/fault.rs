//! What can go wrong with memory: placing it, having room for it, sharing it.

use std::{fmt, io};

/// Why memory could not be had, placed or read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Domains that have no memory for this process; `allowed` are those that have, where the kernel tells.
    Domains { asked: Vec<u32>, allowed: Vec<u32> },
    /// A policy over no domain at all.
    NoDomain,
    /// There is no room for `bytes` bytes of `what`.
    Room { what: String, bytes: usize, hint: &'static str, source: Option<io::Error> },
    /// The kernel refused a call on `what`.
    Call { call: &'static str, what: String, hint: &'static str, source: io::Error },
    /// Some pages stay off the domain that they were moved to.
    Stuck { id: u32, pages: usize },
    /// A range that leaves what it is a range of.
    Range { what: &'static str, start: usize, end: usize, len: usize },
    /// Words that do not start at a word.
    Odd { offset: usize },
    /// Words of a segment that is a file.
    Unmapped { address: String },
    /// No segment, or another one, is where it is said to be.
    Gone { address: String, why: String },
    /// A segment that some process may still write to.
    Busy { address: String },
    /// Pages of a segment that others have too and that therefore did not move.
    Kept { address: String, policy: String },
}

/// The numbers as a list that a person reads.
fn list(ids: &[u32]) -> String {
    ids.iter().map(|&id| id as usize).collect::<crate::CpuSet>().to_string()
}

impl Fault {
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Fault::Domains { .. } | Fault::NoDomain | Fault::Unmapped { .. })
    }

    pub(crate) fn is_out_of_memory(&self) -> bool {
        matches!(self, Fault::Room { .. })
    }

    pub(crate) fn is_out_of_range(&self) -> bool {
        matches!(self, Fault::Range { .. } | Fault::Odd { .. })
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Fault::Gone { .. })
    }

    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Fault::Busy { .. })
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Fault::Call { .. } | Fault::Stuck { .. } | Fault::Kept { .. })
    }

    pub(crate) fn source(&self) -> Option<&io::Error> {
        match self {
            Fault::Room { source, .. } => source.as_ref(),
            Fault::Call { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Domains { asked, allowed } => {
                let plural = if asked.len() == 1 { "domain" } else { "domains" };
                write!(
                    f,
                    "no memory can be had on {plural} {}: absent, without memory or outside this process's \
                     cpuset; ",
                    list(asked)
                )?;
                if allowed.is_empty() {
                    f.write_str("/sys/devices/system/node/has_memory lists what the host has")
                } else {
                    write!(f, "choose among {}", list(allowed))
                }
            }
            Fault::NoDomain => f.write_str("memory cannot be interleaved over no domain; name at least one"),
            Fault::Room { what, bytes, hint, .. } => write!(f, "no room for {what} of {bytes} bytes; {hint}"),
            Fault::Call { call, what, hint, .. } => write!(f, "the kernel refused {call} for {what}; {hint}"),
            Fault::Stuck { id, pages } => write!(
                f,
                "{pages} pages did not move to domain {id}: it is full, or they are locked or shared with \
                 another process; free memory there or allocate there at once"
            ),
            Fault::Range { what, start, end, len } => {
                write!(f, "the range {start}..{end} leaves the {len} {what}; stay inside")
            }
            Fault::Odd { offset } => write!(f, "no word starts at byte {offset}; take a multiple of 8"),
            Fault::Unmapped { address } => {
                write!(f, "the segment `{address}` is a file and has no atomics; use read and write, or a memfd")
            }
            Fault::Gone { address, why } => {
                write!(f, "no segment at `{address}`: {why}; have its owner make one and tell its address")
            }
            Fault::Busy { address } => {
                write!(f, "the segment `{address}` may still be written to; freeze it when all other users dropped it")
            }
            Fault::Kept { address, policy } => write!(
                f,
                "pages of the segment `{address}` are not as {policy} says: the domain is full, or other processes \
                 have them too; place it before others attach"
            ),
        }
    }
}

//! A physical core, and how the cores of a host are told from what its processing units say of themselves.

use std::sync::Arc;

use crate::CpuSet;

/// A physical core of a [`Topology`](crate::Topology): all its online PUs, whoever may use them.
///
/// ```
/// let host = heist_numa::Topology::synthetic("2 packages × 2 cores × 2 threads")?;
/// let last = &host.cores()[3];
/// assert_eq!(last.pus().to_string(), "6-7");
/// assert_eq!((last.package(), last.domain()), (Some(1), 0));
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    pub(crate) pus: CpuSet,
    pub(crate) package: Option<u32>,
    pub(crate) l3: Arc<CpuSet>,
    pub(crate) domain: usize,
}

impl Core {
    /// The PUs of the core, one or more: SMT siblings of each other.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 cores × 4 threads")?;
    /// assert_eq!(host.cores()[1].pus().to_string(), "4-7");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn pus(&self) -> &CpuSet {
        &self.pus
    }

    /// The number the firmware gives the core's package, not necessarily small; `None` where it gives none.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("1 core")?;
    /// assert_eq!(host.cores()[0].package(), None);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn package(&self) -> Option<u32> {
        self.package
    }

    /// The PUs behind the core's L3 cache, its own included; empty where no L3 is known.
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 l3 × 4 cores")?;
    /// assert_eq!(host.cores()[5].l3().to_string(), "4-7");
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn l3(&self) -> &CpuSet {
        &self.l3
    }

    /// The core's domain, as an index into [`Topology::domains`](crate::Topology::domains).
    ///
    /// ```
    /// let host = heist_numa::Topology::synthetic("2 domains × 4 cores")?;
    /// assert_eq!(host.cores()[5].domain(), 1);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn domain(&self) -> usize {
        self.domain
    }
}

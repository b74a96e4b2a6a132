//! What can be wished for of a plan.

use crate::CpuSet;

/// What a plan should look like; the [default](Wishes::default) is one worker for each core there is, within the quota.
///
/// ```
/// use heist_numa::{Order, Per, Wishes};
///
/// let wishes = Wishes::default().workers(6).per(Per::Pu).order(Order::Compact);
/// assert_eq!((wishes.workers, wishes.leave_free), (Some(6), 0));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wishes {
    /// How many workers; `None` for as many as there are seats, but no more than the quota grants CPUs.
    pub workers: Option<usize>,
    /// What each worker has for itself.
    pub per: Per,
    /// Which seats are taken where there are more than workers.
    pub order: Order,
    /// How many cores stay free, the last ones: for the system, a driver or a communication thread.
    pub leave_free: usize,
}

/// What each worker has for itself.
///
/// ```
/// assert_eq!(heist_numa::Per::default(), heist_numa::Per::Core);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Per {
    /// A core, on its lowest PU that is allowed.
    #[default]
    Core,
    /// A PU: SMT siblings work side by side.
    Pu,
}

/// Which seats are taken where there are more than workers.
///
/// ```
/// use heist_numa::{Order, Plan, Topology, Wishes};
///
/// let host = Topology::synthetic("2 domains × 4 cores")?;
/// let pus = |order| {
///     let plan = Plan::new(&host, host.allowed(), &Wishes::default().workers(2).order(order))?;
///     Ok::<_, heist_numa::Error>(plan.seats().iter().filter_map(|seat| seat.pu()).collect::<Vec<_>>())
/// };
/// assert_eq!(pus(Order::Spread)?, [0, 4]);
/// assert_eq!(pus(Order::Compact)?, [0, 1]);
/// assert_eq!(pus(Order::List("5,7".parse()?))?, [5, 7]);
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Evenly over domains, then packages, then L3 caches, then cores: the most memory bandwidth and cache.
    #[default]
    Spread,
    /// The first ones, so that workers are as near to each other as can be.
    Compact,
    /// Only those on these PUs, the first ones of them.
    List(CpuSet),
}

impl Wishes {
    /// Wishes for so many workers.
    ///
    /// ```
    /// assert_eq!(heist_numa::Wishes::default().workers(3).workers, Some(3));
    /// ```
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Wishes {
        self.workers = Some(workers);
        self
    }

    /// Wishes for a core or a PU for each worker.
    ///
    /// ```
    /// use heist_numa::{Per, Wishes};
    ///
    /// assert_eq!(Wishes::default().per(Per::Pu).per, Per::Pu);
    /// ```
    #[must_use]
    pub fn per(mut self, per: Per) -> Wishes {
        self.per = per;
        self
    }

    /// Wishes for seats to be taken in this order.
    ///
    /// ```
    /// use heist_numa::{Order, Wishes};
    ///
    /// assert_eq!(Wishes::default().order(Order::Compact).order, Order::Compact);
    /// ```
    #[must_use]
    pub fn order(mut self, order: Order) -> Wishes {
        self.order = order;
        self
    }

    /// Wishes for the last cores to stay free, so many.
    ///
    /// ```
    /// assert_eq!(heist_numa::Wishes::default().leave_free(1).leave_free, 1);
    /// ```
    #[must_use]
    pub fn leave_free(mut self, cores: usize) -> Wishes {
        self.leave_free = cores;
        self
    }
}

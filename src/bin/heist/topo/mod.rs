//! `heist topo`: a host as heist sees it, and the seats it would give to workers.

mod report;
mod text;
mod tree;

use heist::numa::{Order, Per, Plan, Wishes};

use crate::args::{Topo, Unit};
use crate::fail::Fail;
use crate::host::{self, Host};
use crate::{layout, output};
use report::Report;

/// Where workers would sit, as an executor with these wishes plans it.
struct Seats {
    plan: Plan,
    /// Why the workers are not pinned.
    refusal: Option<String>,
}

/// Prints the host and the plan.
pub(crate) fn run(args: Topo) -> Result<(), Fail> {
    host::check_workers("--workers", args.workers)?;
    let workers = match args.workers {
        Some(workers) => Some(workers),
        None => host::workers()?,
    };
    host::check_workers("HEIST_WORKERS", workers)?;
    let host = Host::chosen(args.synthetic, args.root)?;
    let seats = Seats::new(&host, workers, args.per, args.order, args.leave_free)?;
    output::print(&if args.json {
        Report::new(&host, &seats).json()?
    } else {
        text::text(&host, &seats, layout::width())
    })
}

impl Seats {
    fn new(host: &Host, workers: Option<usize>, per: Unit, order: Order, leave_free: usize) -> Result<Seats, Fail> {
        let per = match per {
            Unit::Core => Per::Core,
            Unit::Pu => Per::Pu,
        };
        let mut wishes = Wishes::default().per(per).order(order).leave_free(leave_free);
        wishes.workers = workers;
        match (Plan::new(&host.topology, &host.mask, &wishes), workers) {
            (Ok(plan), _) => Ok(Seats { plan, refusal: None }),
            (Err(error), Some(workers)) => {
                let refusal = Some(format!("{error}: the workers are not pinned"));
                Ok(Seats { plan: Plan::unpinned(workers), refusal })
            }
            (Err(error), None) => Err(Fail::new(error.to_string())),
        }
    }
}

/// Hosts and seats for tests.
#[cfg(test)]
mod example {
    use heist::numa::Topology;

    use super::*;

    pub(super) fn host(text: &str, mask: &str) -> Host {
        let topology = Topology::synthetic(text).unwrap();
        Host { topology, mask: mask.parse().unwrap(), source: format!("made up: {text}") }
    }

    pub(super) fn seats(host: &Host) -> Seats {
        Seats::new(host, None, Unit::Core, Order::Spread, 0).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_workers_than_cores_are_seated_nowhere_as_an_executor_does_it() {
        let host = example::host("4 cores", "0-3");
        let seats = Seats::new(&host, Some(5), Unit::Core, Order::Spread, 0).unwrap();
        assert!(seats.plan.seats().len() == 5 && seats.plan.seats().iter().all(|seat| seat.pu().is_none()));
        assert!(seats.refusal.unwrap().contains("5 workers were asked for, and 4 cores can be had"));
        let refused = Seats::new(&host, None, Unit::Core, Order::Spread, 4).err().unwrap().to_string();
        assert!(refused.contains("4 cores cannot be left free of 4"), "{refused}");
    }
}

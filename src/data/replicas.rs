//! Copies of a value, one for each domain or worker; whoever reads gets the near one.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use heist_numa::Pinned;

use super::chunk::{Chunk, Memory};
use super::partition::Part;
use super::raw::fill;
use super::scatter::{Store, admit, blanks};
use super::scattered::futures;
use crate::counters::ledger::Entry;
use crate::error::Error;
use crate::future::{Inputs, Plain, TaskFuture};
use crate::primitive::sync::Arc;
use crate::scheduler::{Registry, local};
use crate::task::{self, Lies, Whereabouts};

/// Copies of a value near everybody who reads it; it is read as the value itself. Which copy that is, is settled anew at
/// each access: within a loop, borrow once.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let table = ex.replicate(vec![2.0, 3.0]);
/// let scaled = ex.submit_after(&table, |table| table.iter().map(|x| x * 2.0).sum::<f64>());
/// assert_eq!(scaled.result()?, 10.0);
/// assert_eq!(table.value()?.copies().count(), ex.has_what().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replicas<T> {
    registry: Arc<Registry>,
    per: Per,
    copies: Vec<Arc<Replica<T>>>,
}

/// Whom there is a copy for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    Domain,
    Worker,
}

struct Replica<T> {
    value: T,
    /// For the ledger.
    _entry: Entry,
}

impl<T> Replicas<T> {
    /// All copies, in the order of the domains or workers.
    pub fn copies(&self) -> impl ExactSizeIterator<Item = &T> {
        self.copies.iter().map(|copy| &copy.value)
    }

    /// The number of the copy near the calling thread.
    fn near(&self) -> usize {
        local(|local| {
            let own = || local.worker_index().filter(|_| local.serves(&self.registry));
            match self.per {
                Per::Domain => self.registry.domain_here(local),
                Per::Worker => {
                    own().unwrap_or_else(|| self.registry.workers_of(self.registry.domain_here(local)).start)
                }
            }
        })
    }
}

impl<T> Deref for Replicas<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.copies[self.near()].value
    }
}

impl<T: fmt::Debug> fmt::Debug for Replicas<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas")
            .field("per", &self.per)
            .field("copies", &self.copies.len())
            .field("value", &**self)
            .finish()
    }
}

struct Everywhere;

impl<T> Lies<Replicas<T>> for Everywhere {
    fn whereabouts(_: &Replicas<T>) -> Whereabouts {
        Whereabouts::everywhere(size_of::<T>())
    }
}

/// Copies `value`, each time on a core of the domain that the copy is for.
pub(crate) fn replicate<T: Clone + Send + Sync + 'static>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    value: T,
    per: Per,
) -> TaskFuture<Replicas<T>> {
    let domains: Vec<_> = match per {
        Per::Domain => (0..registry.domain_count()).collect(),
        Per::Worker => (0..registry.settings.workers).map(|worker| registry.domain_of_worker(worker)).collect(),
    };
    let entry = |registry: &Registry, domain| Entry::new(&registry.ledger, domain, size_of::<T>());
    if let [domain] = domains[..] {
        let copies = vec![Arc::new(Replica { value, _entry: entry(registry, domain) })];
        return ready(registry, location, Replicas { registry: registry.clone(), per, copies }, size_of::<T>());
    }
    let value = Arc::new(value);
    let copy = |domain| {
        let (value, registry_there) = (value.clone(), registry.clone());
        let copy = move || {
            let _there = there(&registry_there, domain);
            Arc::new(Replica { value: T::clone(&value), _entry: entry(&registry_there, domain) })
        };
        TaskFuture::new(registry.submit_on(domain, location, Plain(copy)))
    };
    let copies: Vec<TaskFuture<_>> = domains.into_iter().map(copy).collect();
    drop(value);
    let all = registry.clone();
    let join = move |copies: &<Vec<TaskFuture<Arc<Replica<T>>>> as Inputs>::Owned| {
        let copies = Vec::<TaskFuture<Arc<Replica<T>>>>::refs(copies).into_iter().cloned().collect();
        Ok(Replicas { registry: all, per, copies })
    };
    let joined = futures(registry.submit_all_after::<Everywhere, _, _, _>(location, [(copies.own(), join)]));
    joined.into_iter().next().unwrap_or_else(|| unreachable!("of one input there is one task"))
}

/// Copies `values` onto each domain.
pub(crate) fn replicate_slice<T: Copy + Send + Sync + 'static>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    values: &[T],
) -> Result<TaskFuture<Replicas<Chunk<T>>>, Error> {
    admit(registry)?;
    let stores: Vec<_> = (0..registry.domain_count())
        .map(|domain| Store { domain, parts: domain..domain + 1, len: values.len() })
        .collect();
    let filled = fill(registry, location, blanks(registry, &stores)?, |_, at, sink| sink.copy(&values[at..]));
    let copy = |(domain, placed)| {
        let part = Part { domain, first: 0, step: 1, len: values.len() };
        let value = Chunk::whole(&registry.ledger, Memory::Placed(placed), part);
        Arc::new(Replica { value, _entry: Entry::new(&registry.ledger, domain, 0) })
    };
    let copies = filled.into_iter().enumerate().map(copy).collect();
    Ok(ready(
        registry,
        location,
        Replicas { registry: registry.clone(), per: Per::Domain, copies },
        size_of_val(values),
    ))
}

fn ready<T: Send + Sync + 'static>(
    registry: &Registry,
    location: &'static Location<'static>,
    replicas: Replicas<T>,
    bytes: usize,
) -> TaskFuture<Replicas<T>> {
    TaskFuture::new(task::with_value(registry.birth(location), replicas, Whereabouts::everywhere(bytes)))
}

/// The calling thread on a core of another domain than its own, until this is dropped. None where the thread is there
/// already, and where threads are not pinned.
fn there(registry: &Registry, domain: usize) -> Option<Pinned> {
    let pu = registry.settings.seating.cpus[registry.workers_of(domain).start]?;
    let is_there = local(|local| registry.domain_here(local)) == domain;
    if is_there { None } else { Pinned::to(pu).ok() }
}

//! Actors are made, and told of.

use std::panic::Location;

use super::actor_ref::ActorRef;
use super::core;
use super::house::{self, ActorInfo, Door};
use super::options::ActorOptions;
use crate::error::{Error, ErrorKind};
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;
use crate::task::Place;

/// Makes an actor.
pub(crate) fn spawn<A: Send + 'static>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    options: ActorOptions<A>,
    constructor: impl FnOnce() -> A + Send + 'static,
) -> Result<ActorRef<A>, Error> {
    let (domains, workers) = (registry.domain_count(), registry.settings.workers);
    match options.place {
        Place::Domain(domain) if domain >= domains => {
            return Err(Error::new(ErrorKind::NoDomain { domain, domains }));
        }
        Place::Worker(worker) if worker >= workers => {
            return Err(Error::new(ErrorKind::NoWorker { worker, workers }));
        }
        _ => {}
    }
    if options.bound == Some(0) {
        return Err(Error::new(ErrorKind::Setting("a mailbox needs room for one message at least".to_owned())));
    }
    let house = registry.extensions.get::<Door>().0.clone();
    let core = core::make(registry, house, location, options, constructor);
    // SAFETY: it was made so, with one reference.
    Ok(unsafe { ActorRef::from_counted(core) })
}

/// Ends the actors that were there before the executor was restarted.
pub(crate) fn restarted(registry: &Registry) {
    house::end_old(registry);
}

/// The actors of an executor.
pub(crate) fn actors(registry: &Registry) -> Vec<ActorInfo> {
    registry.extensions.get::<Door>().0.actors()
}

//! The executor's methods for actors.

use std::panic::Location;

use super::Executor;
use crate::actor::{self, ActorInfo, ActorOptions, ActorRef};
use crate::error::Error;

impl Executor {
    /// Makes an actor, whose state `constructor` makes on a worker. Messages can be sent at once. If the constructor
    /// panics, that is the error of all that is asked, and of [`ended`](ActorRef::ended).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let counter = ex.actor(|| 0_u64);
    /// counter.tell(|n| *n += 1)?;
    /// assert_eq!(counter.ask(|n| *n).result()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn actor<A: Send + 'static>(&self, constructor: impl FnOnce() -> A + Send + 'static) -> ActorRef<A> {
        let made = actor::spawn(&self.registry, Location::caller(), ActorOptions::new(), constructor);
        made.unwrap_or_else(|_| unreachable!("nothing was asked for that could not be met"))
    }

    /// As [`actor`](Self::actor), of one that is not as usual.
    ///
    /// # Errors
    /// [`Error::is_impossible_place`] for a place that the executor does not have; [`Error::is_setting`] for a mailbox
    /// without room.
    ///
    /// ```
    /// use heist::{ActorOptions, Place};
    /// let ex = heist::Executor::new()?;
    /// let log = ex.actor_with(ActorOptions::new().name("log").mailbox(1000), Vec::<String>::new)?;
    /// log.tell(|lines| lines.push("begun".to_owned()))?;
    /// let nowhere = ActorOptions::new().place(Place::Worker(4000));
    /// assert!(ex.actor_with(nowhere, || ()).unwrap_err().is_impossible_place());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn actor_with<A: Send + 'static>(
        &self,
        options: ActorOptions<A>,
        constructor: impl FnOnce() -> A + Send + 'static,
    ) -> Result<ActorRef<A>, Error> {
        actor::spawn(&self.registry, Location::caller(), options, constructor)
    }

    /// The actors that have not ended, in no order. O(actors).
    ///
    /// ```
    /// use heist::ActorOptions;
    /// let ex = heist::Executor::new()?;
    /// let actor = ex.actor_with(ActorOptions::new().name("ledger"), || ())?;
    /// actor.ask(|()| ()).wait()?;
    /// assert!(ex.actors().iter().any(|info| info.name == "ledger" && info.id == actor.id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn actors(&self) -> Vec<ActorInfo> {
        actor::actors(&self.registry)
    }
}

//! An actor as an input of a task: it is kept until the task has run, which is queued near it.

use super::actor_ref::ActorRef;
use crate::error::TaskError;
use crate::future::Inputs;
use crate::task::{self, Input, Whereabouts};

/// How much of a task's inputs an actor counts for, in bytes.
const WEIGHT: usize = 4096;

/// The task gets the reference, and is queued on the actor's domain if no other input weighs more.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let total = ex.actor(|| 0_u64);
/// let parts = ex.map(1..=10_u64, |i| i * i);
/// let done = ex.map_after(parts.iter().map(|part| (part, &total)), |(part, total)| {
///     let part = *part;
///     total.tell(move |total| *total += part)
/// });
/// ex.gather_results(done);
/// assert_eq!(total.ask(|total| *total).result()?, 385);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<A: Send + 'static> Inputs for ActorRef<A> {
    type Owned = Input<ActorRef<A>>;
    type Refs<'a> = &'a ActorRef<A>;
    type Results<'a> = Result<&'a ActorRef<A>, TaskError>;

    fn own(self) -> Self::Owned {
        let registry = self.core().registry.clone();
        let at = self.core().home().map_or(Whereabouts::NOWHERE, |home| Whereabouts::on(home, WEIGHT));
        let birth = registry.birth(self.core().head.location);
        Input::new(task::with_value(birth, self, at))
    }
    fn refs(owned: &Self::Owned) -> &ActorRef<A> {
        Self::results(owned).unwrap_or_else(|_| unreachable!("it is there from the start"))
    }
    fn results(owned: &Self::Owned) -> Result<&ActorRef<A>, TaskError> {
        owned.peek().unwrap_or_else(|| unreachable!("it is there from the start"))
    }
}

impl<A: Send + 'static> Inputs for &ActorRef<A> {
    type Owned = Input<ActorRef<A>>;
    type Refs<'a> = &'a ActorRef<A>;
    type Results<'a> = Result<&'a ActorRef<A>, TaskError>;

    fn own(self) -> Self::Owned {
        self.clone().own()
    }
    fn refs(owned: &Self::Owned) -> &ActorRef<A> {
        ActorRef::refs(owned)
    }
    fn results(owned: &Self::Owned) -> Result<&ActorRef<A>, TaskError> {
        ActorRef::results(owned)
    }
}

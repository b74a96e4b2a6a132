//! Coordination over the ranks of a world, by name.
//!
//! One rank keeps each name: which, the hash of the name says. There a name leads to a primitive of that process (`thing`),
//! a queue of packed values, a semaphore; so lines, fairness and all that may happen to who waits are as with those
//! (`crate::sync`). The owner (`owner`) has one async wait in line for each wish of a rank that cannot be met at once; it is
//! polled where messages are seen to, and its end is the answer. The other side (`client`) has handles, which the owner
//! counts, and wishes.
//!
//! A wish that is dropped is withdrawn. What the owner has sent by then is given back when it comes: permits are released,
//! items go back to the front. Where somebody waits for a time only, the owner's word is waited for, so that a value is
//! never put and given back as well. The handle stays until then: nothing comes to a later one of the same name.
//!
//! When a rank is lost, what it held is given back, and all wishes in line end with an error: who waits cannot know whether it
//! was that rank that would have met his. Tokens are drawn by the owner for all its names, so those of a name rise also when
//! it has been let go of between.

mod client;
mod datasets;
mod meet;
mod owner;
mod permits;
mod queue;
mod thing;
mod variable;
mod wire;

pub use self::meet::{WorldBarrier, WorldEvent};
pub(super) use self::owner::{handle, lost};
pub use self::permits::{WorldLock, WorldLockGuard, WorldPermit, WorldSemaphore};
pub use self::queue::{WorldQueue, WorldQueueIter};
pub use self::variable::WorldVariable;

//! Data on the domains of an executor: chunks of slices, copies of values, and where they are.
//!
//! `partition` says which values make up a chunk and which domain it goes to; `raw` is the memory it lies in, written by
//! a `crew` of workers before anybody reads it; a `chunk` is what tasks see of it. The futures of chunks carry their
//! whereabouts, which the scheduler queues tasks by; a ledger (`counters`) sums up what each domain holds.

mod chunk;
#[allow(unsafe_code, reason = "a job that lives on its caller's stack is lent to workers")]
mod crew;
mod file;
mod halo;
mod partition;
#[allow(unsafe_code, reason = "placed memory is seen as slices of values once these are written")]
mod raw;
mod replicas;
mod scatter;
mod scattered;
mod whereis;

pub use chunk::Chunk;
#[cfg(feature = "ranks")]
pub(crate) use crew::copy_bytes;
pub(crate) use file::scatter_file;
pub use halo::{Halo, Halos};
pub use partition::Partition;
pub use replicas::Replicas;
pub(crate) use replicas::{Per, replicate, replicate_slice};
pub use scatter::IntoChunks;
pub(crate) use scatter::scatter_slice;
pub use scattered::Scattered;
pub use whereis::{DomainData, Held, Rebalanced};
pub(crate) use whereis::{has_what, rebalance, who_has};

//! Collective calls: what all ranks do together, on slices of plain values.
//!
//! Every rank numbers its calls, and messages of a call carry its number; so what comes early is kept, and nothing is taken
//! for something else. In each call the ranks tell each other what they have called (`call`), while the data is on its
//! way (`moves`): a call returns when its rank has heard of all, so either all return what they wanted or all an error. The
//! rank that waits does the work, on its own thread or in the poll of its future: nothing is computed where messages are
//! seen to (`exchange`).

mod bridge;
mod call;
mod exchange;
mod moves;
mod reduction;

use std::pin::pin;

use heist_numa::Pod;

pub(super) use self::bridge::link;
use self::call::{Call, Shape, Word, together};
use self::exchange::Data;
pub(super) use self::exchange::{close, handle};
pub use self::reduction::{Max, Min, Number, Prod, Reduction, Sum};
use super::wait::block_on;
use super::world::{Rank, Shared, World};
use crate::error::TaskError;
use crate::primitive::sync::Arc;

/// What all ranks of a world do together, on slices of plain values; from [`World::collective`].
///
/// Every rank makes the same calls in the same order, from any one thread, and each call is one call of all: it returns
/// when all ranks have made it. Ranks that call something else, or with another root, type, or length where lengths have to
/// be the same, all get an error ([`TaskError::is_mismatch`]); so they do when one of them gives up, because its task was
/// cancelled or the future of its call dropped. A rank that is lost ends the wait of all others.
///
/// A task that waits lends its core. The `_async` forms have begun when they return their future, and go on where it is
/// polled; calls that are under way at the same time are told apart by the order in which they began.
///
/// ```
/// use heist::{Executor, Rank, Sum};
/// let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1))?;
/// let tasks: Vec<_> = ranks
///     .iter()
///     .map(|ex| {
///         let all = ex.world().collective();
///         ex.submit_result(move || {
///             let mut sums = [1.0, f64::from(all.rank().0)];
///             all.all_reduce(&mut sums, Sum)?;
///             let mut from_last = [all.rank().0];
///             all.broadcast(Rank(2), &mut from_last)?;
///             Ok::<_, heist::TaskError>((sums, from_last))
///         })
///     })
///     .collect();
/// for task in tasks {
///     assert_eq!(task.result()?, ([3.0, 3.0], [2]));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Collective(Arc<Shared>);

impl World {
    /// What all ranks do together.
    #[must_use]
    pub fn collective(&self) -> Collective {
        Collective(self.shared().clone())
    }
}

/// Waits for a call to end.
fn wait<R>(call: impl Future<Output = Result<R, TaskError>>) -> Result<R, TaskError> {
    block_on(pin!(call), None)?
}

fn joined<T: Pod>(parts: &[Data]) -> Result<Vec<T>, TaskError> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() / size_of::<T>().max(1));
    for (rank, part) in parts.iter().enumerate() {
        all.extend_from_slice(&moves::values::<T>(part, rank)?);
    }
    Ok(all)
}

fn apart<T: Pod>(parts: &[Data]) -> Result<Vec<Vec<T>>, TaskError> {
    parts.iter().enumerate().map(|(rank, part)| moves::values(part, rank)).collect()
}

impl Collective {
    /// This rank.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.0.rank()
    }

    /// Number of ranks.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// What this rank tells the others of its call; `refused` if it cannot be.
    fn word(&self, shape: Shape, refused: Option<String>) -> Word {
        let Rank(own) = self.rank();
        match (shape.root, refused) {
            (Some(root), _) if root.index() >= self.size() => {
                Word::Differ(format!("{root} was to be the root of a collective call of {} ranks", self.size()))
            }
            (_, Some(why)) => Word::Differ(format!("rank {own} has called {shape} {why}")),
            (_, None) => Word::Same(shape, false),
        }
    }

    /// Waits until all ranks have come.
    ///
    /// # Errors
    /// Of every collective call: [`TaskError::is_mismatch`] if the ranks have not called the same, or one has given up;
    /// [`TaskError::is_rank_lost`], [`TaskError::is_world_ended`]. Within a task also [`TaskError::is_cancelled`] if the
    /// task, or its executor, was cancelled meanwhile, and [`TaskError::is_stalled`] if the executor may make no further
    /// thread.
    pub fn barrier(&self) -> Result<(), TaskError> {
        wait(self.barrier_async())
    }

    /// As [`barrier`](Self::barrier), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn barrier_async(&self) -> impl Future<Output = Result<(), TaskError>> + Send + use<> {
        let (call, word) = (Call::begin(&self.0), self.word(Shape::new("barrier"), None));
        async move {
            let result = call.agree(word).await;
            call.end(result)
        }
    }

    /// Gives all ranks what `slice` is on the root.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn broadcast<T: Pod>(&self, root: Rank, slice: &mut [T]) -> Result<(), TaskError> {
        wait(self.broadcast_async(root, slice))
    }

    /// As [`broadcast`](Self::broadcast), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn broadcast_async<'a, T: Pod>(
        &self,
        root: Rank,
        slice: &'a mut [T],
    ) -> impl Future<Output = Result<(), TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("broadcast").of::<T>(Some(slice.len())).root(root), None);
        async move {
            let work = moves::broadcast(&call, root.index(), slice);
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Gives every rank its part of `all` on the root: as many values as `part` has, in the order of the ranks. What `all`
    /// is elsewhere does not matter.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); a mismatch also if `all` has not one part for each rank.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let tasks = ranks.iter().map(|ex| {
    ///     let all = ex.world().collective();
    ///     ex.submit_result(move || {
    ///         let mut part = [0; 2];
    ///         all.scatter(Rank(0), if all.rank() == Rank(0) { &[1, 2, 3, 4] } else { &[] }, &mut part)?;
    ///         all.gather(Rank(1), &part.map(|n| 10 * n))
    ///     })
    /// });
    /// let tasks: Vec<_> = tasks.collect();
    /// assert_eq!(tasks[0].result()?, []);
    /// assert_eq!(tasks[1].result()?, [10, 20, 30, 40]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scatter<T: Pod>(&self, root: Rank, all: &[T], part: &mut [T]) -> Result<(), TaskError> {
        wait(self.scatter_async(root, all, part))
    }

    /// As [`scatter`](Self::scatter), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn scatter_async<'a, T: Pod>(
        &self,
        root: Rank,
        all: &'a [T],
        part: &'a mut [T],
    ) -> impl Future<Output = Result<(), TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let is_whole = self.rank() != root || all.len() == part.len() * self.size();
        let refused = (!is_whole).then(|| format!("with {} values in all", all.len()));
        let word = self.word(Shape::new("scatter").of::<T>(Some(part.len())).root(root), refused);
        async move {
            let length = part.len();
            let parts: Vec<_> = (0..call.size()).map(|rank| all.get(rank * length..(rank + 1) * length)).collect();
            let parts: Vec<&[T]> = parts.into_iter().map(Option::unwrap_or_default).collect();
            let work = async {
                let came = moves::scatter(&call, root.index(), &parts, length).await?;
                moves::fill(part, &came, root.index())
            };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Gives every rank its own of `parts` on the root, of any lengths. What `parts` is elsewhere does not matter.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); a mismatch also if there is not one part for each rank.
    pub fn scatter_parts<T: Pod>(&self, root: Rank, parts: &[&[T]]) -> Result<Vec<T>, TaskError> {
        wait(self.scatter_parts_async(root, parts))
    }

    /// As [`scatter_parts`](Self::scatter_parts), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn scatter_parts_async<'a, T: Pod>(
        &self,
        root: Rank,
        parts: &'a [&'a [T]],
    ) -> impl Future<Output = Result<Vec<T>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let refused = (self.rank() == root).then(|| self.one_for_each(parts)).flatten();
        let word = self.word(Shape::new("scatter_parts").of::<T>(None).root(root), refused);
        async move {
            let work = async {
                let came = moves::scatter_parts(&call, root.index(), parts).await?;
                moves::values(&came, root.index())
            };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    fn one_for_each<T>(&self, parts: &[&[T]]) -> Option<String> {
        (parts.len() != self.size()).then(|| format!("with {} parts for {} ranks", parts.len(), self.size()))
    }

    /// Gives the root the parts of all ranks, in their order, and the others nothing. All parts are of one length.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn gather<T: Pod>(&self, root: Rank, part: &[T]) -> Result<Vec<T>, TaskError> {
        wait(self.gather_async(root, part))
    }

    /// As [`gather`](Self::gather), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn gather_async<'a, T: Pod>(
        &self,
        root: Rank,
        part: &'a [T],
    ) -> impl Future<Output = Result<Vec<T>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("gather").of::<T>(Some(part.len())).root(root), None);
        async move {
            let work = async {
                let parts = moves::gather(&call, root.index(), part).await?;
                joined(&parts.unwrap_or_default())
            };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Gives the root the part of each rank, of any lengths, and the others nothing.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn gather_parts<T: Pod>(&self, root: Rank, part: &[T]) -> Result<Vec<Vec<T>>, TaskError> {
        wait(self.gather_parts_async(root, part))
    }

    /// As [`gather_parts`](Self::gather_parts), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn gather_parts_async<'a, T: Pod>(
        &self,
        root: Rank,
        part: &'a [T],
    ) -> impl Future<Output = Result<Vec<Vec<T>>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("gather_parts").of::<T>(None).root(root), None);
        async move {
            let work = async {
                let parts = moves::gather_parts(&call, root.index(), part).await?;
                apart(&parts.unwrap_or_default())
            };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Gives all ranks the parts of all, in their order. All parts are of one length.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn all_gather<T: Pod>(&self, part: &[T]) -> Result<Vec<T>, TaskError> {
        wait(self.all_gather_async(part))
    }

    /// As [`all_gather`](Self::all_gather), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn all_gather_async<'a, T: Pod>(
        &self,
        part: &'a [T],
    ) -> impl Future<Output = Result<Vec<T>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("all_gather").of::<T>(Some(part.len())), None);
        async move {
            let work = async { joined(&moves::all_gather(&call, part).await?) };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Gives all ranks the part of each, of any lengths.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn all_gather_parts<T: Pod>(&self, part: &[T]) -> Result<Vec<Vec<T>>, TaskError> {
        wait(self.all_gather_parts_async(part))
    }

    /// As [`all_gather_parts`](Self::all_gather_parts), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn all_gather_parts_async<'a, T: Pod>(
        &self,
        part: &'a [T],
    ) -> impl Future<Output = Result<Vec<Vec<T>>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("all_gather_parts").of::<T>(None), None);
        async move {
            let work = async { apart(&moves::all_gather_parts(&call, part).await?) };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Combines the slices of all ranks, value by value and in the order of the ranks, into that of the root. The others
    /// keep theirs. `by` is [`Sum`], [`Prod`], [`Min`], [`Max`] or a closure, the same one on all ranks, which combines two
    /// values as one, and for which it does not matter in which pairs a row of values is combined.
    ///
    /// The result does not depend on which rank is the root; that of floats may depend on the number of ranks and values.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let all = Executor::new()?.world().collective();
    /// let mut values = [1, 2, 3];
    /// all.reduce(Rank(0), &mut values, |a: u32, b: u32| a ^ b)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<T: Pod>(&self, root: Rank, slice: &mut [T], by: impl Reduction<T>) -> Result<(), TaskError> {
        wait(self.reduce_async(root, slice, by))
    }

    /// As [`reduce`](Self::reduce), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn reduce_async<'a, T: Pod, R: Reduction<T>>(
        &self,
        root: Rank,
        slice: &'a mut [T],
        by: R,
    ) -> impl Future<Output = Result<(), TaskError>> + use<'a, T, R> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("reduce").of::<T>(Some(slice.len())).by::<R>().root(root), None);
        async move {
            let work = moves::reduce(&call, root.index(), slice, &by);
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// As [`reduce`](Self::reduce), into the slices of all ranks: the same result on all, to the last bit.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn all_reduce<T: Pod>(&self, slice: &mut [T], by: impl Reduction<T>) -> Result<(), TaskError> {
        wait(self.all_reduce_async(slice, by))
    }

    /// As [`all_reduce`](Self::all_reduce), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn all_reduce_async<'a, T: Pod, R: Reduction<T>>(
        &self,
        slice: &'a mut [T],
        by: R,
    ) -> impl Future<Output = Result<(), TaskError>> + use<'a, T, R> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("all_reduce").of::<T>(Some(slice.len())).by::<R>(), None);
        async move {
            let work = moves::all_reduce(&call, slice, &by);
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Every rank has a part for every rank, all of one length: gives those that are for this one, in the order of the ranks
    /// that had them.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); a mismatch also if `parts` cannot be divided among the ranks.
    pub fn all_to_all<T: Pod>(&self, parts: &[T]) -> Result<Vec<T>, TaskError> {
        wait(self.all_to_all_async(parts))
    }

    /// As [`all_to_all`](Self::all_to_all), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn all_to_all_async<'a, T: Pod>(
        &self,
        parts: &'a [T],
    ) -> impl Future<Output = Result<Vec<T>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let refused = (!parts.len().is_multiple_of(self.size())).then(|| format!("for {} ranks", self.size()));
        let word = self.word(Shape::new("all_to_all").of::<T>(Some(parts.len())), refused);
        async move {
            let length = (parts.len() / call.size()).max(1);
            let parts: Vec<&[T]> = parts.chunks(length).collect();
            let work = async { joined(&moves::all_to_all(&call, &parts).await?) };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }

    /// Every rank has a part for every rank, of any lengths: gives those that are for this one, in the order of the ranks
    /// that had them.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); a mismatch also if there is not one part for each rank.
    ///
    /// ```
    /// use heist::Executor;
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let tasks = ranks.iter().map(|ex| {
    ///     let all = ex.world().collective();
    ///     ex.submit_result(move || match all.rank().0 {
    ///         0 => all.all_to_all_parts(&[&[1], &[2, 3]]),
    ///         _ => all.all_to_all_parts(&[&[], &[4]]),
    ///     })
    /// });
    /// let tasks: Vec<_> = tasks.collect();
    /// assert_eq!(tasks[0].result()?, [vec![1], vec![]]);
    /// assert_eq!(tasks[1].result()?, [vec![2, 3], vec![4]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn all_to_all_parts<T: Pod>(&self, parts: &[&[T]]) -> Result<Vec<Vec<T>>, TaskError> {
        wait(self.all_to_all_parts_async(parts))
    }

    /// As [`all_to_all_parts`](Self::all_to_all_parts), awaited.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier), but for those of tasks.
    pub fn all_to_all_parts_async<'a, T: Pod>(
        &self,
        parts: &'a [&'a [T]],
    ) -> impl Future<Output = Result<Vec<Vec<T>>, TaskError>> + use<'a, T> {
        let call = Call::begin(&self.0);
        let word = self.word(Shape::new("all_to_all_parts").of::<T>(None), self.one_for_each(parts));
        async move {
            let work = async { apart(&moves::all_to_all_parts(&call, parts).await?) };
            let result = together(call.agree(word), work).await;
            call.end(result)
        }
    }
}

impl std::fmt::Debug for Collective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collective").field("rank", &self.rank().0).field("size", &self.size()).finish()
    }
}

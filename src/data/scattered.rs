//! Scattered data: futures of chunks, and the work that is done on them where they lie.

use std::panic::Location;

use heist_numa::Pod;

use super::chunk::{Chunk, InChunk, Memory};
use super::halo::Halos;
use super::partition::Part;
use super::raw::{Blank, Sink, collect};
use super::scatter::refill;
use crate::error::{Error, ErrorKind, TaskError, TaskErrorKind};
use crate::future::{Inputs, TaskFuture};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::{Registry, local};
use crate::task::{self, Anywhere, Whereabouts};

type ChunkInput<T> = <TaskFuture<Chunk<T>> as Inputs>::Owned;

/// The values of a chunk that a task has as input.
fn lent<T: Send + Sync + 'static>(chunk: &ChunkInput<T>) -> &[T] {
    TaskFuture::<Chunk<T>>::refs(chunk)
}

/// Data in chunks on the domains of an executor, with the futures of those chunks.
///
/// A task on a chunk is queued on the chunk's domain; when that has more than its share of work, others take some of it.
/// The memory of a chunk goes with the last of its futures, and of the tasks that wait to read it.
///
/// ```
/// use heist::{Executor, Partition};
/// let ex = Executor::new()?;
/// let values: Vec<f64> = (0..1000).map(f64::from).collect();
/// let parts = ex.scatter_slice(&values, Partition::per_worker())?;
/// let roots = parts.map_chunks(|chunk| chunk.iter().map(|x| x.sqrt()).collect());
/// let sum = parts.zip(&roots, |x, root| x.iter().zip(root).map(|(x, root)| x - root * root).sum::<f64>())?;
/// assert!(ex.gather(sum)?.iter().sum::<f64>().abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the chunks go with their futures"]
pub struct Scattered<T> {
    pub(super) registry: Arc<Registry>,
    pub(super) chunks: Vec<TaskFuture<Chunk<T>>>,
    /// As laid out: chunks may have been moved since.
    pub(super) parts: Arc<[Part]>,
    pub(super) warnings: Arc<[String]>,
}

impl<T> Clone for Scattered<T> {
    /// Further handles on the same futures.
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            chunks: self.chunks.clone(),
            parts: self.parts.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

impl<T> Scattered<T> {
    /// The number of values in all chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len).sum()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of chunks. Some may be empty, when there are more than values.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.chunks.len()
    }

    /// The futures of the chunks, as inputs of any task.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[3, 1, 2], Partition::blocks(3))?;
    /// let firsts = ex.map_after(&parts, |chunk| chunk[0]);
    /// assert_eq!(ex.gather(firsts)?, [3, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> std::slice::Iter<'_, TaskFuture<Chunk<T>>> {
        self.chunks.iter()
    }

    /// What was not done as asked for, such as memory that the kernel would not place.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl<'a, T> IntoIterator for &'a Scattered<T> {
    type Item = &'a TaskFuture<Chunk<T>>;
    type IntoIter = std::slice::Iter<'a, TaskFuture<Chunk<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Send + Sync + 'static> Scattered<T> {
    pub(super) fn of_chunks(
        registry: &Arc<Registry>,
        location: &'static Location<'static>,
        parts: Vec<Part>,
        chunks: Vec<Chunk<T>>,
        warnings: Vec<String>,
    ) -> Self {
        let future = |chunk: Chunk<T>| {
            let at = chunk.whereabouts();
            TaskFuture::new(task::with_value(registry.birth(location), chunk, at))
        };
        let chunks = chunks.into_iter().map(future).collect();
        Self { registry: registry.clone(), chunks, parts: parts.into(), warnings: warnings.into() }
    }

    /// Runs `task` on every chunk, on its domain. The futures come in the order of the chunks.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[1, 2, 3, 4], Partition::blocks(2))?;
    /// let sums = parts.map(|chunk| chunk.iter().sum::<i32>());
    /// assert_eq!(ex.gather(sums)?, [3, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<U, F>(&self, task: F) -> Vec<TaskFuture<U>>
    where
        F: Fn(&[T]) -> U + Send + Sync + 'static,
        U: Send + 'static,
    {
        let location = Location::caller();
        let task = Arc::new(task);
        let inputs = self.chunks.iter().map(|chunk| {
            let task = task.clone();
            (chunk.own(), move |chunk: &ChunkInput<T>| Ok(task(lent(chunk))))
        });
        futures(self.registry.submit_all_after::<Anywhere, _, _, _>(location, inputs))
    }

    /// Makes scattered data of the same shape: of the values of every chunk as many others, on the domain that the
    /// chunk's task ran on. A task that gives more or fewer values fails ([`TaskError::is_failed`]).
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[1, 2, 3], Partition::cyclic(2))?;
    /// let squares = parts.map_chunks(|chunk| chunk.iter().map(|x| x * x).collect());
    /// assert_eq!(squares.gather()?, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_chunks<U, F>(&self, task: F) -> Scattered<U>
    where
        F: Fn(&[T]) -> Vec<U> + Send + Sync + 'static,
        U: Send + Sync + 'static,
    {
        self.make_chunks(Location::caller(), move |chunk, part, _| {
            let values = task(chunk);
            if values.len() == part.len {
                return Ok(Memory::Given(values));
            }
            let text = format!("a chunk of {} values was made of one of {}", values.len(), part.len);
            Err(TaskErrorKind::Failed(text.into()))
        })
    }

    /// As [`map_chunks`](Self::map_chunks), for plain values: `task` gets the place of the results, in memory of the domain
    /// it runs on, where all are zero.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[1.0, 2.0, 3.0], Partition::per_worker())?;
    /// let roots = parts.map_into(|chunk, roots: &mut [f64]| {
    ///     roots.iter_mut().zip(chunk).for_each(|(root, x)| *root = f64::sqrt(*x));
    /// });
    /// assert_eq!(roots.gather()?[0], 1.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_into<U, F>(&self, task: F) -> Scattered<U>
    where
        F: Fn(&[T], &mut [U]) + Send + Sync + 'static,
        U: Pod + Send + Sync,
    {
        self.make_chunks(Location::caller(), move |chunk, part, domain| {
            let mut room = Blank::map(part.len, domain).map_err(|error| TaskErrorKind::Failed(error.into()))?;
            task(chunk, room.values());
            Ok(Memory::Placed(room.into_values()))
        })
    }

    /// Has `make` give the values for each chunk; it is told the kernel's number of the domain it runs on.
    fn make_chunks<U, F>(&self, location: &'static Location<'static>, make: F) -> Scattered<U>
    where
        F: Fn(&[T], &Part, Option<u32>) -> Result<Memory<U>, TaskErrorKind> + Send + Sync + 'static,
        U: Send + Sync + 'static,
    {
        let make = Arc::new(make);
        let inputs = self.chunks.iter().zip(&*self.parts).map(|(chunk, &part)| {
            let (make, ledger) = (make.clone(), self.registry.ledger.clone());
            let call = move |chunk: &ChunkInput<T>| {
                let here = local(|local| {
                    let registry = local.registry().filter(|registry| Arc::ptr_eq(&registry.ledger, &ledger))?;
                    let domain = registry.domain_here(local);
                    Some((domain, registry.settings.seating.memory[domain]))
                });
                let (domain, id) = here.unwrap_or((part.domain, None));
                Ok(Chunk::whole(&ledger, make(lent(chunk), &part, id)?, Part { domain, ..part }))
            };
            (chunk.own(), call)
        });
        Scattered {
            registry: self.registry.clone(),
            chunks: futures(self.registry.submit_all_after::<InChunk, _, _, _>(location, inputs)),
            parts: self.parts.clone(),
            warnings: Arc::new([]),
        }
    }

    /// Runs `task` on every chunk of these data and the one of `other` with the same values of the whole.
    ///
    /// # Errors
    /// [`Error::is_shape`] when the chunks are others.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let a = ex.scatter_slice(&[1, 2, 3, 4], Partition::blocks(2))?;
    /// let b = ex.scatter_slice(&[10, 20, 30, 40], Partition::blocks(2))?;
    /// let dot = a.zip(&b, |a, b| a.iter().zip(b).map(|(a, b)| a * b).sum::<i32>())?;
    /// assert_eq!(ex.gather(dot)?, [50, 250]);
    /// let c = ex.scatter_slice(&[1, 2, 3], Partition::blocks(2))?;
    /// assert!(a.zip(&c, |_, _| ()).unwrap_err().is_shape());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn zip<U, V, F>(&self, other: &Scattered<U>, task: F) -> Result<Vec<TaskFuture<V>>, Error>
    where
        U: Send + Sync + 'static,
        F: Fn(&[T], &[U]) -> V + Send + Sync + 'static,
        V: Send + 'static,
    {
        let location = Location::caller();
        let place = |part: &Part| (part.first, part.step, part.len);
        if !self.parts.iter().map(place).eq(other.parts.iter().map(place)) {
            let shape = |parts: &[Part], len: usize| format!("{len} values in {} chunks", parts.len());
            let (these, those) = (shape(&self.parts, self.len()), shape(&other.parts, other.len()));
            let text = format!("{these} cannot be zipped with {those}; scatter both by the same partition");
            return Err(Error::new(ErrorKind::Shape(text)));
        }
        let task = Arc::new(task);
        let inputs = self.chunks.iter().zip(&other.chunks).map(|pair| {
            let task = task.clone();
            let call = move |pair: &(ChunkInput<T>, ChunkInput<U>)| Ok(task(lent(&pair.0), lent(&pair.1)));
            (pair.own(), call)
        });
        Ok(futures(self.registry.submit_all_after::<Anywhere, _, _, _>(location, inputs)))
    }

    /// Makes one value of each chunk and joins these, neighbours first: within each domain, then across. The order of the
    /// values is kept, so that `join` need only be associative; a cyclic partition has an order of its own.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[3, 9, 4, 7, 5], Partition::blocks(3))?;
    /// let most = parts.reduce(|chunk| chunk.iter().copied().max(), |a, b| a.max(b));
    /// assert_eq!(most.result()?, Some(9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reduce<U, F, J>(&self, task: F, join: J) -> TaskFuture<U>
    where
        F: Fn(&[T]) -> U + Send + Sync + 'static,
        J: Fn(U, U) -> U + Send + Sync + 'static,
        U: Send + 'static,
    {
        let location = Location::caller();
        let tree = Tree { registry: &self.registry, location, join: Arc::new(join) };
        let leaves = self.map(move |chunk| Once::new(task(chunk)));
        let mut leaves = leaves.into_iter().zip(&*self.parts).peekable();
        let mut of_domains = Vec::new();
        while let Some((leaf, part)) = leaves.next() {
            let mut run = vec![leaf];
            while let Some((leaf, _)) = leaves.next_if(|(_, next)| next.domain == part.domain) {
                run.push(leaf);
            }
            of_domains.push(tree.join_all(run));
        }
        tree.finish(tree.join_all(of_domains))
    }

    /// Lends each chunk together with the last and the first `width` values of its neighbours.
    ///
    /// # Errors
    /// [`Error::is_shape`] when the partition is cyclic, or one of several chunks has fewer than `width` values.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[1, 2, 3, 4, 5, 6], Partition::blocks(3))?;
    /// let sums = parts.halo(1)?.map(|halo| {
    ///     halo.left.iter().chain(halo.chunk).chain(halo.right).sum::<i32>()
    /// });
    /// assert_eq!(ex.gather(sums)?, [1 + 2 + 3, 2 + 3 + 4 + 5, 4 + 5 + 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn halo(&self, width: usize) -> Result<Halos<'_, T>, Error> {
        Halos::new(self, width)
    }

    /// Scatters other values, as many, by the same partition; into the same memory, as far as nobody else has a chunk or
    /// waits for one. Saves taking memory anew at each step of an iteration, which costs more than the copy.
    ///
    /// # Errors
    /// [`Error::is_shape`] when there are more or fewer values; else as
    /// [`Executor::scatter_slice`](crate::Executor::scatter_slice).
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let mut parts = ex.scatter_slice(&[0; 4], Partition::per_worker())?;
    /// for step in 1..4 {
    ///     parts = parts.refill(&[step; 4])?;
    ///     assert_eq!(parts.reduce(|chunk| chunk.iter().sum(), |a: i32, b| a + b).result()?, 4 * step);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn refill(self, values: &[T]) -> Result<Self, Error>
    where
        T: Copy,
    {
        refill(self, Location::caller(), values)
    }

    /// Waits for all chunks and puts their values together, in the order of the whole.
    ///
    /// # Errors
    /// The error of the first chunk, in their order, that has no value, or of the wait.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(b"scattered", Partition::cyclic(3))?;
    /// assert_eq!(parts.gather()?, b"scattered");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn gather(&self) -> Result<Vec<T>, TaskError>
    where
        T: Copy,
    {
        let location = Location::caller();
        let chunks = self.chunks.iter().map(TaskFuture::value).collect::<Result<Vec<_>, _>>()?;
        let step = self.parts.first().map_or(1, |part| part.step);
        let number = |at: usize| match step {
            1 => self.parts.partition_point(|part| part.range().end <= at),
            step => at % step,
        };
        let domain = |at| chunks[number(at)].domain();
        let write = |at: usize, sink: &mut Sink<'_, T>| {
            if step == 1 {
                let first = number(at);
                sink.copy(&chunks[first][at - self.parts[first].first..]);
                for chunk in &chunks[first + 1..] {
                    if sink.missing() == 0 {
                        break;
                    }
                    sink.copy(chunk);
                }
            } else {
                let end = at + sink.missing();
                sink.extend((at..end).map(|at| &chunks[at % step][at / step]));
            }
        };
        Ok(collect(&self.registry, location, self.len(), domain, write))
    }
}

pub(super) fn futures<T>(tasks: Vec<task::Typed<T>>) -> Vec<TaskFuture<T>> {
    tasks.into_iter().map(TaskFuture::new).collect()
}

/// A value that is taken out once, by the one task that it is for.
struct Once<U>(Mutex<Option<U>>);

impl<U> Once<U> {
    fn new(value: U) -> Self {
        Self(Mutex::new(Some(value)))
    }

    fn take(&self) -> U {
        self.0.lock().take().unwrap_or_else(|| unreachable!("it is the input of one task"))
    }
}

/// Joins values two by two.
struct Tree<'a, J> {
    registry: &'a Registry,
    location: &'static Location<'static>,
    join: Arc<J>,
}

impl<J> Tree<'_, J> {
    fn join_all<U>(&self, mut row: Vec<TaskFuture<Once<U>>>) -> TaskFuture<Once<U>>
    where
        J: Fn(U, U) -> U + Send + Sync + 'static,
        U: Send + 'static,
    {
        while row.len() > 1 {
            let mut above = Vec::with_capacity(row.len().div_ceil(2));
            let mut pairs = row.into_iter();
            while let Some(left) = pairs.next() {
                above.push(match pairs.next() {
                    Some(right) => self.join(left, right),
                    None => left,
                });
            }
            row = above;
        }
        row.pop().unwrap_or_else(|| unreachable!("there is a chunk at least"))
    }

    fn join<U>(&self, left: TaskFuture<Once<U>>, right: TaskFuture<Once<U>>) -> TaskFuture<Once<U>>
    where
        J: Fn(U, U) -> U + Send + Sync + 'static,
        U: Send + 'static,
    {
        let join = self.join.clone();
        type Pair<U> = (TaskFuture<Once<U>>, TaskFuture<Once<U>>);
        let call = move |pair: &<Pair<U> as Inputs>::Owned| {
            let (left, right) = Pair::<U>::refs(pair);
            Ok(Once::new(join(left.take(), right.take())))
        };
        TaskFuture::new(self.registry.submit_after::<Anywhere, _, _, _>(
            self.location,
            (left, right).own(),
            false,
            call,
        ))
    }

    fn finish<U: Send + 'static>(&self, last: TaskFuture<Once<U>>) -> TaskFuture<U> {
        let call = move |last: &<TaskFuture<Once<U>> as Inputs>::Owned| Ok(TaskFuture::refs(last).take());
        TaskFuture::new(self.registry.submit_after::<Anywhere, _, _, _>(self.location, last.own(), false, call))
    }
}

/// Where the value of a done task lies, if it has one.
pub(super) fn lies<T>(future: &TaskFuture<T>) -> Whereabouts {
    let head = future.handle().head();
    if head.state.load().phase() == task::Phase::Value { Whereabouts::of_done(head) } else { Whereabouts::NOWHERE }
}

impl<T> std::fmt::Debug for Scattered<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scattered")
            .field("len", &self.len())
            .field("parts", &self.parts())
            .field("warnings", &self.warnings)
            .finish()
    }
}

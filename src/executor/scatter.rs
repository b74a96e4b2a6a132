//! The executor's methods that place data.

use std::panic::Location;
use std::path::Path;

use heist_numa::Pod;

use super::Executor;
use crate::counters::ledger::Entry;
use crate::data::{self, Chunk, DomainData, Held, IntoChunks, Partition, Per, Rebalanced, Replicas, Scattered};
use crate::error::{Error, ErrorKind, TaskError};
use crate::future::TaskFuture;
use crate::scheduler::local;
use crate::task::{self, Whereabouts};

impl Executor {
    /// A future that has `value` from the start, to be used as input of many tasks without copying.
    ///
    /// Tasks on it are queued on one domain: within a task that of its worker, from outside the one that holds least for
    /// its workers. The value itself is not moved. It counts by its own size, without what it points to: here and in
    /// [`has_what`](Self::has_what) by bytes, in [`who_has`](Self::who_has), and where inputs of a task are weighed, by
    /// pages of 4 KiB, of which it has one at least.
    ///
    /// ```
    /// use heist::prelude::*;
    /// let ex = Executor::new()?;
    /// let table = ex.scatter(vec![3, 1, 2]);
    /// let max = ex.submit_after(&table, |table| table.iter().copied().max());
    /// assert_eq!(max.result()?, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter<T: Send + 'static>(&self, value: T) -> TaskFuture<T> {
        let own = local(|local| local.serves(&self.registry).then(|| self.registry.domain_here(local)));
        let domain = own.unwrap_or_else(|| self.registry.ledger.least_loaded());
        self.scatter_there(Location::caller(), domain, value)
    }

    /// As [`scatter`](Self::scatter), onto a domain, numbered as by [`has_what`](Self::has_what).
    ///
    /// # Errors
    /// [`Error::is_no_domain`] when the executor has no workers there.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let value = ex.scatter_on(0, "near")?;
    /// assert_eq!(ex.who_has([&value])[0][0].domain, 0);
    /// assert!(ex.scatter_on(4000, "nowhere").unwrap_err().is_no_domain());
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[track_caller]
    pub fn scatter_on<T: Send + 'static>(&self, domain: usize, value: T) -> Result<TaskFuture<T>, Error> {
        let domains = self.registry.domain_count();
        if domain >= domains {
            return Err(Error::new(ErrorKind::NoDomain { domain, domains }));
        }
        Ok(self.scatter_there(Location::caller(), domain, value))
    }

    fn scatter_there<T: Send + 'static>(
        &self,
        location: &'static Location<'static>,
        domain: usize,
        value: T,
    ) -> TaskFuture<T> {
        let bytes = size_of::<T>();
        let entry = Entry::new(&self.registry.ledger, domain, bytes);
        let at = Whereabouts::on(domain, bytes);
        TaskFuture::new(task::with_value_and(self.registry.birth(location), value, entry, at))
    }

    /// As [`scatter`](Self::scatter) of each item, dealt to the domains in turn, to each as often as it has workers.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let words = ex.scatter_vec(vec!["a", "b", "c"]);
    /// assert_eq!(ex.gather(words)?, ["a", "b", "c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter_vec<T: Send + 'static>(&self, items: Vec<T>) -> Vec<TaskFuture<T>> {
        let location = Location::caller();
        let domains = self.registry.ledger.deal(items.len());
        items.into_iter().zip(domains).map(|(item, domain)| self.scatter_there(location, domain, item)).collect()
    }

    /// Cuts a slice into chunks, each in memory of its domain, which the workers there fill all at once. Returns when
    /// that is done; a thread that calls takes part.
    ///
    /// Where memory is not placed, as on a host of one domain, a vector that is given away is not copied.
    ///
    /// # Errors
    /// [`Error::is_setting`] for a partition into no chunks, [`Error::is_memory`] when there is not enough,
    /// [`Error::is_closed`] after [`close`](Self::close).
    ///
    /// ```
    /// use heist::prelude::*;
    /// let ex = Executor::new()?;
    /// let matrix: Vec<f64> = (0..10_000).map(f64::from).collect();
    /// let parts = ex.scatter_slice(&matrix, Partition::per_domain())?;
    /// let norms = parts.map(|chunk| chunk.iter().map(|x| x * x).sum::<f64>());
    /// assert!(ex.gather(norms)?.iter().sum::<f64>() > 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter_slice<'a, T, V>(&self, values: V, partition: Partition) -> Result<Scattered<T>, Error>
    where
        T: Copy + Send + Sync + 'static,
        V: IntoChunks<'a, T>,
    {
        data::scatter_slice(&self.registry, Location::caller(), values.into_values(), partition)
    }

    /// Reads a file of plain values, as this host lays them out, into chunks: each part once, straight into memory of its
    /// domain, by the workers there.
    ///
    /// # Errors
    /// [`Error::is_file`], which names it, when it cannot be read, is no regular file, is no whole number of values, or
    /// shrinks meanwhile;
    /// [`Error::is_shape`] for a cyclic partition; else as [`scatter_slice`](Self::scatter_slice).
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let path = std::env::temp_dir().join(format!("heist-doc-{}", std::process::id()));
    /// std::fs::write(&path, [1_u32, 2, 3].map(u32::to_ne_bytes).concat())?;
    /// let parts = ex.scatter_file::<u32>(&path, Partition::blocks(2));
    /// std::fs::remove_file(&path)?;
    /// assert_eq!(parts?.gather()?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn scatter_file<T: Pod + Send + Sync>(
        &self,
        path: impl AsRef<Path>,
        partition: Partition,
    ) -> Result<Scattered<T>, Error> {
        data::scatter_file(&self.registry, Location::caller(), path.as_ref(), partition)
    }

    /// One copy of `value` for each domain, cloned there; tasks read the one near them.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let weights = ex.replicate(vec![0.5, 0.25]);
    /// let means = ex.map_after([&weights; 4], |weights| weights.iter().sum::<f64>());
    /// assert_eq!(ex.gather(means)?, [0.75; 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn replicate<T: Clone + Send + Sync + 'static>(&self, value: T) -> TaskFuture<Replicas<T>> {
        data::replicate(&self.registry, Location::caller(), value, Per::Domain)
    }

    /// One copy of `value` for each worker, cloned on its domain, for what must not even share a cache.
    ///
    /// ```
    /// let ex = heist::Executor::builder().workers(3).build()?;
    /// let seeds = ex.broadcast([1, 2]);
    /// assert_eq!(seeds.value()?.copies().len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn broadcast<T: Clone + Send + Sync + 'static>(&self, value: T) -> TaskFuture<Replicas<T>> {
        data::replicate(&self.registry, Location::caller(), value, Per::Worker)
    }

    /// One copy of a slice for each domain, in memory there; as [`scatter_slice`](Self::scatter_slice), it is done when
    /// this returns.
    ///
    /// # Errors
    /// [`Error::is_memory`] when there is not enough, [`Error::is_closed`] after [`close`](Self::close).
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let table = ex.replicate_slice(&[2, 3, 5, 7])?;
    /// let last = ex.submit_after(&table, |table| table.last().copied());
    /// assert_eq!(last.result()?, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn replicate_slice<T>(&self, values: &[T]) -> Result<TaskFuture<Replicas<Chunk<T>>>, Error>
    where
        T: Copy + Send + Sync + 'static,
    {
        data::replicate_slice(&self.registry, Location::caller(), values)
    }

    /// Waits for chunks, and moves some, with their memory, so that every domain holds as much of them as it has workers
    /// for. Chunks are not cut, and each counts once, however many futures have it. Tasks that are made from then on go
    /// where the chunks are. Futures of another executor are left alone and not waited for; so are chunks that another
    /// one scattered.
    ///
    /// # Errors
    /// The error of the first chunk that has no value, or of the wait. What cannot be moved stays, with a warning.
    ///
    /// ```
    /// use heist::{Executor, Partition};
    /// let ex = Executor::new()?;
    /// let parts = ex.scatter_slice(&[1.0; 1000], Partition::blocks(8))?;
    /// assert_eq!(ex.rebalance(&parts)?.chunks, 0); // they are even already
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rebalance<'a, T: Send + Sync + 'static>(
        &self,
        chunks: impl IntoIterator<Item = &'a TaskFuture<Chunk<T>>>,
    ) -> Result<Rebalanced, TaskError> {
        data::rebalance(&self.registry, chunks)
    }

    /// Where the values of futures are, as far as heist has placed them: on one domain, on all (replicas), or, of results
    /// that are not there yet and those of ordinary tasks, on none in particular.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let here = ex.scatter(7);
    /// let anywhere = ex.submit(|| 7);
    /// let held = ex.who_has([&here, &anywhere]);
    /// assert_eq!((held[0].len(), held[1].len()), (1, 0));
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn who_has<'a, T: 'a>(&self, futures: impl IntoIterator<Item = &'a TaskFuture<T>>) -> Vec<Vec<Held>> {
        futures.into_iter().map(|future| data::who_has(&self.registry, future)).collect()
    }

    /// The domains that the executor has workers on, and what was scattered onto each and is still held.
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let held = ex.scatter([0_u8; 100]);
    /// assert_eq!(ex.has_what().iter().map(|domain| domain.bytes).sum::<usize>(), 100);
    /// drop(held);
    /// assert_eq!(ex.has_what().iter().map(|domain| domain.entries).sum::<usize>(), 0);
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[must_use]
    pub fn has_what(&self) -> Vec<DomainData> {
        data::has_what(&self.registry)
    }
}

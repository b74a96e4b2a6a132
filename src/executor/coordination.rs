//! The executor's methods that lead to something by its name: primitives, published futures, topics.

use std::time::SystemTime;

use super::Executor;
use crate::error::{Error, ErrorKind};
use crate::future::TaskFuture;
use crate::primitive::sync::Arc;
use crate::sync::{Barrier, Datasets, Event, Lock, MultiLock, Names, Queue, Semaphore, Subscription, Topics, Variable};

impl Executor {
    fn coordination<E: Default + Send + Sync + 'static>(&self) -> Result<Arc<E>, Error> {
        let admit = || self.registry.admit().map_err(|error| Error::new(ErrorKind::Closed(error)));
        admit()?;
        let found = self.registry.extensions.get::<E>();
        // One that has ended since has let go of its values before it was asked: this one would outlive it.
        admit()?;
        Ok(found)
    }

    /// The lock of this name in this executor. Made at the first call, gone with its last handle or guard. Each kind of
    /// primitive has names of its own.
    ///
    /// # Errors
    /// [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let guard = ex.lock("log file")?.lock()?;
    /// assert!(ex.lock("log file")?.try_lock().is_none());
    /// assert!(ex.lock("other")?.try_lock().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        Lock::named(&self.coordination::<Names>()?, name)
    }

    /// The locks of these names, as [`lock`](Self::lock) finds them, to be taken together.
    ///
    /// # Errors
    /// [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let _both = ex.multi_lock(&["a", "b"])?.lock()?;
    /// assert!(ex.lock("b")?.is_locked());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn multi_lock(&self, names: &[&str]) -> Result<MultiLock, Error> {
        let locks = names.iter().map(|name| self.lock(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(MultiLock::new(&locks))
    }

    /// The semaphore of this name. Made at the first call, gone with its last handle or permit, or when it is closed.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if it has another number of permits, [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let licences = ex.semaphore("licences", 4)?;
    /// let _three = licences.acquire_many(3)?;
    /// assert_eq!(ex.semaphore("licences", 4)?.available(), 1);
    /// assert!(ex.semaphore("licences", 5).unwrap_err().is_name_taken());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn semaphore(&self, name: &str, permits: usize) -> Result<Semaphore, Error> {
        Semaphore::named(&self.coordination::<Names>()?, name, permits)
    }

    /// The event of this name. Made at the first call, gone with its last handle.
    ///
    /// # Errors
    /// [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let ready = ex.event("ready")?;
    /// ex.event("ready")?.set();
    /// assert!(ready.is_set());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn event(&self, name: &str) -> Result<Event, Error> {
        Event::named(&self.coordination::<Names>()?, name)
    }

    /// The barrier of this name. Made at the first call, gone with its last handle.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if it is for another number, [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let barrier = ex.barrier("step", 2)?;
    /// assert!(ex.barrier("step", 3).unwrap_err().is_name_taken());
    /// # Ok::<(), heist::Error>(())
    /// ```
    pub fn barrier(&self, name: &str, count: usize) -> Result<Barrier, Error> {
        Barrier::named(&self.coordination::<Names>()?, name, count)
    }

    /// The queue of this name. Made at the first call, gone with its last handle, or when it is closed; what it holds goes
    /// with it.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if it has items of another type or another bound, [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let results = ex.queue::<u32>("results", None)?;
    /// ex.submit({
    ///     let ex = ex.clone();
    ///     move || ex.queue::<u32>("results", None).unwrap().put(7).is_ok()
    /// })
    /// .detach();
    /// assert_eq!(results.get()?, 7);
    /// assert!(ex.queue::<String>("results", None).unwrap_err().is_name_taken());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue<T: Send + 'static>(&self, name: &str, bound: Option<usize>) -> Result<Queue<T>, Error> {
        Queue::named(&self.coordination::<Names>()?, name, bound)
    }

    /// The variable of this name. Made at the first call, gone with its last handle; its value goes with it.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if its values are of another type, [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// let best = ex.variable::<f64>("best")?;
    /// ex.variable::<f64>("best")?.set(0.25);
    /// assert_eq!(best.get()?, 0.25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn variable<T: Send + Sync + 'static>(&self, name: &str) -> Result<Variable<T>, Error> {
        Variable::named(&self.coordination::<Names>()?, name)
    }

    /// Keeps `future` wanted, under a name by which anybody finds it, until it is [unpublished](Self::unpublish).
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if something is published so, [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// ex.publish("table", ex.submit(|| vec![1, 2, 3]))?;
    /// let table = ex.published::<Vec<i32>>("table")?.unwrap();
    /// assert_eq!(table.result()?.len(), 3);
    /// assert_eq!(ex.datasets(), ["table"]);
    /// assert!(ex.unpublish("table") && ex.datasets().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish<T: Send + 'static>(&self, name: &str, future: TaskFuture<T>) -> Result<(), Error> {
        self.coordination::<Datasets>()?.publish(name, future)
    }

    /// As [`publish`](Self::publish), in place of what is published so; whether there was something.
    ///
    /// # Errors
    /// [`Error::is_closed`].
    pub fn republish<T: Send + 'static>(&self, name: &str, future: TaskFuture<T>) -> Result<bool, Error> {
        Ok(self.coordination::<Datasets>()?.republish(name, future))
    }

    /// Takes back what was published so; whether there was something.
    pub fn unpublish(&self, name: &str) -> bool {
        self.coordination::<Datasets>().is_ok_and(|datasets| datasets.unpublish(name))
    }

    /// What is published so, if anything.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if its values are of another type, [`Error::is_closed`].
    pub fn published<T: Send + 'static>(&self, name: &str) -> Result<Option<TaskFuture<T>>, Error> {
        self.coordination::<Datasets>()?.get(name)
    }

    /// The names of what is published, in order.
    #[must_use]
    pub fn datasets(&self) -> Vec<String> {
        self.coordination::<Datasets>().map_or_else(|_| Vec::new(), |datasets| datasets.names())
    }

    /// Logs an event under a topic, which is made by the first. The newest 1,000 of a topic are kept until the topic, or
    /// the executor, ends.
    ///
    /// # Errors
    /// [`Error::is_name_taken`] if the topic has events of another type, [`Error::is_closed`].
    ///
    /// ```
    /// let ex = heist::Executor::new()?;
    /// ex.log_event("progress", 10_u32)?;
    /// let mut heard = ex.subscribe::<u32>("progress")?;
    /// ex.log_event("progress", 20_u32)?;
    /// assert_eq!(heard.recv()?, 20);
    /// let all: Vec<_> = ex.events::<u32>("progress")?.into_iter().map(|(_at, percent)| percent).collect();
    /// assert_eq!(all, [10, 20]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log_event<T: Send + Sync + 'static>(&self, topic: &str, event: T) -> Result<(), Error> {
        self.coordination::<Topics>()?.log_event(topic, event)
    }

    /// The events of a topic from now on; those before are had by [`events`](Self::events).
    ///
    /// # Errors
    /// As [`log_event`](Self::log_event).
    pub fn subscribe<T: Send + Sync + 'static>(&self, topic: &str) -> Result<Subscription<T>, Error> {
        self.coordination::<Topics>()?.subscribe(topic)
    }

    /// The events that a topic keeps, oldest first, and when each was logged.
    ///
    /// # Errors
    /// As [`log_event`](Self::log_event).
    pub fn events<T: Clone + Send + Sync + 'static>(&self, topic: &str) -> Result<Vec<(SystemTime, T)>, Error> {
        self.coordination::<Topics>()?.events(topic)
    }

    /// The names of the topics there are, in order.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.coordination::<Topics>().map_or_else(|_| Vec::new(), |topics| topics.names())
    }

    /// Ends a topic and forgets its events; whether there was one. Who waits for its next event is told.
    pub fn end_topic(&self, topic: &str) -> bool {
        self.coordination::<Topics>().is_ok_and(|topics| topics.end(topic))
    }
}

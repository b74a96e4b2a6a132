//! What one rank knows of its job.

use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::actor;
use super::balance::{self, Balance};
use super::bell;
use super::codec::{self, Packed};
use super::collective;
use super::message::{Kind, Message};
use super::object::{Awaited, Imports, Link, Objects};
use super::progress;
use super::replies::Replies;
use super::sync;
use super::task::{Incoming, Outboxes};
use super::transport::{Transport, local};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::Plain;
use crate::primitive::atomic::{AtomicBool, Ordering, fence};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::{Extensions, Registry};
use crate::task::Priority;

/// One process of a job, numbered from 0.
///
/// ```
/// use heist::{Executor, Rank};
/// let ex = Executor::new()?;
/// assert_eq!(ex.world().rank(), Rank(0));
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank(pub u32);

impl Rank {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}", self.0)
    }
}

/// The ranks of a job, as one of them sees them; from [`Executor::world`](crate::Executor::world). Clones are handles on
/// the same.
///
/// ```
/// let ex = heist::Executor::new()?;
/// assert_eq!(ex.world().size(), 1);
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone)]
pub struct World(Arc<Shared>);

/// What a world's handles, parts and progress share.
pub(crate) struct Shared {
    rank: Rank,
    /// The host of each rank, numbered in the order of their first ranks.
    hosts: Vec<u32>,
    registry: Arc<Registry>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) replies: Replies,
    pub(super) objects: Objects,
    /// What this rank's futures wait for that is to come from others, and what it fetches for its tasks.
    pub(super) awaited: Awaited,
    pub(super) imports: Imports,
    /// Tasks of other ranks that run here, and their results on the way home.
    pub(super) incoming: Incoming,
    pub(super) outboxes: Outboxes,
    /// Tasks that have not begun, and may do so on any rank.
    pub(super) balance: Balance,
    pub(super) own: Own,
    over: AtomicBool,
    /// Why nothing is waited for from a rank, by rank.
    lost: Box<[OnceLock<TaskError>]>,
    /// The world goes on when the executor has ended, until the job is left.
    outlives: AtomicBool,
    parts: Extensions,
}

/// Messages of this rank to itself. Whoever sends one sees to them, unless somebody does already.
#[derive(Default)]
pub(super) struct Own {
    pub(super) messages: Mutex<VecDeque<Message>>,
    pub(super) seen_to: AtomicBool,
}

impl World {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The rank of this process.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.0.rank
    }

    /// Number of ranks.
    ///
    /// ```
    /// use heist::Executor;
    /// let ranks = Executor::in_process_world(3, |_| Executor::builder().workers(1))?;
    /// assert_eq!(ranks[2].world().size(), 3);
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.hosts.len()
    }

    /// Number of hosts that the ranks are on.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.0.hosts.iter().max().map_or(1, |last| *last as usize + 1)
    }

    /// The host that a rank is on, numbered from 0; `None` when there is no such rank.
    ///
    /// ```
    /// use heist::{Executor, Rank};
    /// let ranks = Executor::in_process_world(2, |_| Executor::builder().workers(1))?;
    /// let world = ranks[0].world();
    /// assert_eq!((world.hosts(), world.host_of(Rank(1)), world.host_of(Rank(7))), (1, Some(0), None));
    /// # Ok::<(), heist::Error>(())
    /// ```
    #[must_use]
    pub fn host_of(&self, rank: Rank) -> Option<usize> {
        self.0.host_of(rank)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("rank", &self.0.rank.0).field("size", &self.size()).finish()
    }
}

impl Shared {
    fn new(registry: &Arc<Registry>, rank: Rank, hosts: Vec<u32>, transport: Arc<dyn Transport>) -> Arc<Self> {
        let outboxes = Outboxes::new(hosts.len());
        let lost: Vec<_> = hosts.iter().map(|_| OnceLock::new()).collect();
        let shared = Arc::new(Self {
            rank,
            hosts,
            registry: registry.clone(),
            transport,
            replies: Replies::default(),
            objects: Objects::default(),
            awaited: Awaited::default(),
            imports: Imports::default(),
            incoming: Incoming::default(),
            outboxes,
            balance: Balance::default(),
            own: Own::default(),
            over: AtomicBool::new(false),
            lost: lost.into_boxed_slice(),
            outlives: AtomicBool::new(false),
            parts: Extensions::default(),
        });
        _ = registry.outstanding.afar.set(Box::new(Link(Arc::downgrade(&shared))));
        shared
    }

    /// Makes the executor one rank of a world, unless it is one already, and sees to what comes from the others.
    pub(crate) fn join(
        registry: &Arc<Registry>,
        rank: Rank,
        hosts: Vec<u32>,
        transport: Arc<dyn Transport>,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Self::new(registry, rank, hosts, transport);
        // Before anything can come that asks for the world.
        registry.extensions.get::<Membership>().set(shared.clone());
        progress::start(&shared)?;
        balance::begin(&shared);
        Ok(shared)
    }

    /// A world of this rank alone, which needs nobody to see to messages.
    fn alone(registry: &Arc<Registry>) -> Arc<Self> {
        let end = local::world(1).remove(0);
        Self::new(registry, Rank(0), vec![0], Arc::new(end))
    }

    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }

    pub(crate) fn size(&self) -> usize {
        self.hosts.len()
    }

    /// The host of each rank.
    pub(super) fn hosts(&self) -> &[u32] {
        &self.hosts
    }

    /// Whether a rank is on the host of this one.
    pub(crate) fn is_on_host_of(&self, rank: Rank) -> bool {
        self.hosts.get(rank.index()) == self.hosts.get(self.rank.index())
    }

    /// The executor of this rank.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The value of type `E` that a part keeps with this world. O(1), under a lock: to be asked for once and kept, where
    /// that matters.
    pub(crate) fn part<E: Default + Send + Sync + 'static>(&self) -> Arc<E> {
        self.parts.get::<E>()
    }

    /// The host that a rank is on.
    pub(crate) fn host_of(&self, rank: Rank) -> Option<usize> {
        self.hosts.get(rank.index()).map(|host| *host as usize)
    }

    /// Has a worker do what may run the user's code, and so must not be done where messages are seen to.
    pub(crate) fn queue(&self, call: impl FnOnce() + Send + 'static) {
        self.registry.submit_next(std::panic::Location::caller(), Priority::NORMAL, Plain(call));
    }

    /// Sends a message to which no answer comes.
    pub(crate) fn tell(self: &Arc<Self>, to: Rank, kind: Kind, packed: Packed) {
        self.send(to, Message { kind, ticket: 0, packed });
    }

    /// Sends a message and has `done` called with the answer, where messages are seen to: it must neither block nor run
    /// the user's code.
    pub(crate) fn ask(
        self: &Arc<Self>,
        to: Rank,
        kind: Kind,
        packed: Packed,
        done: impl FnOnce(&Arc<Self>, Result<Packed, TaskError>) + Send + 'static,
    ) {
        let ticket = self.replies.expect(to, Box::new(done));
        self.send(to, Message { kind, ticket, packed });
        // Who ends the world fails whom he finds after he has said that it is over.
        if self.is_over() {
            self.replies.fail_all(self, &TaskError::new(TaskErrorKind::WorldEnded));
        }
        // Likewise of who loses a rank.
        if let Some(error) = self.lost(to) {
            self.replies.fail_from(self, to, error);
        }
    }

    /// Why nothing more comes from a rank, if it is lost.
    pub(crate) fn lost(&self, rank: Rank) -> Option<&TaskError> {
        self.lost.get(rank.index())?.get()
    }

    /// Answers the message with that ticket.
    pub(crate) fn answer(self: &Arc<Self>, to: Rank, ticket: u64, what: Result<Packed, TaskError>) {
        let packed = codec::pack_answer(what);
        self.send(to, Message { kind: Kind::Reply, ticket, packed });
    }

    fn send(self: &Arc<Self>, to: Rank, message: Message) {
        if to == self.rank {
            self.own.messages.lock().push_back(message);
            progress::see_to_own(self);
        } else if to.index() < self.size() {
            match codec::to_frame(self, to, message) {
                Ok(frame) => self.transport.send(to, frame),
                Err(why) => self.lose(to, &why),
            }
        }
    }

    /// Goes on when the executor has ended.
    pub(super) fn outlive_executor(&self) {
        // ORDERING: Relaxed; set before the executor is handed out.
        self.outlives.store(true, Ordering::Relaxed);
    }

    /// The executor has ended.
    pub(crate) fn executor_ended(self: &Arc<Self>) {
        // ORDERING: Relaxed; as above.
        if !self.outlives.load(Ordering::Relaxed) {
            self.end();
        }
    }

    /// Ends this rank's part: no message is seen to from now on.
    pub(crate) fn end(self: &Arc<Self>) {
        // ORDERING: SeqCst, with the load in `is_over` behind `ask`: either he who asks sees that it is over, or his ticket is
        // seen here.
        self.over.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.transport.bell().call(bell::PROGRESS);
        let error = TaskError::new(TaskErrorKind::WorldEnded);
        self.replies.fail_all(self, &error);
        collective::close(self, &error);
        self.awaited.end_all(self, &error);
        balance::clear(self);
        self.parts.clear();
    }

    /// A rank has ended, or sends what is no message: nothing more is waited for from it.
    pub(crate) fn lose(self: &Arc<Self>, rank: Rank, why: &TaskError) {
        let error = TaskError::new(TaskErrorKind::RankLost { rank: rank.0, why: why.to_string() });
        if let Some(lost) = self.lost.get(rank.index()) {
            let _ = lost.set(error.clone());
        }
        self.replies.fail_from(self, rank, &error);
        collective::close(self, &error);
        sync::lost(self, rank, why);
        self.awaited.lost(self, rank, &error);
        actor::lost(self, rank, &error);
        balance::lost(self, rank);
    }

    pub(super) fn is_over(&self) -> bool {
        // ORDERING: as in `end`; the tables' locks lie between the ticket and this.
        self.over.load(Ordering::SeqCst)
    }
}

/// The world that an executor belongs to; kept with the executor, and left when that ends.
#[derive(Default)]
pub(crate) struct Membership(OnceLock<Arc<Shared>>);

impl Membership {
    fn set(&self, shared: Arc<Shared>) {
        if let Err(late) = self.0.set(shared) {
            late.end();
        }
    }

    /// The world; of this rank alone if the executor was never joined to another.
    pub(crate) fn world(&self, registry: &Arc<Registry>) -> Arc<Shared> {
        self.0.get_or_init(|| Shared::alone(registry)).clone()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(shared) = self.0.get() {
            shared.executor_ended();
        }
    }
}

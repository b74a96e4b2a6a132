//! What all ranks of a group do together, and a thread that waits for it does not block messages for.

use super::MpiError;
use super::abi::Op;
use super::calls::{Calls, Communicator, Element, Layout, Operation};
use super::engine::Engine;

type Outcome<T> = Result<T, MpiError>;

/// Told once how it ended, on the engine's thread: it must not block.
pub(crate) type Done<T> = Box<dyn FnOnce(Outcome<T>) + Send>;

/// What the engine goes on with until it has ended.
pub(super) trait Pending {
    /// Whether it has ended, and has said so to who waits.
    fn advance(&mut self, calls: &Calls) -> Outcome<bool>;

    fn fail(&mut self, why: &MpiError);
}

/// A call that the engine makes for another thread.
pub(super) trait Call: Send {
    /// Begins it; gives what then goes on, if that is anything.
    fn begin(self: Box<Self>, calls: &Calls) -> Option<Box<dyn Pending>>;

    fn fail(self: Box<Self>, why: &MpiError);
}

/// A collective on its way: what it is done with, and what is made of that.
struct Going<B, T> {
    operation: Option<Operation<B>>,
    made: fn(B) -> T,
    done: Option<Done<T>>,
}

impl<B, T> Pending for Going<B, T> {
    fn advance(&mut self, calls: &Calls) -> Outcome<bool> {
        if let Some(operation) = &mut self.operation
            && !operation.test(calls)?
        {
            return Ok(false);
        }
        let buffers = self.operation.take().and_then(Operation::take);
        if let (Some(buffers), Some(done)) = (buffers, self.done.take()) {
            done(Ok((self.made)(buffers)));
        }
        Ok(true)
    }

    fn fail(&mut self, why: &MpiError) {
        if let Some(done) = self.done.take() {
            done(Err(why.clone()));
        }
    }
}

/// A collective that has not begun.
struct Collective<F, B, T> {
    start: F,
    made: fn(B) -> T,
    done: Done<T>,
}

impl<F, B, T> Call for Collective<F, B, T>
where
    F: FnOnce(&Calls) -> Outcome<Operation<B>> + Send,
    B: 'static,
    T: 'static,
{
    fn begin(self: Box<Self>, calls: &Calls) -> Option<Box<dyn Pending>> {
        let Self { start, made, done } = *self;
        match start(calls) {
            Ok(operation) => Some(Box::new(Going { operation: Some(operation), made, done: Some(done) })),
            Err(why) => {
                done(Err(why));
                None
            }
        }
    }

    fn fail(self: Box<Self>, why: &MpiError) {
        (self.done)(Err(why.clone()));
    }
}

/// A call that is done at once.
struct AtOnce<F, T> {
    call: F,
    done: Done<T>,
}

impl<F: FnOnce(&Calls) -> Outcome<T> + Send, T> Call for AtOnce<F, T> {
    fn begin(self: Box<Self>, calls: &Calls) -> Option<Box<dyn Pending>> {
        (self.done)((self.call)(calls));
        None
    }

    fn fail(self: Box<Self>, why: &MpiError) {
        (self.done)(Err(why.clone()));
    }
}

/// All ranks of a group call the same collectives in the same order. Each returns at once and says later how it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group(Communicator);

impl Group {
    pub(super) fn new(communicator: Communicator) -> Self {
        Self(communicator)
    }

    /// This rank's number in the group.
    pub(crate) fn rank(self) -> u32 {
        self.0.rank
    }

    pub(crate) fn size(self) -> u32 {
        self.0.size
    }

    /// Parts the group: those of one color, ordered by key; none for who has no color. Blocks messages until all have called it.
    pub(crate) fn split(self, engine: &Engine, color: Option<u32>, key: u32) -> Outcome<Option<Self>> {
        let call = move |calls: &Calls| calls.split(self.0, color, key);
        let part = engine.wait(|done| engine.call(Box::new(AtOnce { call, done })))?;
        Ok(part.map(Self))
    }

    fn start<B: 'static, T: 'static>(
        engine: &Engine,
        start: impl FnOnce(&Calls) -> Outcome<Operation<B>> + Send + 'static,
        made: fn(B) -> T,
        done: Done<T>,
    ) {
        engine.call(Box::new(Collective { start, made, done }));
    }

    /// Root's elements at all; all give as many, of which those of the others are overwritten.
    pub(crate) fn broadcast<T: Element>(self, engine: &Engine, root: u32, data: Vec<T>, done: Done<Vec<T>>) {
        Self::start(engine, move |calls| calls.broadcast(data, root, self.0), |data| data, done);
    }

    /// The elements of all, one rank's after the other, at root, which knows the `counts`; nothing at the others.
    pub(crate) fn gather<T: Element>(
        self,
        engine: &Engine,
        root: u32,
        data: Vec<T>,
        counts: Vec<usize>,
        done: Done<Vec<T>>,
    ) {
        let counts = if root == self.rank() { counts } else { Vec::new() };
        let start = move |calls: &Calls| calls.gather(data, Layout::new(&counts)?, root, self.0);
        Self::start(engine, start, |(_, all, _)| all, done);
    }

    /// The elements of all, one rank's after the other, at all, who know the `counts`.
    pub(crate) fn all_gather<T: Element>(self, engine: &Engine, data: Vec<T>, counts: Vec<usize>, done: Done<Vec<T>>) {
        let start = move |calls: &Calls| calls.all_gather(data, Layout::new(&counts)?, self.0);
        Self::start(engine, start, |(_, all, _)| all, done);
    }

    /// This rank's part, `own` elements, of those of root, which knows how many each is to have.
    pub(crate) fn scatter<T: Element>(
        self,
        engine: &Engine,
        root: u32,
        data: Vec<T>,
        counts: Vec<usize>,
        own: usize,
        done: Done<Vec<T>>,
    ) {
        let (data, counts) = if root == self.rank() { (data, counts) } else { (Vec::new(), Vec::new()) };
        let start = move |calls: &Calls| calls.scatter(data, Layout::new(&counts)?, own, root, self.0);
        Self::start(engine, start, |(_, part, _)| part, done);
    }

    /// Element by element the sum, or what `op` says, at root. What comes at the others means nothing.
    pub(crate) fn reduce<T: Element>(self, engine: &Engine, root: u32, data: Vec<T>, op: Op, done: Done<Vec<T>>) {
        Self::start(engine, move |calls| calls.reduce(data, op, root, self.0), |(_, all)| all, done);
    }

    /// Element by element the sum, or what `op` says, at all.
    pub(crate) fn all_reduce<T: Element>(self, engine: &Engine, data: Vec<T>, op: Op, done: Done<Vec<T>>) {
        Self::start(engine, move |calls| calls.all_reduce(data, op, self.0), |all| all, done);
    }

    /// To each its part: `sent` says how many of this rank's elements go to whom, `received` how many come from whom.
    pub(crate) fn all_to_all<T: Element>(
        self,
        engine: &Engine,
        data: Vec<T>,
        sent: Vec<usize>,
        received: Vec<usize>,
        done: Done<Vec<T>>,
    ) {
        let start = move |calls: &Calls| calls.all_to_all(data, Layout::new(&sent)?, Layout::new(&received)?, self.0);
        Self::start(engine, start, |(_, all, _)| all, done);
    }
}

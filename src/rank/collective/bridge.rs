//! Collective calls over several hosts: the first rank of each sees to what its host gives and gets, and reaches those of the
//! other hosts by MPI's own collectives.
//!
//! MPI takes the calls of a group in the order in which they are made there, and cannot be told that one is given up. So it is
//! used only once all ranks agree, by ranks that have no other call under way, and that have not seen one given up before.

use std::any::TypeId;
use std::future::poll_fn;
use std::sync::OnceLock;
use std::task::{Poll, Waker};

use bytemuck::{cast_slice, cast_slice_mut};
use heist_numa::Pod;

use super::call::{Call, unreadable};
use super::exchange::Data;
use super::moves::{ACROSS, DOWN, TO_ROOT, UP, fill, fold, others_of, up, values};
use super::reduction::{Max, Min, Prod, Reduction, Sum};
use crate::error::{TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::mpi::{Engine, Group, MpiError, Op};
use crate::rank::world::Shared;

type Outcome<T> = Result<T, MpiError>;

/// MPI counts no further in one call.
pub(super) const MOST: u64 = i32::MAX as u64;

/// How the hosts reach each other.
pub(super) struct Link {
    engine: Arc<Engine>,
    /// Of the first ranks of all hosts; none elsewhere.
    firsts: Option<Group>,
    /// The ranks of each host, in order.
    hosts: Vec<Vec<usize>>,
    /// Of this rank.
    host: usize,
}

/// What a world may have of it.
#[derive(Default)]
pub(super) struct Linked(pub(super) OnceLock<Link>);

/// Has the collective calls of a world of several hosts use MPI. Called by all ranks at the same time.
pub(in crate::rank) fn link(world: &Arc<Shared>, engine: &Arc<Engine>) -> Result<(), MpiError> {
    let (of, own) = (world.hosts(), world.rank().index());
    let count = of.iter().max().map_or(0, |last| *last as usize + 1);
    let mut hosts = vec![Vec::new(); count];
    for (rank, host) in of.iter().enumerate() {
        hosts[*host as usize].push(rank);
    }
    let host = of[own] as usize;
    let is_first = hosts[host].first() == Some(&own);
    let firsts = engine.world().split(engine, is_first.then_some(0), host as u32)?;
    let link = Link { engine: engine.clone(), firsts, hosts, host };
    drop(world.part::<Linked>().0.set(link));
    Ok(())
}

/// One call that goes this way.
#[derive(Clone, Copy)]
pub(super) struct Bridge<'a> {
    pub(super) call: &'a Call,
    pub(super) link: &'a Link,
}

/// The result of a call of MPI, when it is there, and who waits for it.
struct Awaited<T>(Mutex<(Option<Outcome<T>>, Option<Waker>)>);

fn failed(why: &MpiError) -> TaskError {
    TaskError::new(TaskErrorKind::Failed(why.to_string().into()))
}

impl<'a> Bridge<'a> {
    fn own(&self) -> &'a [usize] {
        &self.link.hosts[self.link.host]
    }

    /// The host of a rank, and its first rank.
    fn first_of(&self, rank: usize) -> (usize, usize) {
        let host = self.link.hosts.iter().position(|ranks| ranks.contains(&rank)).unwrap_or_default();
        (host, self.link.hosts[host][0])
    }

    fn first(&self) -> usize {
        self.own()[0]
    }

    fn is_in_order(&self) -> bool {
        self.link.hosts.iter().flatten().is_sorted()
    }

    /// Whether this can reduce so: MPI itself, or as the ranks of one host are all before those of the next.
    pub(super) fn reduces<T: 'static, R: 'static>(&self) -> bool {
        native::<T, R>().is_some() || self.is_in_order()
    }

    /// What MPI makes of it.
    async fn ask<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&Engine, Box<dyn FnOnce(Outcome<T>) + Send>),
    ) -> Result<T, TaskError> {
        let awaited = Arc::new(Awaited(Mutex::new((None, None))));
        let told = awaited.clone();
        let done = move |outcome| {
            let mut state = told.0.lock();
            state.0 = Some(outcome);
            let waker = state.1.take();
            drop(state);
            panics::catch_drop(|| waker.into_iter().for_each(Waker::wake));
        };
        begin(&self.link.engine, Box::new(done));
        let outcome = poll_fn(|context| {
            if let Err(ended) = self.call.check(context) {
                return Poll::Ready(Err(ended));
            }
            let mut state = awaited.0.lock();
            if let Some(outcome) = state.0.take() {
                return Poll::Ready(outcome.map_err(|why| failed(&why)));
            }
            let before = state.1.replace(context.waker().clone());
            drop(state);
            panics::catch_drop(|| drop(before));
            Poll::Pending
        });
        outcome.await
    }

    /// To the ranks of this host, but the first and one that has it.
    fn down(&self, data: &Data, has: usize) {
        for rank in others_of(self.own(), self.first()).filter(|rank| *rank != has) {
            self.call.send(rank, DOWN, data);
        }
    }

    pub(super) async fn broadcast<T: Pod>(&self, root: usize, slice: &mut [T]) -> Result<(), TaskError> {
        let own = self.call.rank();
        let (host, first) = self.first_of(root);
        let Some(firsts) = self.link.firsts else {
            if own == root {
                self.call.send(first, UP, &Data::of(cast_slice(slice)));
                return Ok(());
            }
            return fill(slice, &self.call.receive(self.first(), DOWN).await?, self.first());
        };
        if host == self.link.host && own != root {
            fill(slice, &self.call.receive(root, UP).await?, root)?;
        }
        let bytes = cast_slice::<T, u8>(slice).to_vec();
        let bytes = self.ask(|engine, done| firsts.broadcast(engine, host as u32, bytes, done)).await?;
        self.down(&Data::of(&bytes), root);
        fill(slice, &Data::of(&bytes), first)
    }

    /// Of the first ranks, at that of one host or of all.
    async fn reduce_firsts<T: Pod, R: Reduction<T>>(
        &self,
        firsts: Group,
        root: Option<usize>,
        mut own: Vec<T>,
        by: &R,
    ) -> Result<Vec<T>, TaskError> {
        if let Some(op) = native::<T, R>() {
            self.reduce_native(firsts, root, &mut own, op).await?;
            return Ok(own);
        }
        let bytes = cast_slice::<T, u8>(&own).to_vec();
        let each = bytes.len();
        let counts = vec![each; self.link.hosts.len()];
        let all = self.ask(|engine, done| firsts.all_gather(engine, bytes, counts, done)).await?;
        let mut parts = all.chunks(each.max(1)).enumerate();
        let mut sum = match parts.next() {
            Some((host, part)) => values(&Data::of(part), host)?,
            None => own,
        };
        for (host, part) in parts {
            fold(&mut sum, &Data::of(part), host, by)?;
        }
        Ok(sum)
    }

    pub(super) async fn reduce<T: Pod, R: Reduction<T>>(
        &self,
        root: usize,
        slice: &mut [T],
        by: &R,
    ) -> Result<(), TaskError> {
        let own = self.call.rank();
        let (host, first) = self.first_of(root);
        let sum = up(self.call, self.own(), slice, by).await?;
        if let Some(firsts) = self.link.firsts {
            let all = self.reduce_firsts(firsts, Some(host), sum, by).await?;
            match own {
                _ if own == root => slice.copy_from_slice(&all),
                _ if own == first => self.call.send(root, TO_ROOT, &Data::of(cast_slice(&all))),
                _ => {}
            }
        } else if own == root {
            fill(slice, &self.call.receive(first, TO_ROOT).await?, first)?;
        }
        Ok(())
    }

    pub(super) async fn all_reduce<T: Pod, R: Reduction<T>>(&self, slice: &mut [T], by: &R) -> Result<(), TaskError> {
        let sum = up(self.call, self.own(), slice, by).await?;
        let Some(firsts) = self.link.firsts else {
            return fill(slice, &self.call.receive(self.first(), DOWN).await?, self.first());
        };
        let all = self.reduce_firsts(firsts, None, sum, by).await?;
        self.down(&Data::of(cast_slice(&all)), self.first());
        slice.copy_from_slice(&all);
        Ok(())
    }

    /// At the first rank, what all of its host have, in their order.
    async fn collected(&self, part: &[u8]) -> Result<Vec<u8>, TaskError> {
        let mut all = Vec::with_capacity(part.len() * self.own().len());
        for &rank in self.own() {
            match rank == self.call.rank() {
                true => all.extend_from_slice(part),
                false => all.extend_from_slice(&self.call.receive(rank, UP).await?),
            }
        }
        if all.len() != part.len() * self.own().len() {
            return Err(unreadable(self.first()));
        }
        Ok(all)
    }

    fn counts(&self, each: usize) -> Vec<usize> {
        self.link.hosts.iter().map(|ranks| each * ranks.len()).collect()
    }

    /// Where the part of each rank is, when they are in the order of the hosts.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        self.link.hosts.iter().flatten().copied().enumerate()
    }

    fn by_rank(&self, by_host: Vec<u8>, each: usize) -> Vec<u8> {
        if self.is_in_order() {
            return by_host;
        }
        let mut by_rank = vec![0; by_host.len()];
        for (place, rank) in self.places() {
            by_rank[rank * each..][..each].copy_from_slice(&by_host[place * each..][..each]);
        }
        by_rank
    }

    /// The parts of all ranks as one, at the root.
    pub(super) async fn gather<T: Pod>(&self, root: usize, part: &[T]) -> Result<Option<Vec<Data>>, TaskError> {
        let (own, part) = (self.call.rank(), cast_slice::<T, u8>(part));
        let (host, first) = self.first_of(root);
        let Some(firsts) = self.link.firsts else {
            self.call.send(self.first(), UP, &Data::of(part));
            return match own == root {
                true => Ok(Some(vec![self.call.receive(first, DOWN).await?])),
                false => Ok(None),
            };
        };
        let bytes = self.collected(part).await?;
        let counts = self.counts(part.len());
        let all = self.ask(|engine, done| firsts.gather(engine, host as u32, bytes, counts, done)).await?;
        if own != first {
            return Ok(None);
        }
        let all = Data::of(&self.by_rank(all, part.len()));
        if own == root {
            return Ok(Some(vec![all]));
        }
        self.call.send(root, DOWN, &all);
        Ok(None)
    }

    /// The parts of all ranks as one.
    pub(super) async fn all_gather<T: Pod>(&self, part: &[T]) -> Result<Vec<Data>, TaskError> {
        let part = cast_slice::<T, u8>(part);
        let Some(firsts) = self.link.firsts else {
            self.call.send(self.first(), UP, &Data::of(part));
            return Ok(vec![self.call.receive(self.first(), DOWN).await?]);
        };
        let bytes = self.collected(part).await?;
        let counts = self.counts(part.len());
        let all = self.ask(|engine, done| firsts.all_gather(engine, bytes, counts, done)).await?;
        let all = Data::of(&self.by_rank(all, part.len()));
        self.down(&all, self.first());
        Ok(vec![all])
    }

    /// The part of this rank, of so many values, of those that the root has for each.
    pub(super) async fn scatter<T: Pod>(&self, root: usize, parts: &[&[T]], length: usize) -> Result<Data, TaskError> {
        let own = self.call.rank();
        let (host, first) = self.first_of(root);
        let whole = || parts.iter().flat_map(|part| cast_slice::<T, u8>(part)).copied().collect::<Vec<u8>>();
        let Some(firsts) = self.link.firsts else {
            if own == root {
                self.call.send(first, UP, &Data::of(&whole()));
            }
            return self.call.receive(self.first(), DOWN).await;
        };
        let each = length * size_of::<T>();
        let by_rank = match own {
            _ if own == root => whole(),
            _ if own == first => self.call.receive(root, UP).await?.to_vec(),
            _ => Vec::new(),
        };
        if own == first && by_rank.len() != each * self.call.size() {
            return Err(unreadable(root));
        }
        let ranks = if own == first { self.call.size() } else { 0 };
        let by_host = self.places().take(ranks).flat_map(|(_, rank)| &by_rank[rank * each..][..each]);
        let (bytes, counts) = (by_host.copied().collect(), self.counts(each));
        let mine = each * self.own().len();
        let got = self.ask(|engine, done| firsts.scatter(engine, host as u32, bytes, counts, mine, done)).await?;
        for (part, rank) in got.chunks(each.max(1)).zip(self.own()).skip(1) {
            self.call.send(*rank, DOWN, &Data::of(part));
        }
        Ok(Data::of(&got[..each]))
    }

    /// What all ranks have for this one as one; each has a part of one length for each.
    pub(super) async fn all_to_all<T: Pod>(&self, parts: &[&[T]]) -> Result<Vec<Data>, TaskError> {
        let whole: Vec<u8> = parts.iter().flat_map(|part| cast_slice::<T, u8>(part)).copied().collect();
        let Some(firsts) = self.link.firsts else {
            self.call.send(self.first(), UP, &Data::of(&whole));
            return Ok(vec![self.call.receive(self.first(), ACROSS).await?]);
        };
        let (own, size) = (self.own(), self.call.size());
        let each = whole.len() / size;
        // From each rank of this host to each of every host.
        let from = self.collected(&whole).await?;
        let mut sent = Vec::with_capacity(from.len());
        for ranks in &self.link.hosts {
            for row in from.chunks(whole.len().max(1)) {
                sent.extend(ranks.iter().flat_map(|rank| &row[rank * each..][..each]));
            }
        }
        let counts = self.counts(each * own.len());
        let also = counts.clone();
        let got = self.ask(|engine, done| firsts.all_to_all(engine, sent, counts, also, done)).await?;
        // From each rank, host by host, a row with a part for each rank of this one.
        let mut mine = Data::of(&[]);
        for (place, &to) in own.iter().enumerate() {
            let mut all = vec![0; whole.len()];
            for (row, rank) in self.places() {
                let part = &got[(row * own.len() + place) * each..][..each];
                all[rank * each..][..each].copy_from_slice(part);
            }
            match place {
                0 => mine = Data::of(&all),
                _ => self.call.send(to, ACROSS, &Data::of(&all)),
            }
        }
        Ok(vec![mine])
    }
}

fn is<A: 'static, B: 'static>() -> bool {
    TypeId::of::<A>() == TypeId::of::<B>()
}

/// The reduction in MPI's words, if it has one for such values. The least and greatest of floats mean something else there.
fn native<T: 'static, R: 'static>() -> Option<Op> {
    let is_float = is::<T, f32>() || is::<T, f64>();
    let op = match () {
        () if is::<R, Sum>() => Op::Sum,
        () if is::<R, Prod>() => Op::Product,
        () if is::<R, Min>() && !is_float => Op::Min,
        () if is::<R, Max>() && !is_float => Op::Max,
        () => return None,
    };
    has_native::<T>().then_some(op)
}

macro_rules! natives {
    ($($type:ty),*) => {
        fn has_native<T: 'static>() -> bool {
            [$(is::<T, $type>()),*].contains(&true)
        }

        impl Bridge<'_> {
            async fn reduce_native<T: Pod>(
                &self,
                firsts: Group,
                root: Option<usize>,
                own: &mut [T],
                op: Op,
            ) -> Result<(), TaskError> {
                $(if is::<T, $type>() {
                    let numbers = cast_slice::<T, $type>(own).to_vec();
                    let all = match root {
                        Some(root) => {
                            self.ask(|engine, done| firsts.reduce(engine, root as u32, numbers, op, done)).await?
                        }
                        None => self.ask(|engine, done| firsts.all_reduce(engine, numbers, op, done)).await?,
                    };
                    if all.len() == own.len() {
                        cast_slice_mut::<T, $type>(own).copy_from_slice(&all);
                    }
                })*
                Ok(())
            }
        }
    };
}
natives!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

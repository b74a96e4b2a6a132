//! How data gets from rank to rank: in trees where all are to have the same, directly where each is to have something else.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut, try_cast_slice};
use heist_numa::Pod;

use super::bridge::Bridge;
use super::call::{Call, DATA, unreadable};
use super::exchange::Data;
use super::reduction::Reduction;
use crate::error::TaskError;

/// The steps of a call; each pair of ranks has one message of a step at most.
pub(super) const DOWN: u32 = DATA;
pub(super) const UP: u32 = DATA + 1;
pub(super) const ACROSS: u32 = DATA + 2;
pub(super) const TO_ROOT: u32 = DATA + 3;

/// Slices of more bytes than these are reduced in blocks, one by each rank: all ranks compute, and nobody sends more than
/// twice the slice.
const BLOCKS: usize = 4096;

/// What has come is to be as long as the slice.
pub(super) fn fill<T: Pod>(slice: &mut [T], data: &Data, from: usize) -> Result<(), TaskError> {
    let bytes: &mut [u8] = cast_slice_mut(slice);
    if bytes.len() != data.len() {
        return Err(unreadable(from));
    }
    bytes.copy_from_slice(data);
    Ok(())
}

/// The values in data that has come.
pub(super) fn values<T: Pod>(data: &Data, from: usize) -> Result<Vec<T>, TaskError> {
    let count = data.len().checked_div(size_of::<T>()).unwrap_or_default();
    let mut values = vec![T::zeroed(); count];
    fill(&mut values, data, from)?;
    Ok(values)
}

/// From the root down a tree, in which every rank has the one as its parent whose number, counted from the root, lacks its
/// lowest bit.
pub(super) async fn broadcast<T: Pod>(call: &Call, root: usize, slice: &mut [T]) -> Result<(), TaskError> {
    match call.bridge().await {
        Some(bridge) => bridge.broadcast(root, slice).await,
        None => broadcast_by_tree(call, root, slice).await,
    }
}

async fn broadcast_by_tree<T: Pod>(call: &Call, root: usize, slice: &mut [T]) -> Result<(), TaskError> {
    let size = call.size();
    let own = (call.rank() + size - root) % size;
    let at = |number: usize| (number + root) % size;
    let mut step = 1;
    while step < size && own & step == 0 {
        step *= 2;
    }
    let came = match own {
        0 => None,
        _ => Some(call.receive(at(own - step), DOWN).await?),
    };
    let data = came.clone().unwrap_or_else(|| Data::of(cast_slice(slice)));
    while step > 1 {
        step /= 2;
        if own + step < size {
            call.send(at(own + step), DOWN, &data);
        }
    }
    match came {
        Some(came) => fill(slice, &came, at(own - step)),
        None => Ok(()),
    }
}

pub(super) fn fold<T: Pod>(left: &mut [T], right: &Data, from: usize, by: &impl Reduction<T>) -> Result<(), TaskError> {
    if right.len() != size_of_val(left) {
        return Err(unreadable(from));
    }
    let mut combine = |right: &[T]| {
        for (left, right) in left.iter_mut().zip(right) {
            *left = by.combine(*left, *right);
        }
    };
    match try_cast_slice(right) {
        Ok(right) => combine(right),
        Err(_) => combine(&values(right, from)?),
    }
    Ok(())
}

/// Up a tree to the first of these ranks, neighbours first, so that values are combined in their order. Gives what this rank
/// has of it: the first one, all.
pub(super) async fn up<T: Pod>(
    call: &Call,
    ranks: &[usize],
    slice: &[T],
    by: &impl Reduction<T>,
) -> Result<Vec<T>, TaskError> {
    let mut own = slice.to_vec();
    let Some(place) = ranks.iter().position(|rank| *rank == call.rank()) else { return Ok(own) };
    let mut step = 1;
    while step < ranks.len() {
        if place & step != 0 {
            call.send(ranks[place - step], UP, &Data::of(cast_slice(&own)));
            break;
        }
        if let Some(&from) = ranks.get(place + step) {
            let right = call.receive(from, UP).await?;
            fold(&mut own, &right, from, by)?;
        }
        step *= 2;
    }
    Ok(own)
}

async fn up_to_0<T: Pod>(call: &Call, slice: &[T], by: &impl Reduction<T>) -> Result<Vec<T>, TaskError> {
    up(call, &(0..call.size()).collect::<Vec<_>>(), slice, by).await
}

/// All of these ranks but one.
pub(super) fn others_of(ranks: &[usize], but: usize) -> impl Iterator<Item = usize> {
    ranks.iter().copied().filter(move |rank| *rank != but)
}

fn block(length: usize, size: usize, rank: usize) -> Range<usize> {
    let begin = |rank: usize| (length as u128 * rank as u128 / size as u128) as usize;
    begin(rank)..begin(rank + 1)
}

/// The block of this rank, of all ranks' slices, in the order of the ranks.
async fn own_block<T: Pod>(call: &Call, slice: &[T], by: &impl Reduction<T>) -> Result<Vec<T>, TaskError> {
    let (own, size) = (call.rank(), call.size());
    for other in others(own, size) {
        call.send(other, ACROSS, &Data::of(cast_slice(&slice[block(slice.len(), size, other)])));
    }
    let mut sum: Option<Vec<T>> = None;
    for rank in 0..size {
        let mine = &slice[block(slice.len(), size, own)];
        let came = match rank == own {
            true => Data::of(cast_slice(mine)),
            false => call.receive(rank, ACROSS).await?,
        };
        match &mut sum {
            None if came.len() != size_of_val(mine) => return Err(unreadable(rank)),
            None => sum = Some(values(&came, rank)?),
            Some(sum) => fold(sum, &came, rank, by)?,
        }
    }
    Ok(sum.unwrap_or_default())
}

/// All ranks but this one, beginning behind it: so they do not all send to the same one first.
fn others(own: usize, size: usize) -> impl Iterator<Item = usize> {
    (1..size).map(move |distance| (own + distance) % size)
}

fn in_blocks<T>(call: &Call, slice: &[T]) -> bool {
    call.size() > 1 && slice.len() >= call.size() && size_of_val(slice) > BLOCKS
}

pub(super) async fn reduce<T: Pod, R: Reduction<T>>(
    call: &Call,
    root: usize,
    slice: &mut [T],
    by: &R,
) -> Result<(), TaskError> {
    if let Some(bridge) = call.bridge().await.filter(Bridge::reduces::<T, R>) {
        return bridge.reduce(root, slice, by).await;
    }
    let (own, size) = (call.rank(), call.size());
    if in_blocks(call, slice) {
        let mine = own_block(call, slice, by).await?;
        let Some(parts) = gather_parts(call, root, &mine).await? else { return Ok(()) };
        return put_together(slice, size, &parts);
    }
    let all = up_to_0(call, slice, by).await?;
    match own {
        0 if root == 0 => slice.copy_from_slice(&all),
        0 => call.send(root, TO_ROOT, &Data::of(cast_slice(&all))),
        _ if own == root => fill(slice, &call.receive(0, TO_ROOT).await?, 0)?,
        _ => {}
    }
    Ok(())
}

pub(super) async fn all_reduce<T: Pod, R: Reduction<T>>(call: &Call, slice: &mut [T], by: &R) -> Result<(), TaskError> {
    if let Some(bridge) = call.bridge().await.filter(Bridge::reduces::<T, R>) {
        return bridge.all_reduce(slice, by).await;
    }
    if !in_blocks(call, slice) {
        let all = up_to_0(call, slice, by).await?;
        if call.rank() == 0 {
            slice.copy_from_slice(&all);
        }
        return broadcast_by_tree(call, 0, slice).await;
    }
    let mine = own_block(call, slice, by).await?;
    let blocks = all_gather_parts(call, &mine).await?;
    put_together(slice, call.size(), &blocks)
}

fn put_together<T: Pod>(slice: &mut [T], size: usize, blocks: &[Data]) -> Result<(), TaskError> {
    let length = slice.len();
    for (rank, part) in blocks.iter().enumerate() {
        fill(&mut slice[block(length, size, rank)], part, rank)?;
    }
    Ok(())
}

/// The parts of all ranks, which are of one length, in their order, at the root.
pub(super) async fn gather<T: Pod>(call: &Call, root: usize, part: &[T]) -> Result<Option<Vec<Data>>, TaskError> {
    match call.bridge().await {
        Some(bridge) => bridge.gather(root, part).await,
        None => gather_parts(call, root, part).await,
    }
}

/// The parts of all ranks, in their order, at the root.
pub(super) async fn gather_parts<T: Pod>(call: &Call, root: usize, part: &[T]) -> Result<Option<Vec<Data>>, TaskError> {
    let own = Data::of(cast_slice(part));
    if call.rank() != root {
        call.send(root, DOWN, &own);
        return Ok(None);
    }
    received(call, own, DOWN).await.map(Some)
}

/// What all ranks have sent this one, in their order.
async fn received(call: &Call, own: Data, tag: u32) -> Result<Vec<Data>, TaskError> {
    let mut parts = Vec::with_capacity(call.size());
    for rank in 0..call.size() {
        match rank == call.rank() {
            true => parts.push(own.clone()),
            false => parts.push(call.receive(rank, tag).await?),
        }
    }
    Ok(parts)
}

/// The parts of all ranks, which are of one length, in their order.
pub(super) async fn all_gather<T: Pod>(call: &Call, part: &[T]) -> Result<Vec<Data>, TaskError> {
    match call.bridge().await {
        Some(bridge) => bridge.all_gather(part).await,
        None => all_gather_parts(call, part).await,
    }
}

pub(super) async fn all_gather_parts<T: Pod>(call: &Call, part: &[T]) -> Result<Vec<Data>, TaskError> {
    let own = Data::of(cast_slice(part));
    others(call.rank(), call.size()).for_each(|other| call.send(other, DOWN, &own));
    received(call, own, DOWN).await
}

/// From the root, which has a part of so many values for each rank; the own one.
pub(super) async fn scatter<T: Pod>(
    call: &Call,
    root: usize,
    parts: &[&[T]],
    length: usize,
) -> Result<Data, TaskError> {
    match call.bridge().await {
        Some(bridge) => bridge.scatter(root, parts, length).await,
        None => scatter_parts(call, root, parts).await,
    }
}

/// From the root, which has a part for each rank; the own one.
pub(super) async fn scatter_parts<T: Pod>(call: &Call, root: usize, parts: &[&[T]]) -> Result<Data, TaskError> {
    let own = call.rank();
    if own != root {
        return call.receive(root, DOWN).await;
    }
    let part = |rank: usize| Data::of(cast_slice(parts.get(rank).copied().unwrap_or_default()));
    others(own, call.size()).for_each(|other| call.send(other, DOWN, &part(other)));
    Ok(part(own))
}

/// What each rank has for this one, all of one length, in their order.
pub(super) async fn all_to_all<T: Pod>(call: &Call, parts: &[&[T]]) -> Result<Vec<Data>, TaskError> {
    match call.bridge().await {
        Some(bridge) => bridge.all_to_all(parts).await,
        None => all_to_all_parts(call, parts).await,
    }
}

/// What each rank has for this one, in their order.
pub(super) async fn all_to_all_parts<T: Pod>(call: &Call, parts: &[&[T]]) -> Result<Vec<Data>, TaskError> {
    let part = |rank: usize| Data::of(cast_slice(parts.get(rank).copied().unwrap_or_default()));
    others(call.rank(), call.size()).for_each(|other| call.send(other, DOWN, &part(other)));
    received(call, part(call.rank()), DOWN).await
}

//! Which of a host's cores and PUs workers are seated on.

use std::{collections::BTreeMap, ops::Range};

use super::{Per, wishes::Order};
use crate::{CpuSet, Topology};

/// How deep [`Place`] goes: domain, package, L3 cache, core.
pub(super) const LEVELS: usize = 4;

/// Where a core is, from the outside in: its domain's index, then its package, its L3 cache and itself, each of the last
/// three named by the lowest PU that it has in the one before. Sorted by places, whatever is near is side by side.
pub(super) type Place = [usize; LEVELS];

/// A core that may be used, with those of its PUs that may.
pub(super) struct Candidate {
    pub(super) place: Place,
    /// The index in the topology's cores.
    pub(super) core: usize,
    pub(super) pus: CpuSet,
}

/// The cores that have a PU in `usable`, by place.
pub(super) fn candidates(topology: &Topology, usable: &CpuSet) -> Vec<Candidate> {
    let mut packages = BTreeMap::new();
    let mut caches = BTreeMap::new();
    let mut found = Vec::new();
    for (index, core) in topology.cores().iter().enumerate() {
        let Some(own) = core.pus().first() else { continue };
        let package = *packages.entry((core.domain(), core.package())).or_insert(own);
        // A core of which no L3 is known is nearer to none than to another.
        let l3 = core.l3().first().map_or(own, |l3| *caches.entry((core.domain(), package, l3)).or_insert(own));
        let pus = core.pus().intersection(usable);
        if !pus.is_empty() {
            found.push(Candidate { place: [core.domain(), package, l3, own], core: index, pus });
        }
    }
    found.sort_by_key(|candidate| candidate.place);
    found
}

/// How many workers find a seat.
pub(super) fn room(candidates: &[Candidate], per: Per) -> usize {
    candidates.iter().map(|candidate| seats(candidate, per)).sum()
}

fn seats(candidate: &Candidate, per: Per) -> usize {
    match per {
        Per::Core => 1,
        Per::Pu => candidate.pus.len(),
    }
}

/// For each candidate how many workers it gets, `workers` in all, which there is room for.
pub(super) fn choose(candidates: &[Candidate], per: Per, order: &Order, workers: usize) -> Vec<usize> {
    let room: Vec<_> = candidates.iter().map(|candidate| seats(candidate, per)).collect();
    if *order == Order::Spread {
        let places: Vec<_> = candidates.iter().map(|candidate| candidate.place).collect();
        return spread(&places, &room, 0, workers);
    }
    let mut left = workers;
    let fill = |room| {
        let taken = left.min(room);
        left -= taken;
        taken
    };
    room.into_iter().map(fill).collect()
}

/// Shares `workers` evenly among what differs at `level`, and inside each of those at the next.
fn spread(places: &[Place], room: &[usize], level: usize, workers: usize) -> Vec<usize> {
    if level == LEVELS {
        return vec![workers];
    }
    let mut ends = 0;
    let groups: Vec<_> = places
        .chunk_by(|a, b| a[level] == b[level])
        .map(|group| {
            ends += group.len();
            ends - group.len()..ends
        })
        .collect();
    let rooms: Vec<_> = groups.iter().map(|group| room[group.clone()].iter().sum()).collect();
    let shares = evenly(&rooms, workers);
    let inside = |(group, share): (Range<usize>, _)| spread(&places[group.clone()], &room[group], level + 1, share);
    groups.into_iter().zip(shares).flat_map(inside).collect()
}

/// Shares `amount` among those with `room`, as evenly as the room allows, the first ones getting what is left over.
fn evenly(room: &[usize], amount: usize) -> Vec<usize> {
    let mut shares = vec![0; room.len()];
    let mut left = amount.min(room.iter().sum());
    while left > 0 {
        for (share, _) in shares.iter_mut().zip(room).filter(|(share, room)| **share < **room) {
            if left > 0 {
                *share += 1;
                left -= 1;
            }
        }
    }
    shares
}

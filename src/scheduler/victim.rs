//! From whom a worker steals, and in which order.

use std::ops::Range;

/// A worker's victims, ring by ring from near to far; within a ring it begins anywhere.
#[derive(Debug, Default)]
pub(super) struct Victims {
    /// Spelt out: these are gone through in every search.
    near: Box<[Box<[usize]>]>,
    afar: Box<[Afar]>,
}

/// Victims at equal distance: some ranges of workers.
#[derive(Debug)]
struct Ring {
    ranges: Box<[Range<usize>]>,
    len: usize,
}

/// A ring of other domains.
#[derive(Debug)]
pub(super) struct Afar {
    ring: Ring,
    domains: Box<[usize]>,
}

impl Ring {
    fn new(ranges: &[Range<usize>]) -> Self {
        Self { ranges: ranges.into(), len: ranges.iter().map(ExactSizeIterator::len).sum() }
    }

    fn order(&self, random: u64) -> impl Iterator<Item = usize> {
        let start = if self.len == 0 { 0 } else { (random % self.len as u64) as usize };
        let all = || self.ranges.iter().cloned().flatten();
        all().skip(start).chain(all().take(start))
    }
}

impl Afar {
    /// Every victim of the ring once.
    pub(super) fn order(&self, random: u64) -> impl Iterator<Item = usize> {
        self.ring.order(random)
    }

    /// The domains of the ring, each once.
    pub(super) fn domains(&self, random: u64) -> impl Iterator<Item = usize> {
        let count = self.domains.len();
        let start = (random % count.max(1) as u64) as usize;
        (0..count).map(move |step| self.domains[(start + step) % count])
    }
}

impl Victims {
    /// Of the worker whose `rings` these are, and who sits on the domain with the workers `domains[own]`.
    pub(super) fn new(rings: &[Vec<Range<usize>>], domains: &[Range<usize>], own: usize) -> Self {
        let holds =
            |ring: &[Range<usize>], domain: usize| ring.iter().any(|part| domains[domain].contains(&part.start));
        let (near, afar): (Vec<_>, Vec<_>) = rings.iter().partition(|ring| holds(ring, own));
        let afar = afar.into_iter().map(|ring| Afar {
            ring: Ring::new(ring),
            domains: (0..domains.len())
                .filter(|&domain| {
                    ring.iter().any(|part| part.start < domains[domain].end && domains[domain].start < part.end)
                })
                .collect(),
        });
        let spelt = |ring: &Vec<Range<usize>>| ring.iter().cloned().flatten().collect();
        Self { near: near.into_iter().map(spelt).collect(), afar: afar.collect() }
    }

    /// Every victim of the own domain once. `random` picks where each ring begins.
    pub(super) fn near(&self, random: u64) -> impl Iterator<Item = usize> {
        self.near.iter().flat_map(move |ring| {
            let start = if ring.is_empty() { 0 } else { (random % ring.len() as u64) as usize };
            ring[start..].iter().chain(&ring[..start]).copied()
        })
    }

    /// The rings of other domains.
    pub(super) fn afar(&self) -> impl Iterator<Item = &Afar> {
        self.afar.iter()
    }

    pub(super) fn has_afar(&self) -> bool {
        !self.afar.is_empty()
    }
}

/// A small generator (Marsaglia, "Xorshift RNGs", 2003) for where to begin; its quality hardly matters.
#[derive(Debug)]
pub(super) struct Random(std::cell::Cell<u64>);

impl Random {
    pub(super) fn new(seed: u64, worker: usize) -> Self {
        let mixed = (seed ^ (worker as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(std::cell::Cell::new(mixed | 1))
    }

    pub(super) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(victims: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut victims: Vec<_> = victims.collect();
        victims.sort_unstable();
        victims
    }

    #[test]
    fn every_victim_comes_once_near_rings_first() {
        let domains = [0..6, 6..8, 8..10, 10..12];
        let one = |ring: Range<usize>| vec![ring];
        let victims = Victims::new(&[one(1..2), vec![0..1, 3..6], one(6..10), one(10..12)], &domains, 0);
        for random in 0..20 {
            let near: Vec<_> = victims.near(random).collect();
            assert_eq!(near[0], 1);
            assert_eq!(sorted(near[1..].iter().copied()), [0, 3, 4, 5]);
            let afar: Vec<_> = victims.afar().collect();
            assert_eq!(sorted(afar[0].order(random)), [6, 7, 8, 9]);
            assert_eq!(sorted(afar[0].domains(random)), [1, 2]);
            assert_eq!(sorted(afar[1].order(random)), [10, 11]);
            assert_eq!(sorted(afar[1].domains(random)), [3]);
        }
    }

    #[test]
    fn the_start_within_a_ring_changes() {
        let victims = Victims::new(&[vec![1..5, 6..9]], std::slice::from_ref(&(0..9)), 0);
        let random = Random::new(1, 0);
        let starts: std::collections::HashSet<_> =
            (0..100).filter_map(|_| victims.near(random.next()).next()).collect();
        assert!(starts.len() > 4);
    }

    #[test]
    fn a_worker_alone_has_no_victims() {
        let victims = Victims::new(&[], std::slice::from_ref(&(0..1)), 0);
        assert_eq!((victims.near(7).count(), victims.has_afar()), (0, false));
    }
}

//! From whom a worker steals, and in which order.

/// A worker's victims, ring by ring from near to far; within a ring it begins anywhere.
#[derive(Debug, Default)]
pub(super) struct Victims {
    rings: Box<[Box<[usize]>]>,
}

impl Victims {
    pub(super) fn new(rings: &[Vec<usize>]) -> Self {
        Self { rings: rings.iter().map(|ring| ring.clone().into_boxed_slice()).collect() }
    }

    /// Every victim once. `random` picks where each ring begins.
    pub(super) fn order(&self, random: u64) -> impl Iterator<Item = usize> {
        self.rings.iter().flat_map(move |ring| {
            let start = if ring.is_empty() { 0 } else { (random % ring.len() as u64) as usize };
            ring[start..].iter().chain(&ring[..start]).copied()
        })
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

    #[test]
    fn every_victim_comes_once_near_rings_first() {
        let victims = Victims::new(&[vec![1], vec![2, 3, 4], vec![5, 6]]);
        for random in 0..20 {
            let order: Vec<_> = victims.order(random).collect();
            assert_eq!(order[0], 1);
            let mut middle = order[1..4].to_vec();
            middle.sort_unstable();
            assert_eq!(middle, [2, 3, 4]);
            let mut far = order[4..].to_vec();
            far.sort_unstable();
            assert_eq!(far, [5, 6]);
        }
    }

    #[test]
    fn the_start_within_a_ring_changes() {
        let victims = Victims::new(&[(1..9).collect()]);
        let random = Random::new(1, 0);
        let starts: std::collections::HashSet<_> =
            (0..100).filter_map(|_| victims.order(random.next()).next()).collect();
        assert!(starts.len() > 4);
    }

    #[test]
    fn a_worker_alone_has_no_victims() {
        assert_eq!(Victims::new(&[]).order(7).count(), 0);
    }
}

//! A bit for each sleeper, and which of them is woken first.

use super::GROUP;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicU64, Ordering};

const WORD: usize = 64;
const FIRST_GROUP: u64 = (1 << GROUP) - 1;

/// One bit a worker: parked.
#[derive(Debug)]
pub(super) struct Parked(Box<[Padded<AtomicU64>]>);

impl Parked {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers.div_ceil(WORD)).map(|_| Padded(AtomicU64::new(0))).collect())
    }

    pub(super) fn any(&self) -> bool {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.0.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    pub(super) fn has(&self, worker: usize) -> bool {
        // ORDERING: Relaxed; ordered by the fences of the protocol.
        self.0[worker / WORD].load(Ordering::Relaxed) & 1 << (worker % WORD) != 0
    }

    pub(super) fn set(&self, worker: usize) {
        // ORDERING: AcqRel; the count said so before, and one of waker and sleeper takes the bit.
        self.0[worker / WORD].fetch_or(1 << (worker % WORD), Ordering::AcqRel);
    }

    /// Whether the caller, and nobody else, takes this worker's bit.
    pub(super) fn take(&self, worker: usize) -> bool {
        let bit = 1 << (worker % WORD);
        // ORDERING: AcqRel; one of waker and sleeper takes the bit.
        self.0[worker / WORD].fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Takes the bit of a sleeper close to `near`: of its group, else of its word, else of the words after that.
    /// `avoid` is taken when there is no other.
    pub(super) fn take_near(&self, near: usize, avoid: Option<usize>) -> Option<usize> {
        let count = self.0.len();
        let home = near / WORD;
        (home..home + count)
            .find_map(|index| self.take_in(index % count, if index == home { near % WORD } else { 0 }, avoid))
            .or_else(|| avoid.filter(|&worker| self.take(worker)))
    }

    fn take_in(&self, index: usize, from: usize, avoid: Option<usize>) -> Option<usize> {
        let avoided = avoid.filter(|worker| worker / WORD == index).map_or(0, |worker| 1 << (worker % WORD));
        loop {
            // ORDERING: Relaxed; a guess for the taking.
            let bits = self.0[index].load(Ordering::Relaxed) & !avoided;
            if bits == 0 {
                return None;
            }
            let worker = index * WORD + nearest(bits, from);
            if self.take(worker) {
                return Some(worker);
            }
        }
    }
}

/// The place of a set bit: in the group of `from`, if there is one, the next after it, around the end.
fn nearest(bits: u64, from: usize) -> usize {
    let group = bits & (FIRST_GROUP << (from - from % GROUP));
    let among = if group != 0 { group } else { bits };
    (among.rotate_right(from as u32).trailing_zeros() as usize + from) % WORD
}

#[cfg(all(test, not(heist_loom)))]
mod tests {
    use super::*;

    fn parked(workers: impl IntoIterator<Item = usize>) -> Parked {
        let parked = Parked::new(200);
        workers.into_iter().for_each(|worker| parked.set(worker));
        parked
    }

    fn order(parked: &Parked, near: usize, avoid: Option<usize>) -> Vec<usize> {
        std::iter::from_fn(|| parked.take_near(near, avoid)).collect()
    }

    #[test]
    fn sleepers_of_the_group_come_first_from_the_next_one_on() {
        let parked = parked([0, 8, 9, 12, 15, 16, 63, 64, 130, 199]);
        assert_eq!(order(&parked, 11, None), [12, 15, 8, 9, 16, 63, 0, 64, 130, 199]);
        assert!(!parked.any());
    }

    #[test]
    fn words_are_looked_through_from_the_own_one_on_around_the_end() {
        assert_eq!(order(&parked([3, 70, 131, 140]), 128, None), [131, 140, 3, 70]);
        assert_eq!(order(&parked([3, 70, 131, 140]), 199, None), [3, 70, 131, 140]);
    }

    #[test]
    fn the_avoided_is_the_last() {
        assert_eq!(order(&parked([0, 1, 2, 150]), 0, Some(0)), [1, 2, 150, 0]);
        assert_eq!(order(&parked([0, 1]), 0, Some(7)), [0, 1]);
        assert_eq!(order(&parked([5]), 0, Some(5)), [5]);
        assert_eq!(order(&parked([]), 0, Some(5)), []);
    }

    #[test]
    fn a_bit_is_taken_once() {
        let parked = parked([64]);
        assert!(parked.take(64) && !parked.take(64));
    }
}

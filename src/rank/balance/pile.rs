//! What a rank has to do that may as well be done elsewhere: whom it gives some of it, and when it asks others for some.
//!
//! A rank that runs out asks its [`Victims`] one after the other. One that has nothing to give keeps in mind who asked, and
//! sends him his share when it gets more to do. So when nobody has anything, each has asked each of its victims once, and nothing
//! is sent until there is work again.
//!
//! Nothing is sent here, and no time passes: what is called says what there is to send. (`simulation`)

use std::collections::VecDeque;

use super::victims::Victims;
use crate::rank::world::Rank;

/// Most tasks that are given at once.
const MOST: usize = 1024;
/// Most tasks that a worker takes at once, and into how many parts for each worker of the world it divides what there is.
const AT_ONCE: usize = 64;
const PARTS: usize = 8;

/// Tasks that lie together, at least one.
pub(super) trait Together: Sized {
    fn count(&self) -> usize;
    /// Takes so many out, of more: the first or the last.
    fn split(&mut self, count: usize, first: bool) -> Self;
}

/// What is sent to another rank.
pub(super) struct Gift<T> {
    pub(super) to: Rank,
    pub(super) items: Vec<T>,
}

/// A rank that has asked in vain.
struct Asker {
    rank: Rank,
    /// How much it can do at a time.
    workers: usize,
}

pub(super) struct Pile<T> {
    /// In the order in which they are done here; given away from the end.
    items: VecDeque<T>,
    /// Tasks in them.
    count: usize,
    workers: usize,
    /// How many ranks there are, taken for as large as this one.
    ranks: usize,
    asked_in_vain: VecDeque<Asker>,
    victims: Victims,
    /// Who is to answer.
    asked: Option<Rank>,
}

impl<T: Together> Pile<T> {
    pub(super) fn new(workers: usize, ranks: usize, victims: Victims) -> Self {
        let (items, asked_in_vain) = (VecDeque::new(), VecDeque::new());
        Self { items, count: 0, workers, ranks, asked_in_vain, victims, asked: None }
    }

    /// How many tasks there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds what comes from outside, to be done after what is here. `idle` of the own workers have nothing to do.
    pub(super) fn add(&mut self, item: T, idle: usize) -> Vec<Gift<T>> {
        self.count += item.count();
        self.items.push_back(item);
        self.share(idle)
    }

    /// Adds what a task has made, to be done before what is here: depth first, as who makes it mostly waits for it.
    pub(super) fn add_first(&mut self, item: T, idle: usize) -> Vec<Gift<T>> {
        self.count += item.count();
        self.items.push_front(item);
        self.share(idle)
    }

    /// What a worker is to do next: much at once while there is much, and one task at a time in the end.
    pub(super) fn take(&mut self) -> Option<T> {
        let wanted = (self.count / (PARTS * self.workers.max(1) * self.ranks.max(1))).clamp(1, AT_ONCE);
        let first = self.items.front_mut()?;
        let taken = if first.count() > wanted { Some(first.split(wanted, true)) } else { self.items.pop_front() };
        self.count -= taken.as_ref().map_or(0, T::count);
        taken
    }

    /// Everything.
    pub(super) fn take_all(&mut self) -> VecDeque<T> {
        self.count = 0;
        std::mem::take(&mut self.items)
    }

    /// Has `change` alter what is here.
    pub(super) fn retain(&mut self, change: impl FnMut(&mut T) -> bool) {
        self.items.retain_mut(change);
        self.count = self.items.iter().map(T::count).sum();
    }

    /// So many workers here have nothing to do: whom to ask, if anybody.
    pub(super) fn idle(&mut self, workers: usize) -> Option<Rank> {
        if self.asked.is_some() || self.count >= workers {
            return None;
        }
        self.asked = self.victims.next();
        self.asked
    }

    /// A rank with so many workers asks: what it gets, while `idle` of the own have nothing to do. If that is nothing, it is
    /// thought of when there is something.
    pub(super) fn asked(&mut self, rank: Rank, workers: usize, idle: usize) -> Vec<T> {
        let workers = workers.max(1);
        self.asked_in_vain.retain(|asker| asker.rank != rank);
        let given = self.give(share_of(self.count.saturating_sub(idle), workers, self.workers + workers));
        if given.is_empty() {
            self.asked_in_vain.push_back(Asker { rank, workers });
        }
        given
    }

    /// What the rank that was asked gave, or another has sent by itself; it is for the own workers first.
    pub(super) fn got(&mut self, from: Rank, items: Vec<T>) -> Vec<Gift<T>> {
        if self.asked == Some(from) {
            self.asked = None;
        }
        if items.is_empty() {
            self.victims.refused(from);
        } else {
            self.victims.gave(from);
        }
        for item in items {
            self.count += item.count();
            self.items.push_back(item);
        }
        self.share(self.workers)
    }

    /// Nothing comes from that rank any more.
    pub(super) fn lost(&mut self, rank: Rank) {
        self.victims.lost(rank);
        self.asked_in_vain.retain(|asker| asker.rank != rank);
        if self.asked == Some(rank) {
            self.asked = None;
        }
    }

    /// Gives those who asked in vain their shares of what is here, but leaves something to each idle worker.
    fn share(&mut self, idle: usize) -> Vec<Gift<T>> {
        let (whole, mut spare) = (self.count, self.count.saturating_sub(idle));
        let all = self.workers + self.asked_in_vain.iter().map(|asker| asker.workers).sum::<usize>();
        let mut gifts = Vec::new();
        while spare > 0
            && let Some(asker) = self.asked_in_vain.pop_front()
        {
            let items = self.give(share_of(whole, asker.workers, all).min(spare));
            spare -= items.iter().map(T::count).sum::<usize>();
            gifts.push(Gift { to: asker.rank, items });
        }
        gifts
    }

    /// Takes the last so many tasks, in their order.
    fn give(&mut self, count: usize) -> Vec<T> {
        let mut left = count;
        let mut given = Vec::new();
        while left > 0
            && let Some(last) = self.items.back_mut()
        {
            let item = if last.count() > left { Some(last.split(left, false)) } else { self.items.pop_back() };
            let taken = item.as_ref().map_or(0, T::count);
            left -= taken;
            self.count -= taken;
            given.extend(item);
        }
        given.reverse();
        given
    }
}

/// The share of so many workers out of `all`, rounded up.
fn share_of(tasks: usize, workers: usize, all: usize) -> usize {
    (tasks * workers).div_ceil(all.max(1)).min(MOST)
}

#[cfg(test)]
impl<V> Together for Vec<V> {
    fn count(&self) -> usize {
        self.len()
    }
    fn split(&mut self, count: usize, first: bool) -> Self {
        if first { self.drain(..count).collect() } else { self.split_off(self.len() - count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pile(ranks: usize) -> Pile<Vec<u32>> {
        Pile::new(1, ranks, Victims::of(Rank(0), &vec![0; ranks]))
    }

    fn some(range: std::ops::Range<u32>) -> Vec<u32> {
        range.collect()
    }

    #[test]
    fn half_is_given_from_the_end() {
        let mut pile = pile(2);
        pile.add(some(0..3), 0);
        assert!(pile.add(some(3..5), 0).is_empty());
        assert_eq!(pile.asked(Rank(1), 1, 0), [[2].to_vec(), [3, 4].to_vec()]);
        assert_eq!(pile.asked(Rank(1), 1, 0), [[1]]);
        assert_eq!(pile.asked(Rank(1), 1, 0), [[0]]);
        assert!(pile.asked(Rank(1), 1, 0).is_empty() && pile.count() == 0);
    }

    #[test]
    fn much_is_taken_at_once_while_there_is_much() {
        let mut pile = pile(2);
        (0..20).for_each(|part| _ = pile.add(some(100 * part..100 * (part + 1)), 0));
        let taken: Vec<_> = std::iter::from_fn(|| pile.take()).collect();
        assert_eq!((taken[0].len(), taken.last().unwrap().len()), (AT_ONCE, 1));
        assert!(taken.concat().into_iter().eq(0..2000), "in order");
    }

    #[test]
    fn what_a_task_makes_comes_first_and_in_its_order() {
        let mut pile = pile(2);
        pile.add(some(0..2), 0);
        pile.add_first(some(10..13), 0);
        let order: Vec<_> = std::iter::from_fn(|| pile.take()).flatten().collect();
        assert_eq!(order, [10, 11, 12, 0, 1]);
    }

    #[test]
    fn who_asked_in_vain_gets_his_share_once() {
        let mut pile = pile(4);
        for (rank, workers) in [(1, 1), (2, 2)] {
            assert!(pile.asked(Rank(rank), workers, 0).is_empty());
        }
        let gifts = pile.add(some(0..8), 0);
        let gifts: Vec<_> = gifts.iter().map(|gift| (gift.to.0, gift.items.concat().len())).collect();
        assert_eq!((gifts, pile.count()), (vec![(1, 2), (2, 4)], 2));
        assert!(pile.add(some(8..20), 0).is_empty());
    }

    #[test]
    fn idle_workers_come_before_other_ranks() {
        let mut pile = pile(2);
        assert!(pile.asked(Rank(1), 1, 0).is_empty());
        assert!(pile.add(vec![1], 1).is_empty());
        assert_eq!(pile.add(vec![2], 1)[0].items, [[2]]);
        assert!(pile.asked(Rank(1), 1, 1).is_empty());
    }

    #[test]
    fn one_is_asked_at_a_time_and_each_once_until_there_is_work() {
        let mut pile = pile(3);
        let first = pile.idle(1).unwrap();
        assert_eq!(pile.idle(1), None);
        pile.got(first, Vec::new());
        let second = pile.idle(1).unwrap();
        assert_ne!(first, second);
        pile.got(second, Vec::new());
        assert_eq!(pile.idle(1), None);
        // It comes by itself.
        pile.got(first, vec![vec![7]]);
        assert_eq!((pile.idle(1), pile.take()), (None, Some(vec![7])));
        assert_eq!(pile.idle(1), Some(first));
    }

    #[test]
    fn what_comes_is_for_the_own_workers_first() {
        let mut pile = pile(3);
        assert!(pile.asked(Rank(1), 1, 0).is_empty());
        assert!(pile.got(Rank(2), vec![vec![1]]).is_empty());
        assert_eq!(pile.got(Rank(2), vec![vec![2]])[0].items, [[2]]);
    }

    #[test]
    fn more_is_asked_for_than_all_workers_have() {
        let mut pile = pile(2);
        pile.add(some(0..3), 0);
        assert_eq!((pile.idle(3), pile.idle(4)), (None, Some(Rank(1))));
    }

    #[test]
    fn nobody_waits_for_a_rank_that_is_lost() {
        let mut pile = pile(3);
        let first = pile.idle(1).unwrap();
        pile.lost(first);
        let second = pile.idle(1).unwrap();
        assert_ne!(first, second);
        assert!(pile.asked(first, 1, 0).is_empty());
        pile.lost(first);
        assert!(pile.add(some(0..4), 0).is_empty(), "nothing is sent to who is lost");
    }
}

//! Whom a rank that has run out of work asks for some.

use crate::rank::world::Rank;

/// The ranks that one asks, in order: those of its host, then its partners on others.
///
/// The partners are the neighbours in a hypercube of all ranks: there are few, however many ranks there are, and whatever
/// one rank has reaches every other over them.
#[derive(Debug)]
pub(super) struct Victims {
    all: Vec<Victim>,
    /// How many of them, the first, are on the own host.
    here: usize,
    /// Where a round begins, so that not all ask the same one first.
    turn: usize,
}

#[derive(Debug)]
struct Victim {
    rank: Rank,
    /// Whether it has been asked in vain, and will send something by itself when it has more than it needs.
    knows: bool,
    is_lost: bool,
}

impl Victims {
    /// Of a rank, where `hosts` has the host of each.
    pub(super) fn of(rank: Rank, hosts: &[u32]) -> Self {
        let own = rank.index();
        let size = hosts.len();
        let on_host = |other: usize| hosts.get(other) == hosts.get(own);
        let here = (1..size).map(|step| (own + step) % size).filter(|&other| on_host(other));
        let afar = (0..usize::BITS).map_while(|bit| 1_usize.checked_shl(bit).filter(|&step| step < size));
        // A neighbour that there is not, at the ragged end of the cube, is replaced by the first rank.
        let afar = afar.map(|step| if own ^ step < size { own ^ step } else { 0 });
        let mut ranks: Vec<usize> = here.collect();
        let count = ranks.len();
        for other in afar.filter(|&other| other != own && !on_host(other)) {
            if !ranks.contains(&other) {
                ranks.push(other);
            }
        }
        let victim = |other: usize| Victim { rank: Rank(other as u32), knows: false, is_lost: false };
        Self { all: ranks.into_iter().map(victim).collect(), here: count, turn: own }
    }

    /// The next to ask; `None` when all of them know, and will come by themselves.
    pub(super) fn next(&mut self) -> Option<Rank> {
        let (here, afar) = self.all.split_at(self.here);
        let turn = self.turn;
        let find = |among: &[Victim]| {
            let count = among.len();
            let ring = (0..count).map(|step| &among[(turn + step) % count]);
            ring.filter(|victim| !victim.knows && !victim.is_lost).map(|victim| victim.rank).next()
        };
        find(here).or_else(|| find(afar))
    }

    /// It was asked and had nothing.
    pub(super) fn refused(&mut self, rank: Rank) {
        self.turn = self.turn.wrapping_add(1);
        self.set(rank, true);
    }

    /// It has sent something, and thinks of this rank no more.
    pub(super) fn gave(&mut self, rank: Rank) {
        self.set(rank, false);
    }

    pub(super) fn lost(&mut self, rank: Rank) {
        self.all.iter_mut().filter(|victim| victim.rank == rank).for_each(|victim| victim.is_lost = true);
    }

    fn set(&mut self, rank: Rank, knows: bool) {
        self.all.iter_mut().filter(|victim| victim.rank == rank).for_each(|victim| victim.knows = knows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom a rank asks, if all have nothing.
    fn asked(rank: u32, hosts: &[u32]) -> Vec<u32> {
        let mut victims = Victims::of(Rank(rank), hosts);
        std::iter::from_fn(|| victims.next().inspect(|&next| victims.refused(next))).map(|rank| rank.0).collect()
    }

    #[test]
    fn those_of_the_host_come_first_and_each_is_asked_once() {
        let hosts = [0, 0, 1, 1, 2, 2, 2];
        for rank in 0..7 {
            let order = asked(rank, &hosts);
            let near = order.iter().take_while(|&&other| hosts[other as usize] == hosts[rank as usize]).count();
            let here = hosts.iter().filter(|&&host| host == hosts[rank as usize]).count() - 1;
            assert_eq!(near, here, "{rank}: {order:?}");
            let mut once = order.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), order.len(), "{order:?}");
            assert!(!order.contains(&rank), "{order:?}");
        }
        assert!(asked(0, &[0]).is_empty());
    }

    #[test]
    fn what_one_rank_has_reaches_every_other() {
        for size in [1, 2, 3, 5, 8, 13, 31, 100] {
            for each in [1, 2, 4] {
                let hosts: Vec<u32> = (0..size).map(|rank| rank / each).collect();
                let asks: Vec<Vec<u32>> = (0..size).map(|rank| asked(rank, &hosts)).collect();
                assert!(asks.iter().all(|asks| asks.len() <= 3 + 7), "few are asked");
                for from in 0..size {
                    let mut reached = vec![from];
                    let mut at = 0;
                    while let Some(&giver) = reached.get(at) {
                        let more = (0..size).filter(|&asker| asks[asker as usize].contains(&giver));
                        let more: Vec<_> = more.filter(|asker| !reached.contains(asker)).collect();
                        reached.extend(more);
                        at += 1;
                    }
                    assert_eq!(reached.len(), size as usize, "{size} ranks, {each} a host, from {from}");
                }
            }
        }
    }

    #[test]
    fn who_gave_is_asked_again_and_who_is_lost_is_not() {
        let mut victims = Victims::of(Rank(0), &[0, 0, 0]);
        while let Some(next) = victims.next() {
            victims.refused(next);
        }
        victims.gave(Rank(2));
        assert_eq!(victims.next(), Some(Rank(2)));
        victims.lost(Rank(2));
        assert_eq!(victims.next(), None);
    }
}

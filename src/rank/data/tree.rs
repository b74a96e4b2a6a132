//! Who passes on to whom what all are to have: between hosts by a binomial tree of one rank each, which give it to the others of
//! their hosts.

use serde::{Deserialize, Serialize};

use crate::rank::world::Rank;

/// The ranks that are to have it, by hosts; the first of each host passes it on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tree(Vec<Vec<Rank>>);

impl Tree {
    /// Of all ranks of these but `root`, which has it.
    pub(super) fn of(root: Rank, ranks: impl IntoIterator<Item = Rank>, host_of: impl Fn(Rank) -> usize) -> Self {
        let mut hosts: Vec<(usize, Vec<Rank>)> = vec![(host_of(root), Vec::new())];
        for rank in ranks.into_iter().filter(|rank| *rank != root) {
            let host = host_of(rank);
            match hosts.iter_mut().find(|(known, _)| *known == host) {
                Some((_, there)) => there.push(rank),
                None => hosts.push((host, vec![rank])),
            }
        }
        Self(hosts.into_iter().map(|(_, there)| there).collect())
    }

    /// To whom its root gives it, the farthest first, each with the tree that he is the root of.
    pub(super) fn branches(self) -> Vec<(Rank, Self)> {
        let mut hosts = self.0;
        let mut branches = Vec::new();
        while hosts.len() > 1 {
            let mut half = hosts.split_off(hosts.len().div_ceil(2));
            if let Some(first) = half.first_mut().filter(|first| !first.is_empty()) {
                branches.push((first.remove(0), Self(half)));
            }
        }
        let own = hosts.pop().unwrap_or_default();
        branches.extend(own.into_iter().map(|rank| (rank, Self::default())));
        branches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes it on; gives when each rank has it, in steps of one message a rank between hosts.
    fn spread(root: Rank, ranks: u32, per_host: u32) -> Vec<Option<u32>> {
        let host_of = |rank: Rank| (rank.0 / per_host) as usize;
        let mut has = vec![None; ranks as usize];
        let mut todo = vec![(root, Tree::of(root, (0..ranks).map(Rank), host_of), 0)];
        while let Some((rank, tree, step)) = todo.pop() {
            assert_eq!(has[rank.index()].replace(step), None, "{rank} gets it once");
            let mut later = step;
            for (to, tree) in tree.branches() {
                assert!(host_of(to) != host_of(rank) || tree == Tree::default());
                later += u32::from(host_of(to) != host_of(rank));
                todo.push((to, tree, later));
            }
        }
        has
    }

    #[test]
    fn everyone_gets_it_once_and_soon() {
        for (ranks, per_host) in [(1, 1), (2, 1), (2, 2), (7, 3), (8, 1), (9, 1), (64, 8), (100, 1)] {
            for root in [0, ranks / 2, ranks - 1] {
                let has = spread(Rank(root), ranks, per_host);
                let last = has.iter().map(|step| step.expect("everyone has it")).max();
                let hosts = ranks.div_ceil(per_host);
                assert!(last.unwrap() <= hosts.next_power_of_two().ilog2(), "{hosts} hosts: {last:?}");
            }
        }
    }

    #[test]
    fn some_may_be_left_out() {
        let tree = Tree::of(Rank(5), [Rank(1), Rank(5), Rank(2)], |rank| rank.index() / 2);
        let branches = tree.branches();
        let heads: Vec<_> = branches.iter().map(|(rank, _)| *rank).collect();
        assert_eq!(heads, [Rank(2), Rank(1)]);
    }
}

//! Tasks with inputs: they are kept until these are done, and go to where most of them are.

use super::{give, put};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::object::{Reference, locate};
use crate::rank::task::Shippable;
use crate::rank::world::{Rank, Shared};

struct Kept {
    tasks: Option<Shippable>,
    /// Inputs of which nothing is known yet.
    left: usize,
    /// Bytes that are somewhere, and not small.
    found: Vec<(Rank, usize)>,
}

/// Keeps tasks until their inputs are done, then puts them where most of these are.
pub(super) fn place(world: &Arc<Shared>, tasks: Shippable, inputs: Vec<Reference>) {
    let kept = Kept { tasks: Some(tasks), left: inputs.len(), found: Vec::new() };
    let kept = Arc::new(Mutex::new(kept));
    for input in inputs {
        let kept = kept.clone();
        locate(world, input, move |world, at| {
            let (tasks, found) = {
                let mut kept = kept.lock();
                kept.found.extend(at);
                kept.left -= 1;
                if kept.left > 0 {
                    return;
                }
                (kept.tasks.take(), std::mem::take(&mut kept.found))
            };
            // What was cancelled meanwhile is in nobody's hands but these.
            if let Some(tasks) = tasks.filter(|tasks| tasks.are_awaited(world)) {
                match heaviest(world.rank(), &found) {
                    Some(rank) => give(world, rank, vec![tasks]),
                    None => put(world, tasks),
                }
            }
        });
    }
}

/// The other rank that has the most bytes, if it has more than the own.
fn heaviest(own: Rank, found: &[(Rank, usize)]) -> Option<Rank> {
    let on = |rank| found.iter().filter(|(at, _)| *at == rank).map(|(_, bytes)| *bytes as u128).sum::<u128>();
    let others = found.iter().map(|(rank, _)| *rank).filter(|rank| *rank != own);
    let (bytes, rank) = others.map(|rank| (on(rank), rank)).max()?;
    (bytes > on(own)).then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_go_to_the_most_bytes_and_stay_if_those_are_here() {
        let place = |found: &[(u32, usize)]| {
            let found: Vec<_> = found.iter().map(|&(rank, bytes)| (Rank(rank), bytes)).collect();
            heaviest(Rank(0), &found).map(|rank| rank.0)
        };
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[(0, 1)]), None);
        assert_eq!(place(&[(1, 10), (2, 7), (2, 7)]), Some(2));
        assert_eq!(place(&[(1, 10), (0, 10)]), None);
        assert_eq!(place(&[(1, usize::MAX), (1, usize::MAX), (0, usize::MAX)]), Some(1));
    }
}

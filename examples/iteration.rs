//! An iterative algorithm with a convergence check: PageRank of a small made-up web. Each step is a graph of futures over the
//! one before, and the next step is under way while the check of the last one is still computed; at the end it is dropped,
//! which releases what has not begun.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use heist::prelude::*;

const PAGES: usize = 20_000;
const BLOCKS: usize = 8;
const DAMPING: f64 = 0.85;
const TOLERANCE: f64 = 1e-12;

/// For each page, those that link to it. Each page has three links.
fn web() -> Vec<Vec<u32>> {
    let mut linked_from = vec![Vec::new(); PAGES];
    for page in 0..PAGES {
        for to in [page / 2, page * 7 + 1, page * page + 3] {
            linked_from[to % PAGES].push(page as u32);
        }
    }
    linked_from
}

fn block(index: usize) -> Range<usize> {
    PAGES * index / BLOCKS..PAGES * (index + 1) / BLOCKS
}

type Ranks = Vec<TaskFuture<Vec<f64>>>;

/// The ranks after one more step, in blocks; each is made from all blocks before.
fn step(ex: &Executor, web: &Arc<Vec<Vec<u32>>>, before: &Ranks) -> Ranks {
    let next = |index| {
        let web = Arc::clone(web);
        ex.submit_after(before, move |before: Vec<&Vec<f64>>| {
            let before: Vec<f64> = before.into_iter().flatten().copied().collect();
            let rank = |from: &Vec<u32>| from.iter().map(|&page| before[page as usize] / 3.0).sum::<f64>();
            web[block(index)].iter().map(|from| (1.0 - DAMPING) / PAGES as f64 + DAMPING * rank(from)).collect()
        })
    };
    (0..BLOCKS).map(next).collect()
}

/// How far two steps are apart.
fn distance(ex: &Executor, old: &Ranks, new: &Ranks) -> TaskFuture<f64> {
    ex.submit_after((old, new), |(old, new): (Vec<&Vec<f64>>, Vec<&Vec<f64>>)| {
        old.into_iter().flatten().zip(new.into_iter().flatten()).map(|(old, new)| (old - new).abs()).sum()
    })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::new()?;
    let web = Arc::new(web());
    let start = |index| vec![1.0 / PAGES as f64; block(index).len()];
    let mut old: Ranks = (0..BLOCKS).map(|index| ex.scatter(start(index))).collect();
    let mut new = step(&ex, &web, &old);
    let mut steps = 1;
    loop {
        let apart = distance(&ex, &old, &new);
        let after = step(&ex, &web, &new);
        if apart.result()? < TOLERANCE {
            break;
        }
        (old, new) = (new, after);
        steps += 1;
        assert!(steps < 1000, "it converges");
    }
    let ranks = ex.gather(new)?.concat();
    let best = (0..PAGES).max_by(|&a, &b| ranks[a].total_cmp(&ranks[b])).unwrap_or_default();
    println!("converged after {steps} steps; page {best} has the greatest rank, {:.6}", ranks[best]);
    assert!((ranks.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(steps > 10);
    Ok(())
}

//! What ranks promise each other: on worlds within this process, and under launchers (`scripts/ranks`).

mod actors;
mod balance;
mod collective;
mod conformance;
mod data;
mod progress;
mod spmd;
mod sync;
mod tasks;
mod world;

use heist::Rank;

#[test]
fn every_rank_knows_itself_and_the_others() {
    let ranks = world::of(3);
    for (index, ex) in ranks.iter().enumerate() {
        let world = ex.world();
        assert_eq!((world.rank(), world.size()), (Rank(index as u32), 3));
    }
}

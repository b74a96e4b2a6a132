//! Memory that other ranks of the host have been told of, kept until they have it too.

use std::collections::HashMap;

use super::Told;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::{Blob, pack};
use crate::rank::message::Kind;
use crate::rank::world::{Rank, Shared};

#[derive(Default)]
struct Loans(Mutex<Lent>);

#[derive(Default)]
struct Lent {
    drawn: u64,
    all: HashMap<u64, (Rank, Blob)>,
}

/// Keeps a blob until that rank has it. Gives the number of the loan.
pub(in crate::rank) fn lend(world: &Shared, to: Rank, blob: Blob) -> u64 {
    let loans = world.part::<Loans>();
    let mut lent = loans.0.lock();
    lent.drawn += 1;
    let number = lent.drawn;
    lent.all.insert(number, (to, blob));
    number
}

/// Tells a rank that what it has lent is here.
pub(in crate::rank) fn thank(world: &Arc<Shared>, to: Rank, loans: Vec<u64>) {
    if let Ok(packed) = pack(&Told::Mapped(loans)) {
        world.tell(to, Kind::Data, packed);
    }
}

pub(super) fn end(world: &Shared, by: Rank, loans: &[u64]) {
    let table = world.part::<Loans>();
    let mut lent = table.0.lock();
    let ended = loans.iter().filter_map(|number| match lent.all.get(number)? {
        (to, _) if *to == by => lent.all.remove(number),
        _ => None,
    });
    let ended: Vec<_> = ended.collect();
    drop(lent);
    // What was the last to have a segment unmaps it.
    drop(ended);
}

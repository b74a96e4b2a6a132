//! What every rank of a world checks together with the others: collective calls against what one rank would have computed.

use heist::{Collective, Max, Min, Prod, Rank, Sum, TaskError};

const LENGTHS: [usize; 9] = [0, 1, 2, 3, 7, 8, 65, 1_025, 4_099];

/// What a rank has: no two values of a test are the same.
pub(crate) fn values(rank: usize, length: usize) -> Vec<u64> {
    (0..length as u64).map(|index| 1 + index + 1_000_000 * rank as u64).collect()
}

fn all_values(ranks: usize, length: usize) -> Vec<u64> {
    (0..ranks).flat_map(|rank| values(rank, length)).collect()
}

pub(crate) fn own(all: &Collective) -> usize {
    all.rank().0 as usize
}

/// Of all ranks, by all ranks: panics where something else comes.
pub(crate) fn check(all: &Collective) -> Result<(), TaskError> {
    let (rank, count) = (own(all), all.size());
    for length in LENGTHS {
        for root in [0, count / 2, count - 1] {
            to_and_from(all, root, length)?;
        }
        assert_eq!(all.all_gather(&values(rank, length))?, all_values(count, length));
        let from = |other: usize| values(other, length * count)[rank * length..(rank + 1) * length].to_vec();
        let wanted: Vec<_> = (0..count).flat_map(from).collect();
        assert_eq!(all.all_to_all(&values(rank, length * count))?, wanted);
        reductions(all, length)?;
    }
    Ok(())
}

fn to_and_from(all: &Collective, root: usize, length: usize) -> Result<(), TaskError> {
    let (rank, count, to) = (own(all), all.size(), Rank(root as u32));
    let whole = |rank: usize| if rank == root { all_values(count, length) } else { Vec::new() };
    let mut slice = values(rank, length);
    all.broadcast(to, &mut slice)?;
    assert_eq!(slice, values(root, length));
    assert_eq!(all.gather(to, &values(rank, length))?, whole(rank));
    all.scatter(to, &whole(rank), &mut slice)?;
    assert_eq!(slice, values(rank, length));
    Ok(())
}

/// `x ↦ a·x + b`, modulo 2⁶⁴: put one after the other, in an order that matters.
type Affine = [u64; 2];

fn then(first: Affine, second: Affine) -> Affine {
    let [a, b] = first;
    let [c, d] = second;
    [a.wrapping_mul(c), b.wrapping_mul(c).wrapping_add(d)]
}

fn maps(rank: usize, length: usize) -> Vec<Affine> {
    values(rank, length).into_iter().map(|value| [2 * value + 1, value]).collect()
}

fn reductions(all: &Collective, length: usize) -> Result<(), TaskError> {
    let (rank, count) = (own(all), all.size());
    let one_by_one = |by: fn(u64, u64) -> u64| -> Vec<u64> {
        let columns = (0..length).map(|index| (0..count).map(move |rank| values(rank, 1)[0] + index as u64));
        columns.map(|column| column.reduce(by).unwrap()).collect()
    };
    let reduced = |reduce: &dyn Fn(&mut [u64]) -> Result<(), TaskError>| {
        let mut slice = values(rank, length);
        reduce(&mut slice).map(|()| slice)
    };
    assert_eq!(reduced(&|slice| all.all_reduce(slice, Sum))?, one_by_one(u64::wrapping_add));
    assert_eq!(reduced(&|slice| all.all_reduce(slice, Prod))?, one_by_one(u64::wrapping_mul));
    assert_eq!(reduced(&|slice| all.all_reduce(slice, Min))?, one_by_one(u64::min));
    assert_eq!(reduced(&|slice| all.all_reduce(slice, Max))?, one_by_one(u64::max));

    let every: Vec<_> = (0..count).map(|rank| maps(rank, length)).collect();
    let column = |index: usize| every.iter().map(move |maps| maps[index]);
    let composed: Vec<Affine> = (0..length).map(|index| column(index).reduce(then).unwrap()).collect();
    for root in [0, count - 1] {
        let mut slice = maps(rank, length);
        all.reduce(Rank(root as u32), &mut slice, then)?;
        assert!(slice == if rank == root { composed.clone() } else { maps(rank, length) });
    }
    let mut slice = maps(rank, length);
    all.all_reduce(&mut slice, then)?;
    assert!(slice == composed);
    Ok(())
}

//! The ranks of a job work for each other, under every launcher, at one to four of them, on one host and on several.

use std::collections::HashSet;
use std::process;

use heist::{Array, Rank, TaskFuture};

use crate::behind::{each, on_hosts, start, start_behind};
use crate::programs::leave;

/// The rank that runs this.
fn here() -> Rank {
    heist::current().unwrap().executor().world().rank()
}

fn sum((numbers,): (Array<u64>,)) -> u64 {
    numbers.iter().sum()
}

/// From the first rank to all, and back.
pub(crate) fn run() {
    const MANY: u64 = 1 << 20;
    let value = heist::launch(|ex| {
        let world = ex.world();
        let ranks: Vec<_> = (0..world.size() as u32).map(Rank).collect();

        let at = |&rank: &Rank| world.on(rank).submit(|(_,)| (here(), process::id()), ((),));
        let found = ex.gather(ranks.iter().map(at).collect::<Vec<_>>()).unwrap();
        assert!(found.iter().map(|(rank, _)| rank).eq(&ranks), "each where it was sent: {found:?}");
        assert_eq!(found.iter().map(|(_, process)| process).collect::<HashSet<_>>().len(), ranks.len());

        // From rank to rank, each with what the one before it made.
        let first = ex.submit(|| 1_u64);
        let last = ranks.iter().fold(first, |before, &rank| world.on(rank).submit(|(n,): (u64,)| 2 * n, (&before,)));
        assert_eq!(last.result().unwrap(), 1 << ranks.len());

        for &rank in &ranks {
            let squares = world.on(rank).map(0..2_000_u64, |n| n * n);
            assert!(ex.gather(squares).unwrap().into_iter().eq((0..2_000).map(|n| n * n)), "to {rank}");
            let error = world.on(rank).submit(|(_,)| -> u32 { panic!("on purpose") }, ((),)).result().unwrap_err();
            assert!(error.is_panic() && error.to_string().contains("on purpose"), "{error}");
            let nested = |(to,): (Rank,)| {
                let world = heist::current().unwrap().executor().world();
                world.on(to).submit(|(_,)| here(), ((),)).result().unwrap()
            };
            let next = Rank((rank.0 + 1) % ranks.len() as u32);
            assert_eq!(world.on(rank).submit(nested, (next,)).result().unwrap(), next);
        }

        // More than goes with a message: there, used there and by the others, and back.
        let numbers = || Array::from((0..MANY).collect::<Vec<_>>());
        let total = MANY * (MANY - 1) / 2;
        let kept: Vec<TaskFuture<Array<u64>>> =
            ranks.iter().map(|&rank| world.scatter_on(rank, numbers()).unwrap()).collect();
        for (&rank, next) in ranks.iter().zip(kept.iter().cycle().skip(1)) {
            assert_eq!(world.on(rank).submit(sum, (next,)).result().unwrap(), total, "on {rank}");
        }
        for array in ex.gather(kept).unwrap() {
            assert_eq!(array.iter().sum::<u64>(), total);
        }
        leave("hosts", &world.hosts().to_string());
        ranks.len()
    });
    if let Some(ranks) = value.unwrap() {
        leave("worked", &ranks.to_string());
    }
}

#[test]
fn ranks_of_a_host_work_for_each_other() {
    each(|launcher| {
        for ranks in 1..=4 {
            let ended = start(launcher, ranks, "work", &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            assert_eq!((ended.file("worked"), ended.file("hosts")), (&*ranks.to_string(), "1"), "{}", ended.told);
        }
    });
}

#[test]
fn ranks_of_several_hosts_work_for_each_other() {
    for (hosts, each_has) in [(2, 1), (2, 2), (3, 1)] {
        on_hosts(hosts, each_has, |words| {
            let ended = start_behind(words, "work", &[]).end();
            assert!(ended.status.success() && ended.words().is_empty(), "{}", ended.told);
            let ranks = (hosts * each_has).to_string();
            assert_eq!((ended.file("worked"), ended.file("hosts")), (&*ranks, &*hosts.to_string()), "{}", ended.told);
        });
    }
}

//! Ranks that share work, simulated: how long it takes them, and what they send.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pile::{Gift, Pile};
use super::victims::Victims;
use crate::rank::world::Rank;

/// Time, in nanoseconds.
type Time = u64;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker has done one task, and has more that it took.
    Free {
        rank: usize,
        left: Vec<Time>,
    },
    Ask {
        from: usize,
        to: usize,
    },
    Items {
        from: usize,
        to: usize,
        items: Vec<Vec<Time>>,
    },
    Submit {
        rank: usize,
        items: Vec<Time>,
    },
}

struct World {
    piles: Vec<Pile<Vec<Time>>>,
    /// Workers of each rank that do nothing.
    idle: Vec<usize>,
    hosts: Vec<u32>,
    workers: usize,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    now: Time,
    drawn: u64,
    busy: Time,
    run: usize,
    messages: usize,
}

/// How long a message takes within a host, and between two.
const NEAR: Time = 3_000;
const FAR: Time = 30_000;

impl World {
    fn new(hosts: &[u32], workers: usize) -> Self {
        let ranks = hosts.len() as u32;
        let pile = |rank| Pile::new(workers, hosts.len(), Victims::of(Rank(rank), hosts));
        let mut world = Self {
            piles: (0..ranks).map(pile).collect(),
            idle: vec![workers; hosts.len()],
            hosts: hosts.to_vec(),
            workers,
            events: BinaryHeap::new(),
            now: 0,
            drawn: 0,
            busy: 0,
            run: 0,
            messages: 0,
        };
        (0..hosts.len()).for_each(|rank| world.look(rank));
        world
    }

    fn at(&mut self, time: Time, event: Event) {
        self.drawn += 1;
        self.events.push(Reverse((time, self.drawn, event)));
    }

    fn send(&mut self, from: usize, to: usize, event: Event) {
        self.messages += 1;
        let takes = if self.hosts[from] == self.hosts[to] { NEAR } else { FAR };
        self.at(self.now + takes, event);
    }

    fn give(&mut self, from: usize, gifts: Vec<Gift<Vec<Time>>>) {
        for Gift { to, items } in gifts {
            self.send(from, to.index(), Event::Items { from, to: to.index(), items });
        }
    }

    fn begin(&mut self, rank: usize, mut items: Vec<Time>) {
        let item = items.remove(0);
        self.busy += item;
        self.run += 1;
        self.at(self.now + item, Event::Free { rank, left: items });
    }

    /// Idle workers take what there is, or have others asked.
    fn look(&mut self, rank: usize) {
        while self.idle[rank] > 0
            && let Some(items) = self.piles[rank].take()
        {
            self.idle[rank] -= 1;
            self.begin(rank, items);
        }
        if self.idle[rank] > 0
            && let Some(victim) = self.piles[rank].idle(self.idle[rank])
        {
            self.send(rank, victim.index(), Event::Ask { from: rank, to: victim.index() });
        }
    }

    /// Until nothing happens any more.
    fn run(&mut self) {
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            match event {
                Event::Free { rank, left } if left.is_empty() => {
                    self.idle[rank] += 1;
                    self.look(rank);
                }
                Event::Free { rank, left } => self.begin(rank, left),
                Event::Ask { from, to } => {
                    let items = self.piles[to].asked(Rank(from as u32), self.workers, self.idle[to]);
                    self.give(to, vec![Gift { to: Rank(from as u32), items }]);
                }
                Event::Items { from, to, items } => {
                    let gifts = self.piles[to].got(Rank(from as u32), items);
                    self.give(to, gifts);
                    self.look(to);
                }
                Event::Submit { rank, items } => {
                    let gifts = self.piles[rank].add(items, self.idle[rank]);
                    self.give(rank, gifts);
                    self.look(rank);
                }
            }
        }
    }
}

/// A map of so many tasks of twice `mean` at most, and one of ten times that.
fn uneven(tasks: usize, mean: Time, outlier: usize, seed: u64) -> Vec<Time> {
    let mut random = fastrand::Rng::with_seed(seed);
    let length = |index| if index == outlier { 10 * mean } else { random.u64(0..2 * mean) };
    (0..tasks).map(length).collect()
}

/// The share of the ideal speed that a map submitted on rank 0 comes to, and the messages that took.
fn share_of_ideal(hosts: &[u32], workers: usize, tasks: Vec<Time>) -> (f64, usize) {
    let count = tasks.len();
    let mut world = World::new(hosts, workers);
    world.run();
    let (start, quiet) = (world.now, world.messages);
    for items in tasks.chunks(64) {
        world.at(start, Event::Submit { rank: 0, items: items.to_vec() });
    }
    world.run();
    assert_eq!(world.run, count, "each task runs once");
    // After the last task everybody asks around once more.
    let last = world.now - start;
    let ideal = world.busy as f64 / (workers * hosts.len()) as f64;
    (ideal / last as f64, world.messages - quiet)
}

#[test]
fn an_uneven_map_keeps_all_ranks_busy() {
    for hosts in [&[0, 0, 0, 0][..], &[0, 0, 1, 1], &[0, 1, 2, 3]] {
        for workers in [1, 2, 8] {
            for seed in 0..10 {
                let count = 400 * workers;
                for outlier in [0, count / 2, count - 1] {
                    let tasks = uneven(count, 1_000_000, outlier, seed);
                    let (share, messages) = share_of_ideal(hosts, workers, tasks);
                    assert!(share > 0.9, "{hosts:?} × {workers}, outlier at {outlier}, seed {seed}: {share}");
                    assert!(messages < count / 2, "{messages} messages for {count} tasks");
                }
            }
        }
    }
}

#[test]
fn short_tasks_are_worth_sending_in_many() {
    let (share, messages) = share_of_ideal(&[0; 4], 1, uneven(100_000, 1_000, 7, 1));
    assert!(share > 0.9 && messages < 1_000, "{share}, {messages}");
}

#[test]
fn many_ranks_get_their_shares() {
    let hosts: Vec<u32> = (0..64).map(|rank| rank / 4).collect();
    let (share, messages) = share_of_ideal(&hosts, 1, uneven(6_400, 1_000_000, 6_399, 3));
    assert!(share > 0.8, "{share} by {messages} messages");
}

#[test]
fn nothing_is_sent_while_nobody_has_anything() {
    let mut world = World::new(&[0; 4], 2);
    world.run();
    // Each has asked each other once; and that was all, as the events have ended.
    assert_eq!(world.messages, 2 * 4 * 3);
}

#[test]
fn work_that_comes_one_by_one_is_spread_when_the_own_workers_are_busy() {
    let mut world = World::new(&[0; 4], 1);
    world.run();
    let start = world.now;
    (0..400).for_each(|index| world.at(start + index * 260_000, Event::Submit { rank: 0, items: vec![1_000_000] }));
    world.run();
    assert_eq!(world.run, 400);
    let ideal = world.busy as f64 / 4.0;
    assert!(ideal / ((world.now - start) as f64) > 0.9, "{}", ideal / ((world.now - start) as f64));
}

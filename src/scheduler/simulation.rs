//! The workers' search, step by step on one thread and in made-up time: what runs where.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use heist_numa::{Plan, Topology, Wishes};

use super::context::local;
use super::drive::execute;
use super::entry::{Batch, Entry, Opened};
use super::pace::Search;
use super::registry::{Registry, Settings};
use super::seating::Seating;
use super::worker::Worker;
use crate::error::TaskErrorKind;
use crate::task::{self, Anywhere, Input, Typed, Whereabouts, Work};

/// Nanoseconds between two looks of a worker that finds nothing, and until it looks in other domains.
const LOOK: u64 = 1_000;
const AFAR: u64 = 10_000;
/// And until it takes what others are about to run.
const SEARCH: u64 = 50_000;

/// An executor without threads.
struct Simulation {
    registry: Arc<Registry>,
    workers: Vec<Option<Box<Worker>>>,
    /// Of each worker: when it has looked without success since.
    idle_since: Vec<Option<u64>>,
    /// What each domain has run, in nanoseconds of tasks, and how much of that was its own.
    run: Arc<Vec<AtomicU64>>,
    own: Arc<Vec<AtomicU64>>,
    now: Arc<AtomicU64>,
}

impl Simulation {
    fn new(host: &str, seed: u64) -> Self {
        let topology = Topology::synthetic(host).unwrap();
        let plan = Plan::new(&topology, topology.allowed(), &Wishes::default()).unwrap();
        let settings = Settings {
            workers: plan.seats().len(),
            seating: Seating::of(&plan, &topology),
            reasons: Vec::new(),
            stack_size: 1 << 20,
            max_spare_threads: 0,
            resources: Vec::new(),
            seed,
            search: Search::ADAPTIVE,
            thread_name: Box::new(|_| String::new()),
            on_start: None,
            on_stop: None,
            on_detached_error: None,
            warnings: Vec::new(),
        };
        let (registry, workers) = Registry::assemble(settings, Box::new(())).unwrap();
        let count = registry.domain_count();
        let none = || Arc::new((0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
        Self {
            idle_since: vec![None; workers.len()],
            workers: workers.into_iter().map(|worker| Some(Box::new(worker))).collect(),
            registry,
            run: none(),
            own: none(),
            now: Arc::default(),
        }
    }

    /// A task that works for `cost` nanoseconds on something that lies on `domain`.
    fn submit(&self, domain: usize, cost: u64) -> Typed<()> {
        let here = Location::caller();
        let chunk = task::with_value(self.registry.birth(here), (), Whereabouts::on(domain, 1 << 20));
        let (registry, run, own, now) =
            (Arc::downgrade(&self.registry), self.run.clone(), self.own.clone(), self.now.clone());
        self.registry.submit_after::<Anywhere, _, _, _>(here, Input::new(chunk), false, move |_| {
            let ran_on = registry.upgrade().map_or(0, |registry| local(|local| registry.domain_here(local)));
            run[ran_on].fetch_add(cost, Ordering::Relaxed);
            if ran_on == domain {
                own[domain].fetch_add(cost, Ordering::Relaxed);
            }
            now.fetch_add(cost, Ordering::Relaxed);
            Ok(())
        })
    }

    /// One look of a worker, and what it finds; the time it took.
    fn step(&mut self, index: usize, now: u64) -> u64 {
        let registry = &self.registry;
        let worker = self.workers[index].take().unwrap();
        let mut entry = worker.find(registry);
        if entry.is_none() {
            let since = *self.idle_since[index].get_or_insert(now);
            if now - since >= AFAR {
                entry = worker.find_afar(registry, now - since >= SEARCH);
            }
        }
        local(|local| {
            local.join(registry, 1 << 20);
            local.sit(worker);
        });
        self.now.store(0, Ordering::Relaxed);
        if let Some(entry) = entry {
            self.idle_since[index] = None;
            let first = match entry.open() {
                Opened::Task(task) => task,
                Opened::Batch(batch) => {
                    let (first, rest) = Batch::pop(batch);
                    rest.into_iter().for_each(|rest| registry.keep_next(Entry::of_batch(rest)));
                    first
                }
            };
            task::start(first).into_iter().for_each(|task| execute(registry, task));
        }
        self.workers[index] = local(|local| {
            let worker = local.stand();
            local.leave();
            worker
        });
        self.now.load(Ordering::Relaxed)
    }

    /// Until all of `tasks` are done; gives how long that took.
    fn run(&mut self, tasks: &[Typed<()>]) -> u64 {
        let mut turns: BinaryHeap<_> = (0..self.workers.len()).map(|worker| Reverse((0, worker))).collect();
        while let Some(Reverse((now, worker))) = turns.pop() {
            let took = self.step(worker, now);
            if took == 0
                && !self.registry.has_work()
                && tasks.iter().all(|task| task.handle().head().state.load().is_done())
            {
                break;
            }
            turns.push(Reverse((now + took.max(LOOK), worker)));
        }
        turns.into_iter().map(|Reverse((now, _))| now).max().unwrap_or(0)
    }

    fn share_at_home(&self) -> f64 {
        let sum = |of: &[AtomicU64]| of.iter().map(|cost| cost.load(Ordering::Relaxed)).sum::<u64>() as f64;
        sum(&self.own) / sum(&self.run)
    }

    /// The largest sum of a domain's, over the mean.
    fn imbalance(&self) -> f64 {
        let costs: Vec<_> = self.run.iter().map(|cost| cost.load(Ordering::Relaxed) as f64).collect();
        costs.iter().copied().fold(0.0, f64::max) * costs.len() as f64 / costs.iter().sum::<f64>()
    }
}

const HOSTS: [&str; 5] = [
    "4 domains × 2 cores",
    "2 domains × 8 cores",
    "4 domains × 4 cores",
    "2 packages × 4 domains × 8 cores",
    "8 domains × 24 cores",
];

/// `per_worker` tasks for each worker of each domain, times `load` of the domain; costs from 0.9 to 1.1 of the mean.
fn loaded(simulation: &Simulation, per_worker: usize, load: impl Fn(usize) -> usize) -> Vec<Typed<()>> {
    let domains = simulation.registry.domain_count();
    let most = (0..domains).map(&load).max().unwrap_or(0);
    let rounds = simulation.workers.len() / domains * per_worker * most;
    let mut tasks = Vec::new();
    for round in 0..rounds {
        for domain in (0..domains).filter(|&domain| round * most < rounds * load(domain)) {
            let jitter = (round * 7919 + domain * 104_729) % 20_001;
            tasks.push(simulation.submit(domain, 90_000 + jitter as u64));
        }
    }
    tasks
}

#[test]
fn equally_loaded_domains_keep_to_themselves() {
    for host in HOSTS {
        for seed in 0..5 {
            let mut simulation = Simulation::new(host, seed);
            let tasks = loaded(&simulation, 64, |_| 1);
            simulation.run(&tasks);
            let share = simulation.share_at_home();
            assert!(share >= 0.95, "{host}, seed {seed}: {share:.3} at home");
        }
    }
}

#[test]
fn a_domain_with_four_times_the_load_is_helped() {
    for host in HOSTS {
        for seed in 0..5 {
            let mut simulation = Simulation::new(host, seed);
            let tasks = loaded(&simulation, 32, |domain| if domain == 0 { 4 } else { 1 });
            simulation.run(&tasks);
            let imbalance = simulation.imbalance();
            assert!(imbalance <= 1.15, "{host}, seed {seed}: {imbalance:.3} of the mean");
        }
    }
}

#[test]
fn one_worker_repeats_a_simulation() {
    let run = || {
        let mut simulation = Simulation::new("4 domains × 2 cores", 9);
        let tasks = loaded(&simulation, 16, |domain| domain + 1);
        (simulation.run(&tasks), simulation.share_at_home().to_bits())
    };
    assert_eq!(run(), run());
}

/// A tree of tasks that work for `cost` nanoseconds each, and of which each then makes two, so deep.
struct Tree {
    registry: Weak<Registry>,
    now: Arc<AtomicU64>,
    cost: u64,
    depth: usize,
}

impl Work for Tree {
    type Output = ();
    fn run(self) -> Result<(), TaskErrorKind> {
        self.now.fetch_add(self.cost, Ordering::Relaxed);
        if let Some(registry) = self.registry.upgrade().filter(|_| self.depth > 0) {
            for _ in 0..2 {
                let (now, depth) = (self.now.clone(), self.depth - 1);
                let half = Self { registry: self.registry.clone(), now, depth, ..self };
                registry.count_created(1);
                registry.queue(task::ready_unwanted(registry.birth(Location::caller()), half));
            }
        }
        Ok(())
    }
}

#[test]
fn thieves_of_a_tree_stay_in_their_domains() {
    for host in ["2 domains × 8 cores", "4 domains × 8 cores", "8 domains × 24 cores"] {
        for seed in 0..3 {
            let mut simulation = Simulation::new(host, seed);
            let registry = &simulation.registry;
            let tree =
                Tree { registry: Arc::downgrade(registry), now: simulation.now.clone(), cost: 100_000, depth: 13 };
            let root = registry.submit(Location::caller(), tree);
            simulation.run(&[root]);
            let counters = || simulation.registry.counters();
            let stolen: u64 = counters().map(|counters| counters.stolen.read()).sum();
            let afar: u64 = counters().map(|counters| counters.stolen_afar.read()).sum();
            let share = 1.0 - afar as f64 / stolen as f64;
            assert!(stolen > 100 && share >= 0.9, "{host}, seed {seed}: {share:.3} of {stolen} inside");
        }
    }
}

//! Named amounts of which tasks take some while they run; those that find too little left wait here, in one order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::registry::Registry;
use crate::primitive::lock::Mutex;
use crate::task::{self, Ended, Header, Needs, Priority, Ready};

/// The resources of an executor.
pub(crate) struct Resources {
    /// Name and amount.
    all: Box<[(String, u64)]>,
    pool: Mutex<Pool>,
}

struct Pool {
    /// Of each resource.
    free: Vec<u64>,
    /// By which resources they need.
    waiting: BTreeMap<Box<[u32]>, Line>,
    /// What waiting tasks were given that have yet to begin, by their class.
    admitted: [Vec<Arc<Needs>>; Priority::ALL.len()],
    /// Tasks of these that were cancelled since they were last swept out.
    dead: usize,
    /// The age of the next.
    next: u64,
    is_closed: bool,
}

/// Tasks that need the same resources, by class, each with its age.
#[derive(Default)]
struct Line([VecDeque<(u64, Ready)>; Priority::ALL.len()]);

/// What is to be done with tasks that have left their line.
#[derive(Default)]
struct Left {
    admitted: Vec<Ready>,
    dead: Vec<Ready>,
}

/// A resource of an executor, as it is at one moment.
///
/// ```
/// let ex = heist::Executor::builder().resource("gpu", 2).build()?;
/// let [gpu] = &ex.resources()[..] else { panic!() };
/// assert_eq!((gpu.name(), gpu.total(), gpu.in_use()), ("gpu", 2, 0));
/// # Ok::<(), heist::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    name: String,
    total: u64,
    in_use: u64,
}

impl Resource {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much there is of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How much of it tasks have.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.in_use
    }
}

fn needs_of(task: &Ready) -> Option<&Arc<Needs>> {
    task.head().rule()?.needs.as_ref()
}

fn is_dead(task: &Ready) -> bool {
    task.head().state.load().is_done()
}

impl Line {
    /// Class and age of the first.
    fn first(&self) -> Option<(usize, u64)> {
        self.0.iter().enumerate().find_map(|(class, line)| Some((class, line.front()?.0)))
    }

    fn len(&self) -> usize {
        self.0.iter().map(VecDeque::len).sum()
    }

    fn drop_dead_in_front(&mut self, dead: &mut Vec<Ready>) {
        for line in &mut self.0 {
            while let Some((_, task)) = line.pop_front_if(|(_, task)| is_dead(task)) {
                dead.push(task);
            }
        }
    }

    fn drop_dead(&mut self, dead: &mut Vec<Ready>) {
        for line in &mut self.0 {
            for (age, task) in std::mem::take(line) {
                if is_dead(&task) {
                    dead.push(task);
                } else {
                    line.push_back((age, task));
                }
            }
        }
    }
}

impl Pool {
    fn fits(&self, needs: &Needs) -> bool {
        needs.amounts.iter().all(|&(resource, amount)| self.free[resource as usize] >= amount)
    }

    fn take(&mut self, needs: &Needs) {
        needs.amounts.iter().for_each(|&(resource, amount)| self.free[resource as usize] -= amount);
    }

    fn give_back(&mut self, needs: &Needs) {
        needs.amounts.iter().for_each(|&(resource, amount)| self.free[resource as usize] += amount);
    }

    /// An admitted task has begun, or its closure is gone.
    fn forget_admitted(&mut self, needs: &Needs) {
        let is_other = |other: &Arc<Needs>| !std::ptr::eq(Arc::as_ptr(other), needs);
        self.admitted.iter_mut().for_each(|class| class.retain(is_other));
    }

    /// Takes from tasks that are less urgent, and have yet to begin, as much as is missing: the least urgent first, of these
    /// the last to be admitted. They wait again when it is their turn.
    fn reclaim(&mut self, needs: &Needs, class: usize) {
        for less in (class + 1..self.admitted.len()).rev() {
            for index in (0..self.admitted[less].len()).rev() {
                let missing =
                    |&(resource, amount): &(u32, u64)| (self.free[resource as usize] < amount).then_some(resource);
                let missing: Vec<_> = needs.amounts.iter().filter_map(missing).collect();
                let other = self.admitted[less][index].clone();
                if other.amounts.iter().any(|(resource, _)| missing.contains(resource)) && other.give_way() {
                    self.admitted[less].remove(index);
                    self.give_back(&other);
                }
            }
        }
    }

    /// Whether a task that is as urgent, or more, waits for one of the same resources.
    fn is_behind(&self, needs: &Needs, class: usize) -> bool {
        self.waiting.iter().any(|(kinds, line)| {
            line.first().is_some_and(|(first, _)| first <= class)
                && needs.amounts.iter().any(|(resource, _)| kinds.contains(resource))
        })
    }

    fn park(&mut self, kinds: Box<[u32]>, class: usize, task: Ready) {
        self.waiting.entry(kinds).or_default().0[class].push_back((self.next, task));
        self.next += 1;
    }

    /// Takes what is free for those that wait, the most urgent and oldest first. Nobody passes one who waits for the same
    /// resource, however little he needs: so much is had in the end, too.
    fn admit(&mut self) -> Left {
        let mut left = Left::default();
        if self.dead > 32 && self.dead * 2 > self.waiting.values().map(Line::len).sum() {
            self.dead = 0;
            self.waiting.values_mut().for_each(|line| line.drop_dead(&mut left.dead));
        }
        loop {
            self.waiting.values_mut().for_each(|line| line.drop_dead_in_front(&mut left.dead));
            self.waiting.retain(|_, line| line.first().is_some());
            let Some(task) = self.first_that_fits().and_then(|(kinds, class)| {
                let (_, task) = self.waiting.get_mut(&kinds)?.0[class].pop_front()?;
                Some(task)
            }) else {
                return left;
            };
            match needs_of(&task) {
                Some(needs) if needs.admit() => {
                    self.take(needs);
                    self.admitted[task.head().priority().index()].push(needs.clone());
                    left.admitted.push(task);
                }
                _ => left.dead.push(task),
            }
        }
    }

    /// The line and the class whose first is to be admitted.
    fn first_that_fits(&self) -> Option<(Box<[u32]>, usize)> {
        let mut order: Vec<_> = self.waiting.iter().filter_map(|(kinds, line)| Some((line.first()?, kinds))).collect();
        order.sort_unstable();
        let mut is_claimed = vec![false; self.free.len()];
        order.into_iter().find_map(|((class, _), kinds)| {
            let is_free = !kinds.iter().any(|&kind| is_claimed[kind as usize]);
            kinds.iter().for_each(|&kind| is_claimed[kind as usize] = true);
            let needs = needs_of(&self.waiting[kinds].0[class].front()?.1)?;
            (is_free && self.fits(needs)).then(|| (kinds.clone(), class))
        })
    }
}

impl Resources {
    pub(super) fn new(all: Vec<(String, u64)>) -> Self {
        let free = all.iter().map(|&(_, amount)| amount).collect();
        let pool = Pool {
            free,
            waiting: BTreeMap::new(),
            admitted: std::array::from_fn(|_| Vec::new()),
            dead: 0,
            next: 0,
            is_closed: false,
        };
        Self { all: all.into(), pool: Mutex::new(pool) }
    }

    /// Which one is called so, and how much there is of it.
    pub(crate) fn find(&self, name: &str) -> Option<(u32, u64)> {
        let found = self.all.iter().position(|(known, _)| known == name)?;
        Some((found as u32, self.all[found].1))
    }

    /// All of them.
    pub(crate) fn snapshot(&self) -> Vec<Resource> {
        let free = self.pool.lock().free.clone();
        let of = |((name, total), free): (&(String, u64), u64)| Resource {
            name: name.clone(),
            total: *total,
            in_use: total - free,
        };
        self.all.iter().zip(free).map(of).collect()
    }

    /// Takes what a task needs that is to run now. If too little is left, the task waits here, to be
    /// [accepted](Registry::accept) when it has what it needs.
    pub(crate) fn take(&self, task: Ready) -> Option<Ready> {
        let Some(needs) = needs_of(&task) else { return Some(task) };
        if needs.has() {
            return Some(task);
        }
        let class = task.head().priority().index();
        let mut pool = self.pool.lock();
        if pool.is_closed {
            return Some(task);
        }
        if needs.is_admitted() {
            pool.forget_admitted(needs);
            needs.take();
            return Some(task);
        }
        let is_behind = pool.is_behind(needs, class);
        if !is_behind {
            pool.reclaim(needs, class);
        }
        if !is_behind && pool.fits(needs) {
            if needs.take() {
                pool.take(needs);
            }
            return Some(task);
        }
        if !needs.park() {
            return Some(task);
        }
        let kinds = needs.amounts.iter().map(|&(resource, _)| resource).collect();
        pool.park(kinds, class, task);
        None
    }

    fn give_back(&self, needs: &Needs, ended: Ended) -> Left {
        let mut pool = self.pool.lock();
        match ended {
            Ended::With => pool.give_back(needs),
            Ended::Admitted => {
                pool.forget_admitted(needs);
                pool.give_back(needs);
            }
            Ended::Parked => pool.dead += 1,
        }
        pool.admit()
    }

    /// Takes out those of the waiting of which `which` is true.
    pub(super) fn take_waiting(&self, which: impl Fn(&Header) -> bool) -> Vec<Ready> {
        let mut pool = self.pool.lock();
        let lines = pool.waiting.values_mut().flat_map(|line| &mut line.0);
        let mut taken = Vec::new();
        for line in lines {
            for (age, task) in std::mem::take(line) {
                if which(task.head()) {
                    taken.push(task);
                } else {
                    line.push_back((age, task));
                }
            }
        }
        taken
    }

    /// Lets nobody wait any more; gives those that do.
    fn close(&self) -> impl Iterator<Item = Ready> {
        let mut pool = self.pool.lock();
        pool.is_closed = true;
        std::mem::take(&mut pool.waiting).into_values().flat_map(|line| line.0).flatten().map(|(_, task)| task)
    }
}

impl Registry {
    /// What a task had whose closure has ended is given to those that wait for it.
    pub(super) fn give_back_needs(&self, needs: &Needs, ended: Ended) {
        let left = self.resources.give_back(needs, ended);
        left.dead.into_iter().for_each(task::skip);
        left.admitted.into_iter().for_each(|task| self.accept(task));
    }

    /// Cancels the tasks that wait for resources.
    pub(super) fn cancel_parked(&self) {
        self.resources.close().for_each(|task| task::cancel_queued(task, self.closed_error()));
    }
}

//! What was said about a task beyond its closure: name, place, needs; and its priority, which lies in its id.

use std::borrow::Cow;
use std::sync::Arc;

use super::handle::Handle;
use super::header::{Header, Look};
use super::home;
use super::keys::{Keeper, Key};
use crate::error::{TaskError, TaskErrorKind, TaskId};
use crate::panics;
use crate::primitive::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::primitive::lock::Mutex;

/// How urgent a task is. Among the tasks that wait for a worker, one of a higher class is taken first; within a class the
/// usual order holds. Tasks that a task submits are of its class.
///
/// ```
/// use heist::Priority;
/// assert!(Priority::HIGHEST > Priority::HIGH && Priority::LOW < Priority::default());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Priority(i8);

/// Where the class begins in a raw id.
const CLASS_SHIFT: u32 = 61;
/// The bits of a raw id that are the task's number.
pub(crate) const NUMBER: u64 = (1 << CLASS_SHIFT) - 1;

impl Priority {
    /// After everything else.
    pub const LOWEST: Self = Self(-2);
    /// After what is normal.
    pub const LOW: Self = Self(-1);
    /// What tasks have of whom nothing else was said.
    pub const NORMAL: Self = Self(0);
    /// Before what is normal.
    pub const HIGH: Self = Self(1);
    /// Before everything else.
    pub const HIGHEST: Self = Self(2);

    /// All of them, most urgent first.
    pub(crate) const ALL: [Self; 5] = [Self::HIGHEST, Self::HIGH, Self::NORMAL, Self::LOW, Self::LOWEST];

    /// As the top bits of a raw id; none for [`NORMAL`](Self::NORMAL).
    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        (self.0 as u64) << CLASS_SHIFT
    }

    #[inline]
    pub(crate) const fn of_raw(raw: u64) -> Self {
        Self((raw.cast_signed() >> CLASS_SHIFT) as i8)
    }

    /// Its place in [`ALL`](Self::ALL).
    #[inline]
    pub(crate) const fn index(self) -> usize {
        (2 - self.0) as usize
    }
}

impl std::fmt::Debug for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(["HIGHEST", "HIGH", "NORMAL", "LOW", "LOWEST"][self.index()])
    }
}

/// The id that a raw one has.
#[inline]
pub(super) const fn number(raw: u64) -> TaskId {
    TaskId(raw & NUMBER)
}

/// A raw id with another class.
#[inline]
pub(crate) const fn with_class(raw: u64, class: Priority) -> u64 {
    raw & NUMBER | class.bits()
}

/// Where a task is to run, or an actor to handle its messages.
///
/// ```
/// use heist::Place;
/// let ex = heist::Executor::builder().workers(2).build()?;
/// let here = ex.task().place(Place::Worker(1)).strict().submit(|| heist::current().unwrap().worker());
/// assert_eq!(here.result()?, 1);
/// assert!(ex.task().place(Place::Worker(7)).submit(|| 1).error().unwrap().is_impossible_place());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// On any worker.
    #[default]
    Any,
    /// On the worker with this index.
    Worker(usize),
    /// On a worker of this NUMA domain of the executor, numbered from 0.
    Domain(usize),
}

impl Place {
    /// For the queues.
    pub(crate) fn or_only(self, strict: bool) -> Where {
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        match self {
            Self::Any => Where::Anywhere,
            Self::Worker(worker) => Where::Worker { worker: number(worker), strict },
            Self::Domain(domain) => Where::Domain { domain: number(domain), strict },
        }
    }
}

/// A [`Place`], and whether it is the only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Where {
    #[default]
    Anywhere,
    Domain {
        domain: u32,
        strict: bool,
    },
    Worker {
        worker: u32,
        strict: bool,
    },
}

/// Lies in the cell of a task that was made with one, behind closure and value, until the cell is freed.
#[derive(Default)]
pub(crate) struct Rule {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) place: Where,
    pub(crate) needs: Option<Arc<Needs>>,
    /// The key it is found by, and who has a reference to it for that.
    pub(crate) key: Option<Key>,
    pub(crate) keeper: Option<Arc<dyn Keeper>>,
    /// How to make the task anew; let go of when it has a value or is cancelled.
    pub(crate) recipe: Mutex<Option<Arc<dyn Recipe>>>,
    /// Whether it has asked to run behind others: then nobody who waits for it runs it ahead of them.
    pub(crate) yields: AtomicBool,
}

/// What a task is made of that can be made anew.
pub(crate) trait Recipe: Send + Sync {
    /// Shows the inputs.
    fn show_inputs(&self, each: Look<'_>);
    /// A task like `old`, whose inputs are those of `renewed`, where there is one.
    fn make(&self, old: &Header, renewed: Renewed<'_>) -> Handle;
}

/// The same, kept by the task.
pub(super) type KeptRecipe = Arc<dyn Recipe>;

/// What stands for a task now.
pub(crate) type Renewed<'a> = &'a dyn Fn(&Handle) -> Option<Handle>;

impl Rule {
    /// Whether the task must run off a shelf, not on the stack of whoever waits for it and of whom `is_at` says whether he
    /// is at a place.
    fn is_bound(&self, is_at: impl FnOnce(Where) -> bool) -> bool {
        let is_strict = matches!(self.place, Where::Domain { strict: true, .. } | Where::Worker { strict: true, .. });
        self.needs.is_some() || is_strict && !is_at(self.place)
    }
}

/// What a task needs of the resources of its executor while its closure runs.
#[derive(Debug)]
pub(crate) struct Needs {
    /// Which resource, and how much of it.
    pub(crate) amounts: Box<[(u32, u64)]>,
    state: AtomicU8,
}

/// Has nothing.
const WITHOUT: u8 = 0;
/// Waits for what it needs.
const PARKED: u8 = 1;
/// Has what it needs.
const WITH: u8 = 2;
/// The closure is gone.
const OVER: u8 = 3;
/// Has what it needs until it begins, or somebody who is more urgent takes it.
const ADMITTED: u8 = 4;

/// What is to be done when a closure has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What was taken goes back.
    With,
    /// The same; it had not begun.
    Admitted,
    /// It waited, maybe ahead of others.
    Parked,
}

impl Needs {
    pub(crate) fn new(amounts: Box<[(u32, u64)]>) -> Self {
        Self { amounts, state: AtomicU8::new(WITHOUT) }
    }

    pub(crate) fn has(&self) -> bool {
        // ORDERING: Relaxed; who asks has taken, or got the task from who has.
        self.state.load(Ordering::Relaxed) == WITH
    }

    /// Notes that the amounts were taken for the task; false when its closure is gone.
    pub(crate) fn take(&self) -> bool {
        self.become_unless_over(WITH)
    }

    /// Notes that the task waits for the amounts; false when its closure is gone.
    pub(crate) fn park(&self) -> bool {
        self.become_unless_over(PARKED)
    }

    /// Notes that the amounts were taken for a task that has yet to begin; false when its closure is gone.
    pub(crate) fn admit(&self) -> bool {
        self.become_unless_over(ADMITTED)
    }

    /// Takes away what the task was admitted with; false when it has begun or its closure is gone.
    pub(crate) fn give_way(&self) -> bool {
        // ORDERING: AcqRel; as below.
        self.state.compare_exchange(ADMITTED, WITHOUT, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn is_admitted(&self) -> bool {
        // ORDERING: Relaxed; changes under the lock of who asks, but for the closure's end.
        self.state.load(Ordering::Relaxed) == ADMITTED
    }

    fn become_unless_over(&self, state: u8) -> bool {
        // ORDERING: Relaxed; a guess for the exchange, which only the end of the closure can come between.
        let now = self.state.load(Ordering::Relaxed);
        // ORDERING: AcqRel; the closure's end comes after.
        now != OVER && self.state.compare_exchange(now, state, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The closure has run or was dropped, for good unless it is run `again`.
    fn end(&self, again: bool) -> Option<Ended> {
        // ORDERING: AcqRel; as above.
        match self.state.swap(if again { WITHOUT } else { OVER }, Ordering::AcqRel) {
            WITH => Some(Ended::With),
            ADMITTED => Some(Ended::Admitted),
            PARKED => Some(Ended::Parked),
            _ => None,
        }
    }
}

/// The closure of a task has run or was dropped, for good unless it is run `again`; what was taken for it goes back.
pub(super) fn closure_ended(task: &Header, again: bool) {
    if let Some(needs) = task.rule().and_then(|rule| rule.needs.as_ref())
        && let Some(ended) = needs.end(again)
    {
        // SAFETY: who drops a closure that has not run counts the task as finished later, and what is run is run by a thread
        // that holds the scheduler.
        unsafe { (*home::of(task).as_ref().0).give_back(needs, ended) };
    }
}

impl Header {
    /// Whether whoever waits must leave it to the queue.
    #[cold]
    pub(super) fn must_be_queued(&self, is_at: impl FnOnce(Where) -> bool) -> bool {
        // ORDERING: Relaxed; a hint.
        self.rule().is_some_and(|rule| rule.is_bound(is_at) || rule.yields.load(Ordering::Relaxed))
    }

    /// Whether anybody would have something of a further attempt.
    pub(super) fn may_run_again(&self) -> bool {
        let now = self.state.load();
        !now.is_done() && !now.is_unwanted()
    }

    /// Whether it was made with this keeper.
    pub(crate) fn has_keeper(&self, keeper: &Arc<dyn Keeper>) -> bool {
        let own = self.rule().and_then(|rule| rule.keeper.as_ref());
        own.is_some_and(|own| std::ptr::addr_eq(Arc::as_ptr(own), Arc::as_ptr(keeper)))
    }

    /// From here on, whoever waits leaves it to the queue.
    pub(super) fn leave_to_queue(&self) {
        if let Some(rule) = self.rule() {
            // ORDERING: Relaxed; as above.
            rule.yields.store(true, Ordering::Relaxed);
        }
    }

    /// Lets go of the closure and the inputs that were kept to make the task anew.
    pub(super) fn forget_recipe(&self) {
        let recipe = self.take_recipe();
        panics::catch_drop(|| drop(recipe));
    }

    /// The same, to be let go of later: what is kept is the user's.
    pub(super) fn take_recipe(&self) -> Option<KeptRecipe> {
        self.rule()?.recipe.lock().take()
    }

    /// How to make the task anew, if that is kept.
    pub(crate) fn recipe(&self) -> Option<Arc<dyn Recipe>> {
        self.rule()?.recipe.lock().clone()
    }

    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        number(self.raw_id)
    }

    #[inline]
    pub(crate) fn priority(&self) -> Priority {
        Priority::of_raw(self.raw_id)
    }

    /// What was said about the task, if anything was.
    #[inline]
    pub(crate) fn rule(&self) -> Option<&Rule> {
        let offset = self.vtable.rule?;
        let cell = std::ptr::with_exposed_provenance::<u8>(std::ptr::from_ref(self).addr());
        // SAFETY: the cell of such a task, whose address was exposed when it was made, has a rule there for as long as it
        // has a header.
        Some(unsafe { &*cell.add(offset).cast() })
    }

    /// What the task ends with when it fails so.
    pub(crate) fn failure(&self, kind: TaskErrorKind) -> TaskError {
        let name = self.rule().and_then(|rule| rule.name.clone());
        TaskError::of_task(kind, self.id(), self.location).named(name)
    }

    /// The name it was given, else the type of its closure.
    pub(crate) fn name(&self) -> &str {
        let given = match self.vtable.title {
            // SAFETY: the title goes with the table.
            Some(title) => unsafe { title(self) },
            None => self.rule().and_then(|rule| rule.name.as_deref()),
        };
        given.unwrap_or_else(|| (self.vtable.name)())
    }
}

#[cfg(all(test, not(heist_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_class_survives_the_way_through_an_id() {
        for (index, class) in Priority::ALL.into_iter().enumerate() {
            let raw = with_class(Priority::LOW.bits() | 77, class);
            assert_eq!((Priority::of_raw(raw), raw & NUMBER, class.index()), (class, 77, index));
        }
        assert_eq!(Priority::NORMAL.bits(), 0);
        assert!(Priority::ALL.is_sorted_by(|a, b| a > b));
    }
}

//! Collecting the values of many futures in the shape they are in.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use super::haste::in_order;
use super::task_future::TaskFuture;
use crate::error::{TaskError, TaskErrorKind};
use crate::task::Handle;

/// Futures in a shape: one, or `Vec`s, arrays, tuples (1 to 12) and maps (by their values) of shapes.
///
/// Owned futures give their value away when they are the only handle; else it is cloned.
///
/// ```
/// use std::collections::BTreeMap;
/// let ex = heist::Executor::new()?;
/// let named = BTreeMap::from([("a", ex.submit(|| 1)), ("b", ex.submit(|| 2))]);
/// let (list, named) = ex.gather((ex.map(0..3, |i| i * i), named))?;
/// assert_eq!(list, [0, 1, 4]);
/// assert_eq!(named["b"], 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Gather {
    /// The same shape with values.
    type Values;
    /// The same shape with results.
    type Results;

    /// Whether a future among them is not of this executor.
    #[doc(hidden)]
    fn any_foreign(&self, executor: u32) -> bool;
    #[doc(hidden)]
    fn values(self) -> Result<Self::Values, TaskError>;
    #[doc(hidden)]
    fn results(self) -> Self::Results;
    /// As `values`; an error before anything is waited for, if a future among them is not of this executor.
    #[doc(hidden)]
    fn values_of(self, executor: u32) -> Result<Self::Values, TaskError>
    where
        Self: Sized,
    {
        if self.any_foreign(executor) { Err(foreign()) } else { self.values() }
    }
    /// Its handle, if it is one future.
    #[doc(hidden)]
    fn single(&self) -> Option<&Handle> {
        None
    }
}

fn foreign() -> TaskError {
    TaskError::new(TaskErrorKind::ForeignFuture)
}

/// Shapes whose failures can be left out: `Vec`s, arrays and maps.
///
/// ```
/// let ex = heist::Executor::new()?;
/// let halves = ex.gather_ok(vec![ex.submit_result(|| Err("odd")), ex.submit_result(|| Ok::<_, &str>(2))]);
/// assert_eq!(halves, [2]);
/// # Ok::<(), heist::Error>(())
/// ```
pub trait GatherOk: Gather {
    /// What is left.
    type Ok;

    #[doc(hidden)]
    fn ok(self) -> Self::Ok;
}

impl<T: Clone + Send + Sync> Gather for TaskFuture<T> {
    type Values = T;
    type Results = Result<T, TaskError>;

    fn any_foreign(&self, executor: u32) -> bool {
        !self.handle().head().is_of(executor)
    }
    fn values(self) -> Result<T, TaskError> {
        self.move_or_clone()
    }
    fn results(self) -> Result<T, TaskError> {
        self.move_or_clone()
    }
    fn single(&self) -> Option<&Handle> {
        Some(self.handle())
    }
}

impl<T: Clone + Send + Sync> Gather for &TaskFuture<T> {
    type Values = T;
    type Results = Result<T, TaskError>;

    fn any_foreign(&self, executor: u32) -> bool {
        !self.handle().head().is_of(executor)
    }
    fn values(self) -> Result<T, TaskError> {
        self.result()
    }
    fn results(self) -> Result<T, TaskError> {
        self.result()
    }
    fn single(&self) -> Option<&Handle> {
        Some(self.handle())
    }
}

impl<G: Gather> Gather for Vec<G> {
    type Values = Vec<G::Values>;
    type Results = Vec<G::Results>;

    fn any_foreign(&self, executor: u32) -> bool {
        self.iter().any(|item| item.any_foreign(executor))
    }
    fn values(self) -> Result<Self::Values, TaskError> {
        in_order(self.into_iter(), G::single, |_| true).map(G::values).collect()
    }
    fn results(self) -> Self::Results {
        in_order(self.into_iter(), G::single, |_| true).map(G::results).collect()
    }
    /// Many futures are looked at once, as they are collected; only before a wait those to come are looked at too.
    fn values_of(self, executor: u32) -> Result<Self::Values, TaskError> {
        let refused = Cell::new(false);
        let may_wait = |rest: &[G]| {
            refused.set(rest.iter().any(|item| item.any_foreign(executor)));
            !refused.get()
        };
        let checked = |item: G| if item.any_foreign(executor) { Err(foreign()) } else { item.values() };
        let values = in_order(self.into_iter(), G::single, may_wait).map(checked).collect();
        if refused.get() { Err(foreign()) } else { values }
    }
}

impl<G: Gather> GatherOk for Vec<G> {
    type Ok = Vec<G::Values>;

    fn ok(self) -> Self::Ok {
        self.into_iter().filter_map(|item| item.values().ok()).collect()
    }
}

impl<'s, E> Gather for &'s [E]
where
    &'s E: Gather,
{
    type Values = Vec<<&'s E as Gather>::Values>;
    type Results = Vec<<&'s E as Gather>::Results>;

    fn any_foreign(&self, executor: u32) -> bool {
        self.iter().any(|item| item.any_foreign(executor))
    }
    fn values(self) -> Result<Self::Values, TaskError> {
        self.iter().collect::<Vec<_>>().values()
    }
    fn results(self) -> Self::Results {
        self.iter().collect::<Vec<_>>().results()
    }
    fn values_of(self, executor: u32) -> Result<Self::Values, TaskError> {
        self.iter().collect::<Vec<_>>().values_of(executor)
    }
}

impl<'s, E> GatherOk for &'s [E]
where
    &'s E: Gather,
{
    type Ok = Vec<<&'s E as Gather>::Values>;

    fn ok(self) -> Self::Ok {
        self.iter().filter_map(|item| item.values().ok()).collect()
    }
}

impl<'s, E> Gather for &'s Vec<E>
where
    &'s E: Gather,
{
    type Values = Vec<<&'s E as Gather>::Values>;
    type Results = Vec<<&'s E as Gather>::Results>;

    fn any_foreign(&self, executor: u32) -> bool {
        self.as_slice().any_foreign(executor)
    }
    fn values(self) -> Result<Self::Values, TaskError> {
        self.as_slice().values()
    }
    fn results(self) -> Self::Results {
        self.as_slice().results()
    }
    fn values_of(self, executor: u32) -> Result<Self::Values, TaskError> {
        self.as_slice().values_of(executor)
    }
}

impl<'s, E> GatherOk for &'s Vec<E>
where
    &'s E: Gather,
{
    type Ok = Vec<<&'s E as Gather>::Values>;

    fn ok(self) -> Self::Ok {
        self.as_slice().ok()
    }
}

impl<G: Gather, const N: usize> Gather for [G; N] {
    type Values = [G::Values; N];
    type Results = [G::Results; N];

    fn any_foreign(&self, executor: u32) -> bool {
        self.iter().any(|item| item.any_foreign(executor))
    }
    fn values(self) -> Result<Self::Values, TaskError> {
        let mut error = None;
        let values =
            self.map(|item| if error.is_none() { item.values().map_err(|e| error = Some(e)).ok() } else { None });
        match error {
            Some(error) => Err(error),
            None => Ok(values.map(|value| match value {
                Some(value) => value,
                None => unreachable!("without an error every place is filled"),
            })),
        }
    }
    fn results(self) -> Self::Results {
        self.map(G::results)
    }
}

impl<G: Gather, const N: usize> GatherOk for [G; N] {
    type Ok = Vec<G::Values>;

    fn ok(self) -> Self::Ok {
        self.into_iter().filter_map(|item| item.values().ok()).collect()
    }
}

impl<K: Eq + Hash, G: Gather, S: BuildHasher + Default> Gather for HashMap<K, G, S> {
    type Values = HashMap<K, G::Values, S>;
    type Results = HashMap<K, G::Results, S>;

    fn any_foreign(&self, executor: u32) -> bool {
        self.values().any(|item| item.any_foreign(executor))
    }
    fn values(self) -> Result<Self::Values, TaskError> {
        self.into_iter().map(|(key, item)| Ok((key, item.values()?))).collect()
    }
    fn results(self) -> Self::Results {
        self.into_iter().map(|(key, item)| (key, item.results())).collect()
    }
}

impl<K: Eq + Hash, G: Gather, S: BuildHasher + Default> GatherOk for HashMap<K, G, S> {
    type Ok = HashMap<K, G::Values, S>;

    fn ok(self) -> Self::Ok {
        self.into_iter().filter_map(|(key, item)| Some((key, item.values().ok()?))).collect()
    }
}

impl<K: Ord, G: Gather> Gather for BTreeMap<K, G> {
    type Values = BTreeMap<K, G::Values>;
    type Results = BTreeMap<K, G::Results>;

    fn any_foreign(&self, executor: u32) -> bool {
        self.values().any(|item| item.any_foreign(executor))
    }
    fn values(self) -> Result<Self::Values, TaskError> {
        self.into_iter().map(|(key, item)| Ok((key, item.values()?))).collect()
    }
    fn results(self) -> Self::Results {
        self.into_iter().map(|(key, item)| (key, item.results())).collect()
    }
}

impl<K: Ord, G: Gather> GatherOk for BTreeMap<K, G> {
    type Ok = BTreeMap<K, G::Values>;

    fn ok(self) -> Self::Ok {
        self.into_iter().filter_map(|(key, item)| Some((key, item.values().ok()?))).collect()
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Gather),+> Gather for ($($name,)+) {
            type Values = ($($name::Values,)+);
            type Results = ($($name::Results,)+);

            fn any_foreign(&self, executor: u32) -> bool {
                $(self.$index.any_foreign(executor))||+
            }
            fn values(self) -> Result<Self::Values, TaskError> {
                Ok(($(self.$index.values()?,)+))
            }
            fn results(self) -> Self::Results {
                ($(self.$index.results(),)+)
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

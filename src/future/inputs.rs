//! What a task can wait for: one future, or tuples, arrays, vectors and slices of such, in any mixture.

use super::task_future::TaskFuture;
use crate::error::TaskError;
use crate::task::{Held, Input};

/// Inputs of a task: `&TaskFuture<A>`, `TaskFuture<A>`, and tuples (1 to 12), arrays, `Vec`s and slices of inputs.
///
/// The closure borrows the values in the same shape: `&A` for a future, tuples for tuples, arrays for arrays, `Vec<&A>`
/// for vectors and slices. Nothing is copied. Values are lent to whatever worker runs the task, so they are [`Sync`].
///
/// ```
/// let ex = heist::Executor::new()?;
/// let (a, b) = (ex.submit(|| 1), ex.submit(|| 2));
/// let many = ex.map(0..4, |i| i);
/// let sum = ex.submit_after((&a, [&b, &a], &many), |(a, [b, c], many)| a + b + c + many.into_iter().sum::<i32>());
/// assert_eq!(sum.result()?, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail,E0277
/// let ex = heist::Executor::new().unwrap();
/// let cell = ex.submit(|| std::cell::Cell::new(1));
/// let _ = ex.submit_after(&cell, |cell| cell.get());
/// ```
pub trait Inputs {
    /// What the task holds until it has run.
    #[doc(hidden)]
    type Owned: Held;
    /// What the closure gets.
    type Refs<'a>;
    /// What the closure of [`submit_after_results`](crate::Executor::submit_after_results) gets.
    type Results<'a>;

    #[doc(hidden)]
    fn own(self) -> Self::Owned;
    #[doc(hidden)]
    fn refs(owned: &Self::Owned) -> Self::Refs<'_>;
    #[doc(hidden)]
    fn results(owned: &Self::Owned) -> Self::Results<'_>;
}

impl<T: Send + Sync + 'static> Inputs for TaskFuture<T> {
    type Owned = Input<T>;
    type Refs<'a> = &'a T;
    type Results<'a> = Result<&'a T, TaskError>;

    fn own(self) -> Input<T> {
        Input::new(self.into_typed())
    }
    fn refs(owned: &Input<T>) -> &T {
        Self::results(owned).unwrap_or_else(|_| unreachable!("a task whose input failed does not run"))
    }
    fn results(owned: &Input<T>) -> Result<&T, TaskError> {
        owned.peek().unwrap_or_else(|| unreachable!("a task runs after all its inputs are done"))
    }
}

impl<T: Send + Sync + 'static> Inputs for &TaskFuture<T> {
    type Owned = Input<T>;
    type Refs<'a> = &'a T;
    type Results<'a> = Result<&'a T, TaskError>;

    fn own(self) -> Input<T> {
        self.clone().own()
    }
    fn refs(owned: &Input<T>) -> &T {
        TaskFuture::<T>::refs(owned)
    }
    fn results(owned: &Input<T>) -> Result<&T, TaskError> {
        TaskFuture::<T>::results(owned)
    }
}

impl<I: Inputs> Inputs for Vec<I> {
    type Owned = Vec<I::Owned>;
    type Refs<'a> = Vec<I::Refs<'a>>;
    type Results<'a> = Vec<I::Results<'a>>;

    fn own(self) -> Self::Owned {
        self.into_iter().map(I::own).collect()
    }
    fn refs(owned: &Self::Owned) -> Self::Refs<'_> {
        owned.iter().map(I::refs).collect()
    }
    fn results(owned: &Self::Owned) -> Self::Results<'_> {
        owned.iter().map(I::results).collect()
    }
}

/// Borrowed collections own what a `Vec` of borrowed elements would.
macro_rules! borrowed_collection {
    ([$($generics:tt)*] $type:ty, $element:ident) => {
        impl<'s, $($generics)*> Inputs for &'s $type
        where
            &'s $element: Inputs,
        {
            type Owned = Vec<<&'s $element as Inputs>::Owned>;
            type Refs<'a> = Vec<<&'s $element as Inputs>::Refs<'a>>;
            type Results<'a> = Vec<<&'s $element as Inputs>::Results<'a>>;

            fn own(self) -> Self::Owned {
                self.iter().map(Inputs::own).collect()
            }
            fn refs(owned: &Self::Owned) -> Self::Refs<'_> {
                Vec::<&'s $element>::refs(owned)
            }
            fn results(owned: &Self::Owned) -> Self::Results<'_> {
                Vec::<&'s $element>::results(owned)
            }
        }
    };
}
borrowed_collection!([E][E], E);
borrowed_collection!([E] Vec<E>, E);

impl<I: Inputs, const N: usize> Inputs for [I; N] {
    type Owned = [I::Owned; N];
    type Refs<'a> = [I::Refs<'a>; N];
    type Results<'a> = [I::Results<'a>; N];

    fn own(self) -> Self::Owned {
        self.map(I::own)
    }
    fn refs(owned: &Self::Owned) -> Self::Refs<'_> {
        owned.each_ref().map(I::refs)
    }
    fn results(owned: &Self::Owned) -> Self::Results<'_> {
        owned.each_ref().map(I::results)
    }
}

impl<'s, E, const N: usize> Inputs for &'s [E; N]
where
    &'s E: Inputs,
{
    type Owned = [<&'s E as Inputs>::Owned; N];
    type Refs<'a> = [<&'s E as Inputs>::Refs<'a>; N];
    type Results<'a> = [<&'s E as Inputs>::Results<'a>; N];

    fn own(self) -> Self::Owned {
        self.each_ref().map(Inputs::own)
    }
    fn refs(owned: &Self::Owned) -> Self::Refs<'_> {
        <[&'s E; N]>::refs(owned)
    }
    fn results(owned: &Self::Owned) -> Self::Results<'_> {
        <[&'s E; N]>::results(owned)
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Inputs),+> Inputs for ($($name,)+) {
            type Owned = ($($name::Owned,)+);
            type Refs<'a> = ($($name::Refs<'a>,)+);
            type Results<'a> = ($($name::Results<'a>,)+);

            fn own(self) -> Self::Owned {
                ($(self.$index.own(),)+)
            }
            fn refs(owned: &Self::Owned) -> Self::Refs<'_> {
                ($($name::refs(&owned.$index),)+)
            }
            fn results(owned: &Self::Owned) -> Self::Results<'_> {
                ($($name::results(&owned.$index),)+)
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

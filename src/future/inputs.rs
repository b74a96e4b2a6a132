//! What a task can wait for: one future, or tuples, arrays, vectors and slices of such, in any mixture.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::task_future::TaskFuture;
use crate::error::TaskError;
use crate::task::{Header, Input};

/// One input, as the executor sees it.
#[derive(Clone, Copy)]
pub struct InputRef(pub(crate) NonNull<Header>);

/// An input that a task holds until it has run.
pub struct OwnedInput<T>(Input, PhantomData<*const T>);

// SAFETY: it lends `&T` to the thread that runs the task, hence `T: Sync`; dropping the last one drops the value there.
unsafe impl<T: Send + Sync> Send for OwnedInput<T> {}

impl<T: Send + Sync + 'static> OwnedInput<T> {
    fn new(future: TaskFuture<T>) -> Self {
        Self(Input(future.into_handle()), PhantomData)
    }

    fn future(&self) -> std::mem::ManuallyDrop<TaskFuture<T>> {
        // SAFETY: a further look at the same handle, which is not dropped; made of a future of this type.
        unsafe { std::mem::ManuallyDrop::new(TaskFuture::new(self.0.0.borrowed())) }
    }

    fn outcome(&self) -> Result<&T, TaskError> {
        match self.future().peek() {
            // SAFETY: the handle within `self` keeps the value for as long as `self` is borrowed.
            Some(Ok(value)) => Ok(unsafe { &*std::ptr::from_ref(value) }),
            Some(Err(error)) => Err(error),
            None => unreachable!("a task runs after all its inputs are done"),
        }
    }
}

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
    type Owned: Send + 'static;
    /// What the closure gets.
    type Refs<'a>;
    /// What the closure of [`submit_after_results`](crate::Executor::submit_after_results) gets.
    type Results<'a>;

    #[doc(hidden)]
    fn own(self) -> Self::Owned;
    #[doc(hidden)]
    fn visit(owned: &Self::Owned, each: &mut dyn FnMut(InputRef));
    #[doc(hidden)]
    fn refs(owned: &Self::Owned) -> Self::Refs<'_>;
    #[doc(hidden)]
    fn results(owned: &Self::Owned) -> Self::Results<'_>;
}

impl<T: Send + Sync + 'static> Inputs for TaskFuture<T> {
    type Owned = OwnedInput<T>;
    type Refs<'a> = &'a T;
    type Results<'a> = Result<&'a T, TaskError>;

    fn own(self) -> OwnedInput<T> {
        OwnedInput::new(self)
    }
    fn visit(owned: &OwnedInput<T>, each: &mut dyn FnMut(InputRef)) {
        each(InputRef(owned.0.0.task()));
    }
    fn refs(owned: &OwnedInput<T>) -> &T {
        match owned.outcome() {
            Ok(value) => value,
            Err(_) => unreachable!("a task whose input failed does not run"),
        }
    }
    fn results(owned: &OwnedInput<T>) -> Result<&T, TaskError> {
        owned.outcome()
    }
}

impl<T: Send + Sync + 'static> Inputs for &TaskFuture<T> {
    type Owned = OwnedInput<T>;
    type Refs<'a> = &'a T;
    type Results<'a> = Result<&'a T, TaskError>;

    fn own(self) -> OwnedInput<T> {
        OwnedInput::new(self.clone())
    }
    fn visit(owned: &OwnedInput<T>, each: &mut dyn FnMut(InputRef)) {
        TaskFuture::<T>::visit(owned, each);
    }
    fn refs(owned: &OwnedInput<T>) -> &T {
        TaskFuture::<T>::refs(owned)
    }
    fn results(owned: &OwnedInput<T>) -> Result<&T, TaskError> {
        owned.outcome()
    }
}

impl<I: Inputs> Inputs for Vec<I> {
    type Owned = Vec<I::Owned>;
    type Refs<'a> = Vec<I::Refs<'a>>;
    type Results<'a> = Vec<I::Results<'a>>;

    fn own(self) -> Self::Owned {
        self.into_iter().map(I::own).collect()
    }
    fn visit(owned: &Self::Owned, each: &mut dyn FnMut(InputRef)) {
        owned.iter().for_each(|input| I::visit(input, each));
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
            fn visit(owned: &Self::Owned, each: &mut dyn FnMut(InputRef)) {
                Vec::<&'s $element>::visit(owned, each);
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
borrowed_collection!([E] [E], E);
borrowed_collection!([E] Vec<E>, E);

impl<I: Inputs, const N: usize> Inputs for [I; N] {
    type Owned = [I::Owned; N];
    type Refs<'a> = [I::Refs<'a>; N];
    type Results<'a> = [I::Results<'a>; N];

    fn own(self) -> Self::Owned {
        self.map(I::own)
    }
    fn visit(owned: &Self::Owned, each: &mut dyn FnMut(InputRef)) {
        owned.iter().for_each(|input| I::visit(input, each));
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
    fn visit(owned: &Self::Owned, each: &mut dyn FnMut(InputRef)) {
        <[&'s E; N]>::visit(owned, each);
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
            fn visit(owned: &Self::Owned, each: &mut dyn FnMut(InputRef)) {
                $($name::visit(&owned.$index, each);)+
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

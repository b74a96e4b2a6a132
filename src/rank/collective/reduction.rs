//! How two values become one.

use heist_numa::Pod;

/// Makes one value of two. Associative: `(a, (b, c))` gives what `((a, b), c)` gives. Values of lower ranks come first, so
/// it need not be commutative.
///
/// Closures are reductions; [`Sum`], [`Prod`], [`Min`] and [`Max`] are those of numbers.
pub trait Reduction<T>: Send + Sync + 'static {
    /// The two as one.
    fn combine(&self, left: T, right: T) -> T;
}

impl<T, F: Fn(T, T) -> T + Send + Sync + 'static> Reduction<T> for F {
    fn combine(&self, left: T, right: T) -> T {
        self(left, right)
    }
}

/// What can be added up, multiplied and compared by [`Sum`], [`Prod`], [`Min`] and [`Max`]: the numbers of the language.
pub trait Number: Pod + sealed::Sealed {
    /// The sum; of integers, as far as it fits (wrapping around).
    #[must_use]
    fn sum(self, other: Self) -> Self;
    /// The product; as [`sum`](Self::sum).
    #[must_use]
    fn product(self, other: Self) -> Self;
    /// The lesser.
    #[must_use]
    fn lesser(self, other: Self) -> Self;
    /// The greater.
    #[must_use]
    fn greater(self, other: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! number {
    ($sum:ident, $product:ident, $least:path, $most:path: $($type:ty)*) => { $(
        impl sealed::Sealed for $type {}
        impl Number for $type {
            fn sum(self, other: Self) -> Self {
                number!(@ $sum self other)
            }
            fn product(self, other: Self) -> Self {
                number!(@ $product self other)
            }
            fn lesser(self, other: Self) -> Self {
                $least(self, other)
            }
            fn greater(self, other: Self) -> Self {
                $most(self, other)
            }
        }
    )* };
    (@ add $left:ident $right:ident) => { $left + $right };
    (@ mul $left:ident $right:ident) => { $left * $right };
    (@ $method:ident $left:ident $right:ident) => { $left.$method($right) };
}

number!(wrapping_add, wrapping_mul, Ord::min, Ord::max: i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);
number!(add, mul, Self::min, Self::max: f32 f64);

/// Adds up. See [`Collective::reduce`](crate::Collective::reduce).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum;

/// Multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prod;

/// Takes the least; of floats, the least that is a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Min;

/// Takes the greatest; of floats, the greatest that is a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Max;

impl<T: Number> Reduction<T> for Sum {
    fn combine(&self, left: T, right: T) -> T {
        left.sum(right)
    }
}

impl<T: Number> Reduction<T> for Prod {
    fn combine(&self, left: T, right: T) -> T {
        left.product(right)
    }
}

impl<T: Number> Reduction<T> for Min {
    fn combine(&self, left: T, right: T) -> T {
        left.lesser(right)
    }
}

impl<T: Number> Reduction<T> for Max {
    fn combine(&self, left: T, right: T) -> T {
        left.greater(right)
    }
}

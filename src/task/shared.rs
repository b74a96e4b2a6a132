//! One closure for many tasks.

use std::marker::PhantomData;
use std::mem::needs_drop;
use std::ptr::NonNull;

use super::recycle::Pooled;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::sync::Arc;

/// Shares that are counted together.
const PART: usize = 64;

/// One of several counted references that are made at once, so that none has to be cloned.
pub(crate) struct Share<F>(NonNull<Part<F>>);

struct Part<F> {
    /// Shares left.
    shares: AtomicUsize,
    whole: Arc<F>,
}

// SAFETY: as an `Arc`: it lends the closure to the thread it is on, and may be the one that drops it there.
unsafe impl<F: Send + Sync> Send for Share<F> {}

impl<F> Share<F> {
    #[inline]
    pub(crate) fn get(&self) -> &F {
        // SAFETY: a share keeps its part.
        unsafe { &self.0.as_ref().whole }
    }
}

impl<F> Drop for Share<F> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the one share ends here.
        unsafe { give_back(self.0, 1) };
    }
}

/// # Safety
/// The caller has so many shares of the part, which end here.
#[inline]
unsafe fn give_back<F>(part: NonNull<Part<F>>, shares: usize) {
    // SAFETY: a share keeps its part.
    // ORDERING: AcqRel; what was done through these shares comes before the part's end, which the last one sees to.
    if unsafe { part.as_ref() }.shares.fetch_sub(shares, Ordering::AcqRel) == shares {
        // SAFETY: the last share is gone.
        drop(unsafe { Pooled::from_raw(part) });
    }
}

/// Deals shares of a closure. They are counted in parts, as threads that run neighbours would contend for one count.
pub(crate) struct Dealer<F> {
    whole: Arc<F>,
    part: Option<NonNull<Part<F>>>,
    /// Shares of the part that were not dealt.
    left: usize,
}

impl<F> Dealer<F> {
    pub(crate) fn new(closure: F) -> Self {
        Self { whole: Arc::new(closure), part: None, left: 0 }
    }

    #[inline]
    pub(crate) fn deal(&mut self) -> Share<F> {
        match self.part {
            Some(part) if self.left != 0 => {
                self.left -= 1;
                Share(part)
            }
            _ => self.deal_anew(),
        }
    }

    #[cold]
    fn deal_anew(&mut self) -> Share<F> {
        let part = Pooled::new(Part { shares: AtomicUsize::new(PART), whole: self.whole.clone() }).into_raw();
        self.part = Some(part);
        self.left = PART - 1;
        Share(part)
    }
}

impl<F> Drop for Dealer<F> {
    fn drop(&mut self) {
        if let Some(part) = self.part.filter(|_| self.left != 0) {
            // SAFETY: so many shares were not dealt.
            unsafe { give_back(part, self.left) };
        }
    }
}

/// A closure without any state: it need not be kept anywhere.
pub(crate) struct Stateless<F>(PhantomData<fn() -> F>);

impl<F> Clone for Stateless<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Stateless<F> {}

impl<F: 'static> Stateless<F> {
    /// Gives a closure back that has a state.
    pub(crate) fn of(closure: F) -> Result<Self, F> {
        if size_of::<F>() != 0 || needs_drop::<F>() {
            return Err(closure);
        }
        std::mem::forget(closure);
        Ok(Self(PhantomData))
    }

    #[inline]
    pub(crate) fn get(self) -> &'static F {
        // SAFETY: a value without bytes lies at every aligned address, and `of` has seen that the type has values.
        unsafe { NonNull::<F>::dangling().as_ref() }
    }
}

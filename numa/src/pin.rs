//! The calling thread's affinity: read it, narrow it to one PU, put it back.

use std::{io, marker::PhantomData};

use crate::{
    CpuSet,
    error::{Error, Kind},
    sys::{self, PU_LIMIT, Word},
};

/// The first id that `core_affinity`, whose masks are of fixed size, aborts the process for.
const CORE_AFFINITY_LIMIT: usize = 1_024;

/// Masks handed to the kernel are never shorter, in words, than the C library's.
const LEAST_WORDS: usize = 128 / size_of::<Word>();

/// The PUs the calling thread may run on, however many CPUs the kernel is built for.
///
/// This is what the launcher, `taskset` and the control group's cpuset left, without CPUs that are
/// offline; a thread that was pinned sees one PU. One system call up to 1,024 possible CPUs, at most
/// ten beyond.
///
/// # Errors
///
/// [`is_refused`](Error::is_refused) when the kernel does not let the mask be read, as under a system
/// call filter.
///
/// ```
/// let allowed = heist_numa::affinity()?;
/// assert!(!allowed.is_empty());
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn affinity() -> Result<CpuSet, Error> {
    match sys::affinity() {
        Ok(mask) => Ok(from_words(&mask)),
        Err(source) => Err(Kind::GetMask { source }.into()),
    }
}

/// The PU that the calling thread runs on: a hint, unless it is pinned, since it may be moved at any time. `None` when
/// the kernel does not tell. With a C library that asks the kernel by way of its restartable sequences or its vDSO, a
/// few nanoseconds.
///
/// ```
/// # std::thread::spawn(|| {
/// if let Some(pu) = heist_numa::affinity()?.first() {
///     heist_numa::pin(pu)?;
///     assert_eq!(heist_numa::current_pu(), Some(pu));
/// }
/// # Ok::<(), heist_numa::Error>(()) }).join().unwrap()?;
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[must_use]
pub fn current_pu() -> Option<usize> {
    sys::current_pu()
}

/// Pins the calling thread to `pu` and reads the mask back to see that it holds.
///
/// Threads and processes that the thread starts from now on inherit the narrow mask: save
/// [`affinity`] first, and [`set_affinity`] it where they must be free. The kernel lets a thread leave
/// the mask it was given; take `pu` from [`affinity`] to stay inside.
///
/// # Errors
///
/// [`is_unavailable`](Error::is_unavailable) when `pu` does not exist, is offline, is outside the
/// control group's cpuset, or the mask is another one right afterwards;
/// [`is_refused`](Error::is_refused) when the kernel forbids the call. If the kernel does not accept
/// `pu`, the mask stays as it was.
///
/// ```
/// # std::thread::spawn(|| {
/// let allowed = heist_numa::affinity()?;
/// if let Some(pu) = allowed.first() {
///     heist_numa::pin(pu)?;
///     assert_eq!(heist_numa::affinity()?.to_string(), pu.to_string());
///     heist_numa::set_affinity(&allowed)?;
/// }
/// # Ok::<(), heist_numa::Error>(()) }).join().unwrap()?;
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn pin(pu: usize) -> Result<(), Error> {
    if pu >= PU_LIMIT {
        return Err(Kind::BeyondMask { pu }.into());
    }
    let wanted = CpuSet::from_iter([pu]);
    let done = if pu >= CORE_AFFINITY_LIMIT {
        sys::set_affinity(&to_words(&wanted))
    } else if core_affinity::set_for_current(core_affinity::CoreId { id: pu }) {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    };
    if let Err(source) = done {
        return Err(Kind::Pin { pu, source }.into());
    }
    let mask = affinity()?;
    if mask == wanted { Ok(()) } else { Err(Kind::PinLost { pu, mask }.into()) }
}

/// Lets the calling thread run on the PUs of `mask`, as to undo [`pin`].
///
/// The kernel leaves out PUs that are offline or outside the control group's cpuset; [`affinity`]
/// tells what is left.
///
/// # Errors
///
/// [`is_unavailable`](Error::is_unavailable) when no PU is left, so also for the empty set, or an id
/// is 524288 or more; [`is_refused`](Error::is_refused) when the kernel forbids the call. The mask
/// then stays as it was.
///
/// ```
/// let allowed = heist_numa::affinity()?;
/// heist_numa::set_affinity(&allowed)?;
/// assert_eq!(heist_numa::affinity()?, allowed);
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn set_affinity(mask: &CpuSet) -> Result<(), Error> {
    if let Some(pu) = mask.iter().next_back().filter(|&pu| pu >= PU_LIMIT) {
        return Err(Kind::BeyondMask { pu }.into());
    }
    sys::set_affinity(&to_words(mask)).map_err(|source| Kind::SetMask { mask: mask.clone(), source }.into())
}

/// A thread that is pinned until this is dropped, which gives it back the mask it had before.
///
/// It stays on its thread. A worker that is pinned for life needs only [`pin`]; this is for a thread of somebody else's.
///
/// ```
/// use heist_numa::{CpuSet, Pinned};
///
/// # std::thread::spawn(|| {
/// let before = heist_numa::affinity()?;
/// if let Some(pu) = before.first() {
///     let pinned = Pinned::to(pu)?;
///     assert_eq!(heist_numa::affinity()?, CpuSet::from_iter([pu]));
///     drop(pinned);
/// }
/// assert_eq!(heist_numa::affinity()?, before);
/// # Ok::<(), heist_numa::Error>(()) }).join().unwrap()?;
/// # Ok::<(), heist_numa::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// let pinned = heist_numa::Pinned::to(0).unwrap();
/// std::thread::spawn(move || drop(pinned));
/// ```
#[derive(Debug)]
#[must_use = "the mask is put back as soon as this is dropped"]
pub struct Pinned {
    before: CpuSet,
    /// Masks belong to threads.
    on_this_thread: PhantomData<*mut ()>,
}

impl Pinned {
    /// Pins the calling thread to `pu`, as [`pin`] does.
    ///
    /// # Errors
    ///
    /// Those of [`affinity`] and [`pin`]; the mask is then as it was before.
    ///
    /// ```
    /// assert!(heist_numa::Pinned::to(usize::MAX).unwrap_err().is_unavailable());
    /// ```
    pub fn to(pu: usize) -> Result<Pinned, Error> {
        let pinned = Pinned { before: affinity()?, on_this_thread: PhantomData };
        pin(pu)?;
        Ok(pinned)
    }

    /// The mask that the thread had before and gets back.
    ///
    /// ```
    /// # std::thread::spawn(|| {
    /// let before = heist_numa::affinity()?;
    /// if let Some(pu) = before.first() {
    ///     assert_eq!(*heist_numa::Pinned::to(pu)?.before(), before);
    /// }
    /// # Ok::<(), heist_numa::Error>(()) }).join().unwrap()?;
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn before(&self) -> &CpuSet {
        &self.before
    }

    /// Puts the mask back now, and tells whether it could be.
    ///
    /// # Errors
    ///
    /// Those of [`set_affinity`]: [`is_unavailable`](Error::is_unavailable) when all the mask's PUs went offline or out of
    /// the cpuset meanwhile. The thread then stays pinned; a drop passes that over in silence.
    ///
    /// ```
    /// # std::thread::spawn(|| {
    /// if let Some(pu) = heist_numa::affinity()?.first() {
    ///     heist_numa::Pinned::to(pu)?.unpin()?;
    /// }
    /// # Ok::<(), heist_numa::Error>(()) }).join().unwrap()?;
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn unpin(mut self) -> Result<(), Error> {
        set_affinity(&std::mem::take(&mut self.before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !self.before.is_empty() {
            // The kernel refuses only when every PU of the mask is gone; no other mask would be better then.
            let _ = set_affinity(&self.before);
        }
    }
}

fn bit_of(pu: usize) -> (usize, Word) {
    let bits = Word::BITS as usize;
    (pu / bits, 1 << (pu % bits))
}

/// The kernel's mask for `set`, whose ids are all below [`PU_LIMIT`].
fn to_words(set: &CpuSet) -> Vec<Word> {
    let last = set.iter().next_back().unwrap_or(0);
    let mut words = vec![0; LEAST_WORDS.max(bit_of(last).0 + 1)];
    for pu in set.iter() {
        let (word, bit) = bit_of(pu);
        words[word] |= bit;
    }
    words
}

fn from_words(words: &[Word]) -> CpuSet {
    let pus = 0..words.len() * Word::BITS as usize;
    pus.filter(|&pu| {
        let (word, bit) = bit_of(pu);
        words[word] & bit != 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_hold_ids_on_both_sides_of_a_thousand() {
        for list in ["", "0", "63-64", "1023-1024", "0,2047,4096", "524287"] {
            let set: CpuSet = list.parse().unwrap();
            let words = to_words(&set);
            assert!(size_of_val(&*words) >= 128);
            assert_eq!(from_words(&words), set);
            let bits: u32 = words.iter().map(|word| word.count_ones()).sum();
            assert_eq!(bits as usize, set.len());
        }
    }
}

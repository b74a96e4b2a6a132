//! The calling thread's affinity: read it, narrow it to one PU, put it back.

use std::io;

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

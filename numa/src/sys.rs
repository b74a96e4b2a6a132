//! The affinity system calls of the calling thread, for masks of any size the kernel can have, and where it runs.
//!
//! The C library's `cpu_set_t` ends at 1,024 CPUs, and the kernel refuses to fill a mask smaller than
//! its own; hence the bare calls on buffers that grow.

use std::io;

/// A word of the kernel's mask; bit `i` of word `w` stands for PU `w * BITS + i`.
pub(crate) type Word = libc::c_ulong;

const WORD_BYTES: usize = size_of::<Word>();
const FIRST_BYTES: usize = 128;
const MOST_BYTES: usize = 64 * 1024;

/// The first PU id that no mask can hold.
pub(crate) const PU_LIMIT: usize = 8 * MOST_BYTES;

/// The calling thread's mask, cut by the kernel to the CPUs that are online.
pub(crate) fn affinity() -> io::Result<Vec<Word>> {
    growing(|mask| {
        // SAFETY: the pointer and the length in bytes are those of one live, exclusively borrowed
        // slice; the kernel writes at most that many bytes and any bit pattern is a valid `Word`.
        let written = unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(mask), mask.as_mut_ptr()) };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    })
}

/// Sets the calling thread's mask. The kernel ignores bits of CPUs it does not have or does not allow,
/// and answers `EINVAL` when none is left.
pub(crate) fn set_affinity(mask: &[Word]) -> io::Result<()> {
    // SAFETY: the pointer and the length in bytes are those of one live slice, which the kernel only
    // reads.
    let rc = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The PU that the calling thread runs on at this moment.
pub(crate) fn current_pu() -> Option<usize> {
    // SAFETY: the call takes and touches nothing of ours.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Repeats `fill`, which gives the bytes it wrote, with a buffer twice as long for every `EINVAL`.
fn growing(mut fill: impl FnMut(&mut [Word]) -> io::Result<usize>) -> io::Result<Vec<Word>> {
    let mut bytes = FIRST_BYTES;
    loop {
        let mut mask = vec![0; bytes / WORD_BYTES];
        match fill(&mut mask) {
            Ok(written) => {
                mask.truncate(written / WORD_BYTES);
                return Ok(mask);
            }
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && bytes < MOST_BYTES => bytes *= 2,
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel whose masks have `bytes` bytes.
    fn kernel(bytes: usize) -> impl FnMut(&mut [Word]) -> io::Result<usize> {
        move |mask| {
            if size_of_val(mask) < bytes {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            mask[bytes / WORD_BYTES - 1] = 1;
            Ok(bytes)
        }
    }

    #[test]
    fn the_mask_grows_to_the_size_of_the_kernels() {
        for bytes in [8, 128, 136, 1_024, 8_192, MOST_BYTES] {
            let mask = growing(kernel(bytes)).unwrap();
            assert_eq!(size_of_val(&*mask), bytes);
            assert_eq!(mask.last(), Some(&1));
        }
    }

    #[test]
    fn growth_ends() {
        let mut sizes = Vec::new();
        let error = growing(|mask| {
            sizes.push(size_of_val(mask));
            Err(io::Error::from_raw_os_error(libc::EINVAL))
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(sizes, [128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536]);
    }

    #[test]
    fn another_error_is_final() {
        let mut calls = 0;
        let error = growing(|_| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EPERM))
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(calls, 1);
    }
}

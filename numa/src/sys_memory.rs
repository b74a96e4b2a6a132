//! The system calls that place memory, tell where it is, and touch it.
//!
//! They take addresses as numbers: none of them changes a byte, so that any range is safe to name, one's own or not.

use std::{io, ptr, sync::OnceLock};

/// Nodes that the masks of these calls have room for; no kernel is built for more.
pub(crate) const NODE_LIMIT: u32 = 4_096;

/// What [`bind`] does with pages that are elsewhere already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Nothing,
    /// Moves those that only this process maps; `EIO` when one stays.
    All,
}

type Mask = [u64; NODE_LIMIT as usize / 64];

/// What the kernel counts in one `maxnode`: it takes one bit off.
const MAX_NODE: usize = NODE_LIMIT as usize + 1;

const MPOL_F_ADDR: libc::c_ulong = 2;
const MPOL_F_MEMS_ALLOWED: libc::c_ulong = 4;
const MPOL_MF_STRICT: libc::c_uint = 1;
const MPOL_MF_MOVE: libc::c_uint = 2;

/// Bytes of a base page.
pub(crate) fn page_size() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: the call takes a number and touches nothing of ours.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096)
    })
}

fn done(rc: libc::c_long) -> io::Result<()> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the pages of a range the policy `mode` over `nodes`, which are all below [`NODE_LIMIT`].
pub(crate) fn bind(start: usize, bytes: usize, mode: libc::c_int, nodes: &[u32], moving: Move) -> io::Result<()> {
    let mut mask: Mask = [0; _];
    for &node in nodes {
        mask[node as usize / 64] |= 1 << (node % 64);
    }
    // The kernel takes an empty set of nodes only as none at all.
    let (mask, max) = if nodes.is_empty() { (ptr::null(), 0) } else { (mask.as_ptr(), MAX_NODE) };
    let flags = if moving == Move::All { MPOL_MF_STRICT | MPOL_MF_MOVE } else { 0 };
    // SAFETY: the kernel reads `max - 1` bits of the live mask; it changes where the pages of the range are, and will
    // be, not what they hold.
    done(unsafe { libc::syscall(libc::SYS_mbind, start, bytes, mode, mask, max, flags) })
}

/// The policy of the page at `address`: its mode, and the nodes that it names.
pub(crate) fn policy_of(address: usize) -> io::Result<(libc::c_int, Vec<u32>)> {
    policy(address, MPOL_F_ADDR)
}

/// The nodes that this thread may take memory from.
pub(crate) fn allowed_nodes() -> io::Result<Vec<u32>> {
    policy(0, MPOL_F_MEMS_ALLOWED).map(|(_, nodes)| nodes)
}

fn policy(address: usize, flags: libc::c_ulong) -> io::Result<(libc::c_int, Vec<u32>)> {
    let mut mask: Mask = [0; _];
    let mut mode: libc::c_int = 0;
    let mode_at = ptr::from_mut(&mut mode);
    // SAFETY: the kernel writes a number to the live mode, and at most `MAX_NODE - 1` bits, which the mask, live and
    // exclusively borrowed, has, and any bits are valid; it reads no memory at `address`.
    done(unsafe { libc::syscall(libc::SYS_get_mempolicy, mode_at, mask.as_mut_ptr(), MAX_NODE, address, flags) })?;
    Ok((mode, (0..NODE_LIMIT).filter(|&node| mask[node as usize / 64] & 1 << (node % 64) != 0).collect()))
}

/// Writes the node of each page, or a negated error number, to `nodes`; the pages start at `start`.
pub(crate) fn nodes_of_pages(start: usize, page: usize, nodes: &mut [libc::c_int]) -> io::Result<()> {
    let addresses: Vec<usize> = (0..nodes.len()).map(|index| start + index * page).collect();
    let no_target = ptr::null::<libc::c_int>();
    // SAFETY: the kernel reads `nodes.len()` addresses of a live vector of that length and writes as many numbers to
    // the live, exclusively borrowed slice; with no targets it moves nothing.
    done(unsafe {
        libc::syscall(libc::SYS_move_pages, 0, nodes.len(), addresses.as_ptr(), no_target, nodes.as_mut_ptr(), 0)
    })
}

/// Moves each page that is there to the node of the same place in `nodes`; how many did not move.
pub(crate) fn move_pages(start: usize, page: usize, nodes: &[libc::c_int]) -> io::Result<usize> {
    let addresses: Vec<usize> = (0..nodes.len()).map(|index| start + index * page).collect();
    let mut found = vec![libc::c_int::MIN; nodes.len()];
    let (from, to, found_at) = (addresses.as_ptr(), nodes.as_ptr(), found.as_mut_ptr());
    // SAFETY: the kernel reads `nodes.len()` addresses and as many nodes from live memory of that length, and writes as
    // many numbers to the live vector; moved pages hold what they held.
    match done(unsafe { libc::syscall(libc::SYS_move_pages, 0, nodes.len(), from, to, found_at, MPOL_MF_MOVE) }) {
        // No page was there.
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(0),
        other => {
            let stays = |&(&found, &node): &(&libc::c_int, &libc::c_int)| {
                found != node && ![-libc::ENOENT, -libc::EFAULT].contains(&found)
            };
            other.map(|()| found.iter().zip(nodes).filter(stays).count())
        }
    }
}

/// Makes pages of a range present and writable, as a write to each would, and leaves what they hold. Safe in many
/// threads at once, and beside others that write.
pub(crate) fn populate(start: usize, bytes: usize) -> io::Result<()> {
    loop {
        // SAFETY: the call makes pages present; what they hold stays.
        let rc = unsafe { libc::madvise(start as *mut libc::c_void, bytes, libc::MADV_POPULATE_WRITE) };
        match done(rc.into()) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return touch(start, bytes),
            other => return other,
        }
    }
}

/// [`populate`] for kernels before 5.14: has the kernel or a zero to the first word of each page, atomically. Rust's
/// own writes would not do beside shared references to the same memory.
pub(crate) fn touch(start: usize, bytes: usize) -> io::Result<()> {
    let page = page_size();
    let or_zero = libc::FUTEX_OP(libc::FUTEX_OP_OR, 0, libc::FUTEX_OP_CMP_EQ, 0);
    let call = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
    for address in (start / page * page..start + bytes).step_by(page) {
        // SAFETY: the kernel checks the address itself; the operation leaves every bit as it was, and nobody is woken.
        done(unsafe { libc::syscall(libc::SYS_futex, address, call, 0, 0, address, or_zero) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_leaves_what_is_there() {
        let page = page_size();
        let mut map = memmap2::MmapMut::map_anon(4 * page).unwrap();
        map[2 * page] = 7;
        let start = map.as_ptr() as usize;
        let present = || {
            let mut nodes = [libc::c_int::MIN; 4];
            nodes_of_pages(start, page, &mut nodes).unwrap();
            nodes.map(|node| node >= 0)
        };
        assert_eq!(present(), [false, false, true, false]);
        touch(start + page + 1, 2 * page - 1).unwrap();
        assert_eq!(present(), [false, true, true, false]);
        assert!(map.iter().enumerate().all(|(at, &byte)| byte == if at == 2 * page { 7 } else { 0 }));
    }

    #[test]
    fn a_range_that_is_nobodys_is_an_error() {
        assert!(populate(page_size(), page_size()).is_err());
        assert!(touch(page_size(), page_size()).is_err());
    }
}

//! The system calls behind memory that has a descriptor: memfds, seals, reserving room, which pages are there.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

fn done(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// Anonymous memory with a descriptor, empty, that can be sealed.
pub(crate) fn memfd(name: &std::ffi::CStr) -> io::Result<File> {
    let create = |flags| {
        // SAFETY: the name is a live C string, which the kernel copies.
        done(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | flags) })
    };
    // Hosts may insist on memory that is never executed; kernels before 6.3 do not know the flag.
    let fd = match create(libc::MFD_NOEXEC_SEAL) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => create(0)?,
        other => other?,
    };
    // SAFETY: the kernel made this descriptor for us alone just now.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Forbids kinds of changes to the file behind a memfd, for all processes and for good.
pub(crate) fn add_seals(file: &File, seals: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open; the call takes a number and no memory.
    done(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// The changes that are forbidden; `None` for a file that cannot be sealed.
pub(crate) fn seals(file: &File) -> Option<libc::c_int> {
    // SAFETY: as in `add_seals`.
    done(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) }).ok()
}

/// Takes room for the first `bytes` bytes of a file, so that no later write to them finds none.
pub(crate) fn reserve(file: &File, bytes: libc::off_t) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open; the call takes numbers and no memory.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) } {
            0 => return Ok(()),
            libc::EINTR => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Bytes free to this user in the file system of a folder; `None` where it does not say.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<Option<u64>> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: all bits zero is a value of this structure of integers.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a live C string, and the kernel fills the live structure that the pointer leads to.
    done(unsafe { libc::statvfs(path.as_ptr(), &raw mut found) })?;
    Ok((found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

/// True when the file's pages are its only store, so that a memory policy says where they are.
pub(crate) fn is_memory(file: &File) -> io::Result<bool> {
    // SAFETY: all bits zero is a value of this structure of integers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the kernel fills the live structure that the pointer leads to.
    done(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) })?;
    Ok(found.f_type == libc::TMPFS_MAGIC)
}

/// For each page of a mapping of a file, whether the file has it in memory.
pub(crate) fn in_memory(start: usize, pages: usize, page: usize) -> io::Result<Vec<bool>> {
    let mut found = vec![0_u8; pages];
    // SAFETY: the kernel writes a byte for each page of the range to the live vector that has as many; it touches nothing
    // in the range, and says so when that is not mapped.
    done(unsafe { libc::mincore(start as *mut libc::c_void, pages * page, found.as_mut_ptr()) })?;
    Ok(found.into_iter().map(|byte| byte & 1 != 0).collect())
}

/// The user that this process acts as.
pub(crate) fn user() -> u32 {
    // SAFETY: the call takes and touches nothing of ours.
    unsafe { libc::geteuid() }
}

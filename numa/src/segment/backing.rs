//! The file behind a segment: made, or opened by what its owner says of it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Error as IoError},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use memmap2::MmapMut;

use super::address::{Address, FileName, Place, Process};
use crate::{error::Error, fault::Fault, sys_file as sys, sys_memory::page_size};

/// Keeps a memfd's size as it is, so that a mapping of it has memory behind each byte.
pub(super) const SIZE_SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

const SHARED_MEMORY: &str = "/dev/shm";
const MEMFD_NAME: &std::ffi::CStr = c"heist-segment";

/// The folders that files of segments lie in unless another is named.
pub(super) fn folders() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(SHARED_MEMORY), std::env::temp_dir()];
    folders.dedup();
    folders
}

/// Bytes of the file for `len` bytes of a segment.
pub(super) fn file_bytes(len: usize) -> Option<usize> {
    let bytes = len.max(1).checked_next_multiple_of(page_size())?;
    isize::try_from(bytes).is_ok().then_some(bytes)
}

/// Makes a memfd, else a file in one of the usual folders.
pub(super) fn create(len: usize) -> Result<(File, Address), Error> {
    let bytes = file_bytes(len).ok_or_else(|| no_room(len, "more than an address space".to_owned(), None))?;
    let refusal = match create_memfd(bytes) {
        Ok(file) => {
            let place = Place::Memfd(file.as_raw_fd().unsigned_abs());
            return described(file, len, place)
                .map_err(|source| no_room(len, "a memfd".to_owned(), Some(source)).into());
        }
        Err(source) if source.kind() == io::ErrorKind::OutOfMemory => {
            return Err(no_room(len, "the host's memory".to_owned(), Some(source)).into());
        }
        Err(source) => source,
    };
    let mut tried = vec![format!("memfd_create: {refusal}")];
    for folder in folders() {
        match create_file(&folder, len, bytes) {
            Ok(made) => return Ok(made),
            Err(why) => tried.push(format!("{}: {why}", folder.display())),
        }
    }
    Err(no_room(len, tried.join("; "), Some(refusal)).into())
}

pub(super) fn create_in(folder: &Path, len: usize) -> Result<(File, Address), Error> {
    let place = |why: &dyn std::fmt::Display| format!("{}: {why}", folder.display());
    let bytes = file_bytes(len).ok_or_else(|| no_room(len, place(&"more than an address space"), None))?;
    create_file(folder, len, bytes).map_err(|why| {
        let tried = place(&why);
        no_room(len, tried, Some(why)).into()
    })
}

fn no_room(len: usize, tried: String, source: Option<IoError>) -> Fault {
    let hint = "free room there, ask for less, or enlarge it (containers: --shm-size)";
    Fault::Room { what: format!("a segment ({tried})"), bytes: len, hint, source }
}

fn create_memfd(bytes: usize) -> io::Result<File> {
    // A memfd promises no memory: ask whether the kernel would commit as much to this process.
    drop(MmapMut::map_anon(bytes)?);
    let file = sys::memfd(MEMFD_NAME)?;
    file.set_len(bytes as u64)?;
    // Where memory is strictly accounted for, a page that finds none ends the process with SIGBUS.
    if fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "2") {
        sys::reserve(&file, bytes as libc::off_t)?;
    }
    sys::add_seals(&file, SIZE_SEALS)?;
    Ok(file)
}

fn create_file(folder: &Path, len: usize, bytes: usize) -> io::Result<(File, Address)> {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    if let Some(free) = sys::free_bytes(folder)?
        && free < bytes as u64
    {
        let text = format!("{free} bytes are free");
        return Err(IoError::new(io::ErrorKind::StorageFull, text));
    }
    let owner = Process::this();
    loop {
        let name = FileName { owner, number: NUMBERS.fetch_add(1, Ordering::Relaxed) };
        let path = folder.canonicalize()?.join(name.to_string());
        if path.to_str().is_none() {
            return Err(IoError::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"));
        }
        let mut options = OpenOptions::new();
        let file = match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            other => other?,
        };
        if is_swept(&file)? {
            _ = fs::remove_file(&path);
            continue;
        }
        let made =
            sys::reserve(&file, bytes as libc::off_t).and_then(|()| described(file, len, Place::File(path.clone())));
        if made.is_err() {
            _ = fs::remove_file(&path);
        }
        return made;
    }
}

/// Locks a new file, which says to those who sweep, whatever numbers they know processes by, that the owner lives. True
/// when one of them has come before: he holds the file, or has removed it.
fn is_swept(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => Ok(file.metadata()?.nlink() == 0),
        Err(TryLockError::WouldBlock) => Ok(true),
        // Where files cannot be locked the owner's number must do.
        Err(TryLockError::Error(_)) => Ok(false),
    }
}

fn described(file: File, len: usize, place: Place) -> io::Result<(File, Address)> {
    let address = Address { owner: Process::this(), inode: file.metadata()?.ino(), len, place };
    Ok((file, address))
}

/// Opens what an owner, which lives, made.
pub(super) fn open(address: &Address) -> Result<File, Error> {
    let gone = |why: &dyn std::fmt::Display| Fault::Gone { address: address.to_string(), why: why.to_string() };
    if !address.owner.is_alive() {
        return Err(gone(&"its owner ended, or runs on another host or in another container").into());
    }
    let path = match &address.place {
        Place::File(path) => path.clone(),
        Place::Memfd(fd) => {
            let path = PathBuf::from(format!("/proc/{}/fd/{fd}", address.owner.pid));
            let target = fs::read_link(&path).map_err(|why| gone(&why))?;
            let expected = format!("/memfd:{}", MEMFD_NAME.to_string_lossy());
            if !target.to_string_lossy().starts_with(&expected) {
                return Err(gone(&format!("there is {}", target.display())).into());
            }
            path
        }
    };
    // What is no file of ours must not hold up or change anything by being opened.
    let no_follow = if matches!(address.place, Place::File(_)) { libc::O_NOFOLLOW } else { 0 };
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | no_follow);
    let file = options.open(path).map_err(|why| gone(&why))?;
    let found = file.metadata().map_err(|why| gone(&why))?;
    if !found.is_file() || found.ino() != address.inode {
        return Err(gone(&"there is something else").into());
    }
    if found.uid() != sys::user() {
        return Err(gone(&format!("it belongs to user {}", found.uid())).into());
    }
    if file_bytes(address.len).map(|bytes| bytes as u64) != Some(found.len()) {
        return Err(gone(&format!("it has {} bytes", found.len())).into());
    }
    let sealed = sys::seals(&file).is_some_and(|seals| seals & SIZE_SEALS == SIZE_SEALS);
    if matches!(address.place, Place::Memfd(_)) && !sealed {
        return Err(gone(&"its size is not sealed").into());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_sweeper_got_first_is_not_used() {
        let path = std::env::temp_dir().join(format!("heist-swept-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let sweeper = File::open(&path).unwrap();
        sweeper.lock().unwrap();
        assert!(is_swept(&file).unwrap(), "he holds it, and is about to remove it");
        sweeper.unlock().unwrap();
        assert!(!is_swept(&file).unwrap());
        assert!(sweeper.try_lock().is_err(), "the owner holds it now");
        fs::remove_file(&path).unwrap();
        assert!(is_swept(&file).unwrap());
    }
}

//! Files that killed processes left behind.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{address::FileName, backing::folders};
use crate::sys_file::user;

/// What [`sweep`] found.
///
/// ```
/// let found = heist_numa::sweep();
/// println!("{} files, {} bytes, {} in use", found.removed().len(), found.bytes(), found.in_use());
/// ```
#[derive(Debug, Default)]
pub struct Swept {
    removed: Vec<PathBuf>,
    bytes: u64,
    in_use: usize,
}

impl Swept {
    /// The files that are removed.
    ///
    /// ```
    /// let found = heist_numa::sweep();
    /// assert!(found.removed().iter().all(|path| !path.exists()));
    /// ```
    #[must_use]
    pub fn removed(&self) -> &[PathBuf] {
        &self.removed
    }

    /// Their bytes.
    ///
    /// ```
    /// let found = heist_numa::sweep();
    /// assert!(found.bytes() > 0 || found.removed().is_empty());
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files of segments are left to owners that live.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create_in(std::env::temp_dir(), 100)?;
    /// assert!(heist_numa::sweep().in_use() >= 1);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use
    }
}

/// Removes the files of segments whose owners ended without doing so, from `/dev/shm` and the folder for temporary files:
/// to be called once at the start of a program. Only this user's files, and only those of owners that neither run nor
/// hold them locked, in whatever container. What cannot be looked at is left.
///
/// ```
/// let segment = heist_numa::Segment::create(1 << 16)?;
/// heist_numa::sweep();
/// assert!(heist_numa::Segment::attach(&segment.address()).is_ok());
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn sweep() -> Swept {
    let mut swept = Swept::default();
    for folder in folders() {
        sweep_folder(&folder, &mut swept);
    }
    swept
}

/// [`sweep`] for a folder that segments were [made in](crate::Segment::create_in).
///
/// ```
/// let found = heist_numa::sweep_in(std::env::temp_dir());
/// assert!(found.removed().iter().all(|path| !path.exists()));
/// ```
pub fn sweep_in(folder: impl AsRef<Path>) -> Swept {
    let mut swept = Swept::default();
    sweep_folder(folder.as_ref(), &mut swept);
    swept
}

fn sweep_folder(folder: &Path, swept: &mut Swept) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(name) = entry.file_name().to_str().and_then(FileName::parse) else { continue };
        let path = entry.path();
        // A link, a pipe or another user's file is not ours to touch, nor to wait for.
        let mut options = OpenOptions::new();
        let Ok(file) = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path) else {
            continue;
        };
        let Ok(found) = file.metadata() else { continue };
        if !found.is_file() || found.uid() != user() {
            continue;
        }
        if name.owner.is_alive() || is_locked(&file) {
            swept.in_use += 1;
        } else if fs::remove_file(&path).is_ok() {
            swept.bytes += found.len();
            swept.removed.push(path);
        }
    }
}

/// True when a living owner holds the file; where files cannot be locked its number must do.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

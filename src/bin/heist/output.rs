//! Writing results: stdout that may be closed, files that appear whole or not at all.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::fail::Fail;

/// Prints to stdout; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<(), Fail> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Fail::new(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// A file to be written at the end of a run, known to be writable from its start.
pub(crate) struct Target {
    path: PathBuf,
    folder: PathBuf,
}

impl Target {
    /// Checks the place without leaving anything there.
    pub(crate) fn probe(path: &Path) -> Result<Target, Fail> {
        let path = match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(Fail::new(format!("{}: not a regular file", path.display())));
            }
            Ok(_) => fs::canonicalize(path).map_err(|error| unwritable(path, &error))?,
            Err(_) => path.to_path_buf(),
        };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        if path.file_name().is_none() {
            return Err(Fail::new(format!("{}: not a file name", path.display())));
        }
        let target = Target { path, folder };
        target.beside()?;
        Ok(target)
    }

    /// Writes to a temporary file beside the target, then renames it.
    pub(crate) fn write(&self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Fail> {
        let mut file = self.beside()?;
        let mut buffer = io::BufWriter::new(file.as_file_mut());
        fill(&mut buffer).and_then(|()| buffer.flush()).map_err(|error| unwritable(&self.path, &error))?;
        drop(buffer);
        file.persist(&self.path).map_err(|error| unwritable(&self.path, &error.error))?;
        Ok(())
    }

    fn beside(&self) -> Result<NamedTempFile, Fail> {
        tempfile::Builder::new()
            .prefix(".heist-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&self.folder)
            .map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Fail {
    let reason =
        error.get_ref().and_then(|inner| inner.source()).map_or_else(|| error.to_string(), ToString::to_string);
    Fail::new(format!("cannot write {}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_probe_leaves_nothing_and_a_write_leaves_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::probe(&folder.path().join("x.mtx")).unwrap();
        assert!(names(folder.path()).is_empty());
        target.write(|to| to.write_all(b"whole")).unwrap();
        assert_eq!(names(folder.path()), ["x.mtx"]);
        assert_eq!(fs::read(folder.path().join("x.mtx")).unwrap(), b"whole");
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mtx");
        fs::write(&path, "old").unwrap();
        let target = Target::probe(&path).unwrap();
        let failed = target.write(|to| {
            to.write_all(b"half")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["x.mtx"]);
    }

    #[test]
    fn a_link_is_followed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        Target::probe(&link).unwrap().write(|to| to.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn places_that_cannot_hold_a_file_are_refused() {
        for place in ["/dev/null", "/", "/proc/none/x.mtx"] {
            assert!(Target::probe(Path::new(place)).is_err(), "{place}");
        }
    }
}

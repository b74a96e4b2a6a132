//! Reads files into chunks.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::Location;
use std::path::Path;

use heist_numa::Pod;

use super::chunk::Memory;
use super::crew::work_off;
use super::partition::Partition;
use super::raw::PIECE;
use super::scatter::{admit, blanks, chunks, stores, warnings, workers};
use super::scattered::Scattered;
use crate::error::{Error, ErrorKind};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::Registry;

/// Reads the values of a file, each part straight into its place.
pub(crate) fn scatter_file<T: Pod + Send + Sync>(
    registry: &Arc<Registry>,
    location: &'static Location<'static>,
    path: &Path,
    partition: Partition,
) -> Result<Scattered<T>, Error> {
    admit(registry)?;
    let failed = |source| Error::new(ErrorKind::File { path: path.to_owned(), source });
    let invalid = |text| failed(io::Error::new(io::ErrorKind::InvalidData, text));
    let no_file = || failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file, which has a length"));
    // To open a pipe is to wait for who writes to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(no_file());
    }
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    // The kernel's own files have no length, and yet something in them.
    if bytes == 0 && file.read_at(&mut [0], 0).map_err(failed)? != 0 {
        return Err(no_file());
    }
    let each = size_of::<T>();
    let len = usize::try_from(bytes).ok().and_then(|bytes| bytes.checked_div(each).filter(|len| len * each == bytes));
    let len = len.ok_or_else(|| invalid(format!("{bytes} bytes are no whole number of values of {each} bytes")))?;
    let parts = partition.lay_out(len, &workers(registry))?;
    if parts.iter().any(|part| part.step != 1) {
        let text = "a file is read in one piece a chunk; scatter it by blocks";
        return Err(Error::new(ErrorKind::Shape(text.to_owned())));
    }
    let stores = stores::<T>(&parts);
    let mut blanks = blanks::<T>(registry, &stores)?;
    let warnings = warnings(&blanks);
    let pieces = blanks.iter_mut().zip(&stores).flat_map(|((domain, blank), store)| {
        let start = parts[store.parts.start].first * each;
        let domain = *domain;
        blank
            .bytes()
            .chunks_mut(PIECE)
            .enumerate()
            .map(move |(number, piece)| (domain, (start + number * PIECE, piece)))
    });
    let first_error = Mutex::new(None);
    work_off(registry, location, pieces, |(at, piece)| {
        if let Err(error) = file.read_exact_at(piece, at as u64) {
            first_error.lock().get_or_insert(error);
        }
    });
    let error = first_error.lock().take();
    match error {
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(invalid(format!("it has become shorter than {bytes} bytes while it was read")));
        }
        Some(error) => return Err(failed(error)),
        None => {}
    }
    let memories = blanks.into_iter().map(|(_, blank)| Memory::Placed(blank.into_values()));
    let chunks = chunks(registry, &parts, &stores, memories);
    Ok(Scattered::of_chunks(registry, location, parts, chunks, warnings))
}
